"""What people have silenced: nothing of it is told, and nothing of it is forgotten."""

from __future__ import annotations

import pytest

from support.timelines import ROUTE, fail, simulate, subjects, succeed, told, why
from tocsin_hooks.errors import TocsinError

GROUP = ROUTE + 'group = { by = ["flow"], wait = "10s", interval = "2m", repeat = "1h" }\n'


def test_what_is_silenced_is_not_told() -> None:
    sim = simulate()
    silence = sim.silence("flow=etl", "2h", comment="migration", by="kim")
    fail(sim, "etl/a", "ml/a")
    assert [sent.incident for sent in sim.sent] == ["/ml/a"]
    assert why(sim) == [("silence", silence)]
    assert "kim" in sim.suppressed[0].reason
    assert "migration" in sim.suppressed[0].reason


def test_what_is_still_wrong_when_the_silence_ends_is_told_at_once() -> None:
    sim = simulate()
    sim.silence("flow=etl", "2h")
    fail(sim, "etl/a")
    sim.advance("2h1m")
    assert told(sim) == ["14:00:00 ops open first"]


def test_in_a_group_the_end_of_a_silence_waits_for_no_interval() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a")
    sim.advance("30s")
    sim.silence("task=b", "9m")  # until 12:09:30, between two intervals
    fail(sim, "etl/b")
    sim.advance("20m")
    assert told(sim) == ["12:00:10 ops open first", "12:09:30 ops update new"]


def test_what_recovered_while_silenced_is_never_told() -> None:
    sim = simulate()
    sim.silence("flow=etl", "2h")
    fail(sim, "etl/a")
    sim.advance("1h")
    succeed(sim, "etl/a")
    sim.advance("1d")
    assert sim.sent == []


def test_what_was_told_before_the_silence_recovers_under_it() -> None:
    sim = simulate()
    fail(sim, "etl/a")
    sim.silence("flow=etl", "2h")
    sim.advance("1h")
    succeed(sim, "etl/a")
    assert told(sim) == ["12:00:00 ops open first", "13:00:00 ops recover all recovered"]


def test_what_was_told_and_failed_again_under_the_silence_recovers_once() -> None:
    sim = simulate()
    fail(sim, "etl/a", run_id="1")
    sim.silence("flow=etl", "2h")
    fail(sim, "etl/a", run_id="2")
    succeed(sim, "etl/a", run_id="3")
    sim.advance("1d")
    assert [sent.action for sent in sim.sent] == ["open", "recover"]


def test_no_reminder_while_silenced_and_one_that_was_missed_when_it_ends() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a")
    sim.advance("30m")
    sim.silence("flow=etl", "5h")
    sim.advance("4h")
    assert told(sim) == ["12:00:10 ops open first"]
    sim.advance("1h30m")
    assert told(sim)[1] == "17:30:00 ops repeat repeat"


def test_a_silence_begins_at_its_start() -> None:
    sim = simulate()
    sim.silence("flow=etl", "1h", start="2026-03-02 13:00")
    fail(sim, "etl/a")
    sim.advance("1h")
    fail(sim, "etl/b")
    assert [sent.incident for sent in sim.sent] == ["/etl/a"]
    sim.advance("1h")
    assert told(sim) == ["12:00:00 ops open first", "14:00:00 ops open first"]


def test_at_its_very_end_a_silence_is_over() -> None:
    sim = simulate()
    sim.silence("flow=etl", "1h")
    sim.advance("1h")
    fail(sim, "etl/a")
    assert told(sim) == ["13:00:00 ops open first"]


def test_a_silence_that_comes_while_a_group_waits_holds_its_first_message() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a")
    sim.advance("5s")
    sim.silence("flow=etl", "1h")
    sim.advance("30m")
    assert sim.sent == []
    sim.advance("1h")
    assert told(sim) == ["13:00:05 ops open first"]


def test_a_silence_of_one_member_leaves_the_others_of_its_group() -> None:
    sim = simulate(GROUP)
    sim.silence("task=a", "1h")
    fail(sim, "etl/a", "etl/b")
    sim.advance("1m")
    assert [subjects(sent) for sent in sim.sent] == [["etl/b"]]
    sim.advance("1h")
    assert subjects(sim.sent[1]) == ["etl/a", "etl/b"]
    assert told(sim)[1] == "13:00:00 ops update new"


def test_expire_ends_a_silence_now_and_what_is_wrong_is_told() -> None:
    sim = simulate()
    silence = sim.silence("flow=etl", "2h")
    fail(sim, "etl/a")
    sim.advance("10m")
    sim.expire(silence)
    assert told(sim) == ["12:10:00 ops open first"]
    sim.advance("1d")
    assert len(sim.sent) == 1


def test_a_silence_ends_once() -> None:
    sim = simulate()
    silence = sim.silence("flow=etl", "2h")
    sim.expire(silence)
    with pytest.raises(TocsinError, match="ended already"):
        sim.expire(silence)


def test_a_silence_that_has_not_begun_can_be_expired() -> None:
    sim = simulate()
    silence = sim.silence("flow=etl", "2h", start="2026-03-02 13:00")
    sim.expire(silence)
    sim.advance("90m")
    fail(sim, "etl/a")
    assert len(sim.sent) == 1


def test_what_two_silences_hide_is_told_when_the_last_one_ends() -> None:
    sim = simulate()
    sim.silence("flow=etl", "1h")
    sim.silence("task=a", "3h")
    fail(sim, "etl/a")
    sim.advance("5h")
    assert told(sim) == ["15:00:00 ops open first"]


def test_a_silence_and_a_window_must_both_have_ended() -> None:
    sim = simulate(
        '[windows.w]\ntimes = [["12:00", "15:00"]]\n' + ROUTE + 'mute = { windows = ["w"], then = "hold" }\n'
    )
    sim.silence("flow=etl", "1h")
    fail(sim, "etl/a")
    sim.advance("1d")
    assert told(sim) == ["15:00:00 ops open first"]


def test_a_window_that_closes_under_a_silence_tells_nothing_yet() -> None:
    sim = simulate(
        '[windows.w]\ntimes = [["12:00", "13:00"]]\n' + ROUTE + 'mute = { windows = ["w"], then = "hold" }\n'
    )
    fail(sim, "etl/a")
    sim.silence("flow=etl", "3h")
    sim.advance("1d")
    assert told(sim) == ["15:00:00 ops open first"]


def test_until_recovered_ends_with_the_recovery() -> None:
    sim = simulate()
    fail(sim, "etl/a")
    sim.silence("flow=etl", until_recovered=True)
    sim.advance("5h")
    fail(sim, "etl/a")
    assert [sent.reason for sent in sim.sent] == ["first"]
    succeed(sim, "etl/a")
    fail(sim, "etl/a")
    assert [sent.reason for sent in sim.sent] == ["first", "all recovered", "first"]


def test_until_recovered_waits_for_all_that_it_hides() -> None:
    sim = simulate()
    sim.silence("flow=etl", until_recovered=True)
    fail(sim, "etl/a", "etl/b")
    succeed(sim, "etl/a")
    fail(sim, "etl/c")
    assert sim.sent == []
    succeed(sim, "etl/b", "etl/c")
    fail(sim, "etl/a")
    assert told(sim) == ["12:00:00 ops open first"]


def test_a_silence_that_comes_again_hides_within_its_window_only() -> None:
    config = '[windows.lunch]\ntimes = [["12:00", "13:00"]]\n' + ROUTE
    sim = simulate(config)
    sim.silence("flow=etl", "7d", window="lunch")
    fail(sim, "etl/a")
    sim.advance("2h")
    assert told(sim) == ["13:00:00 ops open first"]
    fail(sim, "etl/b")
    assert len(sim.sent) == 2
    sim.advance("22h30m")  # 12:30 on the next day
    fail(sim, "etl/c")
    assert len(sim.sent) == 2
    sim.advance("1h")
    assert told(sim)[2] == "13:00:00 ops open first"


@pytest.mark.parametrize("everything", ["", 'flow=~".*"', "flow!=x", "not flow=x", 'task=~"(a|)"'])
def test_a_silence_must_not_match_everything(everything: str) -> None:
    sim = simulate()
    with pytest.raises(TocsinError):
        sim.silence(everything, "1h")
    assert sim.silences == []


def test_one_matcher_that_asks_for_something_is_enough() -> None:
    sim = simulate()
    sim.silence('flow=etl, task=~".*"', "1h")
    fail(sim, "etl/a")
    assert sim.sent == []


def test_a_silence_needs_one_end() -> None:
    sim = simulate()
    with pytest.raises(TocsinError, match="needs an end"):
        sim.silence("flow=etl")
    with pytest.raises(TocsinError, match="one end"):
        sim.silence("flow=etl", "1h", until_recovered=True)


def test_a_silence_that_ends_in_the_past_is_refused() -> None:
    sim = simulate()
    with pytest.raises(TocsinError, match="past"):
        sim.silence("flow=etl", until="2026-03-02 11:59")


def test_a_silence_may_use_a_named_filter() -> None:
    sim = simulate('[filters]\nprod = "tags=prod"\n' + ROUTE)
    sim.silence("@prod", "1h")
    fail(sim, "etl/a", tags=["prod"])
    fail(sim, "etl/b")
    assert [sent.incident for sent in sim.sent] == ["/etl/b"]


def test_a_silence_hides_plain_events_for_good() -> None:
    sim = simulate(ROUTE + 'mode = "event"\n')
    sim.silence("flow=etl", "1h")
    fail(sim, "etl/a")
    sim.advance("1d")
    assert sim.sent == []
    assert [stage for stage, _ in why(sim)] == ["silence"]


def test_a_failure_that_stops_matching_the_silence_is_told() -> None:
    sim = simulate(ROUTE.replace("is_failed", "is_failed or is_retrying"))
    sim.silence("state=Retrying", "1h")
    fail(sim, "etl/a", state="Retrying")
    assert sim.sent == []
    fail(sim, "etl/a")
    sim.advance("2h")
    assert told(sim) == ["12:00:00 ops open first"]


def test_a_silence_leaves_the_recovery_to_whom_it_belongs() -> None:
    sim = simulate(ROUTE + ROUTE.replace('"r"', '"s"').replace("ops", "mail").replace("is_failed", "flow=etl"))
    fail(sim, "etl/a")
    sim.silence("flow=etl", "2h")
    fail(sim, "etl/b")
    succeed(sim, "etl/a", "etl/b")
    assert sorted(sent.incident for sent in sim.sent if sent.action == "recover") == ["/etl/a", "/etl/a"]


def test_no_escalation_begins_under_a_silence() -> None:
    sim = simulate(ROUTE + 'escalate = "e"\n[escalations.e]\nsteps = [{ after = "5m", send = ["phone"] }]\n')
    sim.silence("flow=etl", "1h")
    fail(sim, "etl/a")
    sim.advance("30m")
    assert sim.sent == []
    sim.advance("1h")
    assert told(sim) == ["13:00:00 ops open first", "13:05:00 phone open escalation"]


def test_a_silence_that_comes_after_the_first_message_stops_the_escalation() -> None:
    sim = simulate(ROUTE + 'escalate = "e"\n[escalations.e]\nsteps = [{ after = "5m", send = ["phone"] }]\n')
    fail(sim, "etl/a")
    sim.advance("1m")
    sim.silence("flow=etl", "1h")
    sim.advance("30m")
    assert told(sim) == ["12:00:00 ops open first"]


def test_what_is_silenced_while_its_digest_waits_is_not_in_it() -> None:
    sim = simulate(ROUTE + 'digest = { every = "1h" }\n')
    fail(sim, "etl/a", "etl/b")
    silence = sim.silence("task=a", "3h")
    sim.advance("2h")
    assert [subjects(sent) for sent in sim.sent] == [["etl/b"]]
    assert why(sim) == [("silence", silence)]
    sim.advance("3h")
    assert [subjects(sent) for sent in sim.sent] == [["etl/b"], ["etl/a"]]


def test_plain_events_that_are_silenced_while_their_group_waits_are_not_told() -> None:
    sim = simulate(ROUTE + 'mode = "event"\ngroup = { wait = "1m" }\n')
    fail(sim, "etl/a", "etl/b")
    sim.silence("task=a", "3h")
    sim.advance("5h")
    assert [subjects(sent) for sent in sim.sent] == [["etl/b"]]


def test_a_new_end_of_a_silence_counts_at_once() -> None:
    sim = simulate()
    silence = sim.silence("flow=etl", "8h")
    fail(sim, "etl/a")
    sim.advance("10m")
    assert sim.edit_silence(silence, until="2026-03-02 13:00", comment="sooner") == silence
    sim.advance("3h")
    assert told(sim) == ["13:00:00 ops open first"]


def test_a_later_end_of_a_silence_puts_off_what_waits() -> None:
    sim = simulate()
    silence = sim.silence("flow=etl", "1h")
    fail(sim, "etl/a")
    sim.edit_silence(silence, until="2026-03-02 15:00")
    sim.advance("8h")
    assert told(sim) == ["15:00:00 ops open first"]


def test_a_silence_that_is_changed_to_match_something_else_is_another_one() -> None:
    sim = simulate()
    silence = sim.silence("flow=etl", "2h")
    fail(sim, "etl/a")
    sim.advance("10m")
    other = sim.edit_silence(silence, matching="flow=ml")
    assert other != silence
    assert told(sim) == ["12:10:00 ops open first"]
    assert [each.status(sim.now) for each in sim.silences] == ["expired", "active"]
    fail(sim, "ml/a")
    assert len(sim.sent) == 1


def test_a_silence_that_still_matches_after_its_change_goes_on_hiding() -> None:
    sim = simulate()
    silence = sim.silence("flow=etl", "2h")
    fail(sim, "etl/a")
    sim.advance("10m")
    sim.edit_silence(silence, matching="flow=~(etl|ml)")
    assert sim.sent == []
    sim.advance("2h")
    assert told(sim) == ["14:00:00 ops open first"]
