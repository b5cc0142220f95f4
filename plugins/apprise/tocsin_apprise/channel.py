"""One attempt to deliver a message through Apprise."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from tocsin_apprise.config import AppriseConfig
from tocsin_apprise.outcomes import Outcome, error_of, outcome_of, reason_text
from tocsin_apprise.texts import Room, body_of, fit, kind_of, title_of
from tocsin_apprise.urls import NATIVE, check_one, schema_of
from tocsin_hooks.errors import SecretError
from tocsin_hooks.messages import Message, Reason, Receipt, SendError

_MOST_ABANDONED = 8
_log = logging.getLogger(__name__)


class AppriseChannel:
    """Sends each message by one call of one Apprise service.

    The call runs on a daemon thread of its own, and is left behind when `timeout` is over: Apprise 1.9 has no
    limit to a call, and that of Apprise 2 would keep one of its few shared threads, and the process, waiting.
    """

    def __init__(self, config: AppriseConfig) -> None:
        self._config = config
        self._abandoned: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._warned = False
        if config.url.at_hand:
            self._name_better_plugin(config.url.get_secret_value())

    def send(self, message: Message, previous: Receipt | None = None) -> Receipt:  # noqa: ARG002  (no service here edits)
        """Send `message` once, or raise SendError."""
        from apprise import Apprise

        from tocsin_apprise.services import asset, tame

        config, seconds = self._config, self._config.timeout.total_seconds()
        url, service = self._service()
        lines = tame(service, url, seconds=seconds, overflow=config.overflow)
        title, body = _texts(message, service, markdown=config.format == "markdown")
        bridge = Apprise(asset=asset())
        bridge.add(service)

        def call() -> object:
            return bridge.notify(body=body, title=title, notify_type=kind_of(message), body_format=config.format)

        try:
            outcome = outcome_of(self._within(seconds, call))
        except TimeoutError:
            raise SendError(
                Reason.TIMEOUT, f"{service.schema}:// did not finish in {seconds:g} s", unknown=True
            ) from None
        except SendError:
            raise
        except Exception as error:
            said = reason_text([(logging.ERROR, f"{type(error).__name__}: {error}")])
            raise SendError(Reason.PLUGIN, f"{service.schema}:// failed: {said}") from None
        if outcome is not Outcome.DELIVERED:
            raise error_of(outcome, list(lines.kept))
        news = [line for line in lines.kept if line[0] == logging.INFO]
        return Receipt(reason_text(news) if news else f"{service.schema}:// took it")

    def _service(self) -> tuple[str, Any]:
        from tocsin_apprise.services import build

        try:
            url = self._config.url.get_secret_value()
            check_one(url)
            self._name_better_plugin(url)
            return url, build(url, self._config.base_url)
        except (SecretError, ValueError) as error:
            raise SendError(Reason.CONFIG, str(error), permanent=isinstance(error, ValueError)) from None

    def _within(self, seconds: float, call: Callable[[], object]) -> object:
        """What `call` returns or raises. Raises TimeoutError when it takes longer than `seconds`."""
        results: list[object] = []
        errors: list[Exception] = []

        def run() -> None:
            try:
                results.append(call())
            except Exception as error:  # raised again on the thread that waits
                errors.append(error)

        thread = threading.Thread(target=run, name="tocsin-apprise", daemon=True)
        with self._lock:
            self._abandoned = {old for old in self._abandoned if old.is_alive()}
            if len(self._abandoned) >= _MOST_ABANDONED:
                raise SendError(
                    Reason.TIMEOUT, f"{_MOST_ABANDONED} earlier calls still hang; no further one is started"
                )
        thread.start()
        thread.join(seconds)
        if errors:
            raise errors[0]
        if not results:
            with self._lock:
                self._abandoned.add(thread)
            raise TimeoutError
        return results[0]

    def _name_better_plugin(self, url: str) -> None:
        if (native := NATIVE.get(schema_of(url))) and not self._warned:
            self._warned = True
            _log.warning(
                "a channel reaches '%s://' through Apprise; type = '%s' of the plugin 'tocsin-%s' knows threads, "
                "updates and single results",
                schema_of(url),
                native,
                native,
            )


def _texts(message: Message, service: Any, *, markdown: bool) -> tuple[str, str]:
    """Title and body, cut to what `service` takes unless it is told to send longer ones."""
    title, body = title_of(message), body_of(message, markdown=markdown)
    mode = str(getattr(service.overflow_mode, "value", service.overflow_mode))
    if mode == "upstream":
        return title, body
    in_body = service.title_maxlen <= 0 or service.overflow_amalgamate_title
    room = Room(
        body=service.body_maxlen - service.overflow_buffer,
        title=0 if in_body else service.title_maxlen,
        lines=max(service.body_max_line_count - in_body, 0),
    )
    return fit(title, body, room, pieces=10 if mode == "split" else 1)
