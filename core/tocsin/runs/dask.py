"""Prefect 1's `DaskExecutor`: calls made by the workers of a Dask cluster.

Dask makes a call again, without a word, when the worker that made it dies. Here that is noticed: each attempt leaves a
mark on the scheduler as it begins, and whoever finds the mark of the attempt that he is to begin hands it back as lost.
It is announced, and made again under the next number if `retries_on_worker_loss` allows.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from tocsin.clock import Clock, SystemClock
from tocsin.errors import FlowError
from tocsin.flows.context import context
from tocsin.masked import logger
from tocsin.runs import stopping
from tocsin.runs.clusters import plan_cluster
from tocsin.runs.dask_calls import attempt, dask_key, how_it_was_lost, no_word_on_size, resources
from tocsin.runs.executors import AttemptLost, Executor, Outcome
from tocsin.runs.local_dask import key_of
from tocsin.runs.processes import cannot_be_sent
from tocsin.runs.relay import Home, pack

if TYPE_CHECKING:
    from distributed import Client, Future

_log = logger("tocsin.dask")


class Submitted(NamedTuple):
    """A call under way: under which key it is handed back, its mark, and who is told."""

    key: Any
    mark: str
    home: Home


class Pass:
    """What belongs to one `start` block: the calls under way, and which of them have ended."""

    def __init__(self, clock: Clock, stop: str | None) -> None:
        self.clock = clock
        self.stop = stop
        """The name of the event that asks tasks not to begin."""
        self.under_way: dict[Future, Submitted] = {}
        self.failed: list[Outcome] = []  # could not be sent
        self._ended: list[Future] = []
        self._change = threading.Condition()

    def end(self, future: Future) -> None:
        """Note that a call has ended; on a thread of Dask's, and maybe after the pass."""
        with self._change:
            self._ended.append(future)
            self._change.notify()

    def ended(self, wait: Callable[[threading.Condition], object]) -> list[Future]:
        """The calls that have ended since it was asked last; `wait` is called if there are none."""
        with self._change:
            if not self._ended:
                wait(self._change)
            found, self._ended = self._ended, []
        return found


class DaskExecutor(Executor):
    """Makes calls on the Dask cluster at `address`, or on one of its own that lives for one run.

    That is `cluster_class(**cluster_kwargs)`: a class, its dotted name, or any function that returns a cluster or a
    context manager of one; by default, unless `tocsin.config.engine.executor.dask.address` names another, a
    `distributed.LocalCluster`. With `adapt_kwargs` it grows and shrinks. A tag
    `dask-resource:KEY=N` on a task asks for a worker with that resource. Tasks and results must survive cloudpickle.

    A run that ends early asks the tasks that wait on the cluster not to begin, through a `distributed.Event` that each
    looks at, unless `disable_cancellation_event`, and waits at most `stop_within` seconds for those under way. An
    attempt whose worker dies is made again at most `retries_on_worker_loss` times per task and run: set it to 0 for
    tasks that must not have their effects twice.

    State handlers run on the worker; what plugins and routes hear comes back with the result and is told in the process
    of the flow, so a state that a plugin proposes cannot keep a task from running, only change how it ends.
    """

    def __init__(
        self,
        address: str | None = None,
        cluster_class: Callable[..., Any] | str | None = None,
        cluster_kwargs: dict[str, Any] | None = None,
        adapt_kwargs: dict[str, Any] | None = None,
        client_kwargs: dict[str, Any] | None = None,
        debug: bool | None = None,
        performance_report_path: str | None = None,
        disable_cancellation_event: bool = False,
        *,
        retries_on_worker_loss: int = 1,
        stop_within: float = 5.0,
    ) -> None:
        config = context.config
        if address is None and cluster_class is None and cluster_kwargs is None and adapt_kwargs is None:
            address = config.engine.executor.dask.address or None
        debug = bool(config.get("debug")) if debug is None else debug
        self._plan = plan = plan_cluster(address, cluster_class, cluster_kwargs, adapt_kwargs, debug)
        self.address, self.cluster_class = plan.address, plan.cluster_class
        self.cluster_kwargs, self.adapt_kwargs = dict(plan.cluster_kwargs), dict(plan.adapt_kwargs)
        self.client_kwargs = {"set_as_default": False, **(client_kwargs or {})}
        self.debug = debug
        self.performance_report_path = performance_report_path
        self.disable_cancellation_event = disable_cancellation_event
        self.retries_on_worker_loss = retries_on_worker_loss
        self.stop_within = stop_within
        self._reset()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in _OF_A_RUN}

    def __setstate__(self, settings: dict[str, Any]) -> None:
        vars(self).update(settings)
        self._reset()

    def _reset(self) -> None:
        self.client: Client | None = None
        self._kept: ExitStack | None = None
        self._pass = Pass(SystemClock(), None)
        self._losses: Counter[Any] = Counter()

    # ---------------------------------------------------------------- for the length of a run

    @contextmanager
    def keep(self) -> Iterator[None]:
        """Let the cluster that the first `start` makes serve the later ones in this `with` block, too."""
        with ExitStack() as stack:
            stack.callback(self._reset)
            self._kept = stack
            yield

    @contextmanager
    def start(self, clock: Clock | None = None) -> Iterator[None]:
        """Make the cluster, or connect to it. When the block ends in an exception, tasks are asked to stop."""
        with ExitStack() as stack:
            if self._kept is None:
                stack.callback(self._reset)
            client = self.client = self.client or self._connect(self._kept or stack)
            stop = None if self.disable_cancellation_event else f"tocsin-stop-{_unique()}"
            self._pass = Pass(clock or SystemClock(), stop)
            try:
                yield
            except BaseException as error:
                if not stopping.is_at_once(error):
                    self.cancel()
                self._let_go(client)
                raise

    def _connect(self, stack: ExitStack) -> Client:
        from distributed import Client

        cluster = stack.enter_context(self._plan.opened())
        self._plan.adapt(cluster)
        client: Client = stack.enter_context(Client(cluster, **self.client_kwargs))
        stack.enter_context(self._reporting(client))
        client.subscribe_topic("all", self._heard)
        stack.callback(client.unsubscribe_topic, "all")
        return client

    @contextmanager
    def _reporting(self, client: Client) -> Iterator[None]:
        if self.performance_report_path is None:
            yield
            return
        try:
            import_module("bokeh")
        except ImportError:  # which dask would find out at the very end
            raise FlowError("performance_report_path needs the package 'bokeh', which is not installed") from None
        from distributed import performance_report

        with client.as_current(), performance_report(filename=self.performance_report_path):
            yield

    def _let_go(self, client: Client) -> None:
        with suppress(Exception):  # the scheduler may be what broke the run
            client.cancel(list(self._pass.under_way))
            if self._pass.stop is not None:
                client.sync(client.scheduler.event_clear, name=self._pass.stop)

    def _started(self) -> Client:
        if self.client is None:
            raise FlowError("the DaskExecutor has not been started; use it inside `with executor.start():`")
        return self.client

    def _heard(self, event: tuple[float, Any]) -> None:
        told = event[1]
        if isinstance(told, dict) and told.get("action") == "remove-worker" and not told.get("expected"):
            ours = {future.key for future in list(self._pass.under_way)} & set(told.get("processing-tasks") or ())
            names = ", ".join(f"'{name}'" for name in sorted(map(str, ours))) or "no task of this run"
            _log.warning("Dask worker '%s' is gone; given to it: %s", told.get("worker"), names)

    # ---------------------------------------------------------------- calls

    def call(self, key: Any, fn: Callable[..., Any], *args: Any) -> None:
        """Have `fn(*args)` called by a worker."""
        client, now = self._started(), self._pass
        try:
            data, home = pack(fn, args)
            wanted = resources(home.task.tags) if home.task is not None else {}
        except FlowError as error:
            now.failed.append(Outcome(key, None, error))
            return
        except Exception as error:  # whatever the reduce of something in it raises
            now.failed.append(Outcome(key, None, cannot_be_sent(error)))
            return
        name = dask_key(home.task, key, _unique())
        mark, priority = f"tocsin-{name}", getattr(key, "priority", 0)
        options = {"key": name, "pure": False, "priority": priority, "resources": wanted or None}
        with no_word_on_size(len(data)):
            future = client.submit(attempt, data, mark, now.stop, **options)
        now.under_way[future] = Submitted(key, mark, home)
        future.add_done_callback(now.end)

    def completed(self, timeout: float | None) -> Sequence[Outcome]:
        """Wait for at least one call to end, at most `timeout` seconds."""
        now = self._pass
        if now.failed:
            failed, now.failed = now.failed, []
            return failed
        return self._outcomes(now.ended(lambda change: now.clock.wait(change, timeout)))

    def cancel(self) -> Sequence[Outcome]:
        """Ask the tasks that wait on the cluster not to begin; hand back those under way that end in time."""
        client, now, found = self._started(), self._pass, list[Outcome]()
        if now.stop is None or not now.under_way:
            return found
        deadline = time.monotonic() + self.stop_within
        with suppress(Exception):  # the scheduler may be what broke the run
            client.sync(client.scheduler.event_set, name=now.stop)
            while now.under_way and (left := deadline - time.monotonic()) > 0:
                found += self._outcomes(now.ended(lambda change, left=left: change.wait(left)))  # type: ignore[misc]
        return [outcome for outcome in found if not isinstance(outcome.error, AttemptLost)]

    @stopping.shielded
    def _outcomes(self, ended: list[Future]) -> list[Outcome]:
        client = self._started()
        calls = [self._pass.under_way.pop(future) for future in ended]
        outcomes = [self._outcome(call, *answer) for call, answer in zip(calls, _answers(client, ended), strict=True)]
        _clear_marks(client, [call.mark for call in calls])
        return outcomes

    def _outcome(self, call: Submitted, answer: bytes | None, error: BaseException | None) -> Outcome:
        if error is None and answer is not None:
            return Outcome(call.key, *call.home.take(answer))
        again = False
        if error is None:
            self._losses[call.key] += 1
            again = self._losses[call.key] <= self.retries_on_worker_loss
        return Outcome(call.key, None, AttemptLost(how_it_was_lost(error), again=again))

    # ---------------------------------------------------------------- as in Prefect 1

    def submit(self, fn: Callable[..., Any], *args: Any, extra_context: Any = None, **kwargs: Any) -> Any:
        """Hand back a `distributed.Future` of the call; it may be an argument of another."""
        wanted = resources((extra_context or {}).get("task_tags", ()))
        return self._started().submit(
            fn, *args, key=key_of(extra_context), pure=False, resources=wanted or None, **kwargs
        )

    def wait(self, futures: Any) -> Any:
        """What became of one or more futures, in the form in which they are given."""
        return self._started().gather(futures)


_OF_A_RUN = frozenset({"client", "_kept", "_pass", "_losses"})


def _unique() -> str:
    return SystemClock().new_id()  # also when time is moved by hand: others use the same cluster


def _answers(client: Client, futures: Sequence[Future]) -> list[tuple[bytes | None, BaseException | None]]:
    if all(future.status == "finished" for future in futures):
        with suppress(Exception):  # a worker died with what it should have sent: each is asked for by itself
            return [(answer, None) for answer in client.gather(futures)]
    return [_answer(future) for future in futures]


def _answer(future: Future) -> tuple[bytes | None, BaseException | None]:
    from concurrent.futures import CancelledError

    try:
        return future.result(), None
    except (Exception, CancelledError) as error:
        return None, error


def _clear_marks(client: Client, marks: Sequence[str]) -> None:
    async def clear() -> None:
        await asyncio.gather(*(client.scheduler.event_clear(name=mark) for mark in marks))

    with suppress(Exception):  # they are forgotten with the cluster, at the latest
        client.sync(clear)
