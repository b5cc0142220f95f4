"""What may happen to a spill file: writers that die, texts of any sort, a full disk, several that give back at once."""

from __future__ import annotations

import json
import os
import resource
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tocsin.hub.spill import Spill
from tocsin_hooks.events import Event
from tocsin_hooks.testing import sample_event


@pytest.fixture
def spill(tmp_path: Path) -> Spill:
    return Spill(tmp_path / "folder" / "events.jsonl")


def given_back(spill: Spill) -> list[str]:
    taken: list[str] = []
    spill.replay(lambda event, _: taken.append(event.id))
    return taken


def test_an_event_after_a_line_that_was_never_finished_is_not_spoilt_by_it(spill: Spill) -> None:
    spill.add(sample_event(id="a"), [])
    with spill.path.open("ab") as file:
        file.write('{"event": {"id": "torn ü'.encode()[:-1])
    spill.add(sample_event(id="b"), [])
    spill.add(sample_event(id="c"), [])
    assert given_back(spill) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "text", ["a\u2028b", "a\u2029b", "a\x85b", "a\x0bb\x0cc\x1cd", "a\r\nb", "\ud800", "\x00", "🔔"]
)
def test_no_character_of_a_text_ends_its_line(spill: Spill, text: str) -> None:
    spill.add(sample_event(id="a", message=text), [])
    spill.add(sample_event(id="b"), [])
    assert given_back(spill) == ["a", "b"]


def test_an_event_of_which_only_a_part_fits_on_the_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    spill = Spill(tmp_path / "events.jsonl")
    spill.add(sample_event(id="a"), [])
    size = spill.path.stat().st_size
    if (pid := os.fork()) == 0:
        code = 1
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, size + 100))
            spill.add(sample_event(id="b"), [])
        except Exception as error:
            code = 0 if "cannot be written" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert spill.path.stat().st_size == size
    spill.add(sample_event(id="c"), [])
    assert given_back(spill) == ["a", "c"]


def test_what_is_added_while_others_give_back_comes_back_sooner_or_later(spill: Spill) -> None:
    names = [[f"{n}-{i}" for i in range(40)] for n in range(4)]
    taken: list[str] = []
    adding = threading.Event()

    def add(mine: Sequence[str]) -> None:
        for name in mine:
            Spill(spill.path).add(sample_event(id=name), [])

    def give_back() -> None:
        while not adding.is_set():
            Spill(spill.path).replay(lambda event, _: taken.append(event.id))

    adders = [threading.Thread(target=add, args=(mine,)) for mine in names]
    givers = [threading.Thread(target=give_back) for _ in range(3)]
    for thread in adders + givers:
        thread.start()
    for thread in adders:
        thread.join()
    adding.set()
    for thread in givers:
        thread.join()
    taken += given_back(spill) + given_back(spill)
    assert set(taken) == {name for mine in names for name in mine}


def test_a_line_of_another_sort_is_passed_over(spill: Spill) -> None:
    spill.add(sample_event(id="a"), [])
    with spill.path.open("a") as file:
        for odd in ("[]", "null", "7", '"text"', "{}", json.dumps({"event": None, "channels": []}), "", "{"):
            file.write(odd + "\n")
    spill.add(sample_event(id="b"), [])
    assert given_back(spill) == ["a", "b"]


def test_an_event_keeps_its_place_among_the_events_of_a_file(spill: Spill) -> None:
    def refuse(event: Event, channels: Sequence[str]) -> None:
        raise RuntimeError("still full")

    spill.add(sample_event(id="a"), [])
    with pytest.raises(RuntimeError):
        spill.replay(refuse)
    spill.add(sample_event(id="b"), [])
    assert given_back(spill) + given_back(spill) == ["a", "b"]
