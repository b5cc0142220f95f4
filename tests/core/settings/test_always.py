"""Windows that leave no moment in which a route tells anything."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Said = Callable[..., list[str]]

ROUTE = "[channels.ops]\ntype='console'\n[[routes]]\nname='r'\nwhen='is_failed'\nsend=['ops']\n"


def muted(said: Said, *windows: str, zones: tuple[str, ...] = ("UTC",) * 9) -> list[str]:
    names = [f"w{place}" for place in range(len(windows))]
    tables = "".join(
        f"[windows.{name}]\ntimezone='{zone}'\n{window}\n"
        for name, zone, window in zip(names, zones, windows, strict=False)
    )
    return [line for line in said(f"{ROUTE}mute={names}\n{tables}") if " E" in line]


@pytest.mark.parametrize(
    "windows",
    [
        ("weekdays=['mon:fri']", "weekdays=['sat:sun']"),
        ("times=['08:00-18:00']", "times=['18:00-08:00']"),
        ("times=['08:00-18:00']\nweekdays=['mon:fri']", "times=['18:00-08:00']", "weekdays=['sun', 'sat']"),
        ("weekdays=['fri:mon']", "weekdays=['tue:thu']", "days=['1']"),
    ],
)
def test_windows_of_which_one_is_always_open_are_refused(said: Said, windows: tuple[str, ...]) -> None:
    [line] = muted(said, *windows)
    assert " E313 route 'r' mute: one of the windows w0, w1" in line


@pytest.mark.parametrize(
    "windows",
    [
        ("weekdays=['mon:fri']", "weekdays=['sat']"),
        ("times=['08:00-18:00']", "times=['18:00-07:59']"),
        # Sunday's night goes on until Monday morning, and none of these is open then
        ("times=['18:00-08:00']\nweekdays=['mon:fri']", "times=['08:00-18:00']", "weekdays=['sun', 'sat']"),
        ("weekdays=['mon:fri']", "weekdays=['sat:sun']\nmonths=['jan:nov']"),
    ],
)
def test_windows_that_leave_a_moment_are_not(said: Said, windows: tuple[str, ...]) -> None:
    assert muted(said, *windows) == []


def test_windows_of_different_zones_are_not_put_together(said: Said) -> None:
    both = ("times=['08:00-18:00']", "times=['18:00-08:00']")
    assert muted(said, *both, zones=("UTC", "Asia/Tokyo")) == []


def test_a_window_that_says_nothing_is_told_of_once(said: Said) -> None:
    [line] = muted(said, "times=[]")
    assert " E503 " in line


def test_an_incident_key_without_labels_is_refused(said: Said) -> None:
    told = '2:5 E107 [defaults] key: names no label, so it tells no problem from another; such as ["flow", "task"]'
    [line] = [line for line in said("[defaults]\nkey=[]\n") if " E" in line]
    assert line == told
