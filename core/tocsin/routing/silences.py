"""What a silence is, when it is in force, how it may change, and which one hides an event."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tocsin.errors import FilterError, TocsinError
from tocsin.routing.breadth import holds_for_anything
from tocsin.routing.index import FilterIndex
from tocsin.routing.moments import utc
from tocsin.routing.windows import closes_at, is_open, opens_at
from tocsin.settings.alerts import Window
from tocsin_hooks.events import Event
from tocsin_hooks.filters import Filter, parse, when

SILENCE_VERSION = 1
"""Version of a silence's JSON form. It grows when a field changes its meaning or goes; new fields do not count."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Events that match are not sent while it is in force: from `starts_at` on, until just before `ends_at`.

    Without `ends_at` it lasts until somebody ends it, or, with `until_recovered`, until the problem it hides is over.
    With a `window` it comes again: within its time it is in force whenever the window is open.
    """

    id: str
    filter_text: str
    comment: str
    created_by: str
    created_at: datetime
    starts_at: datetime
    ends_at: datetime | None
    until_recovered: bool = False
    window: Window | None = None
    ended_by: str = ""
    """Who or what ended it early."""

    def status(self, at: datetime) -> str:
        """`pending`, `active` or `expired`; one that was ended before it began was never active."""
        if self.ends_at is not None and self.ends_at <= at:
            return "expired"
        return "active" if self.starts_at <= at else "pending"

    def in_force(self, at: datetime) -> bool:
        """Whether it hides what matches: it is active and its window, if it has one, is open."""
        return self.status(at) == "active" and (self.window is None or is_open(self.window, at))

    def to_dict(self) -> dict[str, Any]:
        """The silence as plain JSON data; times in ISO 8601 with offset."""
        data: dict[str, Any] = {"version": SILENCE_VERSION}
        data |= {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name in ("created_at", "starts_at", "ends_at"):
            data[name] = data[name].isoformat() if data[name] else None
        data["window"] = dataclasses.asdict(self.window) if self.window else None
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Silence:
        """The silence that `to_dict` wrote; fields of a later version are passed over.

        Raises ValueError for a form newer than this one, KeyError and TypeError for what is no silence.
        """
        if data.get("version", SILENCE_VERSION) > SILENCE_VERSION:
            raise ValueError(f"silence of version {data['version']}; this tocsin reads up to {SILENCE_VERSION}")
        known = {field.name: data[field.name] for field in dataclasses.fields(cls) if field.name in data}
        for name in ("created_at", "starts_at", "ends_at"):
            known[name] = datetime.fromisoformat(data[name]) if data.get(name) else None
        known["window"] = _window(data["window"]) if data.get("window") else None
        return cls(**known)


def _window(data: Mapping[str, Any]) -> Window:
    known = {field.name: data[field.name] for field in dataclasses.fields(Window) if field.name in data}
    for name, value in known.items():
        if not isinstance(value, str):
            known[name] = tuple((first, last) for first, last in value)
    return Window(**known)


# ---------------------------------------------------------------- making and changing


def new_silence(
    text: str,
    *,
    now: datetime,
    id: str,  # noqa: A002  (what it is everywhere else)
    by: str,
    comment: str,
    named: Mapping[str, Filter],
    duration: timedelta | None = None,
    ends_at: datetime | None = None,
    until_recovered: bool = False,
    window: Window | None = None,
    starts_at: datetime | None = None,
) -> Silence:
    """The silence of what the filter `text` matches, from `starts_at`, or else from `now` on.

    It must have one end: `duration`, counted from the start, `ends_at` or `until_recovered`; a `window` may stand
    without any. A start that is past means now, for what has been sent was not silenced. Raises `TocsinError` for a
    filter that cannot be read or holds for events of any sort, for an end that is missing, double, past or before the
    start, and for a window that does not open until then.
    """
    silence_filter(text, named)
    ends = {"a duration": duration is not None, "a time": ends_at is not None, "recovery": until_recovered}
    given = [name for name, is_given in ends.items() if is_given]
    if len(given) > 1:
        raise TocsinError(f"a silence has one end, found {len(given)}: {' and '.join(given)}")
    if not given and window is None:
        raise TocsinError("a silence needs an end: a duration, a time, recovery, or a window in which it comes again")
    start = now if starts_at is None else starts_at
    if duration is not None:
        ends_at = _after(start, duration)
    silence = Silence(
        id=id,
        filter_text=text.strip(),
        comment=comment,
        created_by=by,
        created_at=utc(now),
        starts_at=max(utc(start), utc(now)),
        ends_at=None if ends_at is None else utc(ends_at),
        until_recovered=until_recovered,
        window=window,
    )
    _check_times(silence, now)
    return silence


def edited(
    silence: Silence,
    *,
    now: datetime,
    id: str,  # noqa: A002
    filter_text: str | None = None,
    starts_at: datetime | None = None,
    comment: str | None = None,
    ends_at: datetime | None = None,
    named: Mapping[str, Filter] | None = None,
) -> tuple[Silence, ...]:
    """The silences that an edit leaves, the changed one last; what is None stays as it is.

    History stays true: comment and end change in place, and so does all of a silence that has not begun. A new filter
    or start of an active one ends it now and makes a new one, called `id`. An expired one is left as it is: any edit
    makes a new one, and only that is returned. Raises `TocsinError` as `new_silence` does.
    """
    if filter_text is not None:
        silence_filter(filter_text, named or {})
    status = silence.status(now)
    changed = dataclasses.replace(
        silence,
        filter_text=silence.filter_text if filter_text is None else filter_text.strip(),
        comment=silence.comment if comment is None else comment,
        starts_at=silence.starts_at if starts_at is None else utc(starts_at),
    )
    if ends_at is not None:
        changed = dataclasses.replace(changed, ends_at=utc(ends_at), until_recovered=False)
    is_new = status == "expired" or (status == "active" and _alters_history(silence, changed))
    if is_new or status == "pending":
        changed = dataclasses.replace(changed, starts_at=max(changed.starts_at, utc(now)))
    if is_new:
        end = None if changed.until_recovered else changed.ends_at
        changed = dataclasses.replace(changed, id=id, created_at=utc(now), ends_at=end, ended_by="")
    if is_new or starts_at is not None or ends_at is not None:
        _check_times(changed, now)
    return (_ended(silence, now, f"edit, now '{id}'"), changed) if is_new and status == "active" else (changed,)


def expired(silence: Silence, *, now: datetime, by: str) -> Silence:
    """`silence`, ended now by `by`, also before it began. Raises `TocsinError` if it has ended already."""
    if silence.ends_at is not None and silence.status(now) == "expired":
        raise TocsinError(f"silence '{silence.id}' has ended already, at {_spoken(silence.ends_at)}")
    return _ended(silence, now, by)


def silence_filter(text: str, named: Mapping[str, Filter]) -> Filter:
    """The filter of a silence. Raises `FilterError` where it cannot be read, or holds for events of any sort."""
    filter_ = parse(text, named=named)
    if holds_for_anything(filter_):
        raise FilterError(
            "a silence must ask for something that an event has; this holds for events of any sort",
            text,
            len(text) - len(text.lstrip()),
            len(text.rstrip()),
            "E206",
        )
    return filter_


def _alters_history(before: Silence, after: Silence) -> bool:
    """Whether a change is to what an active silence has hidden already."""
    if before.starts_at != after.starts_at:
        return True
    if before.filter_text == after.filter_text:
        return False
    try:
        return when(before.filter_text) != when(after.filter_text)
    except FilterError:  # the old one cannot be read any more
        return True


def _ended(silence: Silence, now: datetime, by: str) -> Silence:
    return dataclasses.replace(silence, ends_at=utc(now), ended_by=by)


def _after(start: datetime, duration: timedelta) -> datetime:
    try:
        return utc(start) + duration
    except OverflowError:
        raise TocsinError(f"a silence of {duration.days} days ends later than can be counted") from None


def _check_times(silence: Silence, now: datetime) -> None:
    """Refuse a silence that will never be in force."""
    end, start, moment = silence.ends_at, silence.starts_at, utc(now)
    if end is not None and end <= max(start, moment):
        if end < moment or start < end:
            raise TocsinError(f"the silence ends at {_spoken(end)}, which is past; it is {_spoken(moment)} now")
        raise TocsinError(f"the silence ends at {_spoken(end)}, which is not after its start at {_spoken(start)}")
    if silence.window is not None:
        opens = opens_at(silence.window, max(start, moment))
        if opens is None or (end is not None and opens >= end):
            raise TocsinError(f"window '{silence.window.name}' does not open while the silence lasts")


def _spoken(moment: datetime) -> str:
    return f"'{utc(moment).isoformat(sep=' ', timespec='seconds')}'"


# ---------------------------------------------------------------- use


def resumes_at(silence: Silence, at: datetime) -> datetime | None:
    """The first moment from `at` on at which `silence` is not in force: its end, or before it its window's closing.

    None when that is not known: it lasts until the problem has recovered, or somebody ends it.
    """
    if not silence.in_force(at):
        return at
    closing = closes_at(silence.window, at) if silence.window is not None else None
    return min((moment for moment in (silence.ends_at, closing) if moment is not None), default=None)


class SilenceIndex:
    """Silences, ready to be asked. One whose filter can no longer be read hides nothing, and is told of in `broken`."""

    def __init__(self, silences: Sequence[Silence], named: Mapping[str, Filter]) -> None:
        self.broken: dict[str, str] = {}
        """Why a silence hides nothing, by its id."""
        self._silences: list[Silence] = []
        filters: list[Filter] = []
        for silence in silences:
            try:
                filters.append(when(silence.filter_text).bind(named))
            except FilterError as error:
                self.broken[silence.id] = error.reason
            else:
                self._silences.append(silence)
        self._matches = [filter_.matches for filter_ in filters]
        self._match_of = {silence.id: test for silence, test in zip(self._silences, self._matches, strict=True)}
        self._index = FilterIndex(filters)

    def matching(self, event: Event, at: datetime) -> Silence | None:
        """The first silence that is in force at `at` and matches `event`."""
        places = self._index.candidates(event)
        if not places:
            return None
        moment = utc(at)
        for place in places:
            if self._matches[place](event) and self._silences[place].in_force(moment):
                return self._silences[place]
        return None

    def covers(self, silence_id: str, event: Event) -> bool:
        """Whether the silence of that id is for events like this, whenever it is in force."""
        test = self._match_of.get(silence_id)
        return test is not None and test(event)
