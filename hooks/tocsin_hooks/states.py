"""The conditions a run can be in: Prefect 1's class tree, and `Crashed`.

Every `is_x()` is an isinstance test, so it holds for subclasses too: a `Retrying` is pending and scheduled, a
`TriggerFailed` has failed. `Cancelled` has finished, but neither succeeded nor failed.
"""

from __future__ import annotations

import datetime as dt
import pickle
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar

from tocsin_hooks.results import NoResult, Result

if TYPE_CHECKING:
    import pendulum

_NOTHING: Mapping[str, Any] = {}

run_context: ContextVar[Mapping[str, Any]] = ContextVar("tocsin_run_context", default=_NOTHING)
"""What the runner knows of the run being executed. States take `task_run_count`, `task_loop_count` and
`task_tags` from it when they are not told; outside a run it is empty."""


class State:
    """The condition of a flow or task run: a class, a message and a result.

    Two states are equal when class, result and the other public attributes are; message and context do not
    count. The hash is the identity.
    """

    color: ClassVar[str] = "#000000"

    def __init__(
        self,
        message: str | None = None,
        result: Any = NoResult,
        context: dict[str, Any] | None = None,
        cached_inputs: dict[str, Any] | None = None,
    ) -> None:
        self.message = message
        self._carried = result
        self.context: dict[str, Any] = {} if context is None else dict(context)
        self.cached_inputs = cached_inputs or {}
        if tags := run_context.get().get("task_tags"):
            self.context.setdefault("tags", list(tags))

    @property
    def result(self) -> Any:
        """The value carried, unwrapped; None when there is none."""
        carried = self._carried
        return carried.value if isinstance(carried, Result) else carried

    @result.setter
    def result(self, value: Any) -> None:
        self._carried = value

    @property
    def _result(self) -> Result:
        """The wrapped value; `NoResult` when none was given."""
        if not isinstance(self._carried, Result):
            self._carried = Result(self._carried)
        return self._carried

    @_result.setter
    def _result(self, value: Any) -> None:
        self._carried = value

    def _public(self) -> dict[str, Any]:
        return {
            name: value
            for name, value in vars(self).items()
            if not name.startswith("_") and name not in ("message", "context")
        }

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return False
        assert isinstance(other, State)
        return bool(self._result == other._result and self._public() == other._public())

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        name = type(self).__name__
        return f'<{name}: "{self.message}">' if self.message else f"<{name}>"

    def __getstate__(self) -> dict[str, Any]:
        """The state as it travels: an exception that cannot be pickled goes as its text."""
        data = dict(vars(self))
        carried = data["_carried"]
        value = carried.value if isinstance(carried, Result) else carried
        if isinstance(value, BaseException) and getattr(value, "state", None) is not self:  # a signal carries itself
            data["_carried"] = _portable(value, carried)
        return data

    def __setstate__(self, data: dict[str, Any]) -> None:
        vars(self).update(data)
        if isinstance(self._carried, _Pickled):
            self._carried = pickle.loads(self._carried.data)  # noqa: S301  (made by `_portable`)

    def load_result(self, result: Result | None = None) -> State:
        """Read the value back where it is kept, if it is not here; `result` says how. Returns this state."""
        carried = self._carried
        if isinstance(carried, Result) and carried.value is None:
            location = getattr(carried, "location", None)
            if location is not None:
                self._carried = (result or carried).read(location)
        return self

    def load_cached_results(self, results: Mapping[str, Result] | None = None) -> State:
        """Read the values of the cached inputs back where they are kept; `results` says how. Returns this state."""
        for key, kept in (self.cached_inputs or {}).items():
            location = getattr(kept, "location", None)
            if location is not None and kept.value is None and key in (results or {}):
                self.cached_inputs[key] = (results or {})[key].read(location)
        return self

    def serialize(self) -> dict[str, Any]:
        """The state as JSON data; of its value only the place where it is stored."""
        from tocsin_hooks.state_json import as_json  # which needs all the classes below

        return as_json(self)

    @staticmethod
    def deserialize(json_blob: Mapping[str, Any]) -> State:
        """The state that `serialize` told of; ValueError for a name that no state has."""
        from tocsin_hooks.state_json import from_json

        return from_json(json_blob)

    @classmethod
    def children(cls, include_self: bool = False, names_only: bool = False) -> list[type[State]] | list[str]:
        """Every class below this one; those with a leading underscore are left out."""
        found = [cls] if include_self else []
        found += _descendants(cls)
        return _listed(found, names_only)

    @classmethod
    def parents(cls, include_self: bool = False, names_only: bool = False) -> list[type[State]] | list[str]:
        """Every class above this one, up to State; those with a leading underscore are left out."""
        found: list[type[State]] = [
            parent for parent in cls.__mro__ if issubclass(parent, State) and (include_self or parent is not cls)
        ]
        return _listed(found, names_only)

    def is_pending(self) -> bool:
        """Whether the run has yet to start, or start again."""
        return isinstance(self, Pending)

    def is_queued(self) -> bool:
        """Whether the run waits for a place to run."""
        return isinstance(self, Queued)

    def is_retrying(self) -> bool:
        """Whether the run failed and will be tried again."""
        return isinstance(self, Retrying)

    def is_running(self) -> bool:
        """Whether the run is under way."""
        return isinstance(self, Running)

    def is_finished(self) -> bool:
        """Whether the run has ended, well or not."""
        return isinstance(self, Finished)

    def is_looped(self) -> bool:
        """Whether the run ended one round of a loop."""
        return isinstance(self, Looped)

    def is_skipped(self) -> bool:
        """Whether the run was passed over."""
        return isinstance(self, Skipped)

    def is_scheduled(self) -> bool:
        """Whether the run has a time at which it starts."""
        return isinstance(self, Scheduled | Queued)

    def is_submitted(self) -> bool:
        """Whether the run has been handed on."""
        return isinstance(self, Submitted)

    def is_successful(self) -> bool:
        """Whether the run ended well."""
        return isinstance(self, Success)

    def is_failed(self) -> bool:
        """Whether the run ended badly."""
        return isinstance(self, Failed)

    def is_mapped(self) -> bool:
        """Whether the run was split into children."""
        return isinstance(self, Mapped)

    def is_cached(self) -> bool:
        """Whether the result was, or can be, taken from a cache."""
        return isinstance(self, Cached)

    def is_meta_state(self) -> bool:
        """Whether this state wraps another."""
        return isinstance(self, _MetaState)


class _Pickled:
    """An exception that only cloudpickle can pickle, as bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data


def _portable(error: BaseException, carried: Any) -> Any:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  (its own dump)
    except Exception:  # whatever the exception's own reduce or init raises
        return _packed(error)
    return carried


def _packed(error: BaseException) -> Any:
    try:
        import cloudpickle  # knows classes made in functions and scripts; heavy, and not always there

        data = cloudpickle.dumps(error)
        pickle.loads(data)  # noqa: S301  (its own dump, a line ago)
    except Exception:
        return repr(error)
    return _Pickled(data)


def _descendants(cls: type[State]) -> Iterator[type[State]]:
    for child in cls.__subclasses__():
        yield child
        yield from _descendants(child)


def _listed(classes: list[type[State]], names_only: bool) -> list[type[State]] | list[str]:
    public = [cls for cls in dict.fromkeys(classes) if not cls.__name__.startswith("_")]
    return [cls.__name__ for cls in public] if names_only else public


_families: dict[type[State], tuple[str, ...]] = {}  # asked for every change of every task


def family(cls: type[State]) -> tuple[str, ...]:
    """The names of a state class and its ancestors below State, nearest first.

    >>> family(TimedOut)
    ('TimedOut', 'Failed', 'Finished')
    """
    known = _families.get(cls)
    if known is None:
        known = _families[cls] = tuple(
            parent.__name__
            for parent in cls.__mro__
            if issubclass(parent, State) and parent is not State and parent is not _MetaState
        )
    return known


def _utc_now() -> pendulum.DateTime:
    import pendulum  # heavy, and needed only by states that carry a time

    return pendulum.now("UTC")


def _aware(time: dt.datetime) -> pendulum.DateTime:
    import pendulum

    naive = time.tzinfo is None  # and means UTC; pendulum leaves naive times of its own as they are
    return pendulum.instance(time.replace(tzinfo=dt.UTC) if naive else time)


# ---------------------------------------------------------------- not yet running


class Pending(State):
    """Not started yet."""

    color = "#d3d3d3"


class Scheduled(Pending):
    """Starts at `start_time`, now when none is given."""

    color = "#ffab00"

    def __init__(
        self,
        message: str | None = None,
        result: Any = NoResult,
        start_time: dt.datetime | None = None,
        context: dict[str, Any] | None = None,
        cached_inputs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, result, context, cached_inputs)
        self.start_time: pendulum.DateTime | None = _utc_now() if start_time is None else _aware(start_time)
        if (count := run_context.get().get("task_run_count")) is not None:
            self.context.setdefault("task_run_count", count)


class Paused(Scheduled):
    """Waits until somebody resumes it, or until `start_time` if one is given."""

    color = "#cfd8dc"

    def __init__(
        self,
        message: str | None = None,
        result: Any = NoResult,
        start_time: dt.datetime | None = None,
        context: dict[str, Any] | None = None,
        cached_inputs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, result, start_time, context, cached_inputs)
        if start_time is None:
            self.start_time = None


class Resume(Scheduled):
    """Goes on after a pause."""

    color = "#fb8c00"


class Retrying(Scheduled):
    """Failed, and starts again at `start_time`; `run_count` attempts have been made."""

    color = "#ffff00"

    def __init__(
        self,
        message: str | None = None,
        result: Any = NoResult,
        start_time: dt.datetime | None = None,
        context: dict[str, Any] | None = None,
        cached_inputs: dict[str, Any] | None = None,
        run_count: int | None = None,
    ) -> None:
        super().__init__(message, result, start_time, context, cached_inputs)
        self.run_count: int = run_context.get().get("task_run_count") or 1 if run_count is None else run_count


# ---------------------------------------------------------------- wrapping another state


class _MetaState(State):
    """Wraps another state in `state`; never one that itself wraps."""

    def __init__(
        self,
        message: str | None = None,
        result: Any = NoResult,
        state: State | None = None,
        context: dict[str, Any] | None = None,
        cached_inputs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, result, context, cached_inputs)
        self.state = state

    @property
    def state(self) -> State | None:
        """The state wrapped."""
        return self._state

    @state.setter
    def state(self, state: State | None) -> None:
        self._state = state.state if isinstance(state, _MetaState) else state

    def _public(self) -> dict[str, Any]:
        return super()._public() | {"state": self._state}


class ClientFailed(_MetaState):
    """The state wrapped could not be reported to a server."""

    color = "#eb0000"


class Submitted(_MetaState):
    """Handed to an executor or an agent."""

    color = "#ffeb3b"


class Queued(_MetaState):
    """Waits for a free place until `start_time`, now when none is given."""

    color = "#ffc107"

    def __init__(
        self,
        message: str | None = None,
        result: Any = NoResult,
        state: State | None = None,
        start_time: dt.datetime | None = None,
        context: dict[str, Any] | None = None,
        cached_inputs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, result, state, context, cached_inputs)
        self.start_time = _utc_now() if start_time is None else _aware(start_time)


# ---------------------------------------------------------------- under way


class Running(State):
    """Under way."""

    color = "#3d67ff"


class Cancelling(Running):
    """Under way, and asked to stop."""

    color = "#3b0b39"


# ---------------------------------------------------------------- ended


class Finished(State):
    """Ended, well or not."""

    color = "#ba55d3"


class Looped(Finished):
    """Ended round `loop_count` of a loop; the next one follows at once."""

    color = "#7e57c2"

    def __init__(
        self,
        message: str | None = None,
        result: Any = NoResult,
        loop_count: int | None = None,
        context: dict[str, Any] | None = None,
        cached_inputs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, result, context, cached_inputs)
        self.loop_count: int = run_context.get().get("task_loop_count") or 1 if loop_count is None else loop_count


class Success(Finished):
    """Ended well."""

    color = "#28a745"


class Cached(Success):
    """Ended well, with a result that later runs may use until `cached_result_expiration`."""

    color = "#008000"

    def __init__(
        self,
        message: str | None = None,
        result: Any = NoResult,
        cached_inputs: dict[str, Any] | None = None,
        cached_parameters: dict[str, Any] | None = None,
        cached_result_expiration: dt.datetime | None = None,
        context: dict[str, Any] | None = None,
        hashed_inputs: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message, result, context, cached_inputs)
        self.hashed_inputs = hashed_inputs
        self.cached_parameters = cached_parameters
        self.cached_result_expiration = None if cached_result_expiration is None else _aware(cached_result_expiration)


class Mapped(Success):
    """Split into children, whatever became of them."""

    color = "#97ffff"

    def __init__(
        self,
        message: str | None = None,
        result: Any = NoResult,
        map_states: list[State] | None = None,
        context: dict[str, Any] | None = None,
        cached_inputs: dict[str, Any] | None = None,
        n_map_states: int | None = None,
    ) -> None:
        super().__init__(message, result, context, cached_inputs)
        self.map_states: list[State] = map_states or []
        self._n_map_states = n_map_states

    @property
    def n_map_states(self) -> int:
        """How many children there are: as told, or as many as `map_states` holds."""
        return len(self.map_states) if self._n_map_states is None else self._n_map_states


class Skipped(Success):
    """Passed over; counts as success."""

    color = "#62757f"


class Failed(Finished):
    """Ended badly."""

    color = "#eb0000"


class TimedOut(Failed):
    """Took longer than it was given."""

    color = "#ff4e33"


class TriggerFailed(Failed):
    """Never ran: what came before it did not end as its trigger asks."""

    color = "#f09b59"


class ValidationFailed(Failed):
    """Ran, but its result was found wrong."""

    color = "#f28a2e"


class Crashed(Failed):
    """Its process died: killed, out of memory, or gone with its host."""

    color = "#8b0000"


class Cancelled(Finished):
    """Stopped on request: neither a success nor a failure."""

    color = "#bdbdbd"
