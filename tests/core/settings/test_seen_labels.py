"""What history has seen tells which label was meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tocsin.assembly import problems
from tocsin.clock import ManualClock
from tocsin.settings import find
from tocsin.simulate import event_of
from tocsin.store.sqlite import SqliteStore

Checked = Callable[..., list[str]]

HEAD = "[channels.ops]\ntype='inbox'\n[defaults]\nsend=['ops']\n[[routes]]\n"


@pytest.fixture
def checked(tmp_path: Path) -> Checked:
    """`checked(when, labels, ...)`: what is said of a filter, where events with these labels are in history."""

    def run(when: str, *events: dict[str, object]) -> list[str]:
        clock = ManualClock()
        if events:
            store = SqliteStore(tmp_path / "tocsin.db")
            for labels in events:
                event = event_of({"id": clock.new_id(), "state": "Failed", "flow": "etl", **labels}, clock)
                store.transact(lambda tx, event=event: tx.add_event(event))  # type: ignore[misc]
            store.close()
        path = tmp_path / "tocsin.toml"
        path.write_text(f"{HEAD}{when}\n", encoding="utf-8")
        source = find(path, environ={}, cwd=tmp_path)
        assert source is not None
        return [f"{each.code} {each.message}" for each in problems(source)]

    return run


OWNED = {"params": {"owner": "kim", "day": "mon"}}


def test_a_parameter_that_history_never_saw_is_told_with_the_nearest(checked: Checked) -> None:
    assert checked("when='params.ownr=kim'", OWNED) == [
        "W906 no event in history has the parameter 'params.ownr'; did you mean 'params.owner'?"
    ]


def test_where_none_is_near_all_parameters_of_history_are_named(checked: Checked) -> None:
    assert checked("when='params.region=eu'", OWNED) == [
        "W906 no event in history has the parameter 'params.region'; those in history: params.day, params.owner"
    ]


@pytest.mark.parametrize("when", ["params.owner=kim", "params.owner.name=kim", "params.day=mon and is_failed"])
def test_a_parameter_that_history_saw_is_nothing_to_tell(checked: Checked, when: str) -> None:
    assert checked(f"when='{when}'", OWNED) == []


def test_without_history_any_parameter_may_be_meant(checked: Checked) -> None:
    assert checked("when='params.ownr=kim'") == []
    assert checked("when='params.ownr=kim'", {"params": {}}) == []


def test_an_unknown_label_is_told_with_the_parameter_of_that_name(checked: Checked) -> None:
    for written in ("owner", "ownr"):
        [line] = checked(f"when='{written}=kim'", OWNED)
        assert line.startswith(f"W906 label '{written}' is none of tocsin's; ")
        assert line.endswith("; did you mean 'params.owner'?")


def test_an_own_label_that_history_saw_is_known(checked: Checked) -> None:
    assert checked("when='team=data'", {"team": "data"}) == []


def test_a_misspelt_label_of_history_is_told_with_the_one_that_is_there(checked: Checked) -> None:
    assert checked("when='regoin=eu'", {"region": "eu"}) == [
        "W906 label 'regoin' is none of tocsin's; it matches once something adds it; did you mean 'region'?"
    ]


def test_what_history_saw_is_known_in_lists_of_labels_too(checked: Checked) -> None:
    assert checked("group={by=['params.ownr']}", OWNED)[0].endswith("did you mean 'params.owner'?")


def test_checking_changes_nothing_and_makes_no_store(checked: Checked, tmp_path: Path) -> None:
    checked("when='team=data'")
    assert [path.name for path in tmp_path.iterdir()] == ["tocsin.toml"]
    (tmp_path / "tocsin.db").write_text("no database")
    assert checked("when='params.ownr=kim'") == []
    assert (tmp_path / "tocsin.db").read_text() == "no database"


def test_a_watch_of_a_flow_that_history_never_saw_is_told_with_the_nearest(checked: Checked) -> None:
    watch = "when='is_failed'\n[[watch]]\nname='w'\nflow='ledgr'\nkind='missed'\nevery='1h'"
    unseen = "W920 watch 'w' is for flow 'ledgr', and no event in history is of it"
    assert checked(watch) == []
    assert checked(watch, {"flow": "ledger"}, {"flow": "etl"}) == [f"{unseen}; did you mean 'ledger'?"]


def test_a_watch_of_a_flow_that_history_saw_is_fine(checked: Checked) -> None:
    watch = "when='is_failed'\n[[watch]]\nname='w'\nflow='ledger'\nkind='missed'\nevery='1h'"
    assert checked(watch, {"flow": "ledger"}) == []


def test_flows_that_history_saw_are_not_taken_for_labels(checked: Checked) -> None:
    assert checked("when='\"flow=etl\"=x'", {"flow": "etl"}) == [
        "W906 label 'flow=etl' is none of tocsin's; it matches once something adds it"
    ]
