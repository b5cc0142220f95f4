"""What the spill file took survives, and comes back in order."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tocsin.hub.spill import Spill, SpillError, spill_path
from tocsin_hooks.events import Event
from tocsin_hooks.testing import sample_event


class Taken(list):
    def __call__(self, event: Event, channels: Sequence[str]) -> None:
        self.append((event.id, list(channels)))


@pytest.fixture
def spill(tmp_path: Path) -> Spill:
    return Spill(tmp_path / "folder" / "events.jsonl")


def test_events_come_back_in_order_with_their_channels_and_once(spill: Spill) -> None:
    spill.add(sample_event(id="a"), [])
    spill.add(sample_event(id="b", message="ünï\ncode"), ["ops"])
    taken = Taken()
    spill.replay(taken)
    assert taken == [("a", []), ("b", ["ops"])]
    spill.replay(taken)
    assert len(taken) == 2


def test_what_the_store_still_refuses_stays_for_the_next_replay(spill: Spill) -> None:
    spill.add(sample_event(id="a"), [])

    def refuse(event: Event, channels: Sequence[str]) -> None:
        raise RuntimeError("still full")

    with pytest.raises(RuntimeError):
        spill.replay(refuse)
    spill.add(sample_event(id="b"), [])
    taken = Taken()
    spill.replay(taken)
    spill.replay(taken)
    assert [name for name, _ in taken] == ["a", "b"]


def test_a_line_that_was_never_finished_is_passed_over(spill: Spill) -> None:
    spill.add(sample_event(id="a"), [])
    with spill.path.open("a") as file:
        file.write('{"event": {"id": "torn')
    taken = Taken()
    spill.replay(taken)
    assert [name for name, _ in taken] == ["a"]


def test_the_file_is_bounded_and_says_so(tmp_path: Path) -> None:
    spill = Spill(tmp_path / "events.jsonl", capacity=3000)
    spill.add(sample_event(), [])
    spill.add(sample_event(), [])
    with pytest.raises(SpillError, match=r"is full \(3000 bytes\)"):
        spill.add(sample_event(), [])


def test_nobody_else_can_read_it(spill: Spill) -> None:
    spill.add(sample_event(), [])
    assert spill.path.stat().st_mode & 0o077 == 0


def test_two_stores_do_not_share_a_spill_file_and_it_is_not_beside_the_store(tmp_path: Path) -> None:
    one, two = spill_path(tmp_path / "a" / "tocsin.db"), spill_path(tmp_path / "b" / "tocsin.db")
    assert one != two
    assert one == spill_path(tmp_path / "a" / "tocsin.db")
    assert one.parent != tmp_path / "a"
