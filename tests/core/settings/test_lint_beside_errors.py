"""Everything in one run: errors, and the lint of all that could be read beside them."""

from __future__ import annotations

from collections.abc import Callable

Said = Callable[..., list[str]]

CHANNELS = "[channels.ops]\ntype='console'\n"
SENDS = CHANNELS + "[defaults]\nsend=['ops']\n"


def codes(lines: list[str]) -> list[str]:
    return [line.split(" ")[1] for line in lines]


def test_a_mistake_hides_no_lint_of_another_part(said: Said) -> None:
    text = SENDS + (
        "[filters]\nspare='flow=x'\n[templates.spare]\ntext='a'\n[windows.spare]\ntimes=[['09:00','17:00']]\n"
        "[[routes]]\nname='a'\nwhen='flow=a'\nstop=true\n[[routes]]\nname='b'\nwhen='flow=a, task=t'\n"
        "[[routes]]\nname='c'\nwhen='flow=='\n"
    )
    assert codes(said(text)) == ["W901", "W903", "W909", "W912", "W904", "E201"]


def test_all_errors_and_all_lints_stand_in_the_order_of_the_file(said: Said) -> None:
    text = SENDS + "[channels.spare]\ntype='console'\n[[routes]]\nwhen='@gone'\n[[routes]]\nsend=['nobody']\n"
    assert codes(said(text)) == ["W902", "E203", "E302"]


def test_what_a_broken_filter_names_is_not_called_unused(said: Said) -> None:
    text = SENDS + "[filters]\nprod='flow=x'\nother='flow=y'\n[[routes]]\nwhen='@prod and ('\n"
    assert [line for line in said(text) if "W901" in line] == ["7:1 W901 filter '@other' is not used"]


def test_what_was_nearly_named_is_not_called_unused(said: Said) -> None:
    text = CHANNELS + "[channels.backup]\ntype='console'\n[filters]\ncritical='flow=x'\n"
    assert codes(said(text + "[[routes]]\nwhen='@critcal'\nsend=['bakcup', 'ops']\n")) == ["E203", "E302"]


def test_what_stands_in_a_value_that_was_refused_is_not_called_unused(said: Said) -> None:
    text = CHANNELS + "[templates.short]\ntext='a'\n[[routes]]\ntemplate=['short']\nsend='ops'\n"
    lines = said(text)
    assert [line for line in lines if " W90" in line] == []
    assert codes(lines)[0] == "E107"


def test_routes_that_cannot_be_read_are_not_taken_for_none(said: Said) -> None:
    assert codes(said("routes = 3\n" + CHANNELS)) == ["E107"]


def test_a_filter_that_cannot_be_read_is_not_taken_for_every_event(said: Said) -> None:
    text = SENDS + "[[routes]]\nwhen='flow=='\nstop=true\n[[routes]]\nwhen='flow=a'\n"
    assert codes(said(text)) == ["E201"]
    assert codes(said(SENDS + "[[inhibit]]\nsource='flow=='\ntarget='task!=x'\n[[routes]]\nwhen='is_failed'\n")) == [
        "E201"
    ]


def test_two_broken_filters_are_not_called_the_same(said: Said) -> None:
    assert codes(said(SENDS + "[[routes]]\nwhen='flow=='\n[[routes]]\nwhen='flow=='\n")) == ["E201", "E201"]


def test_a_circle_does_not_keep_other_filters_from_being_judged(said: Said) -> None:
    text = SENDS + (
        "[filters]\na='@b'\nb='@a'\n[[routes]]\nwhen='@a'\n"
        "[[routes]]\nname='x'\nwhen='flow=x'\n[[routes]]\nname='y'\nwhen='flow=x'\n"
    )
    assert codes(said(text)) == ["E204", "W907"]


def test_a_zone_that_is_wrong_is_not_called_missing(said: Said) -> None:
    text = CHANNELS + "[defaults]\nsend=['ops']\ntimezone='Mars/Base'\n[windows.w]\ntimes=[['09:00','17:00']]\n"
    text += "[[routes]]\nwhen='is_failed'\nmute={windows=['w']}\n"
    assert codes(said(text)) == ["E504"]


def test_steps_that_cannot_be_read_are_not_taken_for_steps_without_a_condition(said: Said) -> None:
    text = SENDS + "[escalations.e]\nack_lasts='8h'\nsteps=[{after='5 parsecs', send=['ops'], if='not acked'}]\n"
    assert codes(said(text + "[[routes]]\nwhen='is_failed'\nescalate='e'\n")) == ["E107"]


def test_a_blank_filter_is_empty_wherever_it_stands(said: Said) -> None:
    blank = SENDS + "opens=' '\n[filters]\nf=' '\n[[routes]]\nwhen='   '\n[[inhibit]]\nsource=' '\ntarget='\u3000'\n"
    lines = [line for line in said(blank) if " E" in line]
    assert [line.split(" ", 1)[1] for line in lines] == [
        "E107 [defaults] opens: is empty",
        "E107 [filters] f: is empty",
        "E107 route 1 when: is empty",
        "E107 inhibition 1 source: is empty",
        "E107 inhibition 1 target: is empty",
    ]
