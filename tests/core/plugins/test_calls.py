"""Core calls each implementation by itself: what one does harms neither the others nor the caller."""

import logging
from collections.abc import Callable

import pytest

from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog
from tocsin_hooks.channels import ChannelConfig, ChannelType
from tocsin_hooks.messages import Reason, Receipt, SendError
from tocsin_hooks.specs import OBSERVED_STATES, hookimpl, spec_names
from tocsin_hooks.states import Failed, State, Success, family
from tocsin_hooks.testing import sample_event, sample_message


def hooks_of(*plugins: object) -> Hooks:
    catalog = Catalog()
    for number, plugin in enumerate(plugins):
        catalog.register(plugin, f"plugin{number}")
    return Hooks(catalog)


def observer(heard: list[str], name: str, *hooks: str) -> object:
    def make(hook: str) -> Callable[..., None]:
        def impl(self, event):
            heard.append(f"{name}:{hook}")

        impl.__name__ = hook
        return hookimpl(impl)

    return type("Observer", (), {hook: make(hook) for hook in hooks})()


class Raising:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    @hookimpl
    def tocsin_task_failed(self, event):
        raise self.error


def test_there_is_a_hook_for_every_flow_and_task_state() -> None:
    for state in State.children(names_only=True):
        suffix, _ = OBSERVED_STATES[state]
        assert {f"tocsin_flow_{suffix}", f"tocsin_task_{suffix}"} <= spec_names()


def test_an_event_calls_the_hook_of_its_state_then_of_each_ancestor_then_of_every_change() -> None:
    heard: list[str] = []
    names = ("tocsin_state_changed", "tocsin_task_finished", "tocsin_task_failed", "tocsin_task_timed_out")
    hooks = hooks_of(observer(heard, "a", *names, "tocsin_flow_failed", "tocsin_task_succeeded"))
    hooks.observe(sample_event(state="TimedOut", state_family=("TimedOut", "Failed", "Finished")))
    assert heard == [f"a:{name}" for name in reversed(names)]


def test_a_flows_change_calls_the_flow_hooks() -> None:
    heard: list[str] = []
    hooks = hooks_of(observer(heard, "a", "tocsin_flow_failed", "tocsin_task_failed"))
    hooks.observe(sample_event(task=""))
    assert heard == ["a:tocsin_flow_failed"]


@pytest.mark.parametrize("error", [ValueError("boom"), SystemExit(3), GeneratorExit()])
def test_one_observer_that_raises_stops_nobody_else_and_is_named(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []
    first, last = observer(heard, "first", "tocsin_task_failed"), observer(heard, "last", "tocsin_task_failed")
    hooks = hooks_of(first, Raising(error), last)
    with caplog.at_level(logging.ERROR, "tocsin"):
        hooks.observe(sample_event())
    assert heard == ["last:tocsin_task_failed", "first:tocsin_task_failed"]
    assert "plugin 'plugin1' raised in tocsin_task_failed" in caplog.text


def test_ctrl_c_in_an_observer_is_the_users() -> None:
    with pytest.raises(KeyboardInterrupt):
        hooks_of(Raising(KeyboardInterrupt())).observe(sample_event())


def test_a_plugin_registered_later_is_heard() -> None:
    heard: list[str] = []
    hooks = hooks_of()
    hooks.observe(sample_event())
    assert not hooks.observed_anywhere
    hooks.catalog.register(observer(heard, "late", "tocsin_task_failed"))
    hooks.observe(sample_event())
    assert heard == ["late:tocsin_task_failed"]
    assert hooks.observed_anywhere


def test_whether_anybody_observes_a_state_is_known_beforehand() -> None:
    hooks = hooks_of(observer([], "a", "tocsin_task_failed"))
    assert hooks.observes("task", family(Failed))
    assert not hooks.observes("task", family(Success))
    assert not hooks.observes("flow", family(Failed))


class Proposer:
    def __init__(self, answer: object) -> None:
        self.answer = answer

    @hookimpl
    def tocsin_propose_state(self, event, state):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_the_first_plugin_with_an_opinion_replaces_the_state() -> None:
    better = Success("forgiven")
    asked = hooks_of(Proposer(Success("first registered, asked last")), Proposer(better), Proposer(None))
    assert asked.propose(sample_event(), Failed()) is better


@pytest.mark.parametrize("answer", [None, "Success", 17, RuntimeError("no")])
def test_no_opinion_junk_and_an_exception_leave_the_state(answer: object) -> None:
    state = Failed()
    assert hooks_of(Proposer(answer)).propose(sample_event(), state) is state


class Enricher:
    def __init__(self, answer: object) -> None:
        self.answer = answer

    @hookimpl
    def tocsin_enrich(self, event):
        return self.answer


def test_labels_of_all_plugins_are_added_and_the_one_registered_last_wins() -> None:
    hooks = hooks_of(Enricher({"team": "a", "tier": 1}), Enricher({"team": "b"}), Enricher(["junk"]), Enricher(None))
    assert hooks.enrich(sample_event()) == {"team": "b", "tier": "1"}


class Pager:
    def __init__(self, answer: object) -> None:
        self.answer = answer

    def send(self, message, previous=None):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def test_an_attempt_asks_the_channel_and_a_wrapper_sees_it() -> None:
    seen: list[str] = []

    class Timer:
        @hookimpl(wrapper=True)
        def tocsin_send(self, channel, message):
            seen.append(message.id)
            return (yield)

    receipt = Receipt("ok")
    assert hooks_of(Timer()).send(Pager(receipt), sample_message(), None) is receipt
    assert seen == [sample_message().id]


def test_a_plugin_may_send_in_place_of_the_channel() -> None:
    class Diverter:
        @hookimpl
        def tocsin_send(self, channel, message, previous):
            return Receipt("elsewhere")

    assert hooks_of(Diverter()).send(Pager(AssertionError()), sample_message(), None).detail == "elsewhere"


@pytest.mark.parametrize("answer", [ValueError("x"), SystemExit(1), None, "sent", True])
def test_a_channel_that_raises_or_returns_junk_has_a_bug_and_the_attempt_failed(answer: object) -> None:
    with pytest.raises(SendError) as caught:
        hooks_of().send(Pager(answer), sample_message(), None)
    assert caught.value.reason is Reason.PLUGIN
    assert not caught.value.permanent


def test_a_send_error_comes_through_as_it_is() -> None:
    error = SendError(Reason.RATE_LIMITED, "slow down", retry_after=3)
    with pytest.raises(SendError) as caught:
        hooks_of().send(Pager(error), sample_message(), None)
    assert caught.value is error


class Types:
    def __init__(self, *names: str) -> None:
        self.names = names

    @hookimpl
    def tocsin_channel_types(self):
        return [ChannelType(name, ChannelConfig, lambda _: Pager(Receipt())) for name in self.names]


def test_a_channel_type_that_two_plugins_provide_is_neithers_and_names_both() -> None:
    found, clashes = hooks_of(Types("pager", "horn"), Types("pager", "pager")).channel_types()
    assert set(found) == {"horn"}
    both = "provided by both plugin 'plugin1' and plugin 'plugin0'; block one of them in [plugins]"
    assert clashes == {"pager": both}


def test_a_plugin_that_names_a_channel_type_twice_provides_it() -> None:
    found, clashes = hooks_of(Types("pager", "pager")).channel_types()
    assert (set(found), clashes) == ({"pager"}, {})


def test_start_up_is_told_once_to_each_plugin() -> None:
    told: list[str] = []

    class Starter:
        @hookimpl
        def tocsin_startup(self, version):
            told.append(version)

    catalog = Catalog()
    catalog.register(Starter(), "test-start-up-once")
    Hooks(catalog).startup("1.2")
    Hooks(catalog).startup("1.2")
    assert told == ["1.2"]
