"""A run ends as it would have ended, whatever a plugin does that observes it; and whoever stops the run is heard."""

import logging
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from tocsin import Flow, runs, task
from tocsin.clock import SystemClock
from tocsin.executors import Executor, LocalDaskExecutor, LocalExecutor, ThreadExecutor
from tocsin.hub.hub import Hub
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog
from tocsin.runs.processes import ProcessExecutor
from tocsin_hooks.specs import hookimpl
from tocsin_hooks.states import Failed, State, Success, TimedOut

SOON = timedelta(seconds=0.1)
LATE = timedelta(seconds=20)


class Observer:
    """Does something, once, when a task has entered a state."""

    def __init__(self, does: Callable[[], Any] = lambda: None, when: str = "Running") -> None:
        self.does, self.when = does, when
        self.heard: list[str] = []
        self.done_at = ""

    @hookimpl
    def tocsin_state_changed(self, event):
        self.heard.append(f"{event.task or 'flow'} {event.state}")
        if event.state == self.when and event.task and not self.done_at:
            self.done_at = event.task
            self.does()


def hub_of(*plugins: object, deadline: timedelta = LATE) -> Hub:
    catalog = Catalog()
    for number, plugin in reversed(list(enumerate(plugins))):  # the one registered last is called first
        catalog.register(plugin, f"plugin{number}")
    return Hub(Hooks(catalog, deadline), SystemClock())


@task
def two() -> int:
    return 2


@task
def half(of: int) -> float:
    return of / 2


@task
def broken(of: float) -> None:
    raise ValueError(of)


def three_tasks() -> Flow:
    with Flow("etl") as flow:
        broken(half(two()))
    return flow


def ends(state: State) -> dict[str, type[State]]:
    return {each.name: type(of) for each, of in state.result.items()}


ENDS = {"two": Success, "half": Success, "broken": Failed}


def naps() -> None:
    while True:
        time.sleep(0.01)


def sleep() -> None:
    time.sleep(1000)


def wait() -> None:
    threading.Event().wait()


def run_here(flow: Flow, **options: Any) -> State:
    return runs.run_flow(flow, **options)


def run_elsewhere(flow: Flow, **options: Any) -> State:
    ended: list[State] = []
    thread = threading.Thread(target=lambda: ended.append(runs.run_flow(flow, **options)), daemon=True)
    thread.start()
    thread.join(30)
    return ended[0]


WHEN = ("Running", "Success", "Failed")
EXECUTORS: dict[str, Callable[[], Executor]] = {
    "local": LocalExecutor,
    "threads": lambda: ThreadExecutor(2),
    "dask threads": lambda: LocalDaskExecutor("threads", num_workers=2),
    "processes": lambda: ProcessExecutor(1),
}
HANGS = [
    *((run_here, name, naps, when) for name in ("local", "threads") for when in WHEN),
    *((run_here, "local", sleep, when) for when in WHEN),
    (run_here, "local", wait, "Success"),
    (run_here, "dask threads", naps, "Success"),
    (run_here, "processes", sleep, "Running"),  # they are told of in the main thread as well
    *((run_elsewhere, name, way, "Success") for name in ("local", "threads") for way in (naps, wait)),
]


@pytest.mark.parametrize(("run", "executor", "way", "when"), HANGS)
def test_a_run_goes_on_when_an_observer_hangs(
    run: Callable[..., State], executor: str, way: Callable[[], None], when: str, caplog: pytest.LogCaptureFixture
) -> None:
    hangs, after = Observer(way, when), Observer()
    with caplog.at_level(logging.ERROR, "tocsin.plugins"):
        state = run(three_tasks(), publisher=hub_of(hangs, after, deadline=SOON), executor=EXECUTORS[executor]())
    assert isinstance(state, Failed)
    assert ends(state) == ENDS
    assert hangs.done_at
    assert [each for each in after.heard if each.endswith(("Success", "Failed"))] == [
        "two Success",
        "half Success",
        "broken Failed",
        "flow Failed",
    ]
    assert "plugin 'plugin0' did not come back from 'tocsin_state_changed' within 0.1 s" in caplog.text


def test_what_cannot_be_ended_on_a_thread_holds_up_the_task_that_was_told_and_no_other() -> None:
    held = threading.Lock()
    held.acquire()
    said: list[str] = []

    def is_told(text: str) -> None:
        said.append(text)
        if "cannot be ended" in text:
            held.release()

    with Flow("etl") as flow:
        for name in "abcde":
            two.copy(name=name)()
    hangs, after = Observer(held.acquire), Observer()
    hub = hub_of(hangs, after, deadline=SOON)
    hub.hooks.on_hung = is_told
    state = runs.run_flow(flow, publisher=hub, executor=ThreadExecutor(2))
    assert ends(state) == dict.fromkeys("abcde", Success)
    text = "plugin 'plugin0' did not come back from 'tocsin_state_changed' within 0.1 s"
    assert re.fullmatch(rf"{text} and cannot be ended; the thread 'tocsin-task-[12]' is held up .*", said[0])
    assert said[1:] == [f"{text}; it was ended, and is not called again"]
    ended = [each for each in after.heard if each.endswith("Success")]
    assert ended[-2:] == [f"{hangs.done_at} Success", "flow Success"]


def test_ctrl_c_ends_a_run_of_which_an_observer_cannot_be_ended() -> None:
    held = threading.Lock()
    held.acquire()
    main = threading.get_ident()

    def press(text: str) -> None:
        if "cannot be ended" in text:
            signal.pthread_kill(main, signal.SIGINT)

    hub = hub_of(Observer(held.acquire), deadline=SOON)
    hub.hooks.on_hung = press
    try:
        with pytest.raises(KeyboardInterrupt):
            runs.run_flow(three_tasks(), publisher=hub, executor=ThreadExecutor(2, stop_within=0.1))
    finally:
        held.release()


# ---------------------------------------------------------------- everything else that is wrong with a plugin


def recurse() -> None:
    recurse()


def spawn() -> None:
    for _ in range(20):
        threading.Thread(target=threading.Event().wait, daemon=True).start()


def raise_(error: BaseException) -> Callable[[], None]:
    def does() -> None:
        raise error

    return does


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


WAYS = {
    "sys.exit": lambda: sys.exit(3),
    "KeyboardInterrupt": raise_(KeyboardInterrupt()),
    "GeneratorExit": raise_(GeneratorExit()),
    "BaseException": raise_(BaseException("base")),
    "MemoryError": raise_(MemoryError()),
    "unprintable": raise_(Unprintable()),
    "recursion": recurse,
    "threads": spawn,
}


@pytest.mark.parametrize("executor", [LocalExecutor, lambda: ThreadExecutor(2)], ids=["local", "threads"])
@pytest.mark.parametrize("way", WAYS)
def test_a_run_goes_on_when_an_observer_misbehaves(
    way: str, executor: Callable[[], Executor], caplog: pytest.LogCaptureFixture
) -> None:
    after = Observer()
    with caplog.at_level(logging.ERROR, "tocsin.plugins"):
        state = runs.run_flow(three_tasks(), publisher=hub_of(Observer(WAYS[way]), after), executor=executor())
    assert ends(state) == ENDS
    assert after.heard[-1] == "flow Failed"
    assert ("plugin 'plugin0' raised in tocsin_state_changed; the run goes on" in caplog.text) == (way != "threads")


class Junk:
    """Answers every hook with the same thing."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    @hookimpl
    def tocsin_propose_state(self, event, state):
        return self.answer

    @hookimpl
    def tocsin_enrich(self, event):
        return self.answer

    @hookimpl
    def tocsin_state_changed(self, event):
        return self.answer


class Hostile:
    def __repr__(self) -> str:
        raise SystemExit(3)

    __str__ = __repr__


@pytest.mark.parametrize(
    "answer",
    [
        0,
        "Failed",
        b"",
        [1],
        {1, 2},
        Failed,
        iter(()),
        object(),
        Hostile(),
        {"team": Hostile()},
        {Hostile(): "x"},
        {1: {}},
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_junk_from_a_plugin_changes_nothing(answer: Any) -> None:
    after = Observer()
    state = runs.run_flow(three_tasks(), publisher=hub_of(Junk(answer), after))
    assert ends(state) == ENDS
    assert after.heard[-1] == "flow Failed"


# ---------------------------------------------------------------- whoever stops the run


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_ctrl_c_during_an_observer_stops_the_run_once_the_observer_is_done() -> None:
    done: list[str] = []

    def press() -> None:
        signal.raise_signal(signal.SIGINT)
        done.append("pressed")

    after = Observer()
    with pytest.raises(KeyboardInterrupt):
        runs.run_flow(three_tasks(), publisher=hub_of(Observer(press), after))
    assert done == ["pressed"]
    assert after.heard[-1] == "flow Cancelled"
    assert "broken Failed" not in after.heard


def test_ctrl_c_during_an_observer_that_hangs_stops_the_run_once_that_is_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def press() -> None:
        signal.raise_signal(signal.SIGINT)
        sleep()

    after = Observer()
    with pytest.raises(KeyboardInterrupt), caplog.at_level(logging.ERROR, "tocsin.plugins"):
        runs.run_flow(three_tasks(), publisher=hub_of(Observer(press), after, deadline=SOON))
    assert after.heard[-1] == "flow Cancelled"
    assert "plugin 'plugin0' did not come back" in caplog.text


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)], ids=["SIGINT", "SIGTERM"]
)
def test_a_second_signal_ends_a_run_at_once_though_an_observer_hangs(
    number: signal.Signals, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def press() -> None:
        signal.raise_signal(number)
        time.sleep(0.55)  # nobody presses twice within half a second
        signal.raise_signal(number)
        sleep()

    with pytest.raises(error) as caught, caplog.at_level(logging.ERROR, "tocsin.plugins"):
        runs.run_flow(three_tasks(), publisher=hub_of(Observer(press)))
    assert error is KeyboardInterrupt or caught.value.args == (143,)
    assert "plugin 'plugin0'" not in caplog.text


@pytest.mark.usefixtures("handlers")
def test_what_a_handler_of_the_users_own_raises_is_not_taken_for_the_plugins(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def leave() -> None:
        sys.exit(5)

    signal.signal(signal.SIGTERM, lambda *_: leave())
    with pytest.raises(SystemExit) as caught, caplog.at_level(logging.ERROR, "tocsin.plugins"):
        runs.run_flow(three_tasks(), publisher=hub_of(Observer(lambda: signal.raise_signal(signal.SIGTERM))))
    assert caught.value.code == 5
    assert "plugin 'plugin0'" not in caplog.text


def test_a_task_that_runs_a_flow_is_timed_out_though_an_observer_of_that_flow_is_under_way(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inner = three_tasks()
    slow = hub_of(Observer(sleep))

    @task(timeout=1)
    def outer() -> None:
        runs.run_flow(inner, publisher=slow)

    with Flow("outer") as flow:
        outer()
    with caplog.at_level(logging.ERROR, "tocsin.plugins"):
        state = runs.run_flow(flow)
    assert ends(state) == {"outer": TimedOut}
    assert "plugin 'plugin0'" not in caplog.text


def test_a_task_has_its_timeout_though_an_observer_was_ended_before_it() -> None:
    @task(timeout=1)
    def endless() -> None:
        sleep()

    with Flow("outer") as flow:
        endless()
    observer = Observer(sleep)
    state = runs.run_flow(flow, publisher=hub_of(observer, deadline=SOON))
    assert observer.done_at
    assert ends(state) == {"endless": TimedOut}
