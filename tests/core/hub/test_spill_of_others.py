"""The usual place of spill files is everybody's: what another user has put there is neither read nor written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tocsin.hub.spill import Spill, SpillError
from tocsin_hooks.events import Event
from tocsin_hooks.testing import sample_event

_NOBODY = 65534


def replayed(spill: Spill) -> list[str]:
    found: list[str] = []

    def store(event: Event, channels: object) -> None:
        found.append(event.id)

    spill.replay(store)
    return found


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    mine = tmp_path / "profile"
    mine.write_text("mine\n")
    (tmp_path / "t.jsonl").symlink_to(mine)
    spill = Spill(tmp_path / "t.jsonl")
    with pytest.raises(SpillError, match=r"t\.jsonl' cannot be written"):
        spill.add(sample_event(), [])
    assert mine.read_text() == "mine\n"


def test_a_pipe_in_place_of_the_file_is_no_spill_file_and_holds_up_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.jsonl")
    with pytest.raises(SpillError, match=r"t\.jsonl' cannot be written"):
        Spill(tmp_path / "t.jsonl").add(sample_event(), [])
    with pytest.raises(SpillError, match=r"another user has put it there; set TOCSIN_SPILL_DIR"):
        replayed(Spill(tmp_path / "t.jsonl"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_events_that_another_user_has_put_there_are_not_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    spill = Spill(tmp_path / "theirs" / "t.jsonl")
    event = sample_event()
    spill.add(event, [])
    os.chown(spill.path, _NOBODY, _NOBODY)
    os.chown(spill.path.parent, _NOBODY, _NOBODY)
    with pytest.raises(SpillError, match="another user"):
        replayed(spill)
    with pytest.raises(SpillError, match="another user"):
        spill.add(event, [])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("owner", [0, _NOBODY])
def test_what_a_run_of_another_user_spilled_into_a_folder_that_is_not_everybodys_is_taken_up(
    tmp_path: Path, owner: int
) -> None:
    spill = Spill(tmp_path / "spill" / "t.jsonl")
    event = sample_event()
    spill.add(event, [])
    os.chown(spill.path, _NOBODY, _NOBODY)
    os.chown(spill.path.parent, owner, owner)
    assert replayed(spill) == [event.id]
    assert not spill.holds_any
