"""What becomes of a call of a plugin that does not come back: it is ended, and not made again in this process.

A call costs one look at a dict that is mostly empty. One daemon thread looks now and then which calls are under way,
reads off the frames of all threads which they are, and ends those that it has seen for too long. What strikes them must
never strike who made the call. So both sides keep to this: the watchdog marks the call first, and then strikes only if
the call is still on the stack; whoever made it looks for a mark when it is over, and before anything else.

Not all that waits in C on a thread other than the main one can be ended. What cannot is named, and holds its thread up
until it comes back.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, Protocol, TypeVar

from tocsin.clock import Clock, SystemClock
from tocsin.plugins import interrupts
from tocsin.plugins.interrupts import HungError, code_of, stack
from tocsin_hooks.errors import PluginError

_log = logging.getLogger("tocsin.plugins")

Function = TypeVar("Function", bound=Callable[..., Any])

VARIABLE = "TOCSIN_HOOK_DEADLINE"
"""The environment variable that says how long a call may take."""

TRIES = 5
"""After how many strikes a call that goes on all the same is said to hold its thread up; it is struck on."""

_LOOKS = 10  # within the time that a call may take
_SELDOM = 1.0  # seconds between two looks, at most
_OFTEN = 0.001  # and at least
_callers: set[CodeType] = set()


class Caller(Protocol):
    """Who calls plugins."""

    within: float
    """Seconds that a call may take."""

    def whose(self, function: Any) -> tuple[str, str]:
        """The plugin and the hook of what is called without saying so."""
        ...

    def give_up(self, plugin: str, hook: str) -> None:
        """Call that hook of the plugin no more. Called from any thread."""
        ...

    def said(self, text: str) -> None:
        """Tell that a call hung. Called from any thread."""
        ...

    def refresh(self) -> None:
        """Ask to be watched again before the next call: the process was forked."""
        ...


def calls_plugins(function: Function) -> Function:
    """Mark a function that calls plugins, so that its calls are found on the stack.

    It holds in its locals what it calls, `function`, and on whose behalf, `self`, a Caller; also `plugin` and `hook`,
    unless the Caller knows `whose` it is. Once the call is over it looks into `Watchdog.struck`, and calls `ended` if
    there is anything in it.
    """
    _callers.add(function.__code__)
    return function


@dataclass(slots=True, eq=False)
class Call:
    """A call of a plugin under way."""

    called: FrameType
    made_by: FrameType
    owner: Caller
    plugin: str
    hook: str
    strike_at: float
    """When it is struck, or struck again."""
    tries: int = 0

    @property
    def told(self) -> str:
        """What is wrong with it, for people."""
        return f"plugin '{self.plugin}' did not come back from '{self.hook}' within {self.owner.within:g} s"


def allowed(text: str) -> float:
    """How many seconds a call may take, as TOCSIN_HOOK_DEADLINE says: 30 where it says nothing.

    >>> allowed(""), allowed("2m"), allowed("off")
    (30.0, 120.0, inf)
    >>> allowed("soon")
    Traceback (most recent call last):
    tocsin_hooks.errors.PluginError: TOCSIN_HOOK_DEADLINE is 'soon', which is no time; write '30s', or 'off'
    """
    chosen = text.strip()
    if not chosen:
        return 30.0
    if chosen.lower() == "off":
        return math.inf
    from tocsin_hooks.durations import parse_duration  # heavy, and needed by few

    try:
        seconds = parse_duration(chosen).total_seconds()
    except ValueError:
        seconds = 0.0
    if seconds <= 0:
        raise PluginError(f"{VARIABLE} is '{chosen}', which is no time; write '30s', or 'off'")
    return seconds


class Watchdog:
    """Ends calls of plugins that take longer than they may."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self.struck: dict[int, Call] = {}
        """The calls that were struck and are not over, by thread."""
        self._begin()

    def _begin(self) -> None:
        self._seen: dict[int, Call] = {}
        self._owners: weakref.WeakSet[Caller] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None

    def forked(self) -> None:
        """Begin anew in a process that was forked, where the thread is not."""
        before = list(self._owners)
        self._begin()
        self.struck.clear()
        for owner in before:
            owner.refresh()

    # ------------------------------------------------------------ for those who call

    def watch(self, owner: Caller) -> None:
        """Look after the calls that `owner` makes, for as long as there is one."""
        interrupts.listen()
        if owner.within == math.inf:
            return
        with self._lock:
            self._owners.add(owner)
            if self._thread is not None and self._thread.is_alive():
                self._woken.set()
                return
            thread = threading.Thread(target=self._run, args=(self._woken,), name="tocsin-watchdog", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # no thread can be had; the run goes on without
                _log.warning("plugins that hang are not ended: %s", error)
                return
            self._thread = thread

    def ended(self) -> None:
        """Take back what may yet strike the call that is over; nothing can strike when this returns."""
        thread = threading.get_ident()
        call = self.struck.get(thread)
        if call is None or call.made_by is not _maker(sys._getframe(1)):
            return
        while True:
            try:
                with self._lock:  # after the watchdog, if it is about to strike
                    interrupts.forgive(thread, call.called)
                    self.struck.pop(thread, None)
                break
            except HungError:  # the last one on its way
                continue
        call.owner.said(f"{call.told}; it was ended, and is not called again")

    def is_meant_for_another(self) -> bool:
        """Whether a call further out in this thread was struck, and has to end first."""
        call = self.struck.get(threading.get_ident())
        return call is not None and call.made_by in stack(sys._getframe(1))

    # ------------------------------------------------------------ the watchdog itself

    def _run(self, woken: threading.Event) -> None:
        while self._woken is woken:
            pause = self.pause()
            self._clock.wait(woken, pause)
            woken.clear()
            if pause is not None:
                try:
                    with interrupts.frames_of_others():
                        self.look()
                except Exception:
                    _log.exception("plugins that hang could not be looked for")

    def pause(self) -> float | None:
        """Seconds until the next look; None while there is nobody to look after."""
        with self._lock:
            shortest = min((owner.within for owner in self._owners), default=None)
        return None if shortest is None else max(_OFTEN, min(shortest / _LOOKS, _SELDOM))

    def look(self) -> None:
        """See which calls are under way, and strike those that were seen for too long."""
        now, seen = self._clock.monotonic(), {}
        for thread, top in sys._current_frames().items():
            if (call := call_under_way(top, now)) is not None:
                known = self._seen.get(thread)
                seen[thread] = known if known is not None and known.called is call.called else call
        self._seen = seen
        for thread, call in seen.items():
            if now >= call.strike_at:
                call.strike_at = now + min(call.owner.within, _SELDOM)
                self._overdue(thread, call)
        self._forget_the_ended()

    def _forget_the_ended(self) -> None:
        """Unmark calls whose thread has left without a look, because something else was raised in it just then."""
        with self._lock:
            frames = sys._current_frames()
            for thread, call in list(self.struck.items()):
                if call.made_by not in stack(frames.get(thread)):
                    del self.struck[thread]

    def _overdue(self, thread: int, call: Call) -> None:
        call.tries += 1
        if call.tries == 1:
            call.owner.give_up(call.plugin, call.hook)
        self._strike(thread, call)  # for as long as it lasts: what holds the strike off, a handler of a signal, may end
        if call.tries == TRIES + 1:
            text = f"{call.told} and cannot be ended; the thread '{_name(thread)}' is held up until it does come back"
            # on a thread of its own, for what hangs may hold a lock of the logs
            threading.Thread(target=_cry, args=(call.owner, text), name="tocsin-watchdog-says", daemon=True).start()

    def _strike(self, thread: int, call: Call) -> None:
        with self._lock:
            self.struck[thread] = call
            if call.called in stack(sys._current_frames().get(thread)):  # looked at after it was marked
                interrupts.strike(thread, call.called)
            else:
                del self.struck[thread]


def call_under_way(top: FrameType, now: float) -> Call | None:
    """The innermost call of a plugin on a stack."""
    called: FrameType | None = None
    for frame in stack(top):
        if frame.f_code in _callers:
            return None if called is None else _call_of(called, frame, now)
        called = frame
    return None


def _call_of(called: FrameType, made_by: FrameType, now: float) -> Call | None:
    held = made_by.f_locals
    function = held.get("function")
    if function is None or code_of(function) is not called.f_code:
        return None  # tocsin's own work, before or after the call
    owner: Caller = held["self"]
    plugin, hook = (held["plugin"], held["hook"]) if "plugin" in held else owner.whose(function)
    return Call(called, made_by, owner, plugin, hook, now + owner.within)


def _maker(frame: FrameType | None) -> FrameType | None:
    return next((each for each in stack(frame) if each.f_code in _callers), None)


def _name(thread: int) -> str:
    return next((each.name for each in threading.enumerate() if each.ident == thread), str(thread))


def _cry(owner: Caller, text: str) -> None:
    owner.said(text)


watchdog = Watchdog()
"""The one of this process."""


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=watchdog.forked)
