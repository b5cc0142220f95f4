"""Whatever a plugin puts into a receipt or an error, what is made of it can be stored and reckoned with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tocsin.delivery.isolated import answer
from tocsin.delivery.sound import plain_receipt, sound
from tocsin.delivery.wire import message_to_dict
from tocsin_hooks.messages import Message, Reason, Receipt, SendError
from tocsin_hooks.testing import sample_message


class _NoParent(SendError):
    def __init__(self) -> None:
        """Forget the parent."""


class _Computed(SendError):
    def __getattribute__(self, name: str) -> Any:
        if name == "detail":
            raise RuntimeError("no detail")
        return super().__getattribute__(name)


class _Several:
    def __bool__(self) -> bool:
        raise ValueError("the truth of an array is ambiguous")


class _Raising(Mapping[str, str]):
    def __getitem__(self, key: str) -> str:
        raise RuntimeError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(("ts",))

    def __len__(self) -> int:
        return 1


def test_a_wait_of_thousands_of_digits_is_no_wait_and_the_error_counts_all_the_same() -> None:
    mended = sound(SendError(Reason.RATE_LIMITED, "later", retry_after=10**400))
    assert (mended.reason, mended.detail, mended.retry_after) == (Reason.RATE_LIMITED, "later", None)


def test_an_error_that_has_nothing_of_its_parent_is_one_of_the_plugin() -> None:
    mended = sound(_NoParent())
    assert (mended.reason, mended.permanent, mended.retry_after) == (Reason.PLUGIN, False, None)
    assert "unknown reason" in mended.detail


def test_an_error_whose_text_cannot_be_had_keeps_its_reason() -> None:
    mended = sound(_Computed(Reason.SERVER, retry_after=3))
    assert (mended.reason, mended.detail, mended.retry_after) == (Reason.SERVER, "", 3.0)


def test_what_is_neither_true_nor_false_is_false() -> None:
    odd: Any = _Several()
    mended = sound(SendError(Reason.SERVER, "x", unknown=odd))
    assert (mended.reason, mended.permanent, mended.unknown) == (Reason.SERVER, False, False)


def test_a_receipt_whose_reference_cannot_be_read_is_a_receipt_without_one() -> None:
    assert plain_receipt(Receipt("ok", _Raising())) == Receipt("ok", {})


def test_of_a_reference_without_end_the_start_is_kept() -> None:
    kept = plain_receipt(Receipt("ok", {str(n): "x" * 5000 for n in range(1000)})).reference
    assert len(kept) == 50
    assert kept["49"] == "x" * 2000


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SendError(Reason.RATE_LIMITED, retry_after=10**400), "rate_limited"),
        (_NoParent(), "plugin"),
        (_Computed(Reason.SERVER), "server"),
    ],
)
def test_a_process_of_a_channels_own_outlives_such_errors(error: SendError, reason: str) -> None:
    class Odd:
        def send(self, message: Message, previous: Receipt | None = None) -> Receipt:
            raise error

    said = answer(Odd(), {"message": message_to_dict(sample_message())})
    assert said["error"]["reason"] == reason
