"""Results in files: where they go, what is read back, and what a failing write leaves behind."""

from __future__ import annotations

import os
import pickle
import stat
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from tocsin.flows.context import context
from tocsin.options import set_temporary_config
from tocsin.results import LocalResult, Result
from tocsin.serializers import JSONSerializer, PickleSerializer, Serializer


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


class Broken(Serializer):
    def serialize(self, value: Any) -> bytes:
        raise ValueError("no room")


def test_a_value_written_is_read_back_by_another_result_for_the_folder(tmp_path: Path) -> None:
    written = LocalResult(dir=tmp_path, location="rows.pickle").write({"rows": [1, 2]})
    assert written.value == {"rows": [1, 2]}
    assert written.location == str(tmp_path / "rows.pickle")
    assert LocalResult(dir=str(tmp_path)).read("rows.pickle").value == {"rows": [1, 2]}
    assert LocalResult(dir=tmp_path / "elsewhere").read(str(tmp_path / "rows.pickle")).value == {"rows": [1, 2]}


def test_the_one_who_writes_stays_as_it_was(tmp_path: Path) -> None:
    template = LocalResult(dir=tmp_path, location="{name}.txt")
    template.write(1, name="a")
    template.read("a.txt")
    assert (template.value, template.location) == (None, "{name}.txt")


def test_the_location_is_a_template_and_its_folders_are_made(tmp_path: Path) -> None:
    result = LocalResult(dir=tmp_path, location="{flow}/{day:%Y-%m}/{n:03}.txt", serializer=JSONSerializer())
    import datetime as dt

    result.write([7], flow="etl", day=dt.date(2024, 2, 29), n=7)
    assert (tmp_path / "etl" / "2024-02" / "007.txt").read_text() == "[7]"
    assert result.exists("{flow}/2024-02/{n:03}.txt", flow="etl", n=7)
    assert not result.exists("{flow}/2024-02/{n:03}.txt", flow="etl", n=8)


def test_the_location_may_be_a_function(tmp_path: Path) -> None:
    result = LocalResult(dir=tmp_path, location=lambda **values: f"{values['task_name']}-{len(values)}")
    assert result.location is None
    assert result.write(1, task_name="load", other=2).location == str(tmp_path / "load-2")


def test_a_location_given_later_wins_over_the_function(tmp_path: Path) -> None:
    result = LocalResult(dir=tmp_path, location=lambda **_: "made")
    result.location = "{name}"
    assert result.write(1, name="given").location == str(tmp_path / "given")
    assert result.from_value(2).format().location == "made"


def test_arguments_of_a_template_may_have_any_name(tmp_path: Path) -> None:
    result = LocalResult(dir=tmp_path, location="{value_}-{self}-{value}")
    assert result.write(1, value_="a", self="b", value="c").location == str(tmp_path / "a-b-c")
    assert result.format(value_="a", self="b", value="c").location == "a-b-c"


def test_a_template_without_its_value_says_which(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="today"):
        LocalResult(dir=tmp_path, location="{today}").write(1, tomorrow=2)
    assert list(tmp_path.iterdir()) == []


def test_braces_in_a_location_are_text_when_nothing_is_filled_in(tmp_path: Path) -> None:
    (tmp_path / "{a}").write_bytes(pickle.dumps(1))
    assert LocalResult(dir=tmp_path).exists("{a}")
    assert LocalResult(dir=tmp_path).read("{a}").value == 1


def test_without_a_location_each_value_has_a_file_of_its_own(tmp_path: Path) -> None:
    result = LocalResult(dir=tmp_path)
    places = {result.write(number).location for number in range(20)}
    assert len(places) == len(list(tmp_path.iterdir())) == 20
    assert all(place and Path(place).parent == tmp_path for place in places)


def test_the_default_folder_is_in_the_home_of_the_config(home: Path) -> None:
    with set_temporary_config({"home_dir": str(home)}):
        assert LocalResult().dir == str(home / "results")
    assert (home / "results").is_dir()
    with context(config={"home_dir": str(home / "other")}):
        assert LocalResult().dir == str(home / "other" / "results")


def test_an_unvalidated_folder_is_taken_as_it_stands_and_made_by_the_first_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = LocalResult(dir="some/where", validate_dir=False, location="x")
    assert result.dir == "some/where"
    assert not Path("some").exists()
    result.write(3)
    assert LocalResult(dir=tmp_path / "some" / "where").read("x").value == 3


def test_a_relative_folder_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert LocalResult(dir="below").dir == str(tmp_path / "below")


def test_a_missing_file_does_not_exist_and_cannot_be_read(tmp_path: Path) -> None:
    assert not LocalResult(dir=tmp_path).exists("nothing")
    with pytest.raises(FileNotFoundError):
        LocalResult(dir=tmp_path).read("nothing")


def test_a_value_that_cannot_be_serialized_leaves_the_earlier_file(tmp_path: Path) -> None:
    LocalResult(dir=tmp_path, location="x", serializer=JSONSerializer()).write([1])
    with pytest.raises(ValueError, match="no room"):
        LocalResult(dir=tmp_path, location="x", serializer=Broken()).write([2])
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "[1]"


def test_a_place_that_cannot_be_taken_leaves_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(OSError, match="x"):
        LocalResult(dir=tmp_path, location="x").write(1)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    LocalResult(dir=tmp_path, location="x").write(1)
    (tmp_path / "y").write_bytes(b"")
    modes = {stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("x", "y")}  # noqa: PTH116
    assert len(modes) == 1


def test_results_survive_pickling_with_their_function(tmp_path: Path) -> None:
    result = LocalResult(dir=tmp_path, location=lambda **values: f"{values['n']}.txt", serializer=JSONSerializer())
    again = pickle.loads(cloudpickle.dumps(result))
    assert again.write([1], n=1).location == str(tmp_path / "1.txt")
    plain = LocalResult(dir=tmp_path, location="x", value=3)
    assert pickle.loads(pickle.dumps(plain)) == plain


def test_results_are_equal_when_class_value_place_and_serializer_are(tmp_path: Path) -> None:
    result = LocalResult(dir=tmp_path, location="x", value=1)
    assert result == LocalResult(dir=tmp_path, location="x", value=1, serializer=PickleSerializer())
    assert result != LocalResult(dir=tmp_path, location="x", value=2)
    assert result != LocalResult(dir=tmp_path, location="y", value=1)
    assert result != LocalResult(dir=tmp_path / "b", location="x", value=1)
    assert result != LocalResult(dir=tmp_path, location="x", value=1, serializer=JSONSerializer())
    assert result != Result(1, "x")


def test_a_path_is_a_location(tmp_path: Path) -> None:
    assert LocalResult(dir=tmp_path, location=Path("a") / "{n}").write(1, n=2).location == str(tmp_path / "a" / "2")
