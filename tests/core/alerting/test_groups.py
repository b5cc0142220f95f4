"""When the messages of a group leave, and what they tell."""

from __future__ import annotations

import pytest

from support.timelines import ROUTE, fail, simulate, subjects, succeed, told, why

GROUP = ROUTE + 'group = { by = ["flow"], wait = "30s", interval = "5m", repeat = "4h" }\n'


def test_the_first_message_leaves_after_wait_with_all_that_failed_meanwhile() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a")
    sim.advance("20s")
    fail(sim, "etl/b")
    sim.advance("9s")
    assert told(sim) == []
    sim.advance("1s")
    assert told(sim) == ["12:00:30 ops open first"]
    assert subjects(sim.sent[0]) == ["etl/a", "etl/b"]
    assert len(sim.sent[0].events) == 2


def test_each_group_waits_from_its_own_first_event() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a")
    sim.advance("20s")
    fail(sim, "ml/a")
    sim.advance("1h")
    assert [(line, sent.group["flow"]) for line, sent in zip(told(sim), sim.sent, strict=True)] == [
        ("12:00:30 ops open first", "etl"),
        ("12:00:50 ops open first", "ml"),
    ]


def test_an_event_older_than_wait_is_told_at_once() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a", time="2026-03-02 11:59:30")
    assert told(sim) == ["12:00:00 ops open first"]


def test_an_event_younger_than_wait_still_waits() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a", time="2026-03-02 11:59:31")
    assert told(sim) == []
    sim.advance("30s")
    assert told(sim) == ["12:00:30 ops open first"]


def test_an_old_event_lets_those_that_wait_leave_with_it() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a")
    sim.advance("10s")
    fail(sim, "etl/b", time="2026-03-02 11:00")
    assert told(sim) == ["12:00:10 ops open first"]
    assert subjects(sim.sent[0]) == ["etl/a", "etl/b"]


def test_an_event_from_the_future_waits_no_longer_than_others() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a", time="2026-03-02 18:00")
    sim.advance("30s")
    assert told(sim) == ["12:00:30 ops open first"]


def test_no_wait_means_at_once() -> None:
    sim = simulate(GROUP.replace("30s", "0s"))
    fail(sim, "etl/a", "etl/b")
    assert told(sim) == ["12:00:00 ops open first"]
    assert subjects(sim.sent[0]) == ["etl/a"]
    sim.advance("5m")
    assert told(sim)[1:] == ["12:05:00 ops update new"]
    assert subjects(sim.sent[1]) == ["etl/a", "etl/b"]


def test_news_leave_at_whole_intervals_after_the_first_message() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a")
    sim.advance("2m")
    fail(sim, "etl/b")
    sim.advance("5m30s")  # 12:07:30
    fail(sim, "etl/c")
    sim.advance("1h")
    assert told(sim) == [
        "12:00:30 ops open first",
        "12:05:30 ops update new",
        "12:10:30 ops update new",
    ]


def test_news_after_a_long_quiet_waits_for_the_next_whole_interval() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a")
    sim.advance("62m")  # whole intervals end at 13:00:30 and 13:05:30
    fail(sim, "etl/b")
    sim.advance("10m")
    assert told(sim)[1:] == ["13:05:30 ops update new"]


def test_an_interval_without_news_sends_nothing() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a")
    sim.advance("3h")
    assert told(sim) == ["12:00:30 ops open first"]


def test_several_news_of_one_interval_leave_in_one_message() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a")
    sim.advance("1m")
    fail(sim, "etl/b", "etl/c", "etl/d")
    sim.advance("5m")
    assert told(sim)[1:] == ["12:05:30 ops update new"]
    assert subjects(sim.sent[1]) == ["etl/a", "etl/b", "etl/c", "etl/d"]


def test_a_reminder_leaves_exactly_repeat_after_the_last_message() -> None:
    sim = simulate(GROUP.replace('"4h"', '"1h7m"'))  # no multiple of the interval
    fail(sim, "etl/a")
    sim.advance("3h")
    assert told(sim) == [
        "12:00:30 ops open first",
        "13:07:30 ops repeat repeat",
        "14:14:30 ops repeat repeat",
    ]


def test_news_put_the_reminder_off() -> None:
    sim = simulate(GROUP.replace('"4h"', '"1h"'))
    fail(sim, "etl/a")
    sim.advance("58m")
    fail(sim, "etl/b")  # leaves at 13:00:30, when the reminder would
    sim.advance("1h10m")
    assert told(sim) == [
        "12:00:30 ops open first",
        "13:00:30 ops update new",
        "14:00:30 ops repeat repeat",
    ]


def test_without_repeat_there_are_no_reminders() -> None:
    sim = simulate(GROUP.replace('"4h"', "false"))
    fail(sim, "etl/a")
    sim.advance("90d")
    assert told(sim) == ["12:00:30 ops open first"]


def test_a_reminder_tells_of_all_that_is_still_wrong_and_of_nothing_else() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a", "etl/b", "etl/c")
    sim.advance("10m")
    succeed(sim, "etl/b")
    sim.advance("5h")
    assert told(sim)[-1] == "16:10:00 ops repeat repeat"
    assert subjects(sim.sent[-1]) == ["etl/a", "etl/c"]


def test_no_reminder_after_the_recovery() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a")
    sim.advance("1h")
    succeed(sim, "etl/a")
    sim.advance("2d")
    assert told(sim) == ["12:00:30 ops open first", "13:00:00 ops recover all recovered"]


def test_what_recovers_before_the_first_message_is_never_told() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a")
    sim.advance("20s")
    succeed(sim, "etl/a")
    sim.advance("1d")
    assert told(sim) == []
    assert [stage for stage, _ in why(sim)] == ["dedup"]
    assert sim.suppressed[0].reason == "it was over before it was told"


def test_a_member_that_recovers_before_the_first_message_is_not_in_it() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a", "etl/b")
    sim.advance("20s")
    succeed(sim, "etl/a")
    sim.advance("10s")
    assert told(sim) == ["12:00:30 ops open first"]
    assert subjects(sim.sent[0]) == ["etl/b"]
    succeed(sim, "etl/b")
    assert told(sim)[1:] == ["12:00:30 ops recover all recovered"]
    assert subjects(sim.sent[1]) == ["etl/b"]


def test_what_fails_again_after_it_recovered_within_wait_is_told_once() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a", "etl/b")
    sim.advance("5s")
    succeed(sim, "etl/a")
    sim.advance("5s")
    fail(sim, "etl/a")
    sim.advance("1h")
    assert told(sim) == ["12:00:30 ops open first"]
    assert subjects(sim.sent[0]) == ["etl/a", "etl/b"]


def test_a_new_member_that_recovers_before_the_interval_ends_is_never_told() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a")
    sim.advance("2m")
    fail(sim, "etl/b")
    sim.advance("1m")
    succeed(sim, "etl/b")
    sim.advance("1h")
    assert told(sim) == ["12:00:30 ops open first"]


def test_a_recovery_of_all_is_told_at_once() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a")
    sim.advance("31s")
    succeed(sim, "etl/a")
    assert told(sim) == ["12:00:30 ops open first", "12:00:31 ops recover all recovered"]


def test_a_recovery_of_a_part_is_told_at_once() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a", "etl/b")
    sim.advance("40s")
    succeed(sim, "etl/a")
    assert told(sim) == ["12:00:30 ops open first", "12:00:40 ops update recovered"]
    assert subjects(sim.sent[1]) == ["etl/a", "etl/b"]


def test_recoveries_that_follow_each_other_closely_are_told_together() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a", "etl/b", "etl/c", "etl/d")
    sim.advance("10m")
    for task in "abc":
        succeed(sim, f"etl/{task}")
        sim.advance("5s")
    sim.advance("1m")
    assert told(sim)[1:] == ["12:10:00 ops update recovered", "12:10:30 ops update recovered"]


def test_the_last_recovery_waits_for_nothing() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a", "etl/b")
    sim.advance("10m")
    succeed(sim, "etl/a", "etl/b")
    assert told(sim)[1:] == ["12:10:00 ops update recovered", "12:10:00 ops recover all recovered"]


def test_a_recovery_takes_along_the_news_that_wait_for_the_interval() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a", "etl/b")
    sim.advance("2m")
    fail(sim, "etl/c")
    succeed(sim, "etl/a")
    sim.advance("10m")
    assert told(sim) == ["12:00:30 ops open first", "12:02:00 ops update new"]
    assert subjects(sim.sent[1]) == ["etl/a", "etl/b", "etl/c"]


def test_a_group_that_is_over_is_forgotten_and_begins_anew_with_wait() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a")
    sim.advance("1m")
    succeed(sim, "etl/a")
    sim.advance("10s")
    fail(sim, "etl/a")
    sim.advance("1h")
    assert told(sim) == [
        "12:00:30 ops open first",
        "12:01:00 ops recover all recovered",
        "12:01:40 ops open first",
    ]


def test_the_same_failure_again_is_told_once() -> None:
    sim = simulate(GROUP)
    for _ in range(20):
        fail(sim, "etl/a")
        sim.advance("10m")
    assert told(sim) == ["12:00:30 ops open first"]


def test_a_member_that_fails_again_after_its_recovery_was_told_is_new() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a", "etl/b")
    sim.advance("10m")
    succeed(sim, "etl/a")
    sim.advance("10m")
    fail(sim, "etl/a")
    sim.advance("10m")
    assert told(sim) == [
        "12:00:30 ops open first",
        "12:10:00 ops update recovered",
        "12:20:30 ops update new",
    ]


def test_group_by_nothing_is_one_group_for_all() -> None:
    sim = simulate(GROUP.replace('["flow"]', "[]"))
    fail(sim, "etl/a", "ml/b", "crm/c")
    sim.advance("1h")
    assert told(sim) == ["12:00:30 ops open first"]
    assert subjects(sim.sent[0]) == ["crm/c", "etl/a", "ml/b"]
    assert dict(sim.sent[0].group) == {}


@pytest.mark.parametrize("every", ["*", "..."])
def test_group_by_every_label_keeps_incidents_apart(every: str) -> None:
    sim = simulate(GROUP.replace('["flow"]', f'["{every}"]'))
    fail(sim, "etl/a", "etl/b")
    sim.advance("1m")
    assert told(sim) == ["12:00:30 ops open first"] * 2
    assert sorted(subjects(sent)[0] for sent in sim.sent) == ["etl/a", "etl/b"]


def test_what_lacks_a_label_is_grouped_with_what_lacks_it_too() -> None:
    sim = simulate(GROUP.replace('["flow"]', '["team"]'))
    fail(sim, "etl/a", "ml/b")
    fail(sim, "crm/c", team="")
    fail(sim, "web/d", team="web")
    sim.advance("1m")
    assert sorted(subjects(sent) for sent in sim.sent) == [["crm/c", "etl/a", "ml/b"], ["web/d"]]
    assert sorted(dict(sent.group).get("team", "") for sent in sim.sent) == ["", "web"]


def test_groups_by_two_labels_share_both_values() -> None:
    sim = simulate(GROUP.replace('["flow"]', '["flow", "severity"]'))
    fail(sim, "etl/a", "etl/b", severity="critical")
    fail(sim, "etl/c", severity="warning")
    fail(sim, "ml/a", severity="critical")
    sim.advance("1m")
    assert sorted(subjects(sent) for sent in sim.sent) == [["etl/a", "etl/b"], ["etl/c"], ["ml/a"]]
    assert {"flow": "etl", "severity": "critical"} in [dict(sent.group) for sent in sim.sent]


def test_values_that_only_look_alike_together_are_different_groups() -> None:
    sim = simulate(GROUP.replace('["flow"]', '["x", "y"]'))
    sim.publish(state="Failed", flow="f", task="1", x="a,y=b", y="")
    sim.publish(state="Failed", flow="f", task="2", x="a", y="b")
    sim.advance("1m")
    assert len(sim.sent) == 2


def test_groups_by_a_parameter() -> None:
    sim = simulate(GROUP.replace('["flow"]', '["params.country"]'))
    fail(sim, "etl/a", "ml/a", params={"country": "Österreich"})
    fail(sim, "etl/b", params={"country": "Italia"})
    sim.advance("1m")
    assert sorted(subjects(sent) for sent in sim.sent) == [["etl/a", "ml/a"], ["etl/b"]]
    assert {"params.country": "Österreich"} in [dict(sent.group) for sent in sim.sent]


def test_groups_by_the_cause_of_a_failure() -> None:
    sim = simulate(GROUP.replace('["flow"]', '["exception"]'))
    fail(sim, *(f"flow{i}/task" for i in range(40)), exception="ConnectionError: no route to host")
    fail(sim, "etl/other", exception="ValueError: x")
    sim.advance("1m")
    assert sorted(len(sent.events) for sent in sim.sent) == [1, 40]


def test_two_routes_have_groups_of_their_own() -> None:
    sim = simulate(GROUP + GROUP.replace('"r"', '"s"').replace("ops", "mail").replace("30s", "1m"))
    fail(sim, "etl/a")
    sim.advance("2m")
    assert told(sim) == ["12:00:30 ops open first", "12:01:00 mail open first"]
    assert [sent.route for sent in sim.sent] == ["r", "s"]


def test_a_group_tells_each_of_its_channels() -> None:
    sim = simulate(GROUP.replace('["ops"]', '["ops", "mail"]'))
    fail(sim, "etl/a")
    sim.advance("1m")
    succeed(sim, "etl/a")
    assert told(sim) == [
        "12:00:30 ops open first",
        "12:00:30 mail open first",
        "12:01:00 ops recover all recovered",
        "12:01:00 mail recover all recovered",
    ]


def test_the_end_of_a_run_tells_what_waits() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a", "etl/b")
    sim.advance("1s")
    sim.end_run()
    assert told(sim) == ["12:00:01 ops open first"]
    assert subjects(sim.sent[0]) == ["etl/a", "etl/b"]
    sim.advance("1h")
    assert len(sim.sent) == 1


def test_the_end_of_a_run_with_nothing_waiting_tells_nothing() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a")
    sim.advance("1m")
    sim.end_run()
    sim.end_run()
    assert told(sim) == ["12:00:30 ops open first"]


def test_the_end_of_a_run_does_not_bring_a_reminder_forward() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a")
    sim.advance("2h")
    sim.end_run()
    sim.advance("2h30s")
    assert told(sim) == ["12:00:30 ops open first", "16:00:30 ops repeat repeat"]


def test_a_group_goes_on_where_time_is_moved_in_one_step_or_in_many() -> None:
    def run(*steps: str) -> list[str]:
        sim = simulate(GROUP)
        fail(sim, "etl/a")
        sim.advance("1m")
        fail(sim, "etl/b")
        for step in steps:
            sim.advance(step)
        return told(sim)

    assert run("9h") == run("1h", "10s", "3h", "4h59m50s") == run(*["10m"] * 54)


def test_two_messages_of_a_group_share_their_thread() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a")
    sim.advance("2m")
    fail(sim, "etl/b")
    sim.advance("10m")
    succeed(sim, "etl/a", "etl/b")
    assert len({sent.message.incident for sent in sim.sent}) == 1
    assert len({sent.id for sent in sim.sent}) == len(sim.sent) == 4


def test_alerts_that_know_no_flows_are_grouped_by_their_labels() -> None:
    sim = simulate(GROUP.replace('["flow"]', '["alertname", "cluster"]'))
    for name, cluster, instance in (("Down", "x", "1"), ("Down", "x", "2"), ("Down", "y", "1"), ("Slow", "x", "1")):
        sim.publish(state="Failed", alertname=name, cluster=cluster, instance=instance)
    sim.advance("1m")
    assert sorted((*sent.group.values(), len(sent.events)) for sent in sim.sent) == [
        ("Down", "x", 2),
        ("Down", "y", 1),
        ("Slow", "x", 1),
    ]
