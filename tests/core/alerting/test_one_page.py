"""One incident pages one channel once at a time, however many escalations and reminders name it."""

from __future__ import annotations

from support.timelines import ROUTE, fail, simulate, subjects, succeed, told
from tocsin.simulate import Simulation

TWO_ROUTES = ROUTE + 'escalate = "one"\n' + ROUTE.replace('"r"', '"s"').replace("ops", "mail") + 'escalate = "other"\n'


def two(first: str, second: str, *, routes: str = TWO_ROUTES) -> Simulation:
    return simulate(f"{routes}[escalations.one]\nsteps = [{first}]\n[escalations.other]\nsteps = [{second}]\n")


def test_two_escalations_of_one_incident_page_a_channel_once_for_the_same_moment() -> None:
    sim = two('{ after = "5m", send = ["pager"] }', '{ after = "5m", send = ["pager", "phone"] }')
    fail(sim, "etl/a")
    sim.advance("1h")
    assert told(sim)[2:] == ["12:05:00 pager open escalation", "12:05:00 phone open escalation"]


def test_the_page_that_is_left_out_is_kept_with_its_reason() -> None:
    sim = two('{ after = "0m", send = ["pager"] }', '{ after = "0m", send = ["pager"] }')
    fail(sim, "etl/a")
    [left_out] = sim.suppressed
    assert (left_out.stage, left_out.rule, left_out.route, left_out.channel) == ("escalation", "other", "s", "pager")
    reason = "escalation 'other': step 1 of 1: the channel is told of it at this very moment anyway"
    assert left_out.reason == reason


def test_pages_of_two_escalations_at_two_moments_are_both_sent_in_one_thread() -> None:
    sim = two('{ after = "5m", send = ["pager"] }', '{ after = "6m", send = ["pager"] }')
    fail(sim, "etl/a")
    sim.advance("1h")
    assert told(sim, channel="pager") == ["12:05:00 pager open escalation", "12:06:00 pager repeat escalation"]
    assert len({sent._stored.planned.thread for sent in sim.sent if sent.channel == "pager"}) == 1


def test_whom_two_escalations_paged_hears_once_that_it_is_over() -> None:
    grouped = "".join(
        f'{route}escalate = "{name}"\ngroup = {{ by = ["{label}"], wait = "0s" }}\n'
        for route, name, label in (
            (ROUTE, "one", "flow"),
            (ROUTE.replace('"r"', '"s"').replace("ops", "mail"), "other", "project"),
        )
    )
    sim = two('{ after = "5m", send = ["pager"] }', '{ after = "6m", send = ["pager"] }', routes=grouped)
    fail(sim, "etl/a")
    sim.advance("10m")
    succeed(sim, "etl/a")
    sim.advance("1h")
    assert told(sim, channel="pager")[2:] == ["12:10:00 pager recover all recovered"]


def test_a_page_for_two_groups_tells_of_what_the_other_did_not() -> None:
    grouped = "".join(
        f'{route}escalate = "{name}"\ngroup = {{ by = ["{label}"], wait = "0s" }}\n'
        for route, name, label in (
            (ROUTE, "one", "flow"),
            (ROUTE.replace('"r"', '"s"').replace("ops", "mail"), "other", "project"),
        )
    )
    sim = two('{ after = "5m", send = ["pager"] }', '{ after = "5m", send = ["pager"] }', routes=grouped)
    fail(sim, "etl/a", "ml/b")
    sim.advance("5m")
    pages = [subjects(sent) for sent in sim.sent if sent.channel == "pager"]
    assert sorted(pages) == [["etl/a"], ["ml/b"]]


def test_a_first_step_to_the_channel_of_the_route_does_not_double_the_first_message() -> None:
    sim = simulate(ROUTE + 'escalate = "e"\n[escalations.e]\nsteps = [{ after = "0m", send = ["ops", "pager"] }]\n')
    fail(sim, "etl/a")
    assert told(sim) == ["12:00:00 ops open first", "12:00:00 pager open escalation"]
    succeed(sim, "etl/a")
    assert [line.split()[1] for line in told(sim)[2:]] == ["ops", "pager"]


def test_a_step_and_a_reminder_of_the_same_moment_are_one_message_and_the_step_speaks() -> None:
    sim = simulate(
        ROUTE
        + 'escalate = "e"\ngroup = { by = ["flow"], wait = "0s", repeat = "30m" }\n'
        + '[escalations.e]\nsteps = [{ after = "30m", send = ["ops"], say = "still nobody" }]\n'
    )
    fail(sim, "etl/a")
    sim.advance("1h")
    assert told(sim) == ["12:00:00 ops open first", "12:30:00 ops repeat escalation", "13:00:00 ops repeat repeat"]
    assert "still nobody" in str(sim.sent[1].message)


def test_a_page_is_not_taken_for_doubled_by_a_message_of_another_incident() -> None:
    sim = two('{ after = "5m", send = ["pager"] }', '{ after = "5m", send = ["pager"] }')
    fail(sim, "etl/a", "etl/b")
    sim.advance("5m")
    assert sorted(subjects(sent)[0] for sent in sim.sent if sent.channel == "pager") == ["etl/a", "etl/b"]


def night(more: str = "") -> Simulation:
    return simulate(
        ROUTE
        + 'escalate = "e"\nmute = { windows = ["night"], then = "hold"'
        + more
        + ' }\n[windows.night]\ntimes = ["22:00-06:00"]\n'
        + '[escalations.e]\nsteps = [{ after = "15m", send = ["pager"] },'
        + '{ after = "1h", send = ["pager", "phone"] }]\n',
        start="2026-03-02 21:50",
    )


def test_a_route_that_is_muted_pages_nobody_until_its_window_ends() -> None:
    sim = night()
    fail(sim, "etl/a")
    sim.advance("12h")
    assert told(sim) == [
        "21:50:00 ops open first",
        "06:00:00 pager open escalation",
        "06:00:00 phone open escalation",
    ]
    assert [(each.stage, each.rule) for each in sim.suppressed] == [("window", "night")]


def test_what_is_urgent_is_paged_in_the_night() -> None:
    sim = night(', urgent = "tags=tier1"')
    fail(sim, "etl/a", tags=["tier1"])
    sim.advance("12h")
    assert [line.split()[0] for line in told(sim)] == ["21:50:00", "22:05:00", "22:50:00", "22:50:00"]


def test_what_is_over_before_the_night_ends_pages_nobody() -> None:
    sim = night()
    fail(sim, "etl/a")
    sim.advance("3h")
    succeed(sim, "etl/a")
    sim.advance("12h")
    assert [line.split()[1:3] for line in told(sim)] == [["ops", "open"], ["ops", "recover"]]
