"""Taking up a config that was changed while a hub runs: build, compare, swap; a bad one is announced and not used."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from tocsin.assembly import Assembly, locate, read_config
from tocsin.masked import logger
from tocsin.settings import Config, ConfigError
from tocsin.settings.files import files_of
from tocsin.store.records import StoreError
from tocsin_hooks.events import Event, ExceptionSummary, event_id
from tocsin_hooks.states import Failed, State, Success, family

_log = logger("tocsin.hub")

_Stamp = tuple[int, int, int]

SUBJECT = "config"
"""The task that stands for the config in events about it; its flow is `tocsin`."""


def needs_restart(running: Config, wanted: Config) -> list[str]:
    r"""The keys of which a hub that was started with `running` does not take up what `wanted` says.

    >>> from tocsin.settings import load, source_of_text
    >>> texts = ("", "delivery = { threads = 2, drain = '1s' }\nhub = { listen = 'localhost:0' }")
    >>> one, other = (load(source_of_text(text), channel_types={}) for text in texts)
    >>> needs_restart(one, other), needs_restart(one, one)
    (['[delivery] threads', '[hub] listen'], [])
    """
    return [
        f"[{section}] {key}"
        for section, keys in _AT_THE_START.items()
        for key in keys
        if getattr(getattr(running, section), key) != getattr(getattr(wanted, section), key)
    ]


_AT_THE_START = {
    "store": ("path", "url", "retention"),
    "delivery": ("threads", "lease"),
    "hub": ("listen", "allow_remote"),
    "plugins": ("allow", "block", "deadline"),
}
"""What a hub asks its config for once, at its start."""


class Reloader:
    """Looks at the files of a config, and lets a hub go on with what they say now.

    What a file that is wrong says is not used: the hub goes on as before, and an incident of `tocsin/config` is open
    until the file is right again.
    """

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._started = assembly.config
        self._path = assembly.config.path
        self._files = files_of(self._path)
        self._seen: tuple[_Stamp | None, ...] | None = self._stamp()
        self._content = self._digest()
        self._forced = threading.Event()

    def ask(self) -> None:
        """Look at the next opportunity, whatever the time of the file says; safe in a signal handler."""
        self._forced.set()

    def look(self) -> None:
        """Take up what has changed since the last look. Never raises what a config can cause."""
        forced = self._forced.is_set()
        self._forced.clear()
        stamp = self._stamp()
        if self._path is None or (stamp == self._seen and not forced):
            return
        self._seen = stamp
        content = self._digest()
        self._files = files_of(self._path, self._files)
        if (now := self._stamp()) != stamp:  # other files by now
            self._seen, content = now, self._digest()
        if content == self._content and not forced:
            return
        changed, self._content = content != self._content, content
        self._take_up(content, changed=changed)

    def settle(self) -> None:
        """Say that the config is right, if an earlier process left word that it is not."""
        self._announce(Success, "the config is right again", "start")

    def _take_up(self, content: str, *, changed: bool) -> None:
        try:
            config = self._read()
        except ConfigError as error:
            self._refuse(str(error), content, count=len(error.problems))
            return
        except (OSError, ValueError) as error:
            self._refuse(str(error), content)
            return
        try:
            self._assembly.adopt(config)
        except StoreError as error:
            _log.error("the new config is not used yet: %s", error)
            self._seen = None  # looked at again
            return
        if changed:
            _log.warning("the config '%s' was changed and is in use now", self._path)
        else:
            _log.warning("the config '%s' is as it was; it was read again, and stays in use", self._path)
        if late := needs_restart(self._started, config):
            _log.warning("%s: what the config says there now holds once the hub is started again", ", ".join(late))
        self._announce(Success, "the config is right again", content)

    def _read(self) -> Config:
        source = locate(self._path)
        assert source is not None, "a config that is named is found, or said to be missing"
        return read_config(source, self._assembly)

    def _refuse(self, text: str, content: str, *, count: int = 1) -> None:
        _log.error("what the config says now is not used, what it said before stays in force:\n%s", text)
        first = text.partition("\n")[0]
        more = f" (and {count - 1} more; 'tocsin check' shows them)" if count > 1 else ""
        self._announce(Failed, f"{first}{more}", content)

    def _announce(self, kind: type[State], text: str, content: str) -> None:
        """Publish that the config is wrong, or right again. Raises nothing."""
        hub, clock = self._assembly.hub, self._assembly.clock
        if hub.outbox is None:
            return
        name = kind.__name__
        event = Event(
            id=event_id("tocsin", f"config {content} {clock.new_id()}", "", None, 1, 1, name),
            time=clock.now(),
            flow="tocsin",
            task=SUBJECT,
            run_id="",
            state=name,
            state_family=family(kind),
            message=text,
            severity="error" if kind is Failed else "",
            exception=ExceptionSummary("ConfigError", text) if kind is Failed else None,
        )
        try:
            hub.store_event(hub.outbox, hub.enriched(event))
        except StoreError as error:
            _log.error("that the config is %s cannot be announced: %s", "wrong" if kind is Failed else "right", error)

    # ------------------------------------------------------------ the file

    def _stamp(self) -> tuple[_Stamp | None, ...]:
        return tuple(_stamp_of(path) for path in self._files)

    def _digest(self) -> str:
        return hashlib.sha256("\n".join(map(_digest_of, self._files)).encode()).hexdigest()


def _stamp_of(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _digest_of(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"
