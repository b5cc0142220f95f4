"""Windows, watches, escalations and inhibitions: E5xx, E6xx, E7xx."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tocsin.settings.alerts import Escalation, EscalationStep, Range, Watch, WatchKind, Window
from tocsin_hooks.testing import sample_event

Said = Callable[..., list[str]]
Loaded = Callable[..., Any]

CHANNELS = "[channels.ops]\ntype='console'\n[channels.mail]\ntype='console'\n"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def errors(lines: list[str]) -> list[str]:
    return [line for line in lines if " E" in line]


# ---------------------------------------------------------------- windows


@pytest.mark.parametrize(
    ("line", "key", "ranges"),
    [
        ("times=[['18:00','07:00']]", "times", ((1080, 420),)),
        ("times=['08:00-18:00', ' 22:30 - 24:00 ']", "times", ((480, 1080), (1350, 1440))),
        ("times=[['00:00','24:00']]\nyears=['2026']", "times", ((0, 1440),)),
        ("times=['23:59-00:00']", "times", ((1439, 0),)),
        ("weekdays=['mon:fri','SUN','Saturday']", "weekdays", ((1, 5), (7, 7), (6, 6))),
        ("weekdays=['fri:mon','monday : tue']", "weekdays", ((5, 1), (1, 2))),
        ("days=['-2:1','1:5','15','1:-1',31]", "days", ((-2, 1), (1, 5), (15, 15), (1, -1), (31, 31))),
        ("days=['-5:-1','1:-31','20:-12']", "days", ((-5, -1), (1, -31), (20, -12))),
        ("months=['jan:mar','12','december','nov:feb',3]", "months", ((1, 3), (12, 12), (12, 12), (11, 2), (3, 3))),
        ("years=['2026','2026:2028',2030]", "years", ((2026, 2026), (2026, 2028), (2030, 2030))),
    ],
)
def test_a_window_keeps_its_ranges_as_they_are_written(
    loaded: Loaded, line: str, key: str, ranges: tuple[Range, ...]
) -> None:
    window = loaded(f"[windows.w]\n{line}").windows["w"]
    assert getattr(window, key) == ranges
    assert window.name == "w"


def test_a_window_is_in_its_own_zone_else_in_that_of_the_config_else_in_utc(loaded: Loaded) -> None:
    text = "[windows.a]\ndays=['1']\ntimezone='Asia/Tokyo'\n[windows.b]\ndays=['1']\n"
    assert [window.timezone for window in loaded(text).windows.values()] == ["Asia/Tokyo", "UTC"]
    config = loaded(text + "[defaults]\ntimezone='Europe/Berlin'")
    assert [window.timezone for window in config.windows.values()] == ["Asia/Tokyo", "Europe/Berlin"]
    assert config.timezone == "Europe/Berlin"
    assert config.windows["b"] == Window("b", days=((1, 1),), timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("times=[['25:00','07:00']]", "2:10 E501 [windows.w] times[0]: '25:00' is not a time of day; the last is"),
        ("times=[['08:00','24:01']]", "2:18 E501 [windows.w] times[0]: '24:01' is not a time of day"),
        ("times=[['08:00','12:60']]", "2:18 E501 [windows.w] times[0]: '12:60' is not a time of day"),
        ("times=[['8:00','18:00']]", "2:10 E501 [windows.w] times[0]: '8:00' is not a time of day; did you mean \"08:"),
        ("times=[['8am','18:00']]", "2:10 E501 [windows.w] times[0]: '8am' is not a time of day; a time is written"),
        ("times=[['24:00','07:00']]", "2:10 E501 [windows.w] times[0]: '24:00' can only be an end"),
        ("times=[['07:00','07:00']]", "2:8 E502 [windows.w] times[0]: the range is empty"),
        ("times=['08:00-8:99']", "2:15 E501 [windows.w] times[0]: '8:99' is not a time of day"),
        ("times=['18:00']", "2:8 E501 [windows.w] times[0]: expects the start and the end of a time range; wr"),
        ("times=[['18:00']]", "2:8 E501 [windows.w] times[0]: expects the start and the end"),
        ("times=[[18:00:00,07:00:00]]", "2:8 E501 [windows.w] times[0]: expects the start and the end"),
        ("times='18:00-07:00'", '2:7 E107 [windows.w] times: expects a list, found text; write ["18:00-07:00"]'),
        ("weekdays=['fry']", "2:12 E501 [windows.w] weekdays[0]: unknown weekday 'fry'; did you mean 'fri'?"),
        ("weekdays=['mon:wednsday']", "2:16 E501 [windows.w] weekdays[0]: unknown weekday 'wednsday'; did you mean 'w"),
        ("weekdays=['mon-fri']", "2:12 E501 [windows.w] weekdays[0]: 'mon-fri' is not a weekday; a range is written"),
        ("weekdays=['mon:wed:fri']", "2:11 E501 [windows.w] weekdays[0]: 'mon:wed:fri' is not a range"),
        ("weekdays=[1]", "2:11 E501 [windows.w] weekdays[0] = 1: expects the name of a weekday"),
        ("weekdays=['']", "2:12 E501 [windows.w] weekdays[0]: unknown weekday ''"),
        ("days=['0']", "2:8 E501 [windows.w] days[0]: there is no day 0; days are 1 to 31, or -1 (the last) to -31"),
        ("days=['1:32']", "2:10 E501 [windows.w] days[0]: there is no day 32"),
        ("days=['-32']", "2:8 E501 [windows.w] days[0]: there is no day -32"),
        ("days=['10:5']", "2:7 E502 [windows.w] days[0]: '10:5' runs backwards; did you mean \"5:10\"?"),
        ("days=['-1:-5']", "2:7 E502 [windows.w] days[0]: '-1:-5' runs backwards; did you mean \"-5:-1\"?"),
        ("days=['30:-5']", "2:7 E502 [windows.w] days[0]: '30:-5' is empty in every month"),
        ("days=['first']", "2:8 E501 [windows.w] days[0]: 'first' is not a day of the month"),
        ("days=[1.5]", "2:7 E501 [windows.w] days[0] = 1.5: expects a day of the month in quotes"),
        ("months=['janu']", "2:10 E501 [windows.w] months[0]: unknown month 'janu'; did you mean 'jan'?"),
        ("months=['jan:13']", "2:14 E501 [windows.w] months[0]: unknown month '13'; the first is 'jan'"),
        ("months=['0']", "2:10 E501 [windows.w] months[0]: unknown month '0'"),
        (
            "years=['2028:2026']",
            "2:8 E502 [windows.w] years[0]: '2028:2026' runs backwards; did you mean \"2026:2028\"?",
        ),
        ("years=['next']", "2:9 E501 [windows.w] years[0]: 'next' is not a year"),
        ("days=['1']\ntimezone='Europe/Berln'", "3:10 E504 [windows.w] timezone: unknown time zone 'Europe/Berln'; di"),
        (
            "days=['1']\ntimezone='new york'",
            "3:10 E504 [windows.w] timezone: unknown time zone 'new york'; did you mean",
        ),
        ("days=['1']\ntimezone=2", "3:10 E504 [windows.w] timezone = 2: expects the name of a time zone"),
        (
            "days=['1']\nlocation='UTC'",
            "3:1 E106 unknown key 'location' in [windows.w]; 'timezone' is the key for this",
        ),
        ("", "1:10 E503 [windows.w] says nothing of when it is open"),
        ("times=[]\ntimezone='UTC'", "1:10 E503 [windows.w] says nothing of when it is open"),
    ],
)
def test_a_mistake_in_a_window_is_told_where_it_stands(said: Said, line: str, told: str) -> None:
    lines = errors(said(f"[windows.w]\n{line}"))
    assert len(lines) == 1
    assert lines[0].startswith(told)


def test_every_mistake_of_a_window_is_told_in_one_run(said: Said) -> None:
    text = "[windows.w]\ntimes=['x']\nweekdays=['x','mon','y']\ndays=['0']\nmonths=['x']\nyears=['x']\ntimezone='x'"
    assert [line.split(":")[0] for line in errors(said(text))] == ["2", "3", "3", "4", "5", "6", "7"]


def test_a_time_zone_left_to_utc_is_a_warning_where_it_matters(said: Said) -> None:
    window = "[windows.w]\ndays=['1']\n[[routes]]\nsend=[]\nmute=['w']\n"
    cron = "[[watch]]\nname='a'\nkind='missed'\nflow='f'\ncron='0 5 * * *'\n"
    assert [line.partition(";")[0] for line in said(window + cron)] == [
        "1:10 W912 [windows.w] names no time zone, so it is read in UTC",
        "6:3 W912 watch 'a' names no time zone, so it is read in UTC",
    ]
    assert said(window + cron + "[defaults]\ntimezone='UTC'") == []
    assert said("[[routes]]\nsend=[]\n[[watch]]\nkind='missed'\nflow='f'\nevery='1h'\n") == []


def test_windows_and_escalations_that_nobody_uses_are_warned_of(said: Said) -> None:
    text = (
        "[windows.a]\ndays=['1']\n[windows.b]\ndays=['1']\n[windows.c]\ndays=['1']\n[channels.ops]\ntype='console'\n"
        "[escalations.x]\nsteps=[{send=['ops']}]\noutside={window='b',send=['ops']}\n[escalations.y]\n"
        "steps=[{send=['ops']}]\n[[routes]]\nsend=[]\nmute=['a']\nescalate='x'\n[defaults]\ntimezone='UTC'\n"
    )
    assert said(text) == ["5:10 W909 window 'c' is not used", "12:14 W911 escalation 'y' is not used"]


# ---------------------------------------------------------------- watches


def test_watches_are_as_written(loaded: Loaded) -> None:
    text = (
        f"{CHANNELS}[defaults]\ntimezone='Europe/Berlin'\n"
        "[[watch]]\nname='daily'\nkind='missed'\nflow='ledger'\ncron='30  5 * * mon-fri'\ngrace='1h'\nsend=['ops']\n"
        "[[watch]]\nkind='missed'\nflow='ledger'\nevery='1h'\ntimezone='UTC'\n"
        "[[watch]]\nname='slow'\nkind='too_long'\nwhen='tags=prod'\n"
        "after={fixed='2h',or_times_median=3,min_runs=4}\nsend=[]\n"
    )
    daily, hourly, slow = loaded(text).watches
    assert daily == Watch(
        "daily", WatchKind.MISSED, flow="ledger", cron="30 5 * * mon-fri", grace=HOUR, timezone="Europe/Berlin",
        send=("ops",),
    )  # fmt: skip
    assert hourly == Watch("watch 2", WatchKind.MISSED, flow="ledger", every=HOUR)
    assert (slow.fixed, slow.times_median, slow.min_runs, slow.send) == (2 * HOUR, 3.0, 4, ())
    assert slow.filter.matches(sample_event())
    assert not slow.filter.matches(sample_event(tags=frozenset()))


MISSED = "kind='missed'\nflow='f'\n"
TOO_LONG = "kind='too_long'\nflow='f'\n"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("flow='f'", '1:3 E506 watch 1 lacks \'kind\'; "missed" or "too_long"'),
        ("kind='misssed'", "2:6 E509 watch 1 is of unknown kind 'misssed'; did you mean 'missed'?"),
        ("kind='late'", "2:6 E509 watch 1 is of unknown kind 'late'; kinds: missed, too_long"),
        ("name='w'\nkind='missed'\nevery='1h'", "1:3 E506 watch 'w' lacks 'flow'; say which flow is expected"),
        (MISSED, "1:3 E506 watch 1 lacks 'cron' or 'every'; say when a run is expected"),
        (MISSED + "cron='* * * * *'\nevery='1h'", "5:1 E506 watch 1 has both 'cron' and 'every'; keep one"),
        (MISSED + "every='1h'\nwhen='is_flow'", "5:1 E506 watch 1 has 'when', which means nothing to a watch of kind"),
        (MISSED + "every='0s'", "4:7 E310 watch 1 every: must be longer than nothing"),
        (MISSED + "every='1h'\ngrace='-1m'", "5:7 E310 watch 1 grace: '-1m' is negative"),
        (MISSED + "every='1h'\ngrace='61m'", "5:7 E507 watch 1 grace: 1 h 1 min is longer than the 1 h between two"),
        (MISSED + "cron='0,30 * * * *'\ngrace='1h'", "5:7 E507 watch 1 grace: 1 h is longer than the 30 min between"),
        (MISSED + "cron='61 * * * *'", "4:7 E505 watch 1 cron: '61' does not fit the minute, field 1 of the cron line"),
        (MISSED + "cron='0  25 * * *'", "4:10 E505 watch 1 cron: '25' does not fit the hour, field 2 of the cron line"),
        (MISSED + "cron='0 5 * foo *'", "4:13 E505 watch 1 cron: 'foo' does not fit the month, field 4 of the cron l"),
        (MISSED + "cron='0 5 * * 8'", "4:15 E505 watch 1 cron: '8' does not fit the day of the week, field 5"),
        (MISSED + "cron='h * * * *'", "4:7 E505 watch 1 cron: 'h' does not fit the minute"),
        (MISSED + "cron='0 5 * *'", "4:6 E505 watch 1 cron: the cron line '0 5 * *' has 4 fields; five: minute, hour"),
        (MISSED + "cron='0 0 5 * * *'", "4:6 E505 watch 1 cron: the cron line '0 0 5 * * *' has 6 fields"),
        (MISSED + "cron=''", "4:6 E505 watch 1 cron: the cron line '' has 0 fields"),
        (MISSED + "cron='@dayly'", "4:6 E505 watch 1 cron: unknown cron word '@dayly'; did you mean '@daily'?"),
        (MISSED + "cron='0 0 30 2 *'", "4:6 E505 watch 1 cron: the cron line '0 0 30 2 *' never comes"),
        (MISSED + "every='1h'\nsend=['fax']", "5:7 E510 watch 1 sends to unknown channel 'fax'; channels: mail, ops"),
        ("kind='too_long'\nafter={fixed='1h'}", "1:3 E506 watch 1 lacks 'flow' or 'when'; say which runs are watched"),
        (TOO_LONG, "1:3 E506 watch 1 lacks 'after'; such as after = { fixed = "),
        (TOO_LONG + "after={}", "4:1 E506 watch 1 after: needs 'fixed' or 'or_times_median'"),
        (TOO_LONG + "after={min_runs=3}", "4:1 E506 watch 1 after: needs 'fixed' or 'or_times_median'"),
        (TOO_LONG + "after='2h'", "4:7 E107 watch 1 after: expects a table, found text"),
        (TOO_LONG + "after={or_times_median=0.5}", "4:24 E107 watch 1 after.or_times_median = 0.5: must be at least 1"),
        (TOO_LONG + "after={fixed='0s'}", "4:14 E310 watch 1 after.fixed: must be longer than nothing"),
        (TOO_LONG + "after={fixed='1h'}\ncron='* * * * *'", "5:1 E506 watch 1 has 'cron', which means nothing to a"),
    ],
)
def test_a_mistake_in_a_watch_is_told_where_it_stands(said: Said, body: str, told: str) -> None:
    lines = errors(said(f"[[watch]]\n{body}\n{CHANNELS}"))
    assert len(lines) == 1
    assert lines[0].startswith(told)


def test_two_watches_of_one_name_are_refused(said: Said) -> None:
    watch = f"[[watch]]\nname='a'\n{MISSED}every='1h'\n"
    assert errors(said(watch + watch)) == ["7:6 E508 two watches have the name 'a'; the first is at tocsin.toml:2:1"]


@pytest.mark.parametrize("cron", ["@daily", "*/15 8-18 * * mon-fri", "0 0 29 2 *", "0 0 L * *", "0 12 * * sun#2"])
def test_cron_lines_that_come_are_taken(loaded: Loaded, cron: str) -> None:
    (watch,) = loaded(f"[[watch]]\n{MISSED}cron='{cron}'\ngrace='15m'\n").watches
    assert watch.cron == cron


# ---------------------------------------------------------------- escalations


def test_escalations_are_as_written(loaded: Loaded) -> None:
    text = (
        f"{CHANNELS}[windows.office]\ndays=['1']\n[escalations.full]\n"
        "steps=[{send=['ops']},{after='15m',send=['mail'],if='not acked',say='still'},{after='15m',send=['ops']}]\n"
        "repeat={every='1h',times=3}\nack_lasts='8h'\noutside={window='office',send=['mail']}\n"
        "[escalations.small]\nsteps=[{send=['ops'],if='acked'}]\nrepeat={every='1h'}\n"
    )
    found = loaded(text).escalations
    assert found["full"] == Escalation(
        name="full",
        steps=(
            EscalationStep(timedelta(0), ("ops",)),
            EscalationStep(15 * MINUTE, ("mail",), "not acked", "still"),
            EscalationStep(15 * MINUTE, ("ops",)),
        ),
        repeat_every=HOUR,
        repeat_times=3,
        ack_lasts=8 * HOUR,
        outside_window="office",
        outside_send=("mail",),
    )
    assert (found["small"].steps[0].condition, found["small"].repeat_times) == ("acked", 1)


ONE_STEP = "steps=[{send=['ops']}]\n"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("", "1:14 E601 [escalations.e] has no steps; such as steps = [{ after = "),
        ("steps=[]", "2:1 E601 [escalations.e] has no steps"),
        ("steps=[{send=['ops'],after='10m'},{send=['ops'],after='5m'}]", "2:55 E602 [escalations.e] step 2 is due af"),
        ("steps=[{send=['ops'],after='10m'},{send=['ops']}]", "2:35 E602 [escalations.e] step 2 is due after 0 ms"),
        ("steps=[{send=['ops'],if='not ackd'}]", "2:25 E603 [escalations.e] step 1 has the unknown condition 'not ack"),
        ("steps=[{send=['ops'],if='unread'}]", "2:25 E603 [escalations.e] step 1 has the unknown condition 'unread';"),
        ("steps=[{send=['opz']}]", "2:15 E604 [escalations.e] sends to unknown channel 'opz'; did you mean 'ops'?"),
        ("steps=[{after='1h'}]", "2:8 E606 [escalations.e] step 1 sends nowhere; name a channel"),
        ("steps=[{send=[]}]", "2:14 E606 [escalations.e] step 1 sends nowhere; name a channel"),
        ("steps=[{send=['ops'],after='-5m'}]", "2:28 E310 [escalations.e] steps[0].after: '-5m' is negative"),
        (
            "steps=[{send=['ops'],condition='acked'}]",
            "2:22 E106 unknown key 'steps[0].condition' in [escalations.e]; '",
        ),
        (ONE_STEP + "repeat={every='1h',times=0}", "3:26 E107 [escalations.e] repeat.times = 0: must be at least 1"),
        (ONE_STEP + "repeat={times=2}", "3:1 E108 [escalations.e] lacks 'repeat.every'"),
        (ONE_STEP + "repeat={every='0s'}", "3:15 E310 [escalations.e] repeat.every: must be longer than nothing"),
        (
            ONE_STEP + "outside={window='none',send=['ops']}",
            "3:17 E605 [escalations.e] names unknown window 'none'; windows:",
        ),
        (ONE_STEP + "outside={window='x',send=['fax']}", "3:27 E604 [escalations.e] sends to unknown channel 'fax'"),
        (ONE_STEP + "outside={window='x',send=[]}", "3:26 E606 [escalations.e] outside: sends nowhere"),
        (
            "ack_lasts='20m'\nsteps=[{send=['ops']},{after='15m',send=['ops']},{after='45m',send=['ops']}]",
            "2:11 E607 [escalations.e] ack_lasts: 20 min is over before the next step, which comes 30 min later",
        ),
    ],
)
def test_a_mistake_in_an_escalation_is_told_where_it_stands(said: Said, body: str, told: str) -> None:
    lines = errors(said(f"[escalations.e]\n{body}\n{CHANNELS}[windows.x]\ndays=['1']"))
    assert len(lines) == 1
    assert lines[0].startswith(told)


def test_an_unknown_condition_is_told_with_those_there_are(said: Said) -> None:
    (line,) = errors(said(f"[escalations.e]\nsteps=[{{send=['ops'],if='unread'}}]\n{CHANNELS}"))
    assert line.endswith("conditions: 'always', 'not acked', 'acked'")


def test_an_acknowledgement_that_no_step_asks_about_is_odd(said: Said) -> None:
    route = "[[routes]]\nescalate='e'\nsend=[]\n"
    text = f"{CHANNELS}[escalations.e]\nack_lasts='8h'\nsteps=[{{send=['ops','mail']%s}}]\n{route}"
    assert said(text % "")[0].startswith("6:1 W916 [escalations.e] ack_lasts: no step asks whether somebody has")
    assert said(text % ",if='not acked'") == []


# ---------------------------------------------------------------- inhibitions


def test_every_config_has_the_built_in_inhibitions(loaded: Loaded) -> None:
    upstream, flow = loaded("").inhibitions
    assert (upstream.name, str(upstream.source)) == ("upstream", "is_failed and not has_cause")
    assert str(upstream.target) == "state=TriggerFailed or is_task and has_cause"
    assert (upstream.equal, upstream.mark) == (("run_id", "flow"), True)
    assert (flow.name, str(flow.source)) == ("flow", "is_failed and is_task")
    assert str(flow.target) == "is_failed and is_flow and not is_crashed", "that a run died is news of its own"
    assert (flow.equal, flow.mark, upstream.builtin, flow.builtin) == (("run_id", "flow"), False, True, True)


def test_a_built_in_inhibition_is_tuned_by_an_entry_of_its_name(loaded: Loaded) -> None:
    text = "[[inhibit]]\nname='upstream'\nhold='15s'\nmark=false\n[[inhibit]]\nname='flow'\nenabled=false\n"
    (upstream,) = loaded(text).inhibitions
    assert (upstream.hold, upstream.mark, upstream.builtin) == (timedelta(seconds=15), False, True)
    assert str(upstream.target) == "state=TriggerFailed or is_task and has_cause"
    assert upstream.equal == ("run_id", "flow")


def test_a_built_in_inhibition_is_replaced_by_an_entry_with_a_source_and_a_target(loaded: Loaded) -> None:
    text = "[[inhibit]]\nname='upstream'\nsource='state=Failed'\ntarget='state=TriggerFailed'\n"
    upstream, _ = loaded(text).inhibitions
    assert (str(upstream.source), upstream.equal, upstream.mark, upstream.builtin) == ("state=Failed", (), False, False)


def test_inhibitions_of_the_file_follow_in_its_order(loaded: Loaded) -> None:
    text = (
        "[filters]\nping='flow=ping'\n[[inhibit]]\nsource='@ping'\ntarget='tags=warehouse and not @ping'\nmark=true\n"
        "[[inhibit]]\nname='off'\nsource='flow=a'\ntarget='flow=b'\nenabled=false\n"
        "[[inhibit]]\nname='last'\nsource='flow=a'\ntarget='flow=b'\nequal=['tags','params.region']\nhold='0s'\n"
    )
    _, _, ping, last = loaded(text).inhibitions
    assert (ping.name, ping.mark, last.name, last.hold) == ("inhibition 1", True, "last", timedelta(0))
    assert last.equal == ("tags", "params.region")
    assert ping.source.matches(sample_event(flow="ping"))
    assert ping.target.matches(sample_event(tags=frozenset({"warehouse"})))
    assert not ping.target.matches(sample_event(flow="ping", tags=frozenset({"warehouse"})))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("source='is_failed'", ["1:3 E701 inhibition 1 lacks 'target'; say which events are muted"]),
        ("target='is_failed'", ["1:3 E701 inhibition 1 lacks 'source'; say which events mute others"]),
        ("name='flow'\nsource='flow=a'", ["1:3 E701 inhibition 'flow' lacks 'target'"]),
        ("hold='1s'", ["1:3 E701 inhibition 1 lacks 'source'", "1:3 E701 inhibition 1 lacks 'target'"]),
        ("source='flow=a and is_failed'\ntarget='is_failed, flow=a'", ["3:8 E702 inhibition 1: source and target are"]),
        ("source='flow=a'\ntarget='flow=a'\nequal=['run_id']", ["3:8 E703 inhibition 1: source and target are the"]),
        ("source='flow=a'\ntarget='{}'", ["3:8 E703 inhibition 1: the target takes every event, its source included"]),
        ("source='flow=a'\ntarget='flow=b'\nequal=['flow']", ["4:8 E704 inhibition 1: source and target never have"]),
        ("source='flow=~\"a|b\"'\ntarget='flow=c'\nequal=['run_id','flow']", ["4:17 E704 inhibition 1: source and"]),
        ("source='is_task and flow=a'\ntarget='is_flow'\nequal=['task']", ["4:8 E704 inhibition 1: source and target"]),
        ("source='flow=a'\ntarget='flow=b'\nequal=['tsk']", ["4:8 E202 unknown label 'tsk'; did you mean 'task'"]),
        ("source='flow=a'\ntarget='task=b'\nequal=['run_id','run_id']", ["4:17 E312 inhibition 1 equal: the label"]),
        ("source='flow=a'\ntarget='task=b'\nhold='-1s'", ["4:6 E310 inhibition 1 hold: '-1s' is negative"]),
        ("source='flow='\ntarget='task=b'\nequals=['x']", ["2:14 E201", "4:1 E106 unknown key 'equals' in inhibition"]),
    ],
)
def test_a_mistake_in_an_inhibition_is_told_where_it_stands(said: Said, body: str, told: list[str]) -> None:
    lines = errors(said(f"[[inhibit]]\n{body}"))
    assert [line[: len(start)] for line, start in zip(lines, told, strict=True)] == told


@pytest.mark.parametrize(
    "body",
    [
        "source='severity=critical'\ntarget='severity=~\"warning|critical\"'\nequal=['flow']",
        "source='flow=a'\ntarget='tags=x'\nequal=['flow','tags','run_id']",
        "source='tags=a'\ntarget='tags=b'\nequal=['tags']",
        "source='task=\"\" and flow=a'\ntarget='is_flow and flow=~\"a|b\"'\nequal=['task','flow']",
    ],
)
def test_an_inhibition_that_can_mute_is_taken(said: Said, body: str) -> None:
    assert errors(said(f"[[inhibit]]\n{body}")) == []


def test_two_inhibitions_of_one_name_are_refused(said: Said) -> None:
    entry = "[[inhibit]]\nname='upstream'\nhold='1s'\n"
    assert errors(said(entry + entry)) == [
        "5:6 E705 two inhibitions have the name 'upstream'; the first is at tocsin.toml:2:1"
    ]


def test_an_inhibition_whose_every_source_is_a_target_is_warned_of(said: Said) -> None:
    text = "[defaults]\nsend=[]\n[[routes]]\nsend=[]\n[[inhibit]]\nsource='flow=a and is_failed'\ntarget='is_failed'\n"
    (line,) = said(text)
    assert line.startswith("7:8 W917 inhibition 1: every source is a target, too; sources do not mute each other; ")
