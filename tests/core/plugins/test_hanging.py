"""A call of a plugin that does not come back is ended, is not made again, and changes nothing for anybody else."""

import gc
import logging
import math
import os
import queue
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest
import trustme

from tocsin.clock import ManualClock
from tocsin.plugins import watchdog as watching
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog
from tocsin.plugins.watchdog import Watchdog, allowed
from tocsin_hooks.errors import PluginError
from tocsin_hooks.specs import hookimpl
from tocsin_hooks.states import Failed, Success, family
from tocsin_hooks.testing import sample_event

SOON = timedelta(seconds=0.1)
LATE = timedelta(seconds=20)


def loop() -> None:
    while True:
        pass


def sleep() -> None:
    time.sleep(1000)


def wait() -> None:
    threading.Event().wait()


def lock() -> None:
    held = threading.Lock()
    with held:
        held.acquire()


def read() -> None:
    near, far = socket.socketpair()
    with near, far:
        near.recv(1)


def take() -> None:
    queue.Queue().get()


def result() -> None:
    Future().result()


def naps() -> None:
    while True:
        time.sleep(0.01)


def catches_errors() -> None:
    while True:
        try:
            naps()
        except Exception:
            continue


def says_that_it_is_done() -> None:
    try:
        naps()
    except BaseException:
        return


def raises_another() -> None:
    try:
        naps()
    except BaseException as error:
        raise ValueError("the service is slow") from error


def gives_in_at_the_third_try() -> None:
    for _ in range(2):
        says_that_it_is_done()
    naps()


PYTHON = (loop, naps, catches_errors, says_that_it_is_done, raises_another, gives_in_at_the_third_try)
IN_LIBRARY = (wait, take, result)
IN_C = (sleep, lock, read)


class Observer:
    def __init__(self, *ways: Callable[[], Any]) -> None:
        self.ways = ways
        self.heard = 0

    @hookimpl
    def tocsin_state_changed(self, event):
        self.heard += 1
        for way in self.ways:
            way()


def hooks_of(*plugins: object, deadline: timedelta = SOON, watched_by: Watchdog = watching.watchdog) -> Hooks:
    catalog = Catalog()
    for number, plugin in reversed(list(enumerate(plugins))):  # the one registered last is called first
        catalog.register(plugin, f"plugin{number}")
    return Hooks(catalog, deadline, watched_by=watched_by)


def on_a_thread(work: Callable[[], Any]) -> None:
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert raised == []


def here(work: Callable[[], Any]) -> None:
    work()


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    with caplog.at_level(logging.DEBUG, "tocsin"):
        yield lambda: [record.getMessage() for record in caplog.records]


CASES = [
    *(pytest.param(here, way, id=f"main-{way.__name__}") for way in (*PYTHON, *IN_LIBRARY, *IN_C)),
    *(pytest.param(on_a_thread, way, id=f"thread-{way.__name__}") for way in (*PYTHON, *IN_LIBRARY)),
]


@pytest.mark.parametrize(("where", "way"), CASES)
def test_an_observer_that_hangs_is_ended_and_named_and_the_others_hear(
    where: Callable[[Callable[[], Any]], None], way: Callable[[], Any], told: Callable[[], list[str]]
) -> None:
    before, hangs, after = Observer(), Observer(way), Observer()
    hooks = hooks_of(before, hangs, after)
    hung: list[str] = []
    hooks.on_hung = hung.append
    where(lambda: (hooks.observe(sample_event()), hooks.observe(sample_event())))
    assert (before.heard, hangs.heard, after.heard) == (2, 1, 2)
    text = "plugin 'plugin1' did not come back from 'tocsin_state_changed' within 0.1 s"
    assert hung == [f"{text}; it was ended, and is not called again"]
    assert told().count(hung[0]) == 1
    assert watching.watchdog.struck == {}


@pytest.mark.parametrize("where", [here, on_a_thread])
@pytest.mark.parametrize("safely", [False, True], ids=["http", "https"])
def test_a_request_without_an_answer_is_ended(
    where: Callable[[Callable[[], Any]], None], safely: bool, told: Callable[[], list[str]]
) -> None:
    authority, asked, over = trustme.CA(), threading.Event(), threading.Event()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)

    def serve() -> None:
        with listening.accept()[0] as taken, server.wrap_socket(taken, server_side=True) if safely else taken as near:
            near.recv(1000)
            asked.set()
            over.wait(20)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        url = f"{'https' if safely else 'http'}://127.0.0.1:{listening.getsockname()[1]}/"
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=client)
        )
        hangs, after = Observer(lambda: opener.open(url)), Observer()
        hooks = hooks_of(hangs, after, deadline=timedelta(seconds=0.3))
        where(lambda: hooks.observe(sample_event()))
        over.set()
    assert asked.is_set()
    assert after.heard == 1
    assert hooks.catalog.hung == {("plugin0", "tocsin_state_changed")}
    assert not any("cannot be ended" in text for text in told())


def test_only_the_hook_that_hung_is_not_called_again() -> None:
    class Both(Observer):
        @hookimpl
        def tocsin_task_failed(self, event):
            naps()

    both = Both()
    hooks = hooks_of(both)
    for _ in range(3):
        hooks.observe(sample_event())
    assert both.heard == 3
    assert hooks.catalog.hung == {("plugin0", "tocsin_task_failed")}


def test_two_hooks_that_are_one_function_are_told_apart() -> None:
    heard: list[str] = []

    class Alias:
        @hookimpl
        def tocsin_task_failed(self, event):
            heard.append(event.state)
            if len(heard) == 2:
                naps()

        tocsin_state_changed = tocsin_task_failed

    hooks = hooks_of(Alias())
    hooks.observe(sample_event())
    assert hooks.catalog.hung == {("plugin0", "tocsin_state_changed")}
    hooks.observe(sample_event())
    assert heard == ["Failed"] * 3


def test_what_no_longer_listens_is_no_reason_to_build_an_event() -> None:
    hooks = hooks_of(Observer(naps))
    assert hooks.observes("task", family(Failed))
    hooks.observe(sample_event())
    assert not hooks.observes("task", family(Failed))
    assert not hooks.observed_anywhere


def test_a_plugin_that_is_registered_anew_is_called_anew() -> None:
    hooks = hooks_of(Observer(naps))
    hooks.observe(sample_event())
    hooks.catalog.unregister("plugin0")
    mended = Observer()
    hooks.catalog.register(mended, "plugin0")
    hooks.observe(sample_event())
    assert mended.heard == 1


def test_one_that_is_slow_and_comes_back_in_time_is_left_alone() -> None:
    done: list[bool] = []
    slow = Observer(lambda: time.sleep(0.1), lambda: done.append(True))
    hooks = hooks_of(slow, deadline=LATE)
    hooks_of(Observer(), deadline=SOON).observe(sample_event())  # so that it is looked for often
    hooks.observe(sample_event())
    assert done == [True]
    assert not hooks.catalog.hung


def test_many_quick_calls_are_not_one_long_one() -> None:
    quick = [Observer(lambda: time.sleep(0.1)) for _ in range(7)]
    hooks = hooks_of(*quick, deadline=timedelta(seconds=0.6))
    hooks.observe(sample_event())
    assert [each.heard for each in quick] == [1] * 7
    assert not hooks.catalog.hung


def test_a_limit_of_none_is_no_limit() -> None:
    done: list[bool] = []
    hooks = hooks_of(Observer(lambda: time.sleep(0.1), lambda: done.append(True)), deadline=timedelta.max)
    hooks.within = math.inf
    hooks.observe(sample_event())
    assert done == [True]


# ---------------------------------------------------------------- other hooks


class Hangs:
    @hookimpl
    def tocsin_propose_state(self, event, state):
        naps()

    @hookimpl
    def tocsin_enrich(self, event):
        naps()

    @hookimpl
    def tocsin_startup(self, version):
        naps()

    @hookimpl
    def tocsin_channel_types(self):
        naps()

    @hookimpl
    def tocsin_commands(self):
        return (naps() for _ in range(1))

    @hookimpl
    def tocsin_delivered(self, message, receipt):
        naps()


class Sound:
    @hookimpl
    def tocsin_propose_state(self, event, state):
        return Success("forgiven")

    @hookimpl
    def tocsin_enrich(self, event):
        return {"team": "data"}

    @hookimpl
    def tocsin_commands(self):
        return ["command"]


def test_one_that_hangs_has_no_opinion_adds_no_label_and_provides_nothing() -> None:
    hooks = hooks_of(Hangs(), Sound())
    hooks.startup("1.2")
    assert str(hooks.propose(sample_event(), Failed()).message) == "forgiven"
    assert hooks.enrich(sample_event()) == {"team": "data"}
    assert hooks.channel_types() == ({}, {})
    assert hooks.commands() == ["command"]
    assert {hook for _, hook in hooks.catalog.hung} == {
        "tocsin_startup",
        "tocsin_propose_state",
        "tocsin_enrich",
        "tocsin_channel_types",
        "tocsin_commands",
    }
    assert hooks.proposes
    assert hooks.enriches


def test_labels_that_hang_when_they_are_read_add_nothing() -> None:
    class Slow:
        def __str__(self) -> str:
            naps()
            return ""

    class Enricher:
        @hookimpl
        def tocsin_enrich(self, event):
            return {"team": Slow()}

    hooks = hooks_of(Enricher())
    assert hooks.enrich(sample_event()) == {}
    assert hooks.catalog.hung == {("plugin0", "tocsin_enrich")}


def test_a_filter_that_hangs_says_no_from_then_on(told: Callable[[], list[str]]) -> None:
    asked: list[str] = []

    class Filters:
        @hookimpl
        def tocsin_filters(self):
            return {"slow": self.slow, "quick": lambda event: 1, "broken": lambda event: 1 / 0}

        def slow(self, event):
            asked.append(event.state)
            naps()

    hooks = hooks_of(Filters())
    filters = hooks.filters()
    assert [filters["slow"](sample_event()) for _ in range(2)] == [False, False]
    assert asked == ["Failed"]
    assert filters["quick"](sample_event()) is True
    with pytest.raises(ZeroDivisionError):
        filters["broken"](sample_event())
    assert (
        "plugin 'plugin0' did not come back from '@slow' within 0.1 s; it was ended, and is not called again" in told()
    )
    assert set(hooks.filters()) == {"slow", "quick", "broken"}  # the config that names them stays right


# ---------------------------------------------------------------- what cannot be ended


class Stubborn:
    """Goes on, whatever is raised, until it is let go."""

    def __init__(self) -> None:
        self.let_go, self.goes_on = threading.Event(), threading.Event()
        self.swallowed = 0

    def __call__(self) -> None:
        while not self.let_go.is_set():
            try:
                while not self.let_go.is_set():
                    time.sleep(0.001)
            except BaseException:
                self.swallowed += 1
                if self.swallowed > watching.TRIES + 1:
                    self.goes_on.set()


def held_up(hooks: Hooks, let_go: Callable[[], Any]) -> list[Any]:
    """What a thread does after an observer that could not be ended, once it was said and the observer was let go."""
    said, after = threading.Event(), []
    hooks.on_hung = lambda text: said.set() if "cannot be ended" in text else None

    def run() -> None:
        try:
            hooks.observe(sample_event())
            after.append(sum(range(200_000)))
        except BaseException as error:
            after.append(error)

    thread = threading.Thread(target=run, name="held-up", daemon=True)
    thread.start()
    assert said.wait(20)
    let_go()
    thread.join(20)
    assert not thread.is_alive()
    return after


HELD_UP = (
    "plugin 'plugin1' did not come back from 'tocsin_state_changed' within 0.1 s and cannot be ended; "
    "the thread 'held-up' is held up until it does come back"
)


def test_one_that_swallows_whatever_is_raised_is_said_to_hold_its_thread_up(told: Callable[[], list[str]]) -> None:
    stubborn, after = Stubborn(), Observer()
    hooks = hooks_of(Observer(), Observer(stubborn), after)

    def let_go() -> None:
        assert stubborn.goes_on.wait(20), "it is struck for as long as it lasts"
        stubborn.let_go.set()

    assert held_up(hooks, let_go) == [19_999_900_000]
    assert HELD_UP in told()
    assert after.heard == 1


def test_one_that_waits_in_c_on_another_thread_is_not_called_again_and_lets_the_others_hear_when_it_is_back(
    told: Callable[[], list[str]],
) -> None:
    held, after = threading.Lock(), Observer()
    held.acquire()
    hangs = Observer(lambda: held.acquire() and held.release())
    hooks = hooks_of(Observer(), hangs, after)
    elsewhere: list[str] = []

    def let_go() -> None:
        hooks.observe(sample_event())  # on another thread: the hook is not called while it is stuck there
        elsewhere.append("done")
        held.release()

    assert held_up(hooks, let_go) == [19_999_900_000]
    assert elsewhere == ["done"]
    assert hangs.heard == 1
    assert after.heard == 2
    assert told().count(HELD_UP) == 1


# ---------------------------------------------------------------- who made the call is never struck


@pytest.mark.parametrize("where", [here, on_a_thread])
def test_a_call_that_ends_at_its_deadline_is_never_paid_for_by_whoever_made_it(
    where: Callable[[Callable[[], Any]], None],
) -> None:
    rounds = 40
    begun: list[int] = []

    def run() -> None:
        for n in range(rounds):
            nap = 0.008 + 0.0003 * n
            last = Observer()
            hooks = hooks_of(Observer(lambda nap=nap: time.sleep(nap)), last, deadline=timedelta(seconds=0.01))
            hooks.observe(sample_event())
            begun.append(last.heard)
            sum(range(20_000))  # what strikes too late strikes here, or fails the next observer

    where(run)
    assert begun == [1] * rounds
    assert watching.watchdog.struck == {}


def test_threads_that_hang_at_once_are_each_told_once(told: Callable[[], list[str]]) -> None:
    together = threading.Barrier(6)
    hangs, after = Observer(together.wait, naps), Observer()
    hooks = hooks_of(hangs, after)
    hung: list[str] = []
    hooks.on_hung = hung.append
    threads = [threading.Thread(target=hooks.observe, args=(sample_event(),), daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert after.heard == 6
    assert len(hung) == 6
    hooks.observe(sample_event())
    assert hangs.heard == 6


def test_an_observer_that_makes_changes_of_its_own_is_ended_itself_and_not_by_those_who_hear_of_them() -> None:
    inner = Observer()
    nested = hooks_of(inner, deadline=SOON)

    def publish() -> None:
        while True:
            nested.observe(sample_event())

    outer, after = Observer(publish), Observer()
    hooks = hooks_of(outer, after)
    hooks.observe(sample_event())
    assert after.heard == 1
    assert hooks.catalog.hung == {("plugin0", "tocsin_state_changed")}
    assert inner.heard > 1


def test_an_inner_call_that_hangs_is_ended_without_the_one_around_it() -> None:
    nested = hooks_of(Observer(naps), deadline=SOON)
    done: list[str] = []
    outer = Observer(lambda: nested.observe(sample_event()), lambda: done.append("outer"))
    hooks = hooks_of(outer, deadline=LATE)
    hooks.observe(sample_event())
    assert done == ["outer"]
    assert nested.catalog.hung
    assert not hooks.catalog.hung


@pytest.fixture
def handle() -> Iterator[Callable[[signal.Signals, Any], None]]:
    before: dict[signal.Signals, Any] = {}

    def handle(number: signal.Signals, handler: Any) -> None:
        before.setdefault(number, signal.signal(number, handler))

    yield handle
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_program_that_takes_the_signal_itself_keeps_it(handle: Callable[[signal.Signals, Any], None]) -> None:
    came: list[int] = []

    def mine(number: int, frame: object) -> None:
        came.append(number)

    handle(signal.SIGURG, mine)
    hooks = hooks_of(Observer(naps))
    hooks.observe(sample_event())
    assert hooks.catalog.hung
    assert signal.getsignal(signal.SIGURG) is mine
    assert came == []


def test_what_the_handler_of_another_signal_does_meanwhile_is_done_to_its_end(
    handle: Callable[[signal.Signals, Any], None],
) -> None:
    done: list[int] = []

    given_up = threading.Event()

    def write_down(number: int, frame: object) -> None:
        assert given_up.wait(20)  # for longer than the watchdog has hope
        done.append(number)

    handle(signal.SIGUSR1, write_down)
    hooks = hooks_of(Observer(lambda: signal.raise_signal(signal.SIGUSR1), naps))
    hooks.on_hung = lambda text: given_up.set() if "cannot be ended" in text else None
    hooks.observe(sample_event())
    assert done == [signal.SIGUSR1]
    assert hooks.catalog.hung


# ---------------------------------------------------------------- time, forks, settings


def test_a_call_is_ended_once_its_time_is_over_and_not_before() -> None:
    clock = ManualClock()
    watched_by = Watchdog(clock)
    let_go, began = threading.Event(), threading.Event()

    def hang() -> None:
        began.set()
        while not let_go.is_set():
            time.sleep(0.001)

    hangs = Observer(hang)
    hooks = hooks_of(hangs, deadline=timedelta(seconds=30), watched_by=watched_by)
    hung: list[str] = []
    hooks.on_hung = hung.append
    thread = threading.Thread(target=hooks.observe, args=(sample_event(),), daemon=True)
    thread.start()
    assert began.wait(20)
    watched_by.look()
    clock.advance(29.9)
    watched_by.look()
    assert not hooks.catalog.hung
    clock.advance(0.2)
    watched_by.look()
    assert hooks.catalog.hung == {("plugin0", "tocsin_state_changed")}
    thread.join(20)
    [text] = hung
    assert text.startswith("plugin 'plugin0' did not come back from 'tocsin_state_changed' within 30 s; it was ended")


def test_nothing_is_collected_while_the_frames_of_other_threads_are_looked_at() -> None:
    looked: queue.Queue[bool] = queue.Queue()

    class Looks(Watchdog):
        def look(self) -> None:
            looked.put(gc.isenabled())
            raise ZeroDivisionError

    hooks = hooks_of(Observer(), watched_by=Looks())
    hooks.observe(sample_event())
    assert [looked.get(timeout=20) for _ in range(2)] == [False, False]


def test_garbage_is_collected_afterwards_as_before() -> None:
    code = (
        "import gc\n"
        "from tocsin.plugins.interrupts import frames_of_others\n"
        "for switch in (gc.enable, gc.disable):\n"
        "    switch()\n"
        "    with frames_of_others(): print(gc.isenabled())\n"
        "    print(gc.isenabled())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "False", "False"]


def test_nobody_is_looked_for_while_nobody_calls() -> None:
    watched_by = Watchdog()
    hooks = hooks_of(watched_by=watched_by)
    hooks.observe(sample_event())
    assert watched_by.pause() is None
    hooks = hooks_of(Observer(), watched_by=watched_by)
    hooks.observe(sample_event())
    assert watched_by.pause() == pytest.approx(0.01)
    del hooks
    gc.collect()
    assert watched_by.pause() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_process_that_was_forked_ends_its_own_calls() -> None:
    hangs, after = Observer(), Observer()
    hooks = hooks_of(hangs, after)
    hooks.observe(sample_event())
    hangs.ways = (sleep,)
    child = os.fork()
    if child == 0:
        hooks.observe(sample_event())
        os._exit(7 if after.heard == 2 and hooks.catalog.hung else 1)
    deadline = time.monotonic() + 30
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    if ended == (0, 0):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(ended[1]) == 7
    hangs.ways = (naps,)
    hooks.observe(sample_event())  # and so does the one it came from
    assert after.heard == 2


def test_the_environment_says_how_long_a_call_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Hooks(Catalog()).within == 30
    monkeypatch.setenv("TOCSIN_HOOK_DEADLINE", "1m 30s")
    assert Hooks(Catalog()).within == 90
    assert Hooks(Catalog(), SOON).within == 0.1
    monkeypatch.setenv("TOCSIN_HOOK_DEADLINE", "OFF")
    assert Hooks(Catalog()).within == math.inf


@pytest.mark.parametrize("text", ["soon", "0", "0s", "-1s", "5", "nan", "30 seconds"])
def test_a_deadline_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(PluginError, match=f"TOCSIN_HOOK_DEADLINE is '{text}', which is no time; write '30s', or 'off'"):
        allowed(text)
