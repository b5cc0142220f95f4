"""What a runner tells its publisher: every change once, after the handlers, as an event with the facts of the run."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from tocsin.clock import ManualClock
from tocsin.flows.flow import Flow
from tocsin.flows.handlers import Callback, callback_factory, notify
from tocsin.flows.parameter import Parameter
from tocsin.flows.task import Task, task
from tocsin.options import set_temporary_config
from tocsin.runs import TaskRunner, run_flow
from tocsin_hooks.events import Event
from tocsin_hooks.filters import when
from tocsin_hooks.states import Failed, Retrying, Skipped, State, Success

MINUTE = timedelta(minutes=1)


@task
def fail() -> None:
    raise ValueError("no rows")


def flaky(**options: Any) -> Task:
    return fail.copy(max_retries=1, retry_delay=MINUTE, **options)


def changes(events: list[Event]) -> list[tuple[str, str, str]]:
    return [(event.subject, event.old_state, event.state) for event in events]


def test_every_change_of_flow_and_tasks_is_published_once_and_in_order(told: Any, clock: ManualClock) -> None:
    hub = told()
    run_flow(Flow("etl", tasks=[flaky()]), publisher=hub, clock=clock)
    assert changes(hub.events) == [
        ("etl", "Scheduled", "Running"),
        ("etl/fail", "Pending", "Running"),
        ("etl/fail", "Running", "Failed"),
        ("etl/fail", "Failed", "Retrying"),
        ("etl/fail", "Retrying", "Running"),
        ("etl/fail", "Running", "Failed"),
        ("etl", "Running", "Failed"),
    ]
    assert len({event.id for event in hub.events}) == len(hub.events)


def test_an_event_tells_the_facts_of_the_run(told: Any, clock: ManualClock) -> None:
    @task(name="load", tags={"prod"})
    def load() -> None:
        clock.advance(2.5)

    hub = told()
    engine = object()
    flow = Flow("etl", tasks=[load, Parameter("day"), Parameter("engine")], tags={"team-a"})
    run_flow(flow, {"day": "mon", "engine": engine}, publisher=hub, clock=clock, run_name="nightly")
    event = hub.of("load")[-1]
    assert (event.flow, event.task, event.run_name) == ("etl", "load", "nightly")
    assert event.run_id == "00000000-0000-4000-8000-000000000001"
    assert event.task_run_id == f"{event.run_id}/load-prod-1"
    assert (event.state, event.state_family) == ("Success", ("Success", "Finished"))
    assert event.tags == {"prod", "team-a"}
    assert event.parameters == {"day": "mon", "engine": repr(engine)}
    assert event.duration == 2.5
    assert event.time == clock.now()
    assert (event.attempt, event.max_attempts, event.will_retry) == (1, 1, False)
    assert Event.from_json(event.to_json()) == event
    flow_end = hub.of("")[-1]
    assert (flow_end.tags, flow_end.duration, flow_end.task_run_id) == ({"team-a"}, 2.5, "")


def test_a_flow_run_tells_how_long_it_took_however_it_ends_and_its_waits_count(told: Any, clock: ManualClock) -> None:
    @task
    def slow() -> None:
        clock.advance(2)
        raise OSError("no network")

    hub = told()
    late = slow.copy(max_retries=1, retry_delay=MINUTE)
    run_flow(Flow("etl", tasks=[late]), publisher=hub, clock=clock)
    start, end = hub.of("")
    assert (start.state, start.duration) == ("Running", None)
    assert (end.state, end.duration) == ("Failed", 64)


def test_events_link_to_where_runs_are_seen_if_the_config_says(told: Any) -> None:
    hub, flow = told(), Flow("etl", tasks=[Task("load rows")])
    with set_temporary_config({"server.ui.url": "https://runs.example.org/"}):
        run_flow(flow, publisher=hub, context={"flow_run_id": "r1"})
    assert [event.url for event in hub.events] == [
        "https://runs.example.org/flow-run/r1",
        "https://runs.example.org/task-run/r1/load%20rows-1",
        "https://runs.example.org/task-run/r1/load%20rows-1",
        "https://runs.example.org/flow-run/r1",
    ]
    hub.events.clear()
    run_flow(flow, publisher=hub)
    assert {event.url for event in hub.events} == {""}


def test_a_failure_to_be_retried_says_so_and_retrying_carries_the_exception(told: Any, clock: ManualClock) -> None:
    hub = told()
    run_flow(Flow("etl", tasks=[flaky()]), publisher=hub, clock=clock)
    _, failed, retrying, _, last = hub.of("fail")
    assert (failed.will_retry, failed.attempt, failed.max_attempts) == (True, 1, 2)
    assert (retrying.will_retry, retrying.attempt) == (False, 1)
    assert retrying.next_attempt_at is not None
    assert retrying.next_attempt_at == failed.time + MINUTE
    assert (last.will_retry, last.attempt) == (False, 2)
    for event in (failed, retrying, last):
        assert event.exception is not None
        assert (event.exception.type, event.exception.message) == ("ValueError", "no rows")
        assert event.exception.traceback.rstrip().endswith("ValueError: no rows")


def test_a_very_long_traceback_keeps_its_end(told: Any) -> None:
    @task
    def verbose() -> None:
        raise ValueError("x" * 30_000 + " the end")

    hub = told()
    run_flow(Flow("etl", tasks=[verbose]), publisher=hub)
    trace = hub.of("verbose")[-1].exception.traceback
    assert len(trace) == 20_000
    assert trace.startswith("...x")
    assert trace.rstrip().endswith("the end")


def test_a_change_that_nobody_wants_is_not_published(told: Any) -> None:
    hub = told(wanted=False)
    run_flow(Flow("etl", tasks=[Task("a")]), publisher=hub)
    assert hub.events == []


def test_the_publisher_hears_what_the_handlers_made_of_the_state(told: Any) -> None:
    def soften(subject: Any, old: State, new: State) -> State:
        return Success("good enough") if new.is_failed() else new

    hub = told()
    run_flow(Flow("etl", tasks=[flaky(state_handlers=[soften])]), publisher=hub)
    assert [event.state for event in hub.of("fail")] == ["Running", "Success"]
    assert not any(event.will_retry for event in hub.events)


def test_the_publisher_hears_of_a_run_that_a_broken_handler_failed(told: Any) -> None:
    def broken(subject: Any, old: State, new: State) -> State:
        if new.is_failed():
            raise OSError("no network")
        return new

    hub = told()
    run_flow(Flow("etl", tasks=[flaky(state_handlers=[broken])]), publisher=hub)
    last = hub.of("fail")[-1]
    assert (last.state, last.will_retry) == ("Failed", False), "it is not retried"
    assert "no network" in last.message


def test_the_run_goes_on_with_the_state_the_publisher_returns_and_no_handler_sees_it(told: Any, seen: Any) -> None:
    hub = told(answer=lambda event, state: Skipped("by hub") if event.state == "Failed" else state)
    only = flaky(state_handlers=[seen])
    state = run_flow(Flow("etl", tasks=[only]), publisher=hub)
    assert state.result[only].message == "by hub"
    assert seen == ["Pending>Running", "Running>Failed"]


def test_a_publisher_that_breaks_its_promise_does_not_break_the_run(
    told: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(event: Event, state: State) -> State:
        raise OSError("disk full")

    assert run_flow(Flow("etl", tasks=[Task("a")]), publisher=told(answer=broken)).is_successful()
    assert "a change of 'a' could not be told; the run goes on" in caplog.text


# ---------------------------------------------------------------- notify


def test_notify_handlers_are_handed_to_the_publisher_whatever_it_wants(told: Any) -> None:
    hub = told(wanted=False)
    ops, every, pager = notify("ops", when="is_failed"), notify("all"), notify("pager")
    flow = Flow("etl", tasks=[Task("a", state_handlers=[ops])], task_state_handlers=[every], state_handlers=[pager])
    run_flow(flow, publisher=hub)
    assert [(event.task, notes) for event, notes in zip(hub.events, hub.notes, strict=True)] == [
        ("", (pager,)),
        ("a", (ops, every)),
        ("a", (ops, every)),
        ("", (pager,)),
    ]
    assert ops.filter is not None


def test_a_notify_that_goes_nowhere_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    tasks = [Task(f"t{number}", state_handlers=[notify("ops")]) for number in range(3)]
    with caplog.at_level(logging.WARNING):
        assert run_flow(Flow("etl", tasks=tasks)).is_successful()
    assert caplog.text.count("sends nothing") <= 1  # another test in this process may have been told


# ---------------------------------------------------------------- callbacks


def test_a_callback_that_raises_is_logged_and_recorded_and_the_run_goes_on(
    told: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def send_post(subject: Any, state: State) -> None:
        raise ConnectionError("no network")

    hub = told()
    handler = callback_factory(send_post, lambda state: state.is_successful())
    assert run_flow(Flow("etl", tasks=[Task("a", state_handlers=[handler])]), publisher=hub).is_successful()
    [(name, subject, error)] = hub.failures
    assert name.endswith("send_post")
    assert (subject, error) == ("etl/a", "ConnectionError('no network')")
    [record] = [record for record in caplog.records if record.name == "tocsin.handlers"]
    assert record.levelname == "ERROR"
    assert "ConnectionError: no network" in caplog.text


def test_a_strict_callback_that_raises_fails_the_run() -> None:
    def send_post(subject: Any, state: State) -> None:
        raise ConnectionError("no network")

    handler = callback_factory(send_post, lambda state: state.is_successful(), strict=True)
    assert type(TaskRunner(Task("a", state_handlers=[handler])).run()) is Failed


def test_a_callback_can_ask_with_a_filter(clock: ManualClock) -> None:
    calls: list[str] = []

    def note(subject: Any, state: State) -> None:
        calls.append(f"{subject.name} {type(state).__name__}")

    page = callback_factory(note, when("state=Retrying and tags=prod and flow=etl"))
    assert isinstance(page, Callback)
    flow = Flow("etl", tasks=[flaky(name="a", tags={"prod"}), flaky(name="b")], task_state_handlers=[page])
    run_flow(flow, clock=clock)
    assert calls == ["a Retrying"]


def test_a_filter_can_tell_a_final_failure_from_one_to_be_retried(clock: ManualClock) -> None:
    attempts: list[Any] = []
    final = when("is_failed and not will_retry")
    page = callback_factory(lambda subject, state: attempts.append(str(state.result)), final)
    flow = Flow("etl", tasks=[flaky()], task_state_handlers=[page])
    run_flow(flow, clock=clock)
    assert attempts == ["no rows"]


def test_retrying_is_what_a_failed_attempt_with_retries_left_ends_in() -> None:
    assert type(TaskRunner(flaky()).run()) is Retrying
