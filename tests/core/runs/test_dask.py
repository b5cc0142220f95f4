"""Executors on Dask and in processes: what is lost with a worker, what is asked of a cluster, what cannot be sent."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from distributed import LocalCluster, get_worker

from tocsin.clock import ManualClock
from tocsin.errors import FlowError
from tocsin.executors import DaskExecutor, Executor, LocalDaskExecutor
from tocsin.flows.context import context
from tocsin.flows.flow import Flow
from tocsin.flows.task import Task, task
from tocsin.runs import run_flow
from tocsin.runs.relay import Home
from tocsin_hooks.states import Crashed, Failed, State

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # no other process can import a test

IN_PROCESS = {"processes": False, "n_workers": 1, "threads_per_worker": 2, "dashboard_address": ":0"}


@task
def five() -> int:
    return 5


class Dies(Task):
    """Kills its process as often as it is told, and writes down each time that it runs."""

    def __init__(self, path: Path, deaths: int, **options: Any) -> None:
        self.path = path
        self.deaths = deaths
        super().__init__(name="dies", **options)

    def run(self) -> int:
        with self.path.open("a") as file:
            file.write(f"{os.getpid()}\n")
        count: int = context.task_run_count
        if count <= self.deaths:
            os.kill(os.getpid(), signal.SIGKILL)
        return count

    def pids(self) -> list[str]:
        return self.path.read_text().split()


Maker = Callable[..., Executor]


@pytest.fixture(params=["processes", "cluster"])
def losing(request: pytest.FixtureRequest) -> Maker:
    """Makes an executor whose workers may die."""
    if request.param == "processes":
        return lambda **options: LocalDaskExecutor("processes", num_workers=2, **options)
    address = request.getfixturevalue("dask_address")
    return lambda **options: DaskExecutor(address, **options)


# ---------------------------------------------------------------- workers that die


def test_an_attempt_that_is_lost_with_its_worker_is_announced_and_made_again(
    losing: Maker, tmp_path: Path, told: Any
) -> None:
    dies, hub = Dies(tmp_path / "pids", deaths=1), told()
    state = run_flow(Flow("etl", tasks=[dies]), executor=losing(), publisher=hub)
    assert state.result[dies].result == 2
    assert len(set(dies.pids())) == 2
    assert [(event.old_state, event.state, event.attempt) for event in hub.of("dies")] == [
        ("Pending", "Retrying", 1),
        ("Retrying", "Running", 2),
        ("Running", "Success", 2),
    ]
    lost = hub.of("dies")[0]
    assert lost.message.startswith("attempt 1 was lost, ")
    assert lost.message.endswith("; trying again")
    assert lost.exception.type == "AttemptLost"
    assert not lost.will_retry


def test_without_retries_on_worker_loss_a_task_runs_once(losing: Maker, tmp_path: Path, told: Any) -> None:
    dies, hub = Dies(tmp_path / "pids", deaths=1), told()
    state = run_flow(Flow("etl", tasks=[dies]), executor=losing(retries_on_worker_loss=0), publisher=hub)
    assert type(state.result[dies]) is Crashed
    assert state.is_failed()
    assert len(dies.pids()) == 1
    assert [event.state for event in hub.of("dies")] == ["Crashed"]


def test_a_task_that_always_kills_its_worker_is_given_up(losing: Maker, tmp_path: Path) -> None:
    dies = Dies(tmp_path / "pids", deaths=9)
    state = run_flow(Flow("etl", tasks=[dies]), executor=losing(retries_on_worker_loss=2))
    assert type(state.result[dies]) is Crashed
    assert str(state.result[dies].message).startswith("attempt 3 was lost: ")
    assert len(dies.pids()) == 3


def test_tasks_beside_one_that_dies_come_to_their_end(losing: Maker, tmp_path: Path) -> None:
    with Flow("etl") as flow:
        dies = Dies(tmp_path / "pids", deaths=1)
        flow.add_task(dies)
        others = [five() for _ in range(20)]
    state = run_flow(flow, executor=losing(retries_on_worker_loss=3))
    assert state.is_successful()
    assert [state.result[each].result for each in others] == [5] * 20


def test_a_handler_here_hears_of_the_loss(losing: Maker, tmp_path: Path, seen: Any) -> None:
    path = tmp_path / "changes"

    def note(subject: Any, old: State, new: State) -> None:
        with path.open("a") as file:
            file.write(f"{os.getpid() == here} {type(old).__name__}>{type(new).__name__}\n")

    here = os.getpid()
    dies = Dies(tmp_path / "pids", deaths=1, state_handlers=[note])
    run_flow(Flow("etl", tasks=[dies]), executor=losing())
    assert path.read_text().splitlines() == [
        "False Pending>Running",
        "True Pending>Retrying",
        "False Retrying>Running",
        "False Running>Success",
    ]


def test_a_worker_that_leaves_is_logged(dask_address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dies = Dies(tmp_path / "pids", deaths=1)
    with caplog.at_level(logging.WARNING, "tocsin.dask"):
        run_flow(Flow("etl", tasks=[dies]), executor=DaskExecutor(dask_address))
    assert "is gone; given to it: 'dies-" in caplog.text


# ---------------------------------------------------------------- what cannot be sent


@pytest.fixture(params=["processes", "cluster"])
def elsewhere(request: pytest.FixtureRequest) -> Executor:
    if request.param == "processes":
        return LocalDaskExecutor("processes", num_workers=1)
    return DaskExecutor(request.getfixturevalue("dask_address"))


def test_a_result_that_cannot_be_sent_back_fails_the_task_and_is_never_told_as_a_success(
    elsewhere: Executor, told: Any
) -> None:
    @task
    def lock() -> Any:
        return threading.Lock()

    hub = told()
    state = run_flow(Flow("etl", tasks=[lock]), executor=elsewhere, publisher=hub)
    assert type(state.result[lock]) is Failed
    assert "what the task returned cannot be sent back: TypeError" in str(state.result[lock].message)
    assert [event.state for event in hub.of("lock")] == ["Running", "Failed"]


@pytest.fixture
def module_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that only this process can import."""
    name = f"mine_{os.getpid()}"
    path = tmp_path / f"{name}.py"
    path.write_text("class Rows(list): pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield import_module(name)
    path.unlink(missing_ok=True)
    sys.modules.pop(name, None)


def test_what_a_worker_cannot_read_is_said(elsewhere: Executor, module_of_ones_own: Any, tmp_path: Path) -> None:
    rows = module_of_ones_own.Rows([1])
    (tmp_path / f"{module_of_ones_own.__name__}.py").unlink()  # from the path that new processes are given

    @task
    def count() -> int:
        return len(rows)

    state = run_flow(Flow("etl", tasks=[count]), executor=elsewhere)
    assert "the worker that was to run the task cannot read it: ModuleNotFoundError" in str(state.result[count].message)


def test_what_a_worker_sends_and_nobody_here_can_read_is_said() -> None:
    value, error = Home().take(b"no pickle")
    assert value is None
    assert str(error).startswith("what the task returned cannot be read here: UnpicklingError")


def test_a_task_that_cannot_be_sent_fails_by_itself(elsewhere: Executor) -> None:
    lock = threading.Lock()

    @task
    def locked() -> None:
        lock.acquire()

    state = run_flow(Flow("etl", tasks=[locked, five]), executor=elsewhere)
    assert "the task cannot be sent to another process: TypeError: cannot pickle" in str(state.result[locked].message)
    assert state.result[five].result == 5


def test_a_clock_that_cannot_be_sent_stays_here(elsewhere: Executor) -> None:
    assert run_flow(Flow("etl", tasks=[five]), executor=elsewhere, clock=ManualClock()).is_successful()


def test_large_arguments_and_results_travel(elsewhere: Executor) -> None:
    @task
    def large() -> bytes:
        return bytes(12_000_000)

    @task
    def length(data: bytes) -> int:
        return len(data)

    with Flow("etl") as flow:
        found = length(large())
    assert run_flow(flow, executor=elsewhere).result[found].result == 12_000_000


# ---------------------------------------------------------------- a run that is stopped


@pytest.mark.parametrize("disabled", [False, True])
def test_tasks_that_wait_on_the_cluster_do_not_begin_once_the_run_is_stopped(
    dask_address: str, tmp_path: Path, disabled: bool
) -> None:
    path = tmp_path / "begun"

    @task
    def leave() -> None:
        raise KeyboardInterrupt

    @task
    def slow() -> None:
        with path.open("a") as file:
            file.write(".")
        time.sleep(0.05)

    flow = Flow("etl", tasks=[leave, *(slow.copy() for _ in range(200))])
    executor = DaskExecutor(dask_address, disable_cancellation_event=disabled)
    with pytest.raises(KeyboardInterrupt):
        run_flow(flow, executor=executor)
    begun = len(path.read_text()) if path.exists() else 0
    assert begun < 100, "of 200: those that had not begun were not begun"


@pytest.mark.timeout(30)  # without the bound it would take much longer
def test_a_task_in_a_process_is_stopped_with_the_run(tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    @task
    def hang() -> None:
        begun.touch()
        time.sleep(60)

    @task
    def leave() -> None:
        while not begun.exists():
            time.sleep(0.01)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_flow(Flow("etl", tasks=[hang, leave]), executor=LocalDaskExecutor("processes", num_workers=2))


# ---------------------------------------------------------------- clusters


def test_a_tag_asks_for_a_worker_with_a_resource(dask_address: str) -> None:
    @task(tags={"dask-resource:GPU=1"})
    def where() -> Any:
        return get_worker().name

    flow = Flow("etl", tasks=[where.copy() for _ in range(6)])
    state = run_flow(flow, executor=DaskExecutor(dask_address))
    assert {found.result for found in state.result.values()} == {1}


def test_a_tag_that_asks_for_nothing_fails_its_task(dask_address: str) -> None:
    bad = five.copy(tags={"dask-resource:GPU"})
    state = run_flow(Flow("etl", tasks=[bad]), executor=DaskExecutor(dask_address))
    assert "tag 'dask-resource:GPU' asks for no resource; write 'dask-resource:NAME=NUMBER'" in str(
        state.result[bad].message
    )


class Watched(LocalCluster):  # type: ignore[misc]  # untyped
    """A cluster in this process that remembers what became of it."""

    made: list[Watched] = []  # noqa: RUF012

    def __init__(self, **options: Any) -> None:
        Watched.made.append(self)
        self.bounds: dict[str, Any] = {}
        super().__init__(**{**IN_PROCESS, "silence_logs": logging.CRITICAL, **options})

    def adapt(self, **bounds: Any) -> None:
        self.bounds = bounds


class Bare:
    """A cluster that can be closed, but that no `with` statement takes."""

    def __init__(self) -> None:
        self.cluster = Watched()
        self.closed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cluster, name)

    def close(self) -> None:
        self.cluster.close()
        self.closed = True


def test_a_cluster_of_ones_own_lives_for_one_run() -> None:
    Watched.made.clear()
    executor = DaskExecutor(cluster_class=Watched, cluster_kwargs={"n_workers": 2}, adapt_kwargs={"maximum": 3})
    for _ in range(2):
        assert run_flow(Flow("etl", tasks=[five]), executor=executor).is_successful()
    assert [(str(each.status), each.bounds) for each in Watched.made] == [("Status.closed", {"maximum": 3})] * 2


def test_a_cluster_of_ones_own_outlives_the_wait_for_a_retry() -> None:
    @task(max_retries=2, retry_delay=timedelta(milliseconds=1))
    def flaky() -> int:
        count: int = context.task_run_count
        if count < 3:
            raise OSError(f"attempt {count}")
        return count

    Watched.made.clear()
    state = run_flow(Flow("etl", tasks=[flaky]), executor=DaskExecutor(cluster_class=Watched))
    assert state.result[flaky].result == 3
    assert [str(each.status) for each in Watched.made] == ["Status.closed"]


def test_a_cluster_that_cannot_be_made_fails_the_run() -> None:
    def broken() -> None:
        raise ConnectionError("no cloud today")

    state = run_flow(Flow("etl", tasks=[five]), executor=DaskExecutor(cluster_class=broken))
    assert state.is_failed()
    assert "no cloud today" in str(state.message)


def test_a_function_may_make_the_cluster() -> None:
    made: list[Bare] = []

    def make() -> Bare:
        made.append(Bare())
        return made[-1]

    assert run_flow(Flow("etl", tasks=[five]), executor=DaskExecutor(cluster_class=make)).is_successful()
    assert [each.closed for each in made] == [True]


def test_the_name_of_a_class_will_do_and_a_local_cluster_is_the_default() -> None:
    assert DaskExecutor().cluster_class is LocalCluster
    assert DaskExecutor(cluster_class="distributed.LocalCluster").cluster_class is LocalCluster
    assert DaskExecutor().cluster_kwargs == {"silence_logs": logging.CRITICAL}
    assert DaskExecutor(debug=True).cluster_kwargs == {"silence_logs": logging.WARNING}
    assert DaskExecutor(cluster_kwargs={"silence_logs": 7}).cluster_kwargs == {"silence_logs": 7}
    assert DaskExecutor(client_kwargs={"timeout": 3}).client_kwargs == {"set_as_default": False, "timeout": 3}


@pytest.mark.parametrize(
    "options", [{"cluster_class": LocalCluster}, {"cluster_kwargs": {"n_workers": 1}}, {"adapt_kwargs": {"maximum": 2}}]
)
def test_an_address_and_options_of_a_cluster_exclude_each_other(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="address 'tcp://hub:8786' and cluster_class, cluster_kwargs or adapt_kwargs"):
        DaskExecutor("tcp://hub:8786", **options)


def test_the_config_may_name_a_cluster() -> None:
    with context({"config": {"engine": {"executor": {"dask": {"address": "tcp://hub:8786"}}}}}):
        assert DaskExecutor().address == "tcp://hub:8786"
        assert DaskExecutor("tcp://other:8786").address == "tcp://other:8786"
        assert DaskExecutor(cluster_kwargs={"n_workers": 1}).address is None


def test_a_cluster_class_that_is_not_there_is_named() -> None:
    with pytest.raises(FlowError, match=r"cluster_class is 'distributed.LocalClutter', but module 'distributed' has"):
        DaskExecutor(cluster_class="distributed.LocalClutter")
    with pytest.raises(FlowError, match=r"'no_such_cloud.Cluster' cannot be imported: .*'no-such-cloud' installed"):
        DaskExecutor(cluster_class="no_such_cloud.Cluster")
    with pytest.raises(FlowError, match="cluster_class is 'LocalCluster'; give the whole path"):
        DaskExecutor(cluster_class="LocalCluster")


def test_the_old_path_of_the_kubernetes_cluster_leads_to_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask_kubernetes.operator", None)  # as if it were not installed
    with (
        pytest.warns(UserWarning, match="'dask_kubernetes.KubeCluster' is no more: 'dask_kubernetes.operator"),
        pytest.raises(FlowError, match=r"is 'dask-kubernetes' installed?"),
    ):
        DaskExecutor(cluster_class="dask_kubernetes.KubeCluster")


def test_a_performance_report_needs_bokeh(dask_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bokeh", None)  # as if it were not installed
    executor = DaskExecutor(dask_address, performance_report_path="report.html")
    with pytest.raises(FlowError, match="needs the package 'bokeh'"), executor.start():
        pass


def test_an_executor_that_was_not_started_says_so(dask_address: str) -> None:
    for executor in (DaskExecutor(dask_address), LocalDaskExecutor("processes")):
        with pytest.raises(ValueError, match=r"has not been started; use it inside `with executor.start"):
            executor.call("key", print)


# ---------------------------------------------------------------- on this machine


@pytest.mark.parametrize(
    ("name", "meant"),
    [("threads", "threads"), ("threading", "threads"), ("multiprocessing", "processes"), ("sync", "synchronous")],
)
def test_dasks_names_for_its_schedulers_are_known(name: str, meant: str) -> None:
    assert LocalDaskExecutor(name).scheduler == meant


def test_a_scheduler_that_dask_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="has no scheduler 'thread'; did you mean 'threads'"):
        LocalDaskExecutor("thread")


def test_the_number_of_workers_may_come_from_dask() -> None:
    from dask import config

    with config.set(num_workers=7):
        assert LocalDaskExecutor().num_workers == 7
        assert LocalDaskExecutor(num_workers=3).num_workers == 3
    assert LocalDaskExecutor("synchronous", num_workers=3).num_workers == 1


def test_processes_work_at_the_same_time(tmp_path: Path) -> None:
    @task
    def meet(name: str, other: str) -> None:
        (tmp_path / name).touch()
        deadline = time.monotonic() + 20
        while not (tmp_path / other).exists():
            assert time.monotonic() < deadline
            time.sleep(0.005)

    with Flow("meet") as flow:
        meet("a", "b")
        meet("b", "a")
    assert run_flow(flow, executor=LocalDaskExecutor("processes", num_workers=2)).is_successful()


def test_executors_can_be_looked_up_without_dask() -> None:
    code = (
        "import sys, tocsin.executors as e; e.ThreadExecutor, e.LocalExecutor; "
        "assert not {'dask', 'distributed', 'cloudpickle'} & set(sys.modules), 'loaded'; "
        "e.LocalDaskExecutor().scheduler; assert 'dask' not in sys.modules; print('fine')"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("fine\n", 0), done.stderr
