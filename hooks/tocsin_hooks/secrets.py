"""References to secrets: read when a message is sent, never shown.

A setting that holds a secret is written `{ env = "NAME" }`, `{ file = "PATH" }` or `{ keyring = "service/name" }`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from tocsin_hooks.errors import SecretError
from tocsin_hooks.masking import known, remember

_REFERENCE = '{ env = "NAME" }, { file = "PATH" } or { keyring = "service/name" }'
_KINDS = ("env", "file", "keyring")
_MASK = "[secret]"


class Secret:
    """A secret that is known by where it is kept; its value is read anew each time it is asked for.

    Neither `repr` nor `str` shows the value. As the type of a setting it takes references only; `MaybeSecret`
    takes plain text as well, for addresses that may or may not hold a token.
    """

    __slots__ = ("_base", "_value", "kind", "name")
    literal_allowed: ClassVar[bool] = False

    def __init__(self, kind: str, name: str, *, base: Path | None = None, value: str | None = None) -> None:
        self.kind = kind
        self.name = name
        self._base = base or Path()
        self._value = value

    @classmethod
    def literal(cls, value: str) -> Secret:
        """A secret whose value is at hand, for tests and for settings made in code."""
        return cls("literal", "", value=value)

    def get_secret_value(self) -> str:
        """The value, without the white space around it.

        Raises SecretError, naming the reference, when there is none or it is empty.
        """
        value = self._read().strip()
        if not value:
            raise SecretError(f"{self.where} is empty")
        # What stands in the config in plain sight is no secret, but for its address, which redact() cuts anyway; and
        # masking very short values would spoil every text.
        if self.kind != "plain" and len(value) >= 4:
            remember([value, *_telling_parts(value)])
        return value

    @property
    def at_hand(self) -> bool:
        """Whether the value was given as it is, so that it can be checked along with the config."""
        return self.kind in ("literal", "plain")

    @property
    def where(self) -> str:
        """Where the secret is kept, for people."""
        return {
            "env": f"environment variable '{self.name}'",
            "file": f"secret file '{self.name}'",
            "keyring": f"keyring entry '{self.name}'",
        }.get(self.kind, "the value given")

    @property
    def path(self) -> Path | None:
        """The file that holds it, where a file does."""
        return self._base / Path(self.name).expanduser() if self.kind == "file" else None

    def _read(self) -> str:
        if self.kind == "env":
            if self.name not in os.environ:
                raise SecretError(f"{self.where} is not set")
            return os.environ[self.name]
        if self.path is not None:
            try:
                return self.path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "not UTF-8 text"
                raise SecretError(f"{self.where} cannot be read: {reason}") from None
        if self.kind == "keyring":
            return self._from_keyring()
        return self._value or ""

    def _from_keyring(self) -> str:
        try:
            import keyring
        except ImportError:
            raise SecretError(f"{self.where} needs the package 'keyring': pip install keyring") from None
        service, _, user = self.name.rpartition("/")
        return keyring.get_password(service, user) or ""

    def __repr__(self) -> str:
        return f"Secret({self.kind} {self.name!r})" if self.name else f"Secret({self.kind})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return (self.kind, self.name, self._value) == (other.kind, other.name, other._value)

    def __hash__(self) -> int:
        return hash((self.kind, self.name, self._value))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            lambda value, info: _secret(value, info, literal=False),
            serialization=core_schema.plain_serializer_function_ser_schema(repr),
        )


class _LiteralAllowed:
    """Marks a setting that may be written plainly as well as by reference."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            lambda value, info: _secret(value, info, literal=True),
            serialization=core_schema.plain_serializer_function_ser_schema(repr),
        )


MaybeSecret = Annotated[Secret, _LiteralAllowed()]
"""A setting that may be plain text or a reference; it is treated as a secret either way."""


def _secret(value: Any, info: ValidationInfo, *, literal: bool) -> Secret:
    if isinstance(value, Secret):
        return value
    context = info.context or {}
    if isinstance(value, str):
        if not (literal or context.get("inline_secrets")):
            raise PydanticCustomError(
                "literal_secret", "a secret is never written here; refer to it: {hint}", {"hint": _REFERENCE}
            )
        if not value.strip():
            raise PydanticCustomError("empty_secret", "is empty")
        return Secret("plain" if literal else "literal", "", value=value)
    if isinstance(value, dict) and len(value) == 1:
        [(kind, name)] = value.items()
        if kind in _KINDS and isinstance(name, str) and name.strip():
            return Secret(kind, name, base=context.get("base"))
    raise PydanticCustomError("secret_reference", "expected {hint}", {"hint": _REFERENCE})


_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:[^/@:]*(?::(?P<password>[^/@]*))?@)?[^/?#]*(?P<path>/[^?#]*)?(?P<query>.*)",
    re.IGNORECASE | re.DOTALL,
)
_LEAST_PART, _LEAST_TOKEN = 8, 12  # characters below which a piece may be a word that stands everywhere

# A scheme begins where no letter stands before it and is short: else a long run of letters is tried from each of them.
_URL = re.compile(
    r"(?<![a-z0-9+.-])(?P<scheme>[a-z][a-z0-9+.-]{0,30})://"
    r"(?:[^\s/@'\"<>]*@)?(?P<host>[^\s/?#'\"<>()]+)[^\s'\"<>)]*",
    re.IGNORECASE,
)

_EXAMPLE = re.compile(
    r"[a-z][a-z0-9+.-]{0,30}://user:password@host(?::(?:port|\d{1,5}))?(?:/database)?[,;.:]?", re.ASCII
)


def _telling_parts(value: str) -> list[str]:
    """What of an address is the secret: services repeat the path alone, or a piece of it.

    >>> _telling_parts("https://ann:pass-word@hooks.example.org/services/T0/B0/0123456789abcdef?k=1")
    ['/services/T0/B0/0123456789abcdef?k=1', '/services/T0/B0/0123456789abcdef', 'pass-word', '0123456789abcdef']
    >>> _telling_parts("https://example.org/"), _telling_parts("s3cr3t/value")
    ([], [])
    """
    found = _ADDRESS.fullmatch(value)
    if found is None:
        return []
    path, query = found["path"] or "", found["query"]
    pieces = [path + query, path, found["password"] or ""] if query else [path, found["password"] or ""]
    pieces = [piece for piece in pieces if len(piece) >= _LEAST_PART]
    return pieces + [piece for piece in re.split(r"[/?&=]", path + query) if len(piece) >= _LEAST_TOKEN]


def redact(text: str) -> str:
    """`text` without secrets: every value revealed in this process, and all but the host of every URL.

    A URL made of the words for its parts is an example, and stays as it is.

    >>> redact("POST https://me:pw@hooks.example.org/T0/B0/token?x=1 failed")
    'POST https://hooks.example.org/... failed'
    >>> redact("write it as postgresql://user:password@host:5432/database, or mend it")
    'write it as postgresql://user:password@host:5432/database, or mend it'
    """
    for value in sorted(known, key=len, reverse=True):
        text = text.replace(value, _MASK)
    return _URL.sub(_shown, text)


def _shown(url: re.Match[str]) -> str:
    return url[0] if _EXAMPLE.fullmatch(url[0]) else f"{url['scheme']}://{url['host']}/..."
