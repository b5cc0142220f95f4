"""How routes send: what they say, what they inherit, and what of it cannot be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tocsin.settings import source_of_text
from tocsin.settings.alerts import (
    Digest,
    Flap,
    Grouping,
    Mode,
    OpenAfter,
    Over,
    Recover,
    RouteOptions,
    Then,
    Throttle,
)

Said = Callable[..., list[str]]
Loaded = Callable[..., Any]

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
CHANNELS = "[channels.ops]\ntype='console'\n[channels.mail]\ntype='console'\n"
ESCALATION = "[escalations.oncall]\nsteps=[{send=['ops']}]\n"
NIGHT = "[windows.night]\ntimes=['22:00-06:00']\n"
EVERYTHING = """
send = ["ops"]
template = "t"
mode = "event"
silent = true
group = { by = ["flow"], wait = "1s", interval = "1m", repeat = "1h" }
digest = { every = "1h", max = 3, urgent = "tags=tier1" }
throttle = { limit = "3/30m", per = ["flow"], over = "summary" }
flap = { changes = 3, within = "2h", calm = "10m" }
open_after = { failures = 2, within = "6h" }
escalate = "oncall"
recover = { notice = false, on = ["retry"] }
"""
BESIDE = f"{CHANNELS}{ESCALATION}{NIGHT}[templates.t]\ntext='x'\n"


def errors(lines: list[str]) -> list[str]:
    return [line for line in lines if " E" in line]


def options(loaded: Loaded, text: str, **known: Any) -> list[RouteOptions]:
    return [route.options for route in loaded(BESIDE + text, **known).routes]


# ---------------------------------------------------------------- inheritance


def test_without_a_word_every_option_is_off_and_recovery_is_told(loaded: Loaded) -> None:
    assert options(loaded, "[[routes]]") == [RouteOptions()]
    assert RouteOptions().recover == Recover(notice=True, on=frozenset({"retry", "next_run"}))


def test_what_the_defaults_say_holds_for_every_route_below(loaded: Loaded) -> None:
    config = loaded(f"{BESIDE}[defaults]{EVERYTHING}[[routes]]\nname='a'\n[[routes]]\nunder='a'\n")
    first, second = (route.options for route in config.routes)
    assert first == second == config.defaults.options
    assert (first.send, first.template, first.mode, first.silent) == (("ops",), "t", Mode.EVENT, True)
    assert first.group == Grouping(("flow",), SECOND, MINUTE, HOUR)
    assert first.digest is not None
    assert (first.digest.every, first.digest.max) == (HOUR, 3)
    assert first.digest.urgent is not None
    assert first.digest.urgent.to_text() == "tags=tier1"
    assert first.throttle == Throttle(3, 30 * MINUTE, ("flow",), Over.SUMMARY)
    assert first.flap == Flap(3, 2 * HOUR, 10 * MINUTE)
    assert first.open_after == OpenAfter(2, 6 * HOUR)
    assert first.escalate == "oncall"
    assert first.recover == Recover(notice=False, on=frozenset({"retry"}))
    assert [route.send for route in config.routes] == [None, None]


def test_a_route_inherits_from_the_route_it_is_under_wherever_that_stands(loaded: Loaded) -> None:
    text = f"[[routes]]\nunder='top'\nsilent=false\n[[routes]]\nname='top'{EVERYTHING}[[routes]]\n"
    below, top, other = options(loaded, text)
    assert (below.escalate, below.silent, below.digest) == ("oncall", False, top.digest)
    assert other == RouteOptions()


@pytest.mark.parametrize("name", ["group", "digest", "throttle", "flap", "open_after", "escalate"])
def test_false_switches_an_inherited_option_off_for_all_below_and_nothing_else(loaded: Loaded, name: str) -> None:
    text = f"[defaults]{EVERYTHING}[[routes]]\nname='a'\n{name}=false\n[[routes]]\nunder='a'\n[[routes]]\n"
    off, below, other = options(loaded, text)
    assert getattr(off, name) is None
    assert off == below
    assert getattr(other, name) is not None
    assert {key for key in RouteOptions.__slots__ if getattr(off, key) != getattr(other, key)} == {name}


def test_a_mute_is_for_the_one_route_that_says_it(loaded: Loaded) -> None:
    text = "[[routes]]\nname='a'\nmute=['night']\n[[routes]]\nunder='a'\n[[routes]]\nunder='a'\nmute=false\n"
    muted, below, never = options(loaded, text)
    assert muted.mute is not None
    assert (muted.mute.windows, muted.mute.then, muted.mute.urgent) == (("night",), Then.DROP, None)
    assert (below.mute, never.mute) == (None, None)
    full = options(loaded, "[[routes]]\nmute={windows=['night'],then='hold',urgent='tags=x'}")[0].mute
    assert full is not None
    assert (full.then, str(full.urgent)) == (Then.HOLD, "tags=x")


def test_the_keys_of_group_are_inherited_one_by_one(loaded: Loaded) -> None:
    text = (
        "[defaults]\ngroup={by=['flow'],interval='5m',repeat='1h'}\n[[routes]]\nname='a'\ngroup={wait='0s'}\n"
        "[[routes]]\nunder='a'\ngroup={repeat=false,by=['*']}\n[[routes]]\nunder='a'\ngroup={by=[]}\n"
    )
    first, second, third = (each.group for each in options(loaded, text))
    assert first == Grouping(("flow",), timedelta(0), 5 * MINUTE, HOUR)
    assert second == Grouping(("*",), timedelta(0), 5 * MINUTE, None)
    assert third == Grouping((), timedelta(0), 5 * MINUTE, HOUR)


def test_a_list_of_labels_below_all_labels_takes_their_place(loaded: Loaded) -> None:
    text = "[defaults]\ngroup={by=['...']}\n[[routes]]\ngroup={by=['flow']}\n[[routes]]\n"
    assert [each.group.by for each in options(loaded, text) if each.group] == [("flow",), ("*",)]


def test_other_tables_are_inherited_whole_or_not_at_all(loaded: Loaded) -> None:
    text = f"[defaults]{EVERYTHING}[[routes]]\ndigest={{every='2h'}}\nthrottle={{limit='1/h'}}\nflap={{}}\n"
    (route,) = options(loaded, text)
    assert route.digest == Digest(2 * HOUR, 50, None)
    assert route.throttle == Throttle(1, HOUR, (), Over.DROP)
    assert route.flap == Flap()


def test_recover_is_inherited_key_by_key_and_said_in_one_word(loaded: Loaded) -> None:
    text = (
        "[defaults]\nrecover={on=['retry']}\n[[routes]]\nname='off'\nrecover=false\n"
        "[[routes]]\nunder='off'\nrecover=true\n[[routes]]\nrecover={on=['next_run']}\n"
    )
    off, again, other = (each.recover for each in options(loaded, text))
    assert off == Recover(notice=False, on=frozenset({"retry"}))
    assert again == Recover(notice=True, on=frozenset({"retry"}))
    assert other == Recover(notice=True, on=frozenset({"next_run"}))


def test_group_without_a_key_is_as_documented_and_gives_way_to_what_is_written(loaded: Loaded) -> None:
    text = "[[routes]]\ngroup={}\n[[routes]]\ngroup={repeat='30s'}\n[[routes]]\ngroup={interval='6h'}\n"
    usual, often, rare = (each.group for each in options(loaded, text))
    assert usual == Grouping(("project", "flow"), 10 * SECOND, 2 * MINUTE, 4 * HOUR)
    assert often == Grouping(interval=30 * SECOND, repeat=30 * SECOND)
    assert rare == Grouping(interval=6 * HOUR, repeat=6 * HOUR)


def test_send_to_nowhere_is_no_silence_about_it(loaded: Loaded) -> None:
    config = loaded(CHANNELS + "[defaults]\nsend=[]\n[[routes]]\n[[routes]]\nsend=['mail']")
    assert (config.defaults.send, config.defaults.send_is_set) == ((), True)
    assert [route.options.send for route in config.routes] == [(), ("mail",)]


def test_a_text_is_a_config_as_a_file_is(tmp_path: Any) -> None:
    source = source_of_text("project = '早'", base=tmp_path, name="typed")
    assert (source.path, source.base, source.name) == (None, tmp_path, "typed")
    assert source.data.decode() == "project = '早'"
    assert source_of_text("").name == "tocsin.toml"


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("group={wait=10}", '2:13 E107 route 1 group.wait = 10: write it with its unit: "10s"'),
        ("group={wait='-5s'}", "2:13 E310 route 1 group.wait: '-5s' is negative"),
        ("group={interval='soon'}", "2:17 E107 route 1 group.interval: expected a duration such as"),
        ("group={interval='0s'}", "2:17 E310 route 1 group.interval: must be longer than nothing"),
        ("group={repeat='0s'}", "2:15 E310 route 1 group.repeat: must be longer than nothing"),
        ("group={repeat=true}", "2:15 E107 route 1 group.repeat"),
        ("group={by='flow'}", '2:11 E107 route 1 group.by: expects a list, found text; write ["flow"]'),
        ("group={by=['flow','task','flow']}", "2:26 E312 route 1 group.by: the label 'flow' stands in it twice"),
        ("group={by=['flow','*']}", "2:19 E312 route 1 group.by: '*' stands for all labels; write it alone"),
        ("group={by=['...','*']}", "2:12 E312 route 1 group.by: '...' stands for all labels; write it alone"),
        ("group={by=['tsk']}", "2:12 E202 unknown label 'tsk'; did you mean 'task'"),
        ("group=true", "2:7 E107 route 1 group = true: expects a table, found true"),
        ("group={wiat='1s'}", "2:8 E106 unknown key 'group.wiat' in route 1; did you mean 'wait'?"),
        ("group={interval='5m',repeat='1m'}", "2:29 E311 route 1 group.repeat: reminders (1 min) would come before"),
        ("digest={max=3}", "2:1 E108 route 1 lacks 'digest.every'"),
        ("digest={every='0s'}", "2:15 E310 route 1 digest.every: must be longer than nothing"),
        ("digest={every='1h',max=0}", "2:24 E107 route 1 digest.max = 0: must be at least 1"),
        ("digest={every='1h',urgent='{}'}", "2:27 E313 route 1 digest.urgent: takes every event, so nothing is"),
        ("throttle={limit=3}", "2:17 E107 route 1 throttle.limit = 3: expects how many within how long; such as"),
        ("throttle={limit='3 per h'}", "2:17 E107 route 1 throttle.limit: expects how many within how long"),
        ("throttle={limit='3/x'}", "2:17 E107 route 1 throttle.limit: 'x' is not a duration"),
        ("throttle={limit='0/h'}", "2:17 E107 route 1 throttle.limit: lets nothing through; 'send = []' sends nothing"),
        ("throttle={limit='3/0s'}", "2:17 E310 route 1 throttle.limit: the time must be longer than nothing"),
        ("throttle={limit='3/h',over='summery'}", "2:28 E107 route 1 throttle.over: expects 'drop' or 'summary'; did"),
        ("throttle={limit='3/h',per=['flow','flow']}", "2:35 E312 route 1 throttle.per: the label 'flow'"),
        ("flap={changes=1}", "2:15 E107 route 1 flap.changes = 1: must be at least 2"),
        ("flap={within='0s'}", "2:14 E310 route 1 flap.within: must be longer than nothing"),
        ("open_after={failures=0}", "2:22 E107 route 1 open_after.failures = 0: must be at least 1"),
        ("open_after={within='1h'}", "2:1 E108 route 1 lacks 'open_after.failures'"),
        ("mode='incidents'", "2:6 E107 route 1 mode: expects 'incident' or 'event'; did you mean 'incident'?"),
        ("silent='yes'", "2:8 E107 route 1 silent: expects true or false, found text"),
        ("recover={on=['retri']}", "2:14 E107 route 1 recover.on[0]: expects 'retry' or 'next_run'; did you mean"),
        ("recover={on=[]}", "2:13 E107 route 1 recover.on: names no sort of success; 'recover = false'"),
        ("mute=[]", "2:6 E313 route 1 mute: names no window, so it mutes nothing"),
        ("mute=['nigt']", "2:7 E307 route 1 names unknown window 'nigt'; did you mean 'night'?"),
        ("mute={windows=['night'],then='hodl'}", "2:30 E107 route 1 mute.then: expects 'drop', 'hold' or 'digest'; "),
        ("mute={windows=['night'],urgent='{}'}", "2:32 E313 route 1 mute.urgent: takes every event, so nothing is"),
        ("mute={windows=['always']}", "2:6 E313 route 1 mute: the window 'always' is always open, so everything is"),
        ("escalate='oncal'", "2:10 E308 route 1 escalates to unknown escalation 'oncal'; did you mean 'oncall'?"),
        ("escalate=''", "2:10 E107 route 1 escalate: is empty"),
        ("matchers=['x']", "2:1 E106 unknown key 'matchers' in route 1; 'when' is the key for this"),
    ],
)
def test_a_mistake_in_an_option_is_told_where_it_stands(said: Said, line: str, told: str) -> None:
    lines = errors(said(f"[[routes]]\n{line}\n{BESIDE}[windows.always]\ntimes=['00:00-12:00','12:00-24:00']\n"))
    assert len(lines) == 1
    assert lines[0].startswith(told)


@pytest.mark.parametrize("key", ["when='x'", "stop=true", "under='a'", "name='a'", "mute=['w']"])
def test_what_only_a_route_can_say_is_refused_in_the_defaults(said: Said, key: str) -> None:
    (line,) = errors(said(f"[defaults]\n{key}"))
    name = key.partition("=")[0]
    assert line.startswith(f"2:1 E306 '{name}' in [defaults]: this is for routes only; ")


def test_reminders_before_the_news_are_told_where_the_nearer_of_the_two_stands(said: Said) -> None:
    text = (
        "[defaults]\ngroup={interval='10m'}\n[[routes]]\nname='a'\ngroup={repeat='5m'}\n"
        "[[routes]]\nunder='a'\n[[routes]]\nunder='a'\ngroup={wait='0s'}\n[[routes]]\nunder='a'\ngroup={interval='1m'}\n"
        "[[routes]]\ngroup={repeat='1h'}\n[[routes]]\nunder='route 5'\ngroup={interval='2h'}\n"
    )
    assert [line.split(": ")[0] for line in errors(said(text))] == [
        "5:15 E311 route 'a' group.repeat",
        "18:17 E311 route 6 group.interval",
    ]


def test_a_repeat_as_long_as_the_interval_is_fine(said: Said) -> None:
    assert errors(said("[[routes]]\ngroup={interval='2m',repeat='2m'}")) == []


def test_a_broken_key_hides_no_other_mistake(said: Said) -> None:
    text = "[[routes]]\nthrottle={limit=3,over='x'}\nflap=3\nsend=['fax']\n[[routes]]\nmode='x'\nescalate='e'\n"
    assert [line.split(" ")[:2] for line in said(text)] == [
        ["2:17", "E107"], ["2:24", "E107"], ["3:6", "E107"], ["4:7", "E302"], ["6:6", "E107"], ["7:10", "E308"],
    ]  # fmt: skip


# ---------------------------------------------------------------- lint


def test_options_that_need_an_incident_are_odd_where_each_event_stands_by_itself(said: Said) -> None:
    route = "[[routes]]\nsend=['ops','mail']\n"
    beside = f"[defaults]\ntimezone='UTC'\n{CHANNELS}{ESCALATION}"
    text = "mode='event'\nescalate='oncall'\nflap={}\nopen_after={failures=2}\nrecover=true\n"
    lines = said(route + text + beside)
    assert [line.partition(",")[0] for line in lines] == [
        f"{number}:1 W915 route 1 has '{key}'"
        for number, key in ((4, "escalate"), (5, "flap"), (6, "open_after"), (7, "recover"))
    ]
    assert said(f"{route}mode='event'\nrecover=false\nescalate=false\n{CHANNELS}") == []


def test_a_digest_with_an_escalation_is_odd(said: Said) -> None:
    text = f"[[routes]]\nsend=['ops','mail']\nescalate='oncall'\ndigest={{every='1h'}}\n{CHANNELS}{ESCALATION}"
    assert [line[:40] for line in said(text)] == ["4:1 W915 route 1 has a digest and an esc"]


@pytest.mark.parametrize(
    ("when", "missing"),
    [
        ("is_failed", ""),
        ("is_failed or state=Retrying", ""),
        ("not is_successful", ""),
        ("state=Failed or state=TimedOut", "Crashed, ValidationFailed"),
        ("flow=a and is_failed", "Crashed, Failed, TimedOut, ValidationFailed"),
    ],
)
def test_problems_that_reach_nobody_are_warned_of(said: Said, when: str, missing: str) -> None:
    lines = said(f"{CHANNELS}[[routes]]\nsend=['ops','mail']\nwhen='{when}'")
    text = f"tocsin.toml W914 a problem that no route takes reaches nobody: {missing}; [defaults] has no 'send'; "
    assert [line[: len(text)] for line in lines] == ([text] if missing else [])
    assert said(f"{CHANNELS}[[routes]]\nsend=['ops','mail']\nwhen='{when}'\n[defaults]\nsend=[]") == []


def test_a_route_behind_a_stop_that_takes_all_it_would_is_warned_of(said: Said) -> None:
    text = (
        f"{CHANNELS}[defaults]\nsend=['ops','mail']\n[filters]\nfailed='is_failed or is_crashed'\n"
        "[[routes]]\nname='wall'\nwhen='@failed'\nstop=true\n"
        "[[routes]]\nname='lost'\nwhen='flow=a and is_failed'\n[[routes]]\nname='found'\nwhen='flow=a'\n"
    )
    (line,) = said(text)
    assert line.startswith("15:6 W904 route 'wall' stops every event of route 'lost', which never acts; ")


def test_a_secret_in_a_template_is_warned_of_and_never_shown(checked: Callable[..., Any]) -> None:
    secrets = (
        "xoxb-123456789-abcdef", "AKIAIOSFODNN7EXAMPLE", "https://me:hunter22@example.org/x",
        "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF", "https://hooks.slack.com/services/T000/B000/XXXX",
    )  # fmt: skip
    for secret in secrets:
        text = f"[templates.t]\ntitle='x'\ntext='see {secret} {{{{ flow }}}}'\n[[routes]]\nsend=[]\ntemplate='t'\n"
        (problem,) = checked(text)
        assert (problem.code, problem.place.position.line) == ("W913", 3)
        assert secret not in problem.render()
        assert secret not in str(problem.to_dict())
        assert all(secret not in each.render() for each in checked(text + "tempalte='x'"))


def test_long_words_that_are_no_secrets_are_let_pass(said: Said) -> None:
    words = "a-very-long-name-of-a-flow/with/a/path/that/goes/on https://example.org/runs/abc0123456789 " + "=" * 60
    assert said(f"[templates.t]\ntext='{words}'\n[[routes]]\nsend=[]\ntemplate='t'\n") == []
