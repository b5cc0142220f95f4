from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from support.operated import EXTRACT, FETCH, LOAD, happen, hub_of_2024
from support.shell import CONFIG, WALL, Shell
from tocsin.assembly import assemble, locate
from tocsin.simulate import event_of
from tocsin.store.records import StoreError

GROUPED = CONFIG.replace(
    "[defaults]\n", '[defaults]\ngroup = { by = ["flow", "task"], wait = "10s", repeat = false }\n'
)


@pytest.fixture
def grouped(shell: Shell) -> Shell:
    """A folder where two groups have waited for their first message since 2024."""
    shell.write(GROUPED)
    happen(LOAD, FETCH)
    assert shell.json("deliveries") == []
    return shell


def titles(shell: Shell) -> list[str]:
    return sorted(item["title"] for item in shell.json("inbox"))


def test_what_became_due_is_told_and_delivered(grouped: Shell) -> None:
    result = grouped("tick")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("2 timers, 2 messages sent; n")
    assert [("load" in title, "fetch" in title) for title in titles(grouped)] == [(True, False), (False, True)]
    assert {d["status"] for d in grouped.json("deliveries")} == {"delivered"}


def test_a_second_tick_does_nothing_again(grouped: Shell) -> None:
    assert grouped.json("tick")["sent"] == 2
    again = grouped.json("tick")
    assert (again["timers"], again["sent"], again["left"]) == (0, 0, 0)
    assert len(titles(grouped)) == 2


def test_where_nothing_ever_happened_nothing_waits(shell: Shell) -> None:
    assert shell("tick").stdout == "0 timers, 0 messages sent; nothing waits\n"
    assert shell.json("tick") == {"timers": 0, "sent": 0, "failed_tries": 0, "dead": 0, "left": 0, "next_due": None}


def test_a_group_is_not_told_before_its_time(shell: Shell) -> None:
    shell.write(GROUPED.replace('"10s"', '"1h"'))
    source = locate()
    assert source is not None
    assembly = assemble(source)
    assert assembly.hub.outbox is not None
    with hub_of_2024() as (_, clock):
        event = event_of({**LOAD, "time": assembly.clock.now()}, clock)
    assembly.hub.store_event(assembly.hub.outbox, event)
    due = assembly.hub.next_due()
    assembly.timekeeper.stop()
    assembly.store.close()
    done = shell.json("tick")
    assert (done["timers"], done["sent"]) == (0, 0)
    assert due is not None
    assert done["next_due"] == due.isoformat()
    assert titles(shell) == []
    assert "0 messages sent; next at " in shell("tick").stdout


def test_a_watch_that_nobody_kept_is_told_of(shell: Shell) -> None:
    shell.write(
        CONFIG + '[[watch]]\nname = "ledger"\nkind = "missed"\nflow = "ledger"\nevery = "1d"\nsend = ["inbox"]\n'
    )
    happen()
    done = shell.json("tick")
    assert (done["timers"], done["sent"]) == (1, 1)
    assert done["next_due"] is not None
    assert "ledger" in titles(shell)[0]


def test_what_waits_in_the_spill_file_is_stored_and_delivered(shell: Shell) -> None:
    with hub_of_2024() as (hub, clock):
        assert hub.outbox is not None
        hub.outbox.spill.add(event_of(LOAD, clock), [])
    assert shell.json("tick")["sent"] == 1
    assert titles(shell) == ["Failed: etl/load"]
    assert list((shell.folder / "spill").iterdir()) == []


def test_a_tick_fails_when_something_is_dead(shell: Shell, install: Callable[[str, str], None]) -> None:
    install("tocsin_wall", WALL)
    shell.write(GROUPED.replace('["inbox"]', '["wall"]') + '[channels.wall]\ntype = "wall"\n')
    happen(LOAD)
    result = shell("tick")
    assert result.exit_code == 1
    assert result.stdout.startswith("1 timer, 0 messages sent, 1 dead; n")
    assert shell("tick").exit_code == 0, "what was dead before is no news"


def test_what_is_tried_again_later_is_no_failure_and_is_what_comes_next(
    shell: Shell, install: Callable[[str, str], None]
) -> None:
    install("tocsin_wall", WALL.replace("Reason.AUTH", "Reason.SERVER").replace(", permanent=True", ""))
    channel = '[channels.wall]\ntype = "wall"\nretry = { first = "30m", max = "1h" }\n'
    shell.write(GROUPED.replace('["inbox"]', '["wall"]') + channel)
    happen(LOAD)
    done = shell.json("tick")
    assert (done["sent"], done["failed_tries"], done["dead"], done["left"]) == (0, 1, 0, 0)
    [delivery] = shell.json("deliveries")
    assert (delivery["status"], done["next_due"]) == ("pending", delivery["due_at"])


def test_a_store_that_cannot_be_used_is_an_error(shell: Shell) -> None:
    shell.write("in the way", "file")
    shell.write(CONFIG + '[store]\npath = "file/tocsin.db"\n')
    result = shell("tick")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")


# ---------------------------------------------------------------- several at once


def test_two_processes_that_tick_at_once_send_nothing_twice(shell: Shell) -> None:
    shell.write(GROUPED)
    happen(*({**LOAD, "task": f"task{number}"} for number in range(40)), EXTRACT)
    command = [sys.executable, "-m", "tocsin.cli", "tick", "--json"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    done = [json.loads(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum(each["sent"] for each in done) == 41
    assert len(shell.json("inbox", "--limit", "100")) == 41
    assert {d["status"] for d in shell.json("deliveries", "--limit", "100")} == {"delivered"}


def test_two_hubs_whose_timers_are_due_at_once_plan_everything_once(shell: Shell) -> None:
    shell.write(GROUPED)
    happen(*({**LOAD, "task": f"task{number}"} for number in range(40)))
    start = threading.Barrier(2)
    planned: list[str] = []
    problems: list[StoreError] = []

    def tick() -> None:
        source = locate()
        assert source is not None
        assembly = assemble(source)
        start.wait()
        try:
            planned.extend(sent.id for result in assembly.hub.tick() for sent in result.sent)
        except StoreError as error:
            problems.append(error)
        finally:
            assembly.worker.stop()
            assembly.timekeeper.stop()
            assembly.store.close()

    threads = [threading.Thread(target=tick) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(planned) == len(set(planned)) == 40
