"""A config that is changed while a hub runs: the right one is used, the wrong one announced."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tocsin.assembly import Assembly, assemble, locate
from tocsin.clock import ManualClock
from tocsin.reload import Reloader
from tocsin.simulate import event_of, moment

CONFIG = """
[store]
path = "tocsin.db"
[channels]
ops = { type = "inbox" }
mail = { type = "inbox" }
[defaults]
send = ["ops"]
"""
ROUTE = '[[routes]]\nname = "r"\nwhen = "flow=etl and is_failed"\nsend = ["mail"]\n'


class Running:
    """A hub of a config in a folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tocsin.toml"
        self.clock = ManualClock(moment("2026-03-02 12:00"))
        self.write(CONFIG)
        source = locate(self.path)
        assert source is not None
        self.assembly: Assembly = assemble(source, self.clock)
        self.assembly.hub.prepare()
        self.reloader = Reloader(self.assembly)
        self.seen: set[int] = set()

    def write(self, text: str, name: str = "tocsin.toml") -> None:
        (self.path.parent / name).write_text(text)

    def fail(self, flow: str, state: str = "Failed") -> None:
        hub = self.assembly.hub
        assert hub.outbox is not None
        hub.store_event(hub.outbox, event_of({"state": state, "flow": flow}, self.clock))

    def sent(self) -> list[str]:
        """What was planned since the last call."""
        fresh = [d for d in reversed(self.assembly.store.deliveries()) if d.number not in self.seen]
        self.seen |= {d.number for d in fresh}
        return [f"{d.route} {d.channel} {d.action} {d.event.subject}" for d in fresh]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    running.assembly.timekeeper.stop()
    running.assembly.worker.stop()
    running.assembly.store.close()


def test_a_changed_config_is_used_from_then_on(hub: Running) -> None:
    hub.fail("etl")
    assert hub.sent() == ["defaults ops open etl"]
    hub.write(CONFIG + ROUTE)
    hub.reloader.look()
    hub.fail("etl2")
    hub.fail("etl")
    assert hub.sent() == ["defaults ops open etl2", "r mail open etl"]


def test_what_was_told_by_the_old_config_recovers_under_the_new_one(hub: Running) -> None:
    hub.fail("etl")
    hub.write(CONFIG.replace('["ops"]', '["mail"]'))
    hub.reloader.look()
    hub.fail("etl", state="Success")
    assert hub.sent() == ["defaults ops open etl", "defaults ops recover etl"]


def test_a_config_that_is_wrong_is_announced_and_not_used(hub: Running) -> None:
    hub.write(CONFIG + ROUTE.replace("mail", "mial"))
    hub.reloader.look()
    assert hub.sent() == ["defaults ops open tocsin/config"]
    [told] = hub.assembly.store.deliveries()
    assert told.event.exception is not None
    assert "did you mean 'mail'?" in told.event.exception.message
    assert "tocsin.toml:" in told.event.exception.message
    hub.fail("etl")
    assert hub.sent() == ["defaults ops open etl"]


def test_a_config_that_is_right_again_ends_what_was_announced(hub: Running) -> None:
    hub.write("[[[")
    hub.reloader.look()
    hub.write(CONFIG + ROUTE)
    hub.reloader.look()
    assert hub.sent() == ["defaults ops open tocsin/config", "defaults ops recover tocsin/config"]
    hub.fail("etl")
    assert hub.sent() == ["r mail open etl"]


def test_a_config_that_is_set_back_ends_what_was_announced(hub: Running) -> None:
    hub.write("[[[")
    hub.reloader.look()
    hub.write(CONFIG)
    hub.reloader.look()
    assert hub.sent() == ["defaults ops open tocsin/config", "defaults ops recover tocsin/config"]


def test_what_is_unchanged_is_not_looked_into(hub: Running) -> None:
    before = hub.assembly.config
    hub.reloader.look()
    hub.write(CONFIG)  # touched
    hub.reloader.look()
    assert hub.assembly.config is before
    assert hub.sent() == []


def test_what_is_asked_for_is_taken_up_though_unchanged(hub: Running) -> None:
    before = hub.assembly.config
    hub.reloader.ask()
    hub.reloader.look()
    assert hub.assembly.config is not before
    assert hub.sent() == []


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said since the last call."""
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    caplog.clear()
    return said


def test_what_is_asked_for_and_unchanged_is_not_said_to_be_changed(
    hub: Running, caplog: pytest.LogCaptureFixture
) -> None:
    hub.reloader.ask()
    hub.reloader.look()
    assert logged(caplog) == [f"the config '{hub.path}' is as it was; it was read again, and stays in use"]
    hub.write(CONFIG + ROUTE)
    hub.reloader.ask()
    hub.reloader.look()
    assert logged(caplog) == [f"the config '{hub.path}' was changed and is in use now"]


def test_a_config_that_is_still_wrong_is_not_said_to_be_changed(hub: Running, caplog: pytest.LogCaptureFixture) -> None:
    hub.write("[[[")
    for _ in range(2):
        hub.reloader.ask()
        hub.reloader.look()
        [said] = logged(caplog)
        assert said.startswith("what the config says now is not used, what it said before stays in force:\n")
        assert "tocsin.toml:1:" in said


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ('hub.listen = "127.0.0.1:0"\n', "[hub] listen"),
        ("hub.allow_remote = true\n", "[hub] allow_remote"),
        ('delivery = { threads = 2, lease = "2m" }\n', "[delivery] threads, [delivery] lease"),
        ('plugins = { block = ["x"], deadline = "9s" }\n', "[plugins] block, [plugins] deadline"),
        ('plugins.allow = ["x"]\n', "[plugins] allow"),
    ],
)
def test_what_is_read_at_the_start_only_is_said_to_take_a_restart(
    hub: Running, caplog: pytest.LogCaptureFixture, change: str, keys: str
) -> None:
    late = f"{keys}: what the config says there now holds once the hub is started again"
    hub.write(change + CONFIG)
    hub.reloader.look()
    assert logged(caplog)[1:] == [late]
    hub.write(change + CONFIG + ROUTE)  # it still does
    hub.reloader.look()
    assert logged(caplog)[1:] == [late]
    hub.write(CONFIG)  # set back
    hub.reloader.look()
    assert logged(caplog) == [f"the config '{hub.path}' was changed and is in use now"]


def test_a_store_elsewhere_takes_a_restart_and_until_then_the_one_there_is_used(
    hub: Running, caplog: pytest.LogCaptureFixture
) -> None:
    hub.write(CONFIG.replace('"tocsin.db"', '"other.db"\nretention = "90d"'))
    hub.reloader.look()
    [_, late] = logged(caplog)
    assert late.startswith("[store] path, [store] retention: ")
    hub.fail("etl")
    assert hub.sent() == ["defaults ops open etl"]
    assert not (hub.path.parent / "other.db").exists()


@pytest.mark.parametrize(
    "change",
    [
        'delivery.drain = "9s"\n',
        'delivery = { heartbeat = "9s", dead_after = "30s" }\n',  # of runs, which read it at their own start
        'project = "x"\n',
    ],
)
def test_what_is_taken_up_at_once_takes_no_restart(hub: Running, caplog: pytest.LogCaptureFixture, change: str) -> None:
    hub.write(change + CONFIG)
    hub.reloader.look()
    assert logged(caplog) == [f"the config '{hub.path}' was changed and is in use now"]


def test_a_wrong_config_is_announced_once(hub: Running) -> None:
    hub.write("[[[")
    for _ in range(3):
        hub.reloader.look()
    assert hub.sent() == ["defaults ops open tocsin/config"]


def test_a_file_that_is_gone_is_announced(hub: Running) -> None:
    hub.path.unlink()
    hub.reloader.look()
    assert hub.sent() == ["defaults ops open tocsin/config"]
    hub.fail("etl")
    assert hub.sent() == ["defaults ops open etl"]


def test_an_included_file_that_changes_is_taken_up(hub: Running) -> None:
    hub.write("", "more.toml")
    hub.write('include = ["more.toml"]\n' + CONFIG)
    hub.reloader.look()
    hub.write(ROUTE, "more.toml")
    hub.reloader.look()
    hub.fail("etl")
    assert hub.sent() == ["r mail open etl"]


def test_an_included_file_that_is_missing_is_taken_up_once_it_is_there(hub: Running) -> None:
    hub.write('include = ["more.toml"]\n' + CONFIG)
    hub.reloader.look()
    assert hub.sent() == ["defaults ops open tocsin/config"]
    hub.write(ROUTE, "more.toml")
    hub.reloader.look()
    hub.fail("etl")
    assert hub.sent() == ["defaults ops recover tocsin/config", "r mail open etl"]


def test_an_included_file_that_is_wrong_for_a_while_is_taken_up_when_it_is_right(hub: Running) -> None:
    hub.write("", "more.toml")
    hub.write('include = ["more.toml"]\n' + CONFIG)
    hub.reloader.look()
    for text in ("[[[", "[[[[", ROUTE):
        hub.write(text, "more.toml")
        hub.reloader.look()
    hub.fail("etl")
    assert hub.sent()[-2:] == ["defaults ops recover tocsin/config", "r mail open etl"]


def test_the_file_of_a_template_that_changes_is_taken_up(hub: Running) -> None:
    def title() -> str:
        return hub.assembly.config.templates["t"].text or ""

    hub.write("one", "t.j2")
    hub.write(CONFIG.replace("[store]", '[templates.t]\nfile = "t.j2"\n[store]'))
    hub.reloader.look()
    assert title() == "one"
    hub.write("two, and more", "t.j2")
    hub.reloader.look()
    assert title() == "two, and more"


def test_a_group_that_waits_goes_on_under_the_new_config(hub: Running) -> None:
    grouped = CONFIG + 'group = { by = ["flow"], wait = "1m" }\n'
    hub.write(grouped)
    hub.reloader.look()
    hub.fail("etl")
    hub.write(grouped + ROUTE)
    hub.reloader.look()
    hub.clock.advance(60)
    hub.assembly.hub.tick()
    assert hub.sent() == ["defaults ops open etl"]


def test_a_new_inhibition_counts_for_what_is_open(hub: Running) -> None:
    hub.fail("ping")
    hub.write(CONFIG + '[[inhibit]]\nname = "i"\nsource = "flow=ping"\ntarget = "flow=etl"\n')
    hub.reloader.look()
    hub.fail("etl")
    assert hub.sent() == ["defaults ops open ping"]


def test_a_watch_that_is_taken_out_ends_its_alarm(hub: Running) -> None:
    watch = '[[watch]]\nname = "w"\nflow = "etl"\nkind = "missed"\nevery = "1h"\n'
    hub.write(CONFIG + watch)
    hub.reloader.look()
    hub.clock.advance(2 * 3600)
    hub.assembly.hub.tick()
    hub.write(CONFIG)
    hub.reloader.look()
    assert [line.split()[2] for line in hub.sent()] == ["open", "recover"]
