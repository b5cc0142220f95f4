"""A channel in a process of its own harms nobody, whatever it does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from support.worlds import World
from tocsin.delivery.isolation import IsolatedChannel, Reference
from tocsin.store.records import Status
from tocsin_hooks.messages import Message, Reason, Receipt, SendError
from tocsin_hooks.testing import sample_message

HERE = Reference("support.zoo:make")


def message(title: str = "hello") -> Message:
    return replace(sample_message(), title=title)


@pytest.fixture(scope="module")
def zoo() -> Iterator[IsolatedChannel]:
    channel = IsolatedChannel(HERE, timedelta(seconds=30))
    yield channel
    channel.close()


def test_messages_and_receipts_pass_unchanged_to_one_process_and_back(zoo: IsolatedChannel) -> None:
    first = zoo.send(message())
    assert first.detail == f"hello {sample_message().event.subject}"
    second = zoo.send(message(), first)
    assert second.reference["ts"] == "11"
    assert first.reference["pid"] == second.reference["pid"] != str(os.getpid())


@pytest.mark.parametrize(
    ("way", "detail"),
    [
        ("exit", "the channel's process exited with 7"),
        ("die", "the channel's process was killed by SIGSEGV"),
        ("leave", "SystemExit: 3"),
        ("nothing", "the channel returned NoneType, not a Receipt"),
    ],
)
def test_what_goes_wrong_is_an_error_of_the_plugin_and_the_next_message_is_sent(
    zoo: IsolatedChannel, way: str, detail: str
) -> None:
    with pytest.raises(SendError) as raised:
        zoo.send(message(way))
    assert (raised.value.reason, raised.value.detail) == (Reason.PLUGIN, detail)
    assert not raised.value.permanent
    assert raised.value.unknown == detail.startswith("the channel's process"), "it may have sent before it died"
    assert zoo.send(message()).detail.startswith("hello")


def test_errors_of_the_channel_come_through_whole(zoo: IsolatedChannel) -> None:
    with pytest.raises(SendError) as raised:
        zoo.send(message("refuse"))
    assert (raised.value.reason, raised.value.detail, raised.value.retry_after) == (Reason.RATE_LIMITED, "slowly", 30)


def test_what_the_channel_prints_is_no_answer(zoo: IsolatedChannel) -> None:
    assert zoo.send(message("print")) == Receipt("printed")
    assert zoo.send(message("odd")).detail == ""


def test_a_send_past_its_deadline_is_killed() -> None:
    channel = IsolatedChannel(HERE, timedelta(milliseconds=200))
    with pytest.raises(SendError) as raised:
        channel.send(message("hang"))
    assert (raised.value.reason, raised.value.unknown) == (Reason.TIMEOUT, True)
    assert raised.value.detail == "no answer within 200 ms; the channel's process was killed"
    channel.close()


def test_the_process_is_replaced_after_so_many_sends() -> None:
    channel = IsolatedChannel(HERE, timedelta(seconds=30), renewed_after=2)
    pids = [channel.send(message()).reference["pid"] for _ in range(3)]
    assert pids[0] == pids[1] != pids[2]
    channel.close()


def test_a_channel_that_cannot_be_made_says_why() -> None:
    channel = IsolatedChannel(Reference("support.zoo:make", {"secret": "missing"}), timedelta(seconds=30))
    with pytest.raises(SendError) as raised:
        channel.send(message())
    assert raised.value.reason is Reason.CONFIG
    assert raised.value.detail == "the channel cannot be made: KeyError: 'missing'"


PLUGIN = """
import os
from tocsin_hooks import ChannelConfig, ChannelType, Receipt, Secret, hookimpl

class Config(ChannelConfig):
    token: Secret

class Far:
    def __init__(self, config):
        self.config = config

    def send(self, message, previous=None):
        if message.event.id == "exit":
            os._exit(9)
        right = self.config.token.get_secret_value() == "hunter2"
        return Receipt(f"from {os.getpid()}, token {'right' if right else 'wrong'}")

@hookimpl
def tocsin_channel_types():
    return [ChannelType("far", Config, Far)]
"""


def test_a_configured_channel_reads_its_config_and_secrets_in_its_own_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "far_channel.py").write_text(PLUGIN)
    info = tmp_path / "far-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: far\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[tocsin]\nfar = far_channel\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("FAR_TOKEN", "hunter2")
    config = tmp_path / "tocsin.toml"
    config.write_text("[defaults]\nsend = ['far']\n[channels.far]\ntype = 'far'\ntoken = { env = 'FAR_TOKEN' }\n")
    given = {"name": "far", "path": str(config)}
    channel = IsolatedChannel(Reference("tocsin.delivery.destinations:configured", given), timedelta(seconds=30))
    receipt = channel.send(message())
    assert receipt.detail.endswith("token right")
    assert f"from {os.getpid()}," not in receipt.detail
    channel.close()


def test_a_worker_delivers_through_a_process_and_tries_again_when_it_dies(worlds: Callable[..., World]) -> None:
    ways = iter(["exit", "hello"])

    class Titled(IsolatedChannel):
        def send(self, message: Message, previous: Receipt | None = None) -> Receipt:
            return super().send(replace(message, title=next(ways)), previous)

    isolated = Titled(HERE, timedelta(seconds=30))
    world = worlds(make=lambda: isolated)
    world.plan("e1", "ops")
    world.drain()
    failed = world.only()
    assert (failed.reason, failed.detail) == ("plugin", "the channel's process exited with 7")
    world.clock.advance(10)
    world.drain()
    assert world.only().status is Status.DELIVERED
    [_, second] = world.store.attempts(failed.number)
    assert second.outcome == "delivered"
