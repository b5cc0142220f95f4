"""A channel in a process of its own harms nobody, whatever it does."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from support.beasts import is_there, until
from support.worlds import World
from tocsin.clock import SystemClock
from tocsin.delivery.backoff import Backoff
from tocsin.delivery.isolation import CutOffError, IsolatedChannel, Reference
from tocsin.delivery.outside import Outside
from tocsin.store.records import Status
from tocsin_hooks.messages import Message, Reason, Receipt, SendError
from tocsin_hooks.testing import sample_message

HERE = Reference("support.zoo:make")


def message(title: str = "hello") -> Message:
    return replace(sample_message(), title=title)


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


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


def test_modules_in_the_folder_where_it_is_started_stand_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "queue", "tocsin"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('the wrong one')")
    monkeypatch.chdir(tmp_path)
    channel = IsolatedChannel(HERE, timedelta(seconds=30))
    assert channel.send(message()).detail.startswith("hello")
    channel.close()


def test_a_process_that_reads_nothing_any_more_is_not_waited_for_beyond_the_deadline() -> None:
    channel = IsolatedChannel(HERE, timedelta(seconds=2))
    stopped = int(channel.send(message()).reference["pid"])
    os.kill(stopped, signal.SIGSTOP)
    with pytest.raises(SendError) as raised:
        channel.send(replace(message(), text="x" * 1_000_000))  # more than a pipe holds
    assert raised.value.detail == "no answer within 2 s; the channel's process was killed"
    assert not is_there(stopped)
    channel.close()


def test_what_answers_twice_is_not_believed_for_the_next_message() -> None:
    channel = IsolatedChannel(HERE, timedelta(seconds=30))
    assert channel.send(message("twice")).detail == "twice"
    with pytest.raises(SendError) as raised:
        channel.send(message())
    assert (raised.value.detail, raised.value.unknown) == ("the channel's process answered junk", True)
    assert channel.send(message()).detail.startswith("hello"), "from another process"
    channel.close()


def test_a_copy_of_the_process_keeps_no_channel_alive_and_may_send_by_itself() -> None:
    channel = IsolatedChannel(HERE, timedelta(seconds=30))
    ours = channel.send(message()).reference["pid"]
    telling, told = os.pipe()
    if (copy := os.fork()) == 0:
        try:
            os.write(told, channel.send(message()).reference["pid"].encode())
            channel.close()
        except BaseException as error:
            os.write(told, repr(error).encode())
        finally:
            os._exit(0)
    os.close(told)
    theirs = os.read(telling, 1000).decode()
    os.waitpid(copy, 0)
    assert theirs.isdigit(), theirs
    assert theirs != ours
    assert channel.send(message()).reference["pid"] == ours, "the one of the parent is as it was"
    channel.close()
    assert not is_there(int(ours))
    until(lambda: not is_there(int(theirs)))
    os.close(telling)


def test_a_process_that_died_meanwhile_is_replaced_and_leaves_no_pipe_open() -> None:
    channel = IsolatedChannel(HERE, timedelta(seconds=30))
    first = int(channel.send(message()).reference["pid"])
    files = open_files()
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)  # with all its threads
    assert int(channel.send(message()).reference["pid"]) != first
    assert open_files() == files
    channel.close()
    assert open_files() < files


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


# ---------------------------------------------------------------- ended from here


class Hanging(IsolatedChannel):
    """Hangs in a process of its own, whatever it is to send."""

    def send(self, message: Message, previous: Receipt | None = None) -> Receipt:
        return super().send(replace(message, title="hang"), previous)


@pytest.mark.parametrize("tries", [1, 3])
def test_what_is_cut_off_at_the_end_is_unknown_and_made_again_and_no_fault_of_the_channel(
    worlds: Callable[..., World], tries: int
) -> None:
    channel = Hanging(HERE, timedelta(seconds=600))
    promises = {"ops": {"isolated": True, "backoff": Backoff(attempts=tries)}}
    world = worlds(make=lambda: channel, promises=promises, clock=SystemClock())
    world.plan("e1", "ops")
    world.until(lambda: channel._sent == 1)
    world.worker.stop(timedelta(0))
    world.until(lambda: world.only().status is Status.PENDING)
    cut = world.only()
    assert (cut.status, cut.reason) == (Status.PENDING, Reason.TIMEOUT)
    assert cut.detail == "no answer before tocsin ended the channel's process"
    assert [each.outcome for each in world.store.attempts(cut.number)] == ["unknown"]
    assert world.worker.breakers()["ops"].failures == 0
    [again] = world.store.lease(now=world.clock.now(), ttl=timedelta(minutes=1), limit=9, owner="next")
    assert again.may_repeat


def test_a_channel_that_was_closed_starts_no_process_again() -> None:
    channel = IsolatedChannel(HERE, timedelta(seconds=30))
    assert channel.close() is False
    with pytest.raises(CutOffError) as raised:
        channel.send(message())
    assert not raised.value.unknown, "nothing was sent"


def no_process() -> Outside:
    raise BlockingIOError(11, "Resource temporarily unavailable")


def test_a_process_that_cannot_be_started_is_no_fault_of_the_plugin() -> None:
    with pytest.raises(SendError) as raised:
        IsolatedChannel(HERE, timedelta(seconds=30), start=no_process).send(message())
    assert (raised.value.reason, raised.value.unknown) == (Reason.CONFIG, False)
    assert raised.value.detail == "the channel's process cannot be started: [Errno 11] Resource temporarily unavailable"
