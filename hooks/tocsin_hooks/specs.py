"""The hooks a plugin may implement.

Mark an implementation with `hookimpl`. It may take any of the named arguments, in any order, by name. Unless a spec
says otherwise, an exception is logged with the plugin's name and goes no further: the run and the other plugins go on.
An implementation that has not come back after 30 seconds is ended, counts as one that raised, and is not called again
in that process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from tocsin_hooks.channels import Channel, ChannelType
    from tocsin_hooks.decisions import RoutingDecision
    from tocsin_hooks.events import Event
    from tocsin_hooks.messages import Message, Receipt, SendError
    from tocsin_hooks.states import State

PROJECT = "tocsin"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# ---------------------------------------------------------------- start-up


@hookspec(historic=True)
def tocsin_startup(version: str) -> None:
    """Called once in each process that starts a hub; a plugin registered later is called on registration.

    Runs on the thread that starts the hub, before any run begins. `version` is tocsin's. The return value is
    ignored. An exception is logged; the plugin stays registered. Nothing is recorded yet.
    """


@hookspec
def tocsin_channel_types() -> Sequence[ChannelType]:
    """Called when the config is read, to learn which values of `type` a channel may have.

    Runs on the thread that reads the config. Return the types that this plugin provides. An exception leaves out
    this plugin's types, and is named where a channel asks for one. Two plugins that provide the same name are an
    error that names both. Nothing is recorded.
    """


@hookspec
def tocsin_filters() -> Mapping[str, Callable[[Event], bool]]:
    """Called when the config is read, to learn filters that expressions can use as `@name`.

    Runs on the thread that reads the config. Return predicates over events by name; a name in the config's own
    `[filters]` wins. A predicate is called on the runner's thread: one that raises counts as false and is logged.
    An exception here leaves out this plugin's filters. Nothing is recorded.
    """


@hookspec
def tocsin_template_filters() -> Mapping[str, Callable[..., object]]:
    """Called when the config is read, to learn filters that templates can use beside Jinja2's own: `{{ value|name }}`.

    Runs on the thread that reads the config. Return pure functions by name; Jinja2's own names keep their meaning. A
    filter is called on a thread of the delivery worker, with copies of plain values (texts, numbers, lists, mappings),
    and must return one: anything else, or an exception, fails the template, and the message is sent in the usual words.
    An exception here leaves out this plugin's filters. Nothing is recorded.
    """


@hookspec
def tocsin_commands() -> Sequence[click.Command]:
    """Called when the command line starts, to learn further sub-commands of `tocsin`.

    Runs on the main thread. Return click commands. One whose name is taken is left out with a warning. An
    exception leaves out this plugin's commands, and is said on stderr. Nothing is recorded.
    """


# ---------------------------------------------------------------- deciding


@hookspec(firstresult=True)
def tocsin_propose_state(event: Event, state: State) -> State | None:
    """Called after a run's state handlers and before its change is settled: the one hook that may replace a state.

    Runs on the runner's thread, so the run waits for it. Return a State to take the place of `state`, or None for
    no opinion; the first that has one wins. An exception, or a return value that is no State, counts as no opinion and
    is logged. Nothing is recorded yet.
    """


@hookspec
def tocsin_enrich(event: Event) -> Mapping[str, str] | None:
    """Called with a settled event before it is routed, to add labels that filters and templates can read.

    Runs on the runner's thread. Return labels and their values, or None; where two plugins give the same label the
    one registered last wins. Of each plugin the first 100 labels count, and of a label the first 4000 characters.
    Fields of the event itself cannot be changed. An exception adds nothing and is logged. Nothing is recorded yet.
    """


@hookspec(firstresult=True)
def tocsin_route(event: Event, decision: RoutingDecision) -> Sequence[str] | None:
    """Called with a settled event once the routes have said where it goes, to keep it back or to send it elsewhere.

    Runs on the runner's thread, so the run waits for it. Return the names of the channels that are to be told, in the
    place of `decision.channels` (none of them: nobody is), or None for no opinion; the first that has one wins. What is
    kept back by this is in the history of what was not sent, with the plugin's name. An incident opens and ends all the
    same, and who was told of it hears that it is over. Not asked about what watches report, nor about runs whose
    process died. An exception, or what is no list of channels, counts as no opinion and is logged; an unknown one is
    passed over. Nothing is recorded yet.
    """


# ---------------------------------------------------------------- observing state changes


@hookspec
def tocsin_state_changed(event: Event) -> None:
    """Called after every change of state, of flows and tasks, once the named hooks of the state were called.

    Runs on the runner's thread, so be quick: anything slow belongs in a channel. The return value is ignored. An
    exception is logged with the plugin's name; the run and the other plugins go on. If a route acts on the event, the
    event and its deliveries are already in the outbox.
    """


OBSERVED_STATES: Mapping[str, tuple[str, str]] = {
    "Pending": ("pending", "has entered `Pending` or a state below it: it has yet to start"),
    "Scheduled": ("scheduled", "has been given a time to start (`Scheduled` or below)"),
    "Paused": ("paused", "waits for somebody to resume it"),
    "Resume": ("resumed", "goes on after a pause"),
    "Retrying": ("retrying", "failed and will be tried again at `event.next_attempt_at`"),
    "ClientFailed": ("client_failed", "could not report its state to a server"),
    "Submitted": ("submitted", "has been handed to an executor or an agent"),
    "Queued": ("queued", "waits for a free place"),
    "Running": ("running", "has entered `Running` or a state below it"),
    "Cancelling": ("cancelling", "has been asked to stop"),
    "Finished": ("finished", "has ended, well or not"),
    "Looped": ("looped", "ended one round of a loop"),
    "Success": ("succeeded", "ended well (`Success` or below)"),
    "Cached": ("cached", "ended with a cached result, or left one"),
    "Mapped": ("mapped", "was split into children"),
    "Skipped": ("skipped", "was passed over"),
    "Failed": ("failed", "failed, whatever the cause; `event.will_retry` tells whether that is final"),
    "TimedOut": ("timed_out", "took longer than it was given"),
    "TriggerFailed": ("trigger_failed", "did not run, because its trigger was not satisfied"),
    "ValidationFailed": ("validation_failed", "ran, but its result was found wrong"),
    "Crashed": ("crashed", "died with its process"),
    "Cancelled": ("cancelled", "was stopped on request"),
}
"""The hook of each state class: its suffix after `tocsin_flow_` or `tocsin_task_`, and what it tells."""


def _observer(subject: str, suffix: str, meaning: str) -> Callable[[Event], None]:
    def spec(event: Event) -> None: ...

    spec.__name__ = spec.__qualname__ = f"tocsin_{subject}_{suffix}"
    spec.__doc__ = f"""Called after a {subject} run {meaning}.

    Runs on the runner's thread, so be quick: anything slow belongs in a channel. The return value is ignored. An
    exception is logged with the plugin's name; the run and the other plugins go on. If a route acts on the event, the
    event and its deliveries are already in the outbox. The hooks of the state's parent classes are called next, then
    `tocsin_state_changed`.
    """
    return hookspec(spec)


# One spec for flows and one for tasks per row: 44 functions that differ in a word would hide what they share.
for _suffix, _meaning in OBSERVED_STATES.values():
    for _subject in ("flow", "task"):
        globals()[f"tocsin_{_subject}_{_suffix}"] = _observer(_subject, _suffix, _meaning)


def observer_names(subject: str, state_family: tuple[str, ...]) -> tuple[str, ...]:
    """The hooks an event calls, in order: its state's class, each of its ancestors, then `tocsin_state_changed`.

    >>> observer_names("task", ("TimedOut", "Failed", "Finished"))
    ('tocsin_task_timed_out', 'tocsin_task_failed', 'tocsin_task_finished', 'tocsin_state_changed')
    """
    named = (f"tocsin_{subject}_{OBSERVED_STATES[s][0]}" for s in state_family if s in OBSERVED_STATES)
    return (*named, "tocsin_state_changed")


# ---------------------------------------------------------------- delivering


@hookspec(firstresult=True)
def tocsin_send(channel: Channel, message: Message, previous: Receipt | None) -> Receipt | None:
    """Called for each attempt to deliver; tocsin's own implementation, called last, asks the channel to send.

    Runs on a thread of the delivery worker, never on a runner's. A wrapper (`hookimpl(wrapper=True)`) may time, log
    or change an attempt; an implementation that returns a Receipt takes the place of the channel. A `SendError`
    is the outcome of the attempt; any other exception counts as `Reason.PLUGIN`, and the delivery is tried again. The
    delivery is leased, and the attempt is recorded after this returns.
    """


@hookspec
def tocsin_delivered(message: Message, receipt: Receipt) -> None:
    """Called after a channel has accepted a message.

    Runs on a thread of the delivery worker. The return value is ignored, an exception is logged. The delivery is
    already recorded as delivered, with its receipt.
    """


@hookspec
def tocsin_delivery_failed(message: Message, error: SendError, retry_in: float) -> None:
    """Called after an attempt has failed that will be made again in `retry_in` seconds.

    Runs on a thread of the delivery worker. The return value is ignored, an exception is logged. The attempt and
    the time of the next are already recorded.
    """


@hookspec
def tocsin_delivery_dead(message: Message, error: SendError) -> None:
    """Called after the last attempt has failed: nobody was told, and nothing more will be tried by itself.

    Runs on a thread of the delivery worker. The return value is ignored, an exception is logged. The delivery is
    already recorded as dead; `tocsin deliveries retry` can revive it.
    """


@hookspec
def tocsin_suppressed(event: Event, stage: str, reason: str, route: str, channel: str) -> None:
    """Called after it was decided that something of an event is not sent, or not now.

    `stage` says what decided it, such as `inhibit`, `silence`, `window` or `throttle`, `reason` why, in words. `route`
    and `channel` are empty where the decision is about no particular one. Stage `route` with the route `defaults` is an
    event that no route claims. Runs on the thread that published the event, or on the one that keeps time. The return
    value is ignored, an exception is logged. The decision is already in the history of the store.
    """


def spec_names() -> frozenset[str]:
    """The names of all hooks."""
    return frozenset(name for name in globals() if name.startswith("tocsin_"))
