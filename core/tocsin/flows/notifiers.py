"""State handlers that send a note themselves: `slack_notifier` and `gmail_notifier`, as Prefect 1 has them.

They send while the run waits, once, and forget: a note that cannot be sent is logged and counted, and the run goes on.
What must arrive goes through a channel: `notify("ops")`, or a route in tocsin.toml. Channels wait for a service that is
down, group, and tell the end of a problem.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from tocsin.flows.handlers import report_failure
from tocsin.flows.notes import email_message_formatter, slack_message_formatter
from tocsin.flows.secrets import Secret
from tocsin_hooks.states import State

if TYPE_CHECKING:
    import smtplib

    from tocsin.flows.flow import Flow
    from tocsin.flows.task import Task

__all__ = ["email_message_formatter", "gmail_notifier", "slack_message_formatter", "slack_notifier"]

SECONDS = 10.0
"""How long a notifier waits for a service."""

Kinds = Iterable[type[State]] | None

_ARGUMENTS = ("tracked_obj", "old_state", "new_state")


class Notifier:
    """A state handler that can be given some of its arguments first; it pickles.

    Called with options alone it returns a notifier with these options, so that `slack_notifier(only_states=[Failed])`
    is a state handler.
    """

    __name__: str

    def __init__(self, send: Callable[..., State], *args: Any, **options: Any) -> None:
        inspect.signature(send).bind_partial(*args, **options)  # an option that there is not is said at once
        self._send = send
        self._args = args
        self._options = options
        update_wrapper(self, send, updated=())
        self.__name__ = self.__qualname__ = send.__name__.removeprefix("_")

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Tell of the state and return it, given what a state handler is given; else a notifier that waits for it."""
        args, options = self._args + args, {**self._options, **options}
        if all(name in options for name in _ARGUMENTS[len(args) :]):
            return self._send(*args, **options)
        return Notifier(self._send, *args, **options)

    def __repr__(self) -> str:
        return f"<{self.__name__}: {', '.join(sorted(self._options))}>" if self._options else f"<{self.__name__}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _notifier, (self.__name__, self._args, self._options)


def _notifier(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Notifier:
    return Notifier(_slack_notifier if name == "slack_notifier" else _gmail_notifier, *args, **options)


def passes(state: State, ignore_states: Kinds, only_states: Kinds) -> bool:
    """Whether a notifier with these filters tells of a state.

    >>> from tocsin_hooks.states import Failed, Success, TriggerFailed
    >>> passes(TriggerFailed(), None, [Failed]), passes(Success(), None, [Failed]), passes(Failed(), [Failed], None)
    (True, False, False)
    """
    if ignore_states and isinstance(state, tuple(ignore_states)):
        return False
    return not only_states or isinstance(state, tuple(only_states))


def _slack_notifier(
    tracked_obj: Task | Flow,
    old_state: State,  # noqa: ARG001  (a state handler takes it)
    new_state: State,
    ignore_states: Kinds = None,
    only_states: Kinds = None,
    webhook_secret: str | None = None,
    backend_info: bool = True,
    proxies: Mapping[str, str] | None = None,
    *,
    timeout: float = SECONDS,
    strict: bool = False,
) -> State:
    """Post to Slack that a task or flow entered a state.

    The address of the incoming webhook is the secret SLACK_WEBHOOK_URL, or the one that `webhook_secret` names; it is
    read only for a state that `ignore_states` and `only_states` let pass. With `backend_info` the title links to the
    run, if `config.server.ui.url` says where runs are seen. `proxies` is like `{"https": address}`. Waits at most
    `timeout` seconds. What fails is logged and counted; `strict` lets it fail the run.
    """

    def send() -> None:
        from tocsin.flows.sending import post_json  # loads what only those need who send

        url = Secret(webhook_secret or "SLACK_WEBHOOK_URL").get()
        post_json(str(url), slack_message_formatter(tracked_obj, new_state, backend_info), proxies, timeout)

    if passes(new_state, ignore_states, only_states):
        _tell("slack_notifier", tracked_obj, send, strict=strict)
    return new_state


def _gmail_notifier(
    tracked_obj: Task | Flow,
    old_state: State,  # noqa: ARG001
    new_state: State,
    ignore_states: Kinds = None,
    only_states: Kinds = None,
    *,
    timeout: float = SECONDS,
    strict: bool = False,
    connect: Callable[[float], smtplib.SMTP] | None = None,
) -> State:
    """Mail, from a Gmail account to itself, that a task or flow entered a state.

    The account is the secrets EMAIL_USERNAME and EMAIL_PASSWORD, read only for a state that `ignore_states` and
    `only_states` let pass. Waits at most `timeout` seconds for each answer. What fails is logged and counted; `strict`
    lets it fail the run. `connect(timeout)` opens another server in place of Gmail's.
    """

    def send() -> None:
        from tocsin.flows.sending import gmail, mail

        user, password = str(Secret("EMAIL_USERNAME").get()), str(Secret("EMAIL_PASSWORD").get())
        text = email_message_formatter(tracked_obj, new_state, user)
        mail(user, password, text, lambda: (connect or gmail)(timeout))

    if passes(new_state, ignore_states, only_states):
        _tell("gmail_notifier", tracked_obj, send, strict=strict)
    return new_state


def _tell(name: str, subject: Task | Flow, send: Callable[[], None], *, strict: bool) -> None:
    try:
        send()
    except Exception as error:
        if strict:
            raise
        report_failure(name, subject, error)


slack_notifier = Notifier(_slack_notifier)
gmail_notifier = Notifier(_gmail_notifier)
