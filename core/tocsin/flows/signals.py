"""How code inside a task, trigger or state handler ends a run with a state of its choice: it raises a signal.

Signals derive from BaseException, so that an `except Exception` on the way does not swallow them.
"""

from __future__ import annotations

from typing import Any, ClassVar

from tocsin.errors import FlowError
from tocsin_hooks.states import (
    Failed,
    Looped,
    Paused,
    Retrying,
    Skipped,
    State,
    Success,
    TriggerFailed,
    ValidationFailed,
)


class StateSignal(BaseException):
    """Ends a run with `state`, which is built at once; further arguments go to the state.

    The state's result is the signal itself unless one is given.
    """

    _state_class: ClassVar[type[State]] = State

    def __init__(self, message: str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(message or "")
        if not args:  # the state's second argument is the result
            kwargs.setdefault("result", self)
        self.state: State = self._state_class(message, *args, **kwargs)


class FAIL(StateSignal):
    """Ends the run as `Failed`; it is retried if retries are left."""

    _state_class = Failed


class TRIGGERFAIL(FAIL):
    """Ends the run as `TriggerFailed`."""

    _state_class = TriggerFailed


class VALIDATIONFAIL(FAIL):
    """Ends the run as `ValidationFailed`; it is retried if retries are left."""

    _state_class = ValidationFailed


class SUCCESS(StateSignal):
    """Ends the run as `Success`."""

    _state_class = Success


class RETRY(StateSignal):
    """Runs again at `start_time`, now if none is given, whatever `max_retries` says."""

    _state_class = Retrying


class SKIP(StateSignal):
    """Ends the run as `Skipped`."""

    _state_class = Skipped


class PAUSE(StateSignal):
    """Leaves the run `Paused` until it is resumed, or until `start_time` if one is given."""

    _state_class = Paused


class LOOP(StateSignal):
    """Ends one round as `Looped` and starts the next one at once, with `result` as `task_loop_result` in the context.

    The state's result is the signal's repr unless one is given.
    """

    _state_class = Looped

    def __init__(self, message: str | None = None, *args: Any, **kwargs: Any) -> None:
        if not args:
            kwargs.setdefault("result", repr(self))
        super().__init__(message, *args, **kwargs)


class TaskTimeoutSignal(BaseException):
    """Stops a task that takes longer than its `timeout`; the task ends `TimedOut`."""

    def __init__(self, message: str = "the task took longer than its timeout", limit: object = None) -> None:
        super().__init__(message)
        self.limit = limit
        """Which limit was reached, when several are nested; None for one that user code raised."""


class ENDRUN(BaseException):
    """Ends the run with `state`: no retry, no further step."""

    def __init__(self, state: State) -> None:
        super().__init__(repr(state))
        self.state = state


_SIGNALS: tuple[type[StateSignal], ...] = (FAIL, TRIGGERFAIL, VALIDATIONFAIL, SUCCESS, RETRY, SKIP, PAUSE, LOOP)
_SIGNAL_OF = {signal._state_class: signal for signal in _SIGNALS}


def signal_from_state(state: State) -> type[StateSignal]:
    """The signal that leads to a state of exactly this class.

    >>> signal_from_state(Skipped()).__name__
    'SKIP'
    """
    try:
        return _SIGNAL_OF[type(state)]
    except KeyError:
        raise FlowError(f"no signal leads to the state '{type(state).__name__}'") from None
