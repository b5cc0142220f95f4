"""Whom an escalation tells, and when, until somebody acts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings, strategies as st
from pydantic import TypeAdapter

from tocsin.routing.escalation import Advanced, EscalationMemory, acknowledge, advance, lapsed, start
from tocsin.settings.alerts import CONDITIONS, Escalation, EscalationStep

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
STEPS = (
    EscalationStep(0 * MINUTE, ("pager",)),
    EscalationStep(15 * MINUTE, ("phone",), "not acked"),
    EscalationStep(45 * MINUTE, ("pager", "phone"), "not acked", "still nobody"),
)
ONCALL = Escalation("oncall", STEPS, repeat_every=HOUR, repeat_times=2, ack_lasts=8 * HOUR)
ONCE = Escalation("once", STEPS)
ADAPTER = TypeAdapter(EscalationMemory)


def stored(memory: EscalationMemory | None) -> EscalationMemory:
    assert memory is not None
    return ADAPTER.validate_json(ADAPTER.dump_json(memory))


def step(memory: EscalationMemory | None, minute: float, escalation: Escalation = ONCALL, **facts) -> Advanced:
    told = {"acked": False, "window_open": None} | facts
    return advance(stored(memory), escalation, **told, now=NOON + minute * MINUTE)


def begun(escalation: Escalation = ONCALL) -> Advanced:
    return start(escalation, NOON)


def told(advanced: Advanced) -> list[tuple[tuple[str, ...], str, int, int]]:
    return [(send.channels, send.say, send.step, send.round) for send in advanced.sends]


def run(escalation: Escalation, limit: int = 50) -> list[tuple[float, tuple[str, ...], int, int]]:
    """All that is sent while nobody acts: minute, channels, step, round."""
    found = []
    now = start(escalation, NOON)
    while now.memory is not None and now.next_at is not None and len(found) < limit:
        at = now.next_at
        now = advance(stored(now.memory), escalation, acked=False, window_open=None, now=at)
        found += [((at - NOON) / MINUTE, send.channels, send.step, send.round) for send in now.sends]
    return found


def test_the_beginning_tells_nobody_and_says_when_the_first_step_is_due() -> None:
    first = begun()
    assert (first.sends, first.next_at) == ((), NOON)
    assert first.reason == "escalation 'oncall': step 1 of 3 is due at 12:00:00 UTC"


def test_steps_and_rounds_come_at_their_times_and_then_it_is_over() -> None:
    both = ("pager", "phone")
    assert run(replace(ONCALL, ack_lasts=None)) == [
        (0, ("pager",), 1, 1), (15, ("phone",), 2, 1), (45, both, 3, 1),
        (105, ("pager",), 1, 2), (120, ("phone",), 2, 2), (150, both, 3, 2),
        (210, ("pager",), 1, 3), (225, ("phone",), 2, 3), (255, both, 3, 3),
    ]  # fmt: skip
    last = step(replace(stored(begun(ONCE).memory), step=2), 45, ONCE)
    assert (last.memory, last.next_at) == (None, None)
    assert last.reason == "escalation 'once': step 3 of 3; escalation 'once' is over"


def test_the_next_round_begins_so_long_after_the_last_step_though_its_first_step_waits() -> None:
    late = Escalation("late", (EscalationStep(10 * MINUTE, ("a",)),), repeat_every=HOUR, repeat_times=1)
    assert [minute for minute, *_ in run(late)] == [10, 70]


def test_nothing_is_due_before_its_time() -> None:
    first = step(begun().memory, 0)
    early = step(first.memory, 14.99)
    assert (early.sends, early.memory, early.next_at) == ((), first.memory, NOON + 15 * MINUTE)


def test_steps_missed_in_an_outage_are_told_in_one_message_each_channel_once_with_the_last_words() -> None:
    late = step(begun().memory, 50)
    assert told(late) == [(("pager", "phone"), "still nobody", 3, 1)]
    assert late.sends[0].reason == ("escalation 'oncall': step 3 of 3, for 3 steps that were due by 12:50:00 UTC")
    assert late.next_at == NOON + 105 * MINUTE
    quiet_last = Escalation("q", (replace(STEPS[0], say="look"), STEPS[1]))
    assert told(step(start(quiet_last, NOON).memory, 50, quiet_last)) == [(("pager", "phone"), "look", 2, 1)]


def test_rounds_missed_in_an_outage_are_told_in_one_message_too() -> None:
    late = step(begun().memory, 130)
    assert told(late) == [(("pager", "phone"), "still nobody", 2, 2)]
    assert late.next_at == NOON + 150 * MINUTE


def test_an_acknowledgement_puts_it_to_sleep_and_leaves_the_reason_for_every_step_it_skips() -> None:
    acked = acknowledge(stored(step(begun().memory, 0).memory), ONCALL, by="kim", now=NOON + 5 * MINUTE)
    assert acked.sends == ()
    assert acked.next_at == NOON + 5 * MINUTE + 8 * HOUR
    assert acked.reason == (
        "escalation 'oncall' sleeps until the acknowledgement lapses at 20:05:00 UTC: acknowledged by kim"
    )
    assert acked.skipped == (
        "escalation 'oncall': step 2 of 3 is skipped: acknowledged by kim",
        "escalation 'oncall': step 3 of 3 is skipped: acknowledged by kim",
    )
    asleep = step(acked.memory, 60, acked=True)
    assert (asleep.sends, asleep.skipped, asleep.next_at) == ((), (), acked.next_at)


def test_an_acknowledgement_first_heard_of_with_a_step_counts_from_then() -> None:
    asleep = step(step(begun().memory, 0).memory, 15, acked=True)
    assert asleep.sends == ()
    assert asleep.next_at == NOON + 15 * MINUTE + 8 * HOUR
    assert len(asleep.skipped) == 2


def test_no_round_begins_while_acknowledged_though_its_first_step_has_no_condition() -> None:
    memory = step(begun().memory, 50).memory
    acked = acknowledge(stored(memory), ONCALL, by="kim", now=NOON + 55 * MINUTE)
    assert step(acked.memory, 200, acked=True).sends == ()


def test_steps_for_the_acknowledged_and_for_all_go_on_and_those_against_are_skipped_with_their_reason() -> None:
    mixed = Escalation(
        "mixed",
        (
            EscalationStep(0 * MINUTE, ("a",), "acked"),
            EscalationStep(10 * MINUTE, ("b",), "not acked"),
            EscalationStep(20 * MINUTE, ("c",), "acked", "kim is on it"),
            EscalationStep(30 * MINUTE, ("d",)),
        ),
    )
    first = step(start(mixed, NOON).memory, 0, mixed)
    assert (first.sends, first.skipped) == ((), ("escalation 'mixed': step 1 of 4 is skipped: not acknowledged",))
    acked = acknowledge(stored(first.memory), mixed, by="kim", now=NOON + MINUTE)
    assert (acked.next_at, acked.skipped) == (NOON + 10 * MINUTE, ())
    second = step(acked.memory, 10, mixed, acked=True)
    assert second.skipped == ("escalation 'mixed': step 2 of 4 is skipped: acknowledged by kim",)
    third = step(second.memory, 20, mixed, acked=True)
    assert told(third) == [(("c",), "kim is on it", 3, 1)]
    fourth = step(third.memory, 30, mixed, acked=True)
    assert (told(fourth), fourth.memory) == ([(("d",), "", 4, 1)], None)


def test_a_lapsed_acknowledgement_starts_again_from_the_first_step_and_says_so() -> None:
    acked = acknowledge(stored(step(begun().memory, 0).memory), ONCALL, by="kim", now=NOON)
    assert lapsed(stored(acked.memory), ONCALL, NOON, NOON + 8 * HOUR - MINUTE) is None
    again = step(acked.memory, 480, acked=True)
    assert again.lapsed
    assert told(again) == [(("pager",), "", 1, 2)]
    assert again.reason.startswith("the acknowledgement of kim lapsed after 8h; ")
    assert again.next_at == NOON + 495 * MINUTE
    assert again.memory is not None
    assert again.memory.acked_at is None
    assert told(step(again.memory, 495)) == [(("phone",), "", 2, 2)]


def test_a_lapse_that_the_caller_asks_for_gives_the_same_as_a_step() -> None:
    acked = acknowledge(stored(step(begun().memory, 0).memory), ONCALL, by="", now=NOON)
    anew = lapsed(stored(acked.memory), ONCALL, NOON, NOON + 9 * HOUR)
    assert anew is not None
    assert (anew.sends, anew.next_at) == ((), NOON + 8 * HOUR)
    assert anew.reason == "the acknowledgement lapsed after 8h"
    direct = step(acked.memory, 540, acked=True)
    assert step(anew.memory, 540).memory == direct.memory
    assert told(direct) == [(("pager", "phone"), "still nobody", 3, 2)]


def test_rounds_are_counted_afresh_after_a_lapse() -> None:
    memory = replace(stored(begun().memory), round=3, repeats=2, step=1)
    acked = acknowledge(memory, ONCALL, by="kim", now=NOON)
    first = step(acked.memory, 480, acked=True)
    second = step(step(first.memory, 525).memory, 585)
    assert told(second) == [(("pager",), "", 1, 5)]


def test_an_acknowledgement_that_never_lapses_sleeps_for_good() -> None:
    acked = acknowledge(stored(step(begun(ONCE).memory, 0, ONCE).memory), ONCE, by="kim", now=NOON)
    assert acked.next_at is None
    assert acked.memory is not None
    assert acked.reason == "escalation 'once' sleeps: acknowledged by kim"
    assert lapsed(acked.memory, ONCE, NOON, NOON + 9999 * HOUR) is None


def test_a_withdrawn_acknowledgement_tells_what_it_kept_back() -> None:
    acked = acknowledge(stored(step(begun().memory, 0).memory), ONCALL, by="kim", now=NOON + MINUTE)
    assert told(step(acked.memory, 50)) == [(("phone", "pager"), "still nobody", 3, 1)]


def test_a_later_acknowledgement_puts_the_lapse_off() -> None:
    acked = acknowledge(stored(step(begun().memory, 0).memory), ONCALL, by="kim", now=NOON)
    again = acknowledge(stored(acked.memory), ONCALL, by="lee", now=NOON + HOUR)
    assert again.next_at == NOON + 9 * HOUR
    assert again.reason.endswith("acknowledged by lee")


def test_after_the_last_step_it_still_waits_for_an_acknowledgement_that_can_lapse() -> None:
    one = Escalation("one", STEPS[:1], ack_lasts=HOUR)
    over = step(start(one, NOON).memory, 0, one)
    assert over.next_at is None
    assert over.memory is not None
    assert over.reason == "escalation 'one': step 1 of 1; escalation 'one' has no steps left"
    acked = acknowledge(stored(over.memory), one, by="kim", now=NOON + HOUR)
    assert (acked.next_at, acked.skipped) == (NOON + 2 * HOUR, ())
    assert told(step(acked.memory, 120, one, acked=True)) == [(("pager",), "", 1, 2)]


def test_outside_its_window_another_channel_is_told_instead() -> None:
    office = replace(ONCALL, outside_window="office", outside_send=("slack",))
    outside = step(begun(office).memory, 50, office, window_open=False)
    assert told(outside) == [(("slack",), "still nobody", 3, 1)]
    assert "outside the window 'office'" in outside.sends[0].reason
    assert told(step(begun(office).memory, 0, office, window_open=True)) == [(("pager",), "", 1, 1)]


def test_outside_its_window_nobody_is_told_where_nobody_is_named_and_the_reason_says_so() -> None:
    office = replace(ONCALL, outside_window="office")
    outside = step(begun(office).memory, 0, office, window_open=False)
    assert outside.sends == ()
    assert outside.skipped == ("escalation 'oncall': step 1 of 3 tells nobody, outside the window 'office'",)
    assert outside.next_at == NOON + 15 * MINUTE


def test_a_closed_window_of_an_escalation_without_one_changes_nothing() -> None:
    assert told(step(begun().memory, 0, window_open=False)) == [(("pager",), "", 1, 1)]


def test_an_escalation_made_shorter_goes_on_with_its_next_round() -> None:
    shorter = replace(ONCALL, steps=STEPS[:1])
    memory = replace(stored(begun().memory), step=2)
    assert told(step(memory, 60, shorter)) == [(("pager",), "", 1, 2)]
    assert step(memory, 60, replace(ONCE, steps=())).memory is None


escalations = st.builds(
    lambda waits, conditions, times, lasts: Escalation(
        "x",
        tuple(
            EscalationStep(sum(waits[: n + 1]) * MINUTE, (f"c{n}",), condition)
            for n, condition in enumerate(conditions[: len(waits)])
        ),
        repeat_every=HOUR if times else None,
        repeat_times=times,
        ack_lasts=None if lasts is None else lasts * MINUTE,
    ),
    st.lists(st.integers(0, 40), min_size=4, max_size=4),
    st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=4),
    st.integers(0, 3),
    st.one_of(st.none(), st.integers(1, 200)),
)
actions = st.lists(st.tuples(st.integers(0, 90), st.sampled_from(["look", "ack", "unack"])), max_size=40)


@given(escalations, actions)
@settings(deadline=None, max_examples=150)
def test_no_step_of_a_round_is_ever_sent_twice_and_each_goes_forward(
    escalation: Escalation, actions: list[tuple[int, str]]
) -> None:
    now, acked, seen = NOON, False, []
    state = start(escalation, now)
    for wait, action in actions:
        now += wait * MINUTE
        if state.memory is None:
            break
        if action == "ack":
            acked = True
            state = acknowledge(state.memory, escalation, by="kim", now=now)
            assert state.sends == ()
            continue
        acked = acked and action != "unack"
        state = advance(state.memory, escalation, acked=acked, window_open=None, now=now)
        acked = acked and not state.lapsed
        assert len(state.sends) <= 1
        for send in state.sends:
            conditions = {escalation.steps[int(channel[1:])].condition for channel in send.channels}
            assert ("not acked" if acked else "acked") not in conditions
        seen += [(send.round, send.step) for send in state.sends]
        assert state.next_at is None or state.next_at > now
        assert state.reason
    assert seen == sorted(set(seen))
