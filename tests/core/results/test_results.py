"""Results that store nothing of their own, and what all results have in common."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from tocsin import results
from tocsin.results import ConstantResult, JSONResult, NoResult, NoResultType, PrefectResult, Result, SecretResult
from tocsin.serializers import JSONSerializer, PickleSerializer
from tocsin_hooks.states import Success


class Vault:
    """A task that fetches secrets."""

    name = "API_KEY"

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    def run(self, name: str | None = None) -> str:
        self.asked.append(name)
        return f"value of {name}"


def test_a_plain_result_holds_a_value_and_nothing_else() -> None:
    result = Result()
    assert (result.value, result.location, result.serializer) == (None, None, PickleSerializer())
    assert Result(3) == Result(value=3) != Result(4)
    assert repr(Result([1])) == "<Result: [1]>"
    assert Result(1, "place", JSONSerializer()).serializer == JSONSerializer()


def test_a_state_hands_out_its_value_wrapped_by_this_class() -> None:
    assert Success(result=3)._result == Result(3)
    assert Success(result=Result(3)).result == 3


@pytest.mark.parametrize(
    "call", [lambda r: r.exists("x"), lambda r: r.read("x"), lambda r: r.write(1)], ids=["exists", "read", "write"]
)
def test_a_plain_result_says_that_it_stores_nothing(call: Any) -> None:
    with pytest.raises(NotImplementedError, match=r"Result stores nothing .* use LocalResult"):
        call(Result(3))


def test_a_location_is_text_or_a_function() -> None:
    with pytest.raises(TypeError, match="location of a result is 3"):
        Result(location=3)  # type: ignore[arg-type]
    assert Result(location=str.format).location is None


def test_format_settles_a_copy() -> None:
    template = Result(1, "{a}-{b[0]}")
    settled = template.format(a=1, b="xyz", unused=None)
    assert (settled.location, settled.value, template.location) == ("1-x", 1, "{a}-{b[0]}")
    assert Result(location=lambda a, **_: f"<{a}>").format(a=5, b=6).location == "<5>"


def test_format_without_a_location_finds_one_that_nothing_else_has() -> None:
    first, second = Result().format(), Result().format()
    assert first.location
    assert second.location
    assert first.location != second.location


def test_from_value_keeps_everything_but_the_place() -> None:
    result = Result(1, "place", JSONSerializer())
    new = result.from_value(2)
    assert (new.value, new.location, new.serializer) == (2, None, JSONSerializer())
    assert (result.value, result.location) == (1, "place")
    from_function = Result(location=lambda **_: "made").from_value(2)
    assert from_function.format().location == "made"


def test_copies_are_equal_and_apart() -> None:
    result = Result([1], "place")
    new = result.copy()
    new.location = "other"
    assert (result.location, new.value) == ("place", [1])


def test_no_result_is_one_object_for_ever() -> None:
    assert NoResultType() is NoResult
    assert pickle.loads(pickle.dumps(NoResult)) is NoResult
    assert copy.deepcopy(NoResult) is NoResult
    assert NoResult.copy() is NoResult
    assert NoResult != Result(None)
    assert repr(NoResult) == "<No result>"
    assert NoResult.value is None


# ---------------------------------------------------------------- the value as location


def test_plain_data_is_its_own_location() -> None:
    written = PrefectResult().write({"a": [1, None]}, unused="x")
    assert (written.value, written.location) == ({"a": [1, None]}, '{"a": [1, null]}')
    assert PrefectResult().read('{"a": [1, null]}').value == {"a": [1, None]}
    assert PrefectResult(value=3) == JSONResult(value=3)


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        PrefectResult().write({1, 2})


@pytest.mark.parametrize(("location", "there"), [("[1]", True), ("null", True), ("[1", False), ("", False)])
def test_plain_data_exists_when_it_can_be_read(location: str, there: bool) -> None:
    assert PrefectResult().exists(location, a=1) is there


# ---------------------------------------------------------------- constants and secrets


def test_a_constant_is_there_and_is_not_written() -> None:
    result = ConstantResult(value=5)
    assert result.exists("anywhere", a=1)
    assert result.read("anywhere").value == 5
    with pytest.raises(ValueError, match="Cannot write"):
        result.write(6)
    assert pickle.loads(pickle.dumps(result)) == result


def test_a_secret_is_fetched_anew_by_each_read() -> None:
    vault = Vault()
    result = SecretResult(vault)
    assert (result.location, result.value) == ("API_KEY", None)
    assert result.read("OTHER").value == "value of OTHER"
    assert result.read("API_KEY").location == "API_KEY"
    assert vault.asked == ["OTHER", "API_KEY"]
    with pytest.raises(ValueError, match="Cannot write"):
        result.write("x")


def test_a_secret_is_not_shown() -> None:
    assert repr(SecretResult(Vault()).read("API_KEY")) == "<SecretResult: name 'API_KEY'>"


def test_the_package_offers_what_prefect_1_does() -> None:
    wanted = {"AzureResult", "ConstantResult", "GCSResult", "LocalResult", "PrefectResult", "S3Result", "SecretResult"}
    assert wanted <= set(results.__all__)
