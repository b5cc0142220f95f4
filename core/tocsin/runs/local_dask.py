"""Prefect 1's `LocalDaskExecutor`: many calls at a time on one machine, as many as dask would make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tocsin.clock import Clock
from tocsin.errors import FlowError, did_you_mean
from tocsin.runs.executors import Executor, LocalExecutor, Outcome, ThreadExecutor
from tocsin.runs.processes import ProcessExecutor

_SCHEDULERS = {
    "threads": "threads",
    "threading": "threads",
    "threaded": "threads",
    "processes": "processes",
    "multiprocessing": "processes",
    "synchronous": "synchronous",
    "sync": "synchronous",
    "single-threaded": "synchronous",
}


class LocalDaskExecutor(Executor):
    """Makes calls on `threads`, in `processes`, or one after the other (`synchronous`).

    `num_workers` says how many at a time, else dask's setting of that name, else as many as there are CPUs; other
    options go to dask when `wait` computes what `submit` handed back. With processes, tasks and their results must
    survive cloudpickle; an attempt whose process dies is made again at most `retries_on_worker_loss` times. A run that
    is stopped waits at most `stop_within` seconds for the tasks under way.
    """

    def __init__(
        self,
        scheduler: str = "threads",
        *,
        retries_on_worker_loss: int = 1,
        stop_within: float = 5.0,
        **kwargs: Any,
    ) -> None:
        self.scheduler = local_scheduler(scheduler)
        self.retries_on_worker_loss = retries_on_worker_loss
        self.stop_within = stop_within
        self.kwargs = kwargs
        self._inner: Executor | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_inner": None}

    @property
    def num_workers(self) -> int:
        """How many calls are made at a time."""
        if self.scheduler == "synchronous":
            return 1
        from dask import config
        from dask.system import CPU_COUNT

        workers: int = self.kwargs.get("num_workers") or config.get("num_workers", None) or CPU_COUNT
        return workers

    @property
    def slots(self) -> int | None:  # type: ignore[override]  # known once it was started
        """How many calls it wants to be given before it hands one back."""
        return self._started().slots

    def _started(self) -> Executor:
        if self._inner is None:
            raise FlowError("the LocalDaskExecutor has not been started; use it inside `with executor.start():`")
        return self._inner

    def _make(self) -> Executor:
        if self.scheduler == "threads":
            return ThreadExecutor(self.num_workers, stop_within=self.stop_within)
        if self.scheduler == "processes":
            losses, patience = self.retries_on_worker_loss, self.stop_within
            return ProcessExecutor(self.num_workers, retries_on_worker_loss=losses, stop_within=patience)
        return LocalExecutor()

    @contextmanager
    def start(self, clock: Clock | None = None) -> Iterator[None]:
        """Start what makes the calls; it ends with the block."""
        inner = self._make()
        with inner.start(clock):
            self._inner = inner
            try:
                yield
            finally:
                self._inner = None

    def call(self, key: Any, fn: Callable[..., Any], *args: Any) -> None:
        """Have `fn(*args)` called by the next free worker."""
        self._started().call(key, fn, *args)

    def completed(self, timeout: float | None) -> Sequence[Outcome]:
        """Wait for at least one call to end, at most `timeout` seconds."""
        return self._started().completed(timeout)

    def cancel(self) -> Sequence[Outcome]:
        """Begin none of the calls that wait, and stop those under way, as far as they can be stopped in time."""
        return self._started().cancel()

    # ---------------------------------------------------------------- as in Prefect 1

    def submit(self, fn: Callable[..., Any], *args: Any, extra_context: Any = None, **kwargs: Any) -> Any:
        """Hand back a `dask.delayed` of the call; what others stand for is known to it when it is made."""
        from dask.delayed import delayed

        return delayed(fn, pure=False)(*args, **kwargs, dask_key_name=key_of(extra_context))

    def wait(self, futures: Any) -> Any:
        """Compute one or more of what `submit` handed back, in the form in which they are given."""
        from dask.base import compute

        [values] = compute(futures, scheduler=self.scheduler, **self.kwargs)
        return values


def local_scheduler(name: str) -> str:
    """Which of dask's local schedulers a name means.

    >>> local_scheduler("sync"), local_scheduler("Processes")
    ('synchronous', 'processes')
    """
    try:
        return _SCHEDULERS[name.lower()]
    except KeyError:
        hint = did_you_mean(name, {"threads", "processes", "synchronous"})
        raise FlowError(f"LocalDaskExecutor has no scheduler '{name}'{hint}") from None


def key_of(context: Any) -> str | None:
    """A name for one call of a task, from what is known of it; None when nothing is."""
    import uuid

    if not context or not context.get("task_name"):
        return None
    index = context.get("task_index") or context.get("map_index")
    return "-".join([str(context["task_name"]), *([] if index is None else [str(index)]), uuid.uuid4().hex])
