"""When a failed delivery is tried again."""

from datetime import timedelta

import pytest

from tocsin.delivery.backoff import Backoff
from tocsin_hooks.messages import Reason, SendError

POLICY = Backoff(first=timedelta(seconds=2), cap=timedelta(seconds=10), attempts=6, give_up=timedelta(hours=1))
NOTHING = timedelta(0)


def seconds(wait: timedelta | None) -> float | None:
    return None if wait is None else wait.total_seconds()


def test_waits_double_up_to_the_cap_and_end_after_the_last_try() -> None:
    assert [seconds(POLICY.wait(n, jitter=0)) for n in range(1, 8)] == [2, 4, 8, 10, 10, None, None]


def test_chance_adds_at_most_a_tenth() -> None:
    assert seconds(POLICY.wait(1, jitter=1)) == pytest.approx(2.2)


@pytest.mark.parametrize(("asked", "waits"), [(30, 30), (1, 2), (0, 2), (-5, 2), (10**9, 3600)])
def test_a_service_is_not_asked_again_sooner_than_it_says_within_bounds(asked: float, waits: float) -> None:
    policy = Backoff(first=timedelta(seconds=2), give_up=timedelta(hours=6))
    error = SendError(Reason.RATE_LIMITED, retry_after=asked)
    assert seconds(policy.after(error, 1, NOTHING, jitter=0)) == waits


def test_what_a_service_asks_for_can_be_ignored() -> None:
    policy = Backoff(first=timedelta(seconds=2), honor_retry_after=False)
    assert seconds(policy.after(SendError(Reason.RATE_LIMITED, retry_after=30), 1, NOTHING, jitter=0)) == 2


@pytest.mark.parametrize("error", [SendError(Reason.CLIENT, permanent=True), SendError(Reason.GONE, disable=True)])
def test_what_cannot_succeed_is_not_tried_again(error: SendError) -> None:
    assert POLICY.after(error, 1, NOTHING, jitter=0) is None


def test_a_delivery_is_given_up_when_its_next_try_would_come_too_late() -> None:
    error = SendError(Reason.SERVER)
    assert POLICY.after(error, 1, timedelta(minutes=59, seconds=58), jitter=0) is not None
    assert POLICY.after(error, 1, timedelta(minutes=59, seconds=59), jitter=0) is None


def test_a_policy_without_end_does_not_overflow() -> None:
    policy = Backoff(attempts=10**6, cap=timedelta(days=1), give_up=timedelta(days=10**6))
    assert policy.wait(10**5, jitter=1) == timedelta(days=1) * 1.1
