"""Which Apprise service a URL names, and how it is kept from retrying, sleeping and following redirects."""

from __future__ import annotations

import difflib
import logging
import warnings
from collections.abc import Iterable
from functools import cache
from typing import Any

from tocsin_apprise.config import Overflow
from tocsin_apprise.urls import at_other_host, options_of, parse_base_url, schema_of, words_of
from tocsin_hooks.secrets import Secret

_CONNECT_SECONDS = 5.0
_LONGEST_REASON = 200


class Lines(logging.Logger):
    """A logger of one call's own: what a service says there is kept, and goes nowhere else.

    Given to one service object, so that the lines of calls at the same time never mix.
    """

    def __init__(self) -> None:
        super().__init__("tocsin.apprise.call", logging.DEBUG)
        self.kept: list[tuple[int, str]] = []

    def handle(self, record: logging.LogRecord) -> None:
        """Keep the line, and hand it to whoever listens to this logger."""
        self.kept.append((record.levelno, record.getMessage()))
        self.callHandlers(record)

    def callHandlers(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Like the base class, but without the complaint that nobody listens."""
        if self.handlers:
            super().callHandlers(record)


def build(url: str, base_url: str = "") -> Any:
    """The service that `url` names, at `base_url` where that is given. Opens no connection.

    Raises ValueError, without a secret, if Apprise would not have it.
    """
    service = _instantiate(url)
    if base_url:
        url = at_other_host(url, _schema_at(service, base_url), parse_base_url(base_url))
        service = _instantiate(url)
    _learn_secrets(url, service)
    return service


def tame(service: Any, url: str, *, seconds: float, overflow: Overflow | None) -> Lines:
    """Make `service` try once, at once and within `seconds`; return where it says what went wrong."""
    from apprise import OverflowMode

    given = options_of(url)
    lines = Lines()
    service.logger = lines
    service.retry = 0
    service.optional = False  # or a failure would count as a success
    service.request_rate_per_sec = 0
    service.throttle = _no_throttle
    own_read = service.socket_read_timeout if "rto" in given else seconds
    own_connect = service.socket_connect_timeout if "cto" in given else _CONNECT_SECONDS
    service.socket_read_timeout = min(own_read, seconds)
    service.socket_connect_timeout = min(own_connect, seconds)
    if overflow or "overflow" not in given:
        service.overflow_mode = OverflowMode(overflow or "truncate")
    return lines


def asset() -> Any:
    """How Apprise behaves here: no threads or limits of its own, no files, no redirects where it can be told."""
    from apprise import AppriseAsset, PersistentStoreMode

    newer: dict[str, tuple[str, Any]] = {
        "service_timeout": ("_service_timeout", 0),
        "http_redirects": ("http_redirects", False),
    }
    known: dict[str, Any] = {
        name: value for name, (attribute, value) in newer.items() if hasattr(AppriseAsset, attribute)
    }
    return AppriseAsset(
        app_id="tocsin",
        app_desc="tocsin notifications",
        secure_logging=True,
        async_mode=False,
        storage_mode=PersistentStoreMode.MEMORY,
        **known,
    )


def _no_throttle(*_: object, **__: object) -> None:
    """In place of a plugin's own waiting: the outbox keeps the rate."""


def _instantiate(url: str) -> Any:
    from apprise import Apprise

    schema = schema_of(url)
    _check_schema(schema)
    try:
        service = Apprise.instantiate(url, asset=asset(), suppress_exceptions=False)
    except Exception as error:  # whatever a service's own checks raise
        reason = _without(words_of(url) - {schema}, str(error))[:_LONGEST_REASON] or type(error).__name__
        raise ValueError(f"Apprise refuses this '{schema}://' URL: {reason}; {_see(schema)}") from None
    if service is None:
        raise ValueError(f"Apprise cannot read this '{schema}://' URL; {_see(schema)}")
    return service


def _check_schema(schema: str) -> None:
    services = catalogue()
    if schema not in services:
        near = difflib.get_close_matches(schema, schemas(), 1)
        hint = f"did you mean '{near[0]}://'?" if near else "see https://github.com/caronc/apprise for its services"
        raise ValueError(f"Apprise knows no service '{schema}://'; {hint}")
    plugin = services[schema]
    if not plugin.enabled:
        needed = _packages(plugin.requirements.get("packages_required"))
        missing = f"it needs {needed}: pip install {needed}" if needed else str(plugin.requirements.get("details"))
        raise ValueError(f"Apprise cannot use '{schema}://' here: {missing}")


def _packages(required: Any) -> str:
    names: Iterable[Any] = [required] if isinstance(required, str) else required or ()
    return ", ".join(f"'{name}'" for name in names)


@cache
def catalogue() -> Any:
    """All services that the installed Apprise knows, by schema; those it cannot use here as well."""
    from apprise import manager_plugins

    make: Any = manager_plugins.NotificationManager  # untyped there
    found = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it loads two hundred modules, not all of them up to date
        found.load_modules()
    return found


def schemas() -> list[str]:
    """The schemas of all services that the installed Apprise knows."""
    return sorted(catalogue().schemas(include_disabled=True))


def _see(schema: str) -> str:
    return f"see {catalogue()[schema].setup_url or 'https://github.com/caronc/apprise'}"


def _schema_at(service: Any, base_url: str) -> str:
    plugin = type(service)
    protocols = plugin.secure_protocol if parse_base_url(base_url).secure else plugin.protocol
    if not service.host or "host" not in plugin.template_tokens or not protocols:
        raise ValueError(
            f"base_url does not fit '{service.schema}://': its address holds no host that could be replaced"
            if protocols
            else f"base_url does not fit '{service.schema}://', which does not speak {base_url.partition(':')[0]}"
        )
    return str(protocols if isinstance(protocols, str) else protocols[0])


def _learn_secrets(url: str, service: Any) -> None:
    """Let `redact` know what Apprise itself would mask, part by part: services quote parts, not whole URLs."""
    shown = words_of(str(service.url(privacy=True)))
    for word in words_of(url) - shown - {str(service.host)}:
        if len(word) >= 6:
            Secret.literal(word).get_secret_value()


def _without(words: Iterable[str], text: str) -> str:
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, "[secret]")
    return text
