from __future__ import annotations

import json
import re
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import click
import pytest

from support.operated import EXTRACT, FETCH, LOAD, happen, hub_of_2024
from support.shell import CONFIG, Shell
from tocsin.cli.operating import moment_of, next_at
from tocsin.cli.silence_words import mutes, sentence
from tocsin.delivery.presence import HUB
from tocsin.routing.silences import SILENCE_VERSION, Silence
from tocsin.settings.alerts import Window
from tocsin.simulate import Simulation
from tocsin.store.records import Cell, Incident

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
OFFICE = '[windows.office]\nweekdays = ["mon:fri"]\ntimes = [["08:00", "18:00"]]\ntimezone = "Europe/Berlin"\n'


@pytest.fixture
def broken(shell: Shell) -> Shell:
    """A folder where three incidents are open."""
    happen(LOAD, EXTRACT, FETCH)
    return shell


def silence(shell: Shell, *args: str) -> dict[str, object]:
    made: dict[str, object] = shell.json("silence", "add", *args)
    return made


def titles(shell: Shell) -> list[str]:
    return [item["title"] for item in shell.json("inbox")]


@pytest.mark.parametrize("name", ["add", "list", "show", "edit", "expire"])
def test_every_way_to_silence_has_help_with_an_example(shell: Shell, name: str) -> None:
    assert f"tocsin silence {name}" in shell("silence", name, "--help").output.partition("Examples:")[2]


# ---------------------------------------------------------------- add


def test_a_silence_is_told_in_words_with_the_incidents_that_it_mutes(broken: Shell) -> None:
    told = broken("silence", "add", "flow=etl", "--until", "2099-05-01 10:00", "--comment", "moving").stdout
    first, second = told.splitlines()
    assert re.fullmatch("silence [0-9a-f]{8}: flow=etl is silent until 2099-05-01 10:00:00 UTC", first)
    assert second == "mutes 2 open incidents: #1 /etl/load, #2 /etl/extract"


def test_a_silence_without_an_incident_is_made_in_a_new_store(shell: Shell) -> None:
    assert shell("silence", "add", "flow=etl", "--for", "2h").stdout.endswith("\nno open incident matches\n")
    assert [s["filter_text"] for s in shell.json("silence", "list")] == ["flow=etl"]


def test_a_program_gets_the_whole_silence(broken: Shell) -> None:
    made = silence(broken, "tags=warehouse", "--until", "2099-05-01T12:00+02:00", "--comment", "why", "--by", "ann")
    assert {name: made[name] for name in ("filter_text", "comment", "created_by", "ends_at", "status", "in_force")} == {
        "filter_text": "tags=warehouse",
        "comment": "why",
        "created_by": "ann",
        "ends_at": "2099-05-01T10:00:00+00:00",
        "status": "active",
        "in_force": True,
    }
    assert made["incidents"] == [{"number": 1, "key": "/etl/load"}]


def test_a_duration_counts_from_the_start(shell: Shell) -> None:
    made = silence(shell, "flow=etl", "--start", "2099-05-01 10:00Z", "--for", "1h30m")
    assert (made["starts_at"], made["ends_at"]) == ("2099-05-01T10:00:00+00:00", "2099-05-01T11:30:00+00:00")
    assert (made["status"], made["in_force"]) == ("pending", False)


def test_times_without_offset_are_on_the_clock_of_the_config_or_the_option(shell: Shell) -> None:
    shell.write(CONFIG.replace("[defaults]\n", '[defaults]\ntimezone = "Asia/Tokyo"\n'))
    assert silence(shell, "flow=a", "--until", "2099-05-01 10:00")["ends_at"] == "2099-05-01T01:00:00+00:00"
    berlin = ("flow=a", "--until", "2099-05-01 10:00", "--timezone", "Europe/Berlin")
    assert silence(shell, *berlin)["ends_at"] == "2099-05-01T08:00:00+00:00"
    assert "until 2099-05-01 10:00:00 Europe/Berlin" in shell("silence", "add", *berlin).stdout


def test_a_silence_until_recovery_says_so(broken: Shell) -> None:
    told = broken("silence", "add", "flow=mail", "--until-recovered").stdout
    assert "flow=mail is silent until it has recovered\nmutes 1 open incident: #3 /mail/fetch\n" in told
    waiting = broken("silence", "add", "flow=other", "--until-recovered").stdout
    assert waiting.endswith("no open incident matches; it waits for the first that does\n")
    assert broken.json("silence", "list")[0]["until_recovered"] is True


def test_a_silence_can_recur_by_a_window_of_the_config(shell: Shell) -> None:
    shell.write(CONFIG + OFFICE)
    told = shell("silence", "add", "tags=batch", "--window", "office").stdout
    assert "tags=batch is silent whenever it is Mon to Fri, 08:00 to 18:00 (Europe/Berlin)\n" in told
    bounded = silence(shell, "tags=batch", "--window", "office", "--until", "2099-01-01")
    assert bounded["ends_at"] == "2099-01-01T00:00:00+00:00"
    unknown = shell("silence", "add", "tags=batch", "--window", "ofice")
    assert "the config has no window 'ofice'; did you mean 'office'?" in unknown.stderr
    shell.write(CONFIG)
    assert "the config has no window 'office'; it has none" in shell(
        "silence", "add", "tags=batch", "--window", "office"
    ).stderr  # fmt: skip


def test_a_silence_can_recur_by_a_window_of_its_own(shell: Shell) -> None:
    told = shell("silence", "add", "tags=batch", "--weekdays", "fri, sat:sun", "--times", "22:00-06:00",
                 "--timezone", "Asia/Tokyo").stdout  # fmt: skip
    assert "whenever it is Fri or Sat to Sun, 22:00 to 06:00 the next day (Asia/Tokyo)" in told
    [made] = shell.json("silence", "list")
    assert made["window"]["weekdays"] == [[5, 5], [6, 7]]
    assert made["window"]["times"] == [[22 * 60, 6 * 60]]
    assert made["ends_at"] is None


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ((), "say how long: --for 2h, --until TIME, --until-recovered or --window NAME"),
        (("--for", "2"), "--for: expected a duration such as"),
        (("--for", "0s"), "which is not after its start"),
        (("--until", "tomorrow"), "--until takes a time, such as '2026-03-01 18:00'"),
        (("--until", "25:00"), "found '25:00'"),
        (("--until", "9999-12-31 23:59", "--timezone", "America/New_York"), "found '9999-12-31 23:59'"),
        (("--until", "2020-01-01"), "which is past"),
        (("--start", "2099-01-02", "--until", "2099-01-01"), "the silence ends at '2099-01-01 00:00:00+00:00'"),
        (("--for", "2h", "--until-recovered"), "a silence has one end, found 2: a duration and recovery"),
        (("--weekdays", "sat,sn"), "--weekdays: unknown weekday 'sn'; did you mean 'sun"),
        (("--weekdays", ""), "--weekdays: unknown weekday ''"),
        (("--times", "6:00-07:00"), "--times: '6:00' is not a time of day; did you mean \"06:00\"?"),
        (("--times", "06:00-06:00"), "--times: the range is empty"),
        (("--timezone", "Berlin", "--for", "2h"), "--timezone: unknown time zone 'Berlin'; did you mean 'Europe/Ber"),
        (("--window", "office", "--times", "06:00-07:00"), "use either"),
    ],
)
def test_a_silence_that_cannot_be_is_refused_and_leaves_nothing(shell: Shell, args: tuple[str, ...], told: str) -> None:
    refused = shell("silence", "add", "flow=etl", *args)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert told in refused.stderr
    assert shell.json("silence", "list", "--all") == []


def test_a_filter_that_cannot_be_read_is_shown_with_its_caret(shell: Shell) -> None:
    refused = shell("silence", "add", "flow=etl and and task=load", "--for", "2h")
    assert refused.exit_code == 2
    text, caret = refused.stderr.splitlines()[-2:]
    assert text[caret.index("^") :].startswith("and task=load")
    assert "@nowhere" in shell("silence", "add", "@nowhere", "--for", "2h").stderr


@pytest.mark.parametrize("expression", ["flow=~.*", "flow!=etl", 'task=""', "not flow=etl"])
def test_a_silence_of_everything_is_refused(shell: Shell, expression: str) -> None:
    refused = shell("silence", "add", expression, "--for", "2h")
    assert refused.exit_code == 2
    assert "this holds for events of any sort" in refused.stderr
    assert "^" in refused.stderr


def test_a_misspelt_label_is_told_of(shell: Shell) -> None:
    told = shell("silence", "add", "flwo=etl and team=data", "--for", "2h")
    assert told.exit_code == 0
    assert told.stderr.splitlines() == [
        "WARNING label 'flwo' is none of tocsin's; did you mean 'flow'?",
        "WARNING label 'team' is none of tocsin's; it matches once something adds it",
    ]


def test_named_filters_can_be_silenced(broken: Shell) -> None:
    broken.write(CONFIG + '[filters]\nstock = "tags=warehouse"\n')
    made = silence(broken, "@stock and is_failed", "--for", "2h")
    assert made["incidents"] == [{"number": 1, "key": "/etl/load"}]


def test_a_silence_until_recovery_ends_with_the_problem(shell: Shell) -> None:
    silence(shell, "flow=etl", "--until-recovered")
    shell.write(FAILING, "etl.py")
    shell("run", "etl.py", "--quiet")
    assert [s["status"] for s in shell.json("silence", "list")] == ["active"]
    shell.write(FAILING.replace('raise OSError("disk full")', "return 1"), "etl.py")
    assert shell("run", "etl.py", "--quiet").exit_code == 0
    assert [(s["status"], s["ended_by"]) for s in shell.json("silence", "list", "--all")] == [("expired", "recovery")]
    assert titles(shell) == []


# ---------------------------------------------------------------- list, show


def test_those_that_are_over_are_listed_only_when_asked_for(shell: Shell) -> None:
    over, pending = silence(shell, "flow=a", "--for", "2h"), silence(shell, "flow=b", "--start", "2099-01-01",
                                                                     "--for", "1h", "--comment", "later")  # fmt: skip
    shell("silence", "expire", str(over["id"]))
    heading, row = shell("silence", "list").stdout.splitlines()
    assert heading.split()[:2] == ["ID", "STATUS"]
    assert row.split()[:6] == [str(pending["id"])[:8], "pending", "2099-01-01", "00:00:00", "2099-01-01", "01:00:00"]
    assert row.endswith("later")
    assert "WHENEVER" not in heading
    assert [s["status"] for s in shell.json("silence", "list", "--all")] == ["expired", "pending"]


def test_no_silences_are_said_to_be_none(shell: Shell) -> None:
    assert shell("silence", "list").stdout == "no silence is active or yet to begin\n"
    assert shell("silence", "list", "--all").stdout == "no silences yet\n"
    assert not (shell.folder / "tocsin.db").exists()


def test_a_silence_that_can_no_longer_be_read_is_told_of_as_broken(shell: Shell) -> None:
    shell.write(CONFIG + '[filters]\nstock = "tags=warehouse"\n')
    made = silence(shell, "@stock", "--for", "2h")
    shell.write(CONFIG)
    listed = shell("silence", "list")
    assert listed.stdout.splitlines()[1].split()[:2] == [str(made["id"])[:8], "broken"]
    assert f"WARNING silence '{str(made['id'])[:8]}' hides nothing: unknown filter '@stock'" in listed.stderr
    [data] = shell.json("silence", "list")
    assert (data["broken"], data["in_force"]) == ("unknown filter '@stock'", False)
    assert "broken:   unknown filter '@stock'" in shell("silence", "show", str(made["id"])).stdout


def test_a_silence_is_shown_with_all_that_is_known_of_it(broken: Shell) -> None:
    made = str(silence(broken, "flow=etl", "--until", "2099-01-01", "--by", "ann", "--comment", "why")["id"])
    shown = broken("silence", "show", made[:6]).stdout
    assert shown.startswith(f"silence {made}\n  status:   active\n  filter:   flow=etl\n  comment:  why\n")
    assert "UTC by ann\n" in shown
    assert shown.endswith("until 2099-01-01 00:00:00 UTC\nmutes 2 open incidents: #1 /etl/load, #2 /etl/extract\n")
    broken("silence", "expire", made, "--by", "bob")
    over = broken("silence", "show", made).stdout
    assert "  ended by: bob\n" in over
    assert "flow=etl was silent until " in over
    assert "mutes" not in over


def test_an_id_that_fits_none_or_several_is_refused(shell: Shell) -> None:
    assert "no silence has an id that begins with '1'" in shell("silence", "show", "1").stderr
    for number in range(17):
        silence(shell, f"flow=f{number}", "--for", "2h")
    ids = [s["id"] for s in shell.json("silence", "list")]
    first = next(i[0] for i in ids if sum(other[0] == i[0] for other in ids) > 1)  # of 17 ids two begin alike
    for verb in (("show",), ("expire",), ("edit", "--comment", "x")):
        refused = shell("silence", *verb, first)
        assert refused.exit_code == 2
        assert f"silences have ids that begin with '{first}': '{first}" in refused.stderr
        assert "no silence has an id that begins with ''" in shell("silence", *verb, "").stderr
    assert {s["status"] for s in shell.json("silence", "list", "--all")} == {"active"}


# ---------------------------------------------------------------- expire


def test_the_end_of_a_silence_tells_what_it_held(shell: Shell) -> None:
    made = silence(shell, "flow=etl", "--for", "2h")
    shell.write(FAILING, "etl.py")
    shell("run", "etl.py", "--quiet")
    assert titles(shell) == []
    told = shell("silence", "expire", str(made["id"])[:8]).stdout.splitlines()
    assert told == [
        f"silence {str(made['id'])[:8]} is over: flow=etl",
        "1 message is due; 'tocsin hub', 'tocsin tick' or the next run delivers",
    ]
    assert titles(shell) == [], "this command itself sends nothing"
    assert shell("tick").exit_code == 0
    assert titles(shell) == ["Failed: etl/load"]


FAILING = """\
from tocsin import Flow, task

@task
def load():
    raise OSError("disk full")

with Flow("etl") as flow:
    load()
"""


def test_where_a_hub_is_there_it_is_said_to_send(shell: Shell) -> None:
    made = silence(shell, "flow=etl", "--for", "2h")
    shell.write(FAILING, "etl.py")
    shell("run", "etl.py", "--quiet")
    seen = json.dumps({"seen_at": datetime.now(UTC).timestamp(), "host": "elsewhere"})
    with hub_of_2024() as (hub, _):
        assert hub.outbox is not None
        hub.outbox.store.transact(lambda tx: tx.put(Cell(HUB, "elsewhere", seen)))
    told = shell("silence", "expire", str(made["id"])).stdout
    assert told.endswith("1 message is due; the hub sends it\n")


def test_several_are_ended_together_or_none_is(shell: Shell) -> None:
    one, two = (str(silence(shell, f"flow={name}", "--for", "2h")["id"]) for name in "ab")
    assert shell("silence", "expire", one, "nonsense").exit_code == 2
    assert [s["status"] for s in shell.json("silence", "list")] == ["active", "active"]
    assert shell.json("silence", "expire", one, two[:8], one) == {"expired": [one, two], "messages": 0}
    again = shell("silence", "expire", one)
    assert again.exit_code == 2
    assert "has ended already" in again.stderr


def test_one_that_has_not_begun_can_be_ended(shell: Shell) -> None:
    made = silence(shell, "flow=a", "--start", "2099-01-01", "--for", "1h")
    assert shell("silence", "expire", str(made["id"])).stdout.endswith("nothing is to be told now\n")
    assert shell.json("silence", "list") == []


def test_what_is_told_again_at_the_end_of_a_silence_is_told_in_one_message() -> None:
    sim = Simulation(CONFIG.replace("[defaults]\n", '[defaults]\ngroup = { by = ["flow"], repeat = false }\n'))
    sim.silence("flow=etl", "1h")
    for labels in (LOAD, EXTRACT):
        sim.publish(labels)
    sim.advance("59m")
    assert sim.sent == []
    sim.advance("1d")
    assert [(f"{sent.time:%H:%M}", sent.channel, len(sent.events)) for sent in sim.sent] == [("13:00", "inbox", 2)]


def test_a_silence_in_a_form_of_later_does_the_others_no_harm(shell: Shell) -> None:
    made = silence(shell, "flow=etl", "--for", "2h")
    later = json.dumps({**made, "version": SILENCE_VERSION + 1, "id": "f" * 36})
    with hub_of_2024() as (hub, _):
        assert hub.outbox is not None
        hub.outbox.store.transact(lambda tx: tx.put(Cell("silence", "f" * 36, later)))
    listed = shell("silence", "list", "--json")
    assert [s["id"] for s in json.loads(listed.stdout)] == [made["id"]]
    assert "WARNING silence 'ffffffff' hides nothing: silence of version 2; this tocsin reads up to 1" in listed.stderr
    shell.write(FAILING, "etl.py")
    assert shell("run", "etl.py", "--quiet").exit_code == 1
    assert titles(shell) == []


# ---------------------------------------------------------------- edit


def test_a_new_end_or_comment_changes_a_silence_in_place(shell: Shell) -> None:
    made = silence(shell, "flow=a", "--for", "2h")
    changed = shell.json("silence", "edit", str(made["id"]), "--until", "2099-01-01", "--comment", "longer")
    assert (changed["id"], changed["replaces"]) == (made["id"], None)
    assert (changed["ends_at"], changed["comment"]) == ("2099-01-01T00:00:00+00:00", "longer")
    assert changed["created_at"] == made["created_at"]


def test_a_duration_of_an_edit_counts_from_now(shell: Shell) -> None:
    made = silence(shell, "flow=a", "--for", "30d")
    changed = shell.json("silence", "edit", str(made["id"]), "--for", "1h")
    lasts = datetime.fromisoformat(changed["ends_at"]) - datetime.fromisoformat(str(made["created_at"]))
    assert timedelta(hours=1) <= lasts < timedelta(hours=2)
    later = silence(shell, "flow=b", "--start", "2099-01-01", "--for", "30d")
    moved = shell.json("silence", "edit", str(later["id"]), "--start", "2099-02-01", "--for", "1h")
    assert (moved["id"], moved["ends_at"]) == (later["id"], "2099-02-01T01:00:00+00:00")


def test_a_new_filter_ends_an_active_silence_and_makes_another(broken: Shell) -> None:
    made = str(silence(broken, "flow=etl", "--until", "2099-01-01")["id"])
    told = broken("silence", "edit", made[:8], "--filter", "flow=etl and task=load").stdout.splitlines()
    new = told[0].split()[1].rstrip(":")
    assert told[1:] == [
        f"it takes the place of {made[:8]}, which ends now",
        "mutes 1 open incident: #1 /etl/load",
    ]
    before, after = broken.json("silence", "list", "--all")
    assert (before["id"], before["status"]) == (made, "expired")
    assert after["id"].startswith(new)
    assert (after["filter_text"], after["ends_at"]) == ("flow=etl and task=load", "2099-01-01T00:00:00+00:00")


def test_what_a_narrower_filter_no_longer_hides_is_told(shell: Shell) -> None:
    made = str(silence(shell, "flow=etl", "--for", "2h")["id"])
    shell.write(FAILING, "etl.py")
    shell("run", "etl.py", "--quiet")
    told = shell("silence", "edit", made, "--filter", "flow=etl and task=extract").stdout
    assert told.endswith(
        "no open incident matches\n1 message is due; 'tocsin hub', 'tocsin tick' or the next run delivers\n"
    )
    shell("tick")
    assert titles(shell) == ["Failed: etl/load"]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ((), "say what to change"),
        (("--for", "1h", "--until", "2099-01-01"), "give one of them"),
        (("--filter", "flow=~.*"), "this holds for events of any sort"),
        (("--until", "2020-01-01"), "which is past"),
    ],
)
def test_an_edit_that_cannot_be_is_refused_and_changes_nothing(shell: Shell, args: tuple[str, ...], told: str) -> None:
    made = silence(shell, "flow=a", "--for", "2h")
    refused = shell("silence", "edit", str(made["id"]), *args)
    assert refused.exit_code == 2
    assert told in refused.stderr
    [left] = shell.json("silence", "list", "--all")
    assert (left["ends_at"], left["filter_text"]) == (made["ends_at"], "flow=a")


# ---------------------------------------------------------------- times and words


def test_a_time_of_day_is_the_next_one_on_the_clock() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert next_at(time(13, 1), NOON, berlin) == NOON.replace(minute=1)
    assert next_at(time(13, 0), NOON, berlin) == NOON + timedelta(days=1), "not the present moment itself"
    assert next_at(time(0, 0), NOON, ZoneInfo("Pacific/Kiritimati")) == NOON.replace(day=3, hour=10)


def test_a_time_of_day_that_comes_twice_or_never_is_found() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    evening = datetime(2026, 10, 24, 20, tzinfo=UTC)
    first = next_at(time(2, 30), evening, berlin)
    assert (first, next_at(time(2, 30), first, berlin)) == (
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
    )
    forward = datetime(2026, 3, 28, 20, tzinfo=UTC)
    assert next_at(time(2, 30), forward, berlin) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "24:00", "1:00", "18h", "2026-13-01", "2026-02-30 10:00", "now", "\u0660\u0669:\u0660\u0660"]
)
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.UsageError, match=re.escape(f"found '{text}'")):
        moment_of(text, "--until", after=NOON, timezone="UTC")


def test_a_silence_is_put_into_words_whatever_its_end() -> None:
    def words(**given: object) -> str:
        plain: dict[str, object] = {"starts_at": NOON, "ends_at": None}
        made = Silence("1a", "flow=a", "", "ann", NOON, **{**plain, **given})  # type: ignore[arg-type]
        return sentence(made, NOON, "UTC")

    assert words() == "flow=a is silent"
    assert words(until_recovered=True) == "flow=a is silent until it has recovered"
    assert words(window=Window("w", weekdays=((6, 7),))) == "flow=a is silent whenever it is Sat to Sun (UTC)"
    assert words(starts_at=NOON.replace(hour=13)) == "flow=a will be silent from 13:00:00 UTC"
    assert words(ends_at=NOON) == "flow=a was silent until 12:00:00 UTC"


def test_of_many_incidents_the_first_are_named() -> None:
    made = Silence("1a", "flow=a", "", "ann", NOON, NOON, None)
    many = [Incident(f"k{number}", NOON, number) for number in range(1, 14)]
    assert mutes(made, many, NOON).startswith("mutes 13 open incidents: #1 k1, ")
    assert mutes(made, many, NOON).endswith("#10 k10 and 3 more")


def test_how_long_may_stand_right_after_the_filter(shell: Shell) -> None:
    made = shell.json("silence", "add", "flow=etl", "2h")
    assert made == {**made, "filter_text": "flow=etl", "until_recovered": False}
    begin, end = (datetime.fromisoformat(made[name]) for name in ("starts_at", "ends_at"))
    assert end - begin == timedelta(hours=2)
    refused = shell("silence", "add", "flow=etl", "2h", "--for", "3h")
    assert refused.exit_code == 2
    assert "say once how long: '2h', or --for 3h" in refused.stderr
    assert "found 'soon'" in shell("silence", "add", "flow=etl", "soon").stderr
