"""A Slack channel that writes as a bot, against a stand-in for a workspace: what its members get to see."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest

from tocsin_hooks.messages import Action, Message, Reason, Receipt, SendError
from tocsin_hooks.testing import (
    Answer,
    ChannelConformance,
    HttpDestination,
    Received,
    Receiver,
    sample_event,
    sample_group_message,
    sample_message,
)
from tocsin_slack import tocsin_channel_types
from tocsin_slack.channel import SlackChannel
from tocsin_slack.config import SlackConfig

TOKEN = "xoxb-1234567890-verySecretToken"
POST, EDIT, REPLIES = "/chat.postMessage", "/chat.update", "/conversations.replies"


class Workspace:
    """One channel, `#ops`, whose id is C024BE91L: posts are kept by their time stamp, as members see them."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.posts: dict[str, dict[str, Any]] = {}
        self.failing: list[tuple[str, str]] = []
        self.may_read = True
        receiver.respond(self._answer)

    def fail(self, path: str, error: str, times: int = 1) -> None:
        """Answer the next requests for `path` with `error`."""
        self.failing += [(path, error)] * times

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.receiver.requests]

    @property
    def top(self) -> list[dict[str, Any]]:
        return [post for post in self.posts.values() if "thread_ts" not in post]

    @property
    def replies(self) -> list[dict[str, Any]]:
        return [post for post in self.posts.values() if "thread_ts" in post]

    def _answer(self, request: Received) -> Answer:
        for path, error in self.failing:
            if path == request.path:
                self.failing.remove((path, error))
                return Answer(200, {"ok": False, "error": error})
        if request.headers["Authorization"] != f"Bearer {TOKEN}":
            return Answer(200, {"ok": False, "error": "invalid_auth"})
        return Answer(200, {POST: self._post, EDIT: self._edit, REPLIES: self._replies}[request.path](request))

    def _post(self, request: Received) -> dict[str, Any]:
        arguments = request.json()
        if arguments.pop("channel") not in ("#ops", "C024BE91L"):
            return {"ok": False, "error": "channel_not_found"}
        ts = f"1772368215.{len(self.posts):06}"
        self.posts[ts] = arguments
        return {"ok": True, "channel": "C024BE91L", "ts": ts, "message": arguments}

    def _edit(self, request: Received) -> dict[str, Any]:
        arguments = request.json()
        if arguments.pop("channel") != "C024BE91L":
            return {"ok": False, "error": "channel_not_found"}  # an edit takes an id only
        ts = arguments.pop("ts")
        if ts not in self.posts:
            return {"ok": False, "error": "message_not_found"}
        self.posts[ts] |= arguments
        return {"ok": True, "channel": "C024BE91L", "ts": ts}

    def _replies(self, request: Received) -> dict[str, Any]:
        if not self.may_read:
            return {"ok": False, "error": "missing_scope", "needed": "channels:history"}
        root = parse_qs(request.text)["ts"][0]
        found = {ts: post for ts, post in self.posts.items() if root in (ts, post.get("thread_ts"))}
        return {"ok": True, "messages": [{"ts": ts, **post} for ts, post in found.items()]}


@pytest.fixture
def workspace(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
    return Workspace(receiver)


@pytest.fixture
def bot(workspace: Workspace) -> Callable[..., SlackChannel]:
    """Makes a channel of the settings given."""

    def bot(updates: str = "edit", **settings: Any) -> SlackChannel:
        plain = {"token": {"env": "SLACK_BOT_TOKEN"}, "channel": "#ops", "base_url": workspace.receiver.url}
        return SlackChannel(SlackConfig.model_validate({**plain, "updates": updates, **settings}))

    return bot


def said(thing: Any) -> list[str]:
    """Every string in a payload."""
    if isinstance(thing, dict):
        return [found for value in thing.values() for found in said(value)]
    if isinstance(thing, list):
        return [found for value in thing for found in said(value)]
    return [thing] if isinstance(thing, str) else []


def error_of(channel: SlackChannel, message: Message, previous: Receipt | None = None) -> SendError:
    with pytest.raises(SendError) as caught:
        channel.send(message, previous)
    return caught.value


class Bot(HttpDestination):
    channel_type = tocsin_channel_types()[0]
    secrets = (TOKEN,)

    def __init__(self, receiver: Receiver, updates: str) -> None:
        super().__init__(receiver)
        self.settings = {
            "token": {"env": "SLACK_BOT_TOKEN"},
            "channel": "#ops",
            "base_url": receiver.url + "/api",
            "updates": updates,
        }

    def answer_accepted(self) -> None:
        self.receiver.respond(self._accepted)

    def _accepted(self, request: Received) -> Answer:
        sent = request.json()
        ts = sent.get("ts") or f"1772368215.{len(self.receiver.requests):06}"
        return Answer(200, {"ok": True, "channel": "C024BE91L", "ts": ts})

    def refuse_for_good(self) -> None:
        super().refuse_for_good()
        self.receiver.answer(200, {"ok": False, "error": "channel_not_found"})

    def text_of(self, request: Received) -> str:
        return "\n".join(said(request.json()))

    def things(self) -> list[str]:
        """The time stamps of the posts that are not in a thread, each edited or replied to or made."""
        found = []
        for number, request in enumerate(self.receiver.requests, 1):
            sent = request.json()
            found.append(sent.get("ts") or sent.get("thread_ts") or f"1772368215.{number:06}")
        return found


class TestBotConformance(ChannelConformance):
    @pytest.fixture(params=["edit", "thread", "edit+thread"])
    def destination(self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Bot:
        monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
        return Bot(receiver, request.param)


# ------------------------------------------------------------ posting


def test_a_post_carries_the_token_in_its_header_only(workspace: Workspace, bot: Callable[..., SlackChannel]) -> None:
    receipt = bot(username="tocsin", icon_emoji=":bell:").send(sample_message())
    assert receipt.reference == {"channel": "C024BE91L", "ts": "1772368215.000000"}
    [request] = workspace.receiver.requests
    assert (request.method, request.target) == ("POST", POST)
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.headers["User-Agent"].startswith("tocsin-slack/")
    assert TOKEN not in request.text
    [post] = workspace.top
    assert (post["unfurl_links"], post["unfurl_media"]) == (False, False)
    assert (post["username"], post["icon_emoji"]) == ("tocsin", ":bell:")
    assert post["text"].startswith("🔴 Failed: etl/load")
    assert post["blocks"][0]["text"]["text"] == "🔴 Failed: etl/load"


def test_a_wrong_token_disables_the_channel(
    workspace: Workspace, bot: Callable[..., SlackChannel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-wrong")
    error = error_of(bot(), sample_message())
    assert (error.reason, error.disable) == (Reason.AUTH, True)
    assert "'invalid_auth'" in error.detail


def test_a_changed_token_is_used_at_once(
    workspace: Workspace, bot: Callable[..., SlackChannel], monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = bot()
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-wrong")
    error_of(channel, sample_message())
    monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
    assert channel.send(sample_message()).sent is True


@pytest.mark.parametrize("token", ["xoxb-line\nbreak", "xoxb-ünicode-\u4e00"])
def test_a_token_that_no_header_can_carry_is_not_shown(
    workspace: Workspace, bot: Callable[..., SlackChannel], monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", token)
    error = error_of(bot(), sample_message())
    assert error.reason is Reason.CONFIG
    assert "xoxb" not in error.detail
    assert workspace.paths == []


@pytest.mark.parametrize("status", [302, 307])
def test_the_token_is_not_carried_to_where_a_redirect_points(
    workspace: Workspace, bot: Callable[..., SlackChannel], status: int
) -> None:
    with Receiver() as elsewhere:
        workspace.receiver.answer(status, headers={"Location": elsewhere.url + "/stolen"})
        error = error_of(bot(), sample_message())
        assert elsewhere.requests == []
    assert (error.reason, error.permanent) == (Reason.CLIENT, True)


def test_proxies_of_the_environment_are_not_used(
    workspace: Workspace, bot: Callable[..., SlackChannel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with Receiver() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        bot().send(sample_message())
        assert proxy.requests == []
    assert workspace.paths == [POST]


def test_a_proxy_that_is_set_is_used(workspace: Workspace, bot: Callable[..., SlackChannel]) -> None:
    bot(base_url="http://slack.example.invalid", proxy=workspace.receiver.url).send(sample_message())
    [request] = workspace.receiver.requests
    assert request.target == "http://slack.example.invalid/chat.postMessage"


def test_no_trace_of_the_token_in_logs(
    workspace: Workspace, bot: Callable[..., SlackChannel], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("slack_sdk", "slack_sdk.web.base_client", "slack_sdk.web.slack_response"):
        caplog.set_level(logging.DEBUG, logger=name)
    channel = bot()
    channel.send(sample_message())
    workspace.receiver.answer(200, "<html>no</html>")
    error_of(channel, sample_message())
    workspace.receiver.close()
    error_of(channel, sample_message())
    assert [record for record in caplog.records if "slack" in record.name] == []


def test_an_answer_longer_than_64_kilobytes_is_still_understood(
    workspace: Workspace, bot: Callable[..., SlackChannel]
) -> None:
    answer = {"ok": True, "channel": "C1", "message": {"text": "\U0001f525" * 20_000}, "ts": "1.2"}
    workspace.receiver.answer(200, answer)
    assert bot().send(sample_message()).reference == {"channel": "C1", "ts": "1.2"}


# ------------------------------------------------------------ an incident goes on


def test_edits_show_the_present_state_in_one_message(workspace: Workspace, bot: Callable[..., SlackChannel]) -> None:
    channel = bot("edit")
    first = channel.send(sample_message())
    second = channel.send(sample_message(Action.UPDATE), first)
    [post] = workspace.top
    assert post["blocks"][0]["text"]["text"] == "🔴 Failed again: etl/load"
    assert post["text"].startswith("🔴 Failed again: etl/load")
    third = channel.send(sample_message(Action.RECOVER), second)
    [post] = workspace.top
    assert post["blocks"][0]["text"]["text"] == "✅ Recovered: etl/load"
    assert "down for 1 min 10 s" in str(post["blocks"])
    assert first.reference == second.reference == third.reference
    assert workspace.paths == [POST, EDIT, EDIT]
    assert workspace.replies == []


def test_threads_leave_the_first_message_and_reply_to_it(
    workspace: Workspace, bot: Callable[..., SlackChannel]
) -> None:
    channel = bot("thread")
    first = channel.send(sample_message())
    second = channel.send(sample_message(Action.UPDATE), first)
    assert channel.send(sample_message(Action.RECOVER), second).reference == first.reference
    assert workspace.paths == [POST, POST, POST]
    [top] = workspace.top
    assert top["text"].startswith("🔴 Failed: etl/load")
    failed, recovered = workspace.replies
    assert failed["thread_ts"] == recovered["thread_ts"] == first.reference["ts"]
    assert failed["reply_broadcast"] is True
    assert "reply_broadcast" not in recovered
    assert [request.json()["channel"] for request in workspace.receiver.requests[1:]] == ["C024BE91L"] * 2


def test_both_edit_first_and_then_reply(workspace: Workspace, bot: Callable[..., SlackChannel]) -> None:
    channel = bot("edit+thread")
    first = channel.send(sample_message())
    receipt = channel.send(sample_message(Action.UPDATE), first)
    assert receipt == Receipt("ok, edited and replied", first.reference)
    assert workspace.paths == [POST, EDIT, POST]
    assert workspace.top[0]["text"].startswith("🔴 Failed again")
    [reply] = workspace.replies
    assert reply["text"].startswith("🔴 Failed again")


def test_new_posts_each_message_by_itself(workspace: Workspace, bot: Callable[..., SlackChannel]) -> None:
    channel = bot("new")
    first = channel.send(sample_message())
    second = channel.send(sample_message(Action.UPDATE), first)
    assert workspace.paths == [POST, POST]
    assert second.reference != first.reference
    assert workspace.replies == []


@pytest.mark.parametrize("action", [Action.EVENT, Action.TEST])
def test_what_belongs_to_no_incident_is_posted_by_itself(
    workspace: Workspace, bot: Callable[..., SlackChannel], action: Action
) -> None:
    channel = bot("edit")
    channel.send(sample_message(action), channel.send(sample_message()))
    assert workspace.paths == [POST, POST]


@pytest.mark.parametrize("updates", ["edit", "thread", "edit+thread"])
def test_a_reminder_is_a_reply_that_the_channel_sees_not_an_edit(
    workspace: Workspace, bot: Callable[..., SlackChannel], updates: str
) -> None:
    channel = bot(updates, mention=["U012AB3CD"])
    first = channel.send(sample_message())
    receipt = channel.send(sample_message(Action.REPEAT), first)
    assert workspace.paths == [POST, POST]
    [reply] = workspace.replies
    assert (reply["thread_ts"], reply["reply_broadcast"]) == (first.reference["ts"], True)
    assert "🔴 Still Failed: etl/load for 4 h" in reply["text"]
    assert "<@U012AB3CD>" in reply["text"]
    assert workspace.top[0]["text"].endswith("Run>")
    assert receipt.reference == first.reference


def test_a_reminder_of_what_will_be_retried_is_seen_in_the_channel_too(
    workspace: Workspace, bot: Callable[..., SlackChannel]
) -> None:
    channel = bot("edit")
    retrying = sample_event(state="Retrying", state_family=("Retrying", "Scheduled", "Pending"))
    channel.send(sample_message(Action.REPEAT, event=retrying), channel.send(sample_message()))
    assert [reply["reply_broadcast"] for reply in workspace.replies] == [True]


def test_a_reminder_is_a_new_message_where_updates_are(workspace: Workspace, bot: Callable[..., SlackChannel]) -> None:
    channel = bot("new")
    channel.send(sample_message(Action.REPEAT), channel.send(sample_message()))
    assert len(workspace.top) == 2
    assert workspace.replies == []


def test_a_reminder_whose_thread_is_gone_is_posted_by_itself(
    workspace: Workspace, bot: Callable[..., SlackChannel]
) -> None:
    channel = bot("edit")
    first = channel.send(sample_message())
    workspace.fail(POST, "thread_not_found")
    assert channel.send(sample_message(Action.REPEAT), first).reference != first.reference
    assert len(workspace.top) == 2


@pytest.mark.parametrize("updates", ["edit", "edit+thread"])
@pytest.mark.parametrize("action", [Action.UPDATE, Action.REPEAT, Action.RECOVER])
def test_a_silent_message_edits_and_calls_nobody(
    workspace: Workspace, bot: Callable[..., SlackChannel], updates: str, action: Action
) -> None:
    channel = bot(updates, mention=["here"])
    first = channel.send(sample_message())
    receipt = channel.send(sample_message(action, silent=True), first)
    assert workspace.paths == [POST, EDIT]
    assert receipt.reference == first.reference
    [post] = workspace.top
    assert sample_message(action).title in post["text"]
    assert "<!here>" not in str(post)


@pytest.mark.parametrize("updates", ["new", "thread"])
def test_a_silent_message_that_cannot_edit_is_left_out(
    workspace: Workspace, bot: Callable[..., SlackChannel], updates: str
) -> None:
    channel = bot(updates)
    first = channel.send(sample_message())
    receipt = channel.send(sample_message(Action.UPDATE, silent=True), first)
    assert (receipt.sent, receipt.reference) == (False, first.reference)
    assert "silent" in receipt.detail
    assert workspace.paths == [POST]


@pytest.mark.parametrize("error", ["message_not_found", "edit_window_closed"])
def test_a_silent_message_is_not_posted_where_the_edit_fails(
    workspace: Workspace, bot: Callable[..., SlackChannel], error: str
) -> None:
    channel = bot("edit")
    first = channel.send(sample_message())
    workspace.fail(EDIT, error)
    receipt = channel.send(sample_message(Action.UPDATE, silent=True), first)
    assert receipt.sent is False
    assert error in receipt.detail
    assert workspace.paths == [POST, EDIT]


def test_a_silent_message_that_opens_nothing_posts_nothing(
    workspace: Workspace, bot: Callable[..., SlackChannel]
) -> None:
    assert bot("edit").send(sample_message(silent=True)).sent is False
    assert workspace.paths == []


def test_an_acknowledgement_shows_in_the_edited_message_and_calls_nobody(
    workspace: Workspace, bot: Callable[..., SlackChannel]
) -> None:
    channel = bot("edit+thread", mention=["here"])
    first = channel.send(sample_message())
    channel.send(sample_message(Action.UPDATE, reason="acknowledged", acknowledged_by="kim"), first)
    [post] = workspace.top
    assert post["blocks"][0]["text"]["text"] == "👀 Acknowledged by kim: etl/load"
    assert "*Acknowledged by*\nkim" in said(post["blocks"])
    assert "<!here>" not in str(post)
    [reply] = workspace.replies
    assert "reply_broadcast" not in reply


def test_a_group_is_told_in_one_message_from_the_first_to_the_last(
    workspace: Workspace, bot: Callable[..., SlackChannel]
) -> None:
    channel = bot("edit")
    first = channel.send(sample_group_message())
    channel.send(sample_group_message(Action.RECOVER), first)
    [post] = workspace.top
    assert post["blocks"][0]["text"]["text"] == "✅ Recovered: 3 problems in etl"
    assert "Recovered: etl/part-3: ValueError: bad row 3" in post["text"]


# ------------------------------------------------------------ when editing fails


@pytest.mark.parametrize("error", ["ratelimited", "internal_error", "channel_not_found", "some_error_of_next_year"])
@pytest.mark.parametrize("updates", ["edit", "edit+thread"])
def test_a_failed_edit_never_posts(
    workspace: Workspace, bot: Callable[..., SlackChannel], updates: str, error: str
) -> None:
    channel = bot(updates)
    first = channel.send(sample_message())
    workspace.fail(EDIT, error)
    failed = error_of(channel, sample_message(Action.UPDATE), first)
    assert f"'{error}'" in failed.detail
    assert failed.unknown is False  # to edit again doubles nothing
    assert workspace.paths == [POST, EDIT]


def test_an_edit_without_an_answer_may_be_made_again(workspace: Workspace, bot: Callable[..., SlackChannel]) -> None:
    channel = bot("edit", timeout="300ms")
    first = channel.send(sample_message())
    workspace.receiver.hang(path=EDIT, times=1)
    error = error_of(channel, sample_message(Action.UPDATE), first)
    assert (error.reason, error.unknown, error.permanent) == (Reason.TIMEOUT, False, False)
    assert workspace.paths == [POST, EDIT]


@pytest.mark.parametrize("updates", ["edit", "edit+thread"])
def test_a_message_that_is_gone_is_posted_once_more_and_referred_to_from_then_on(
    workspace: Workspace, bot: Callable[..., SlackChannel], updates: str
) -> None:
    channel = bot(updates)
    first = channel.send(sample_message())
    del workspace.posts[first.reference["ts"]]
    workspace.posts["filler"] = {"thread_ts": ""}  # keeps time stamps from being used twice
    second = channel.send(sample_message(Action.UPDATE), first)
    assert workspace.paths == [POST, EDIT, POST]
    assert second.reference["ts"] != first.reference["ts"]
    channel.send(sample_message(Action.RECOVER), second)
    [post] = workspace.top
    assert post["text"].startswith("✅ Recovered")


@pytest.mark.parametrize("error", ["edit_window_closed", "cant_update_message"])
@pytest.mark.parametrize("updates", ["edit", "edit+thread"])
def test_a_message_that_cannot_be_edited_any_more_is_replied_to_once(
    workspace: Workspace, bot: Callable[..., SlackChannel], updates: str, error: str
) -> None:
    channel = bot(updates)
    first = channel.send(sample_message())
    workspace.fail(EDIT, error)
    receipt = channel.send(sample_message(Action.RECOVER), first)
    assert workspace.paths == [POST, EDIT, POST]
    [reply] = workspace.replies
    assert reply["thread_ts"] == first.reference["ts"]
    assert receipt.reference == first.reference
    assert error in receipt.detail


def test_a_thread_that_is_gone_is_begun_anew(workspace: Workspace, bot: Callable[..., SlackChannel]) -> None:
    channel = bot("thread")
    first = channel.send(sample_message())
    workspace.fail(POST, "thread_not_found")
    second = channel.send(sample_message(Action.UPDATE), first)
    assert len(workspace.top) == 2
    assert workspace.replies == []
    assert second.reference["ts"] != first.reference["ts"]


@pytest.mark.parametrize("error", ["invalid_blocks", "msg_blocks_too_long", "msg_too_long"])
def test_refused_blocks_are_posted_as_plain_text_at_once(
    workspace: Workspace, bot: Callable[..., SlackChannel], error: str
) -> None:
    workspace.fail(POST, error)
    receipt = bot().send(sample_message())
    assert f"as plain text ('{error}')" in receipt.detail
    [post] = workspace.top
    assert "blocks" not in post
    assert "write(rows)" in post["text"]
    assert workspace.paths == [POST, POST]


def test_an_edit_as_plain_text_drops_the_old_blocks(workspace: Workspace, bot: Callable[..., SlackChannel]) -> None:
    channel = bot("edit")
    first = channel.send(sample_message())
    workspace.fail(EDIT, "invalid_blocks")
    channel.send(sample_message(Action.RECOVER), first)
    [post] = workspace.top
    assert post["blocks"] == []
    assert post["text"].startswith("✅ Recovered")


# ------------------------------------------------------------ when the reply fails


def test_a_refused_reply_is_made_once_in_the_end(workspace: Workspace, bot: Callable[..., SlackChannel]) -> None:
    channel = bot("edit+thread")
    first = channel.send(sample_message())
    workspace.fail(POST, "ratelimited")
    error = error_of(channel, sample_message(Action.UPDATE), first)
    assert (error.reason, error.unknown) == (Reason.RATE_LIMITED, False)
    channel.send(sample_message(Action.UPDATE, attempt=2), first)
    assert len(workspace.top) == len(workspace.replies) == 1
    assert workspace.paths == [POST, EDIT, POST, EDIT, POST]


def _reply_arrives_unanswered(
    workspace: Workspace, bot: Callable[..., SlackChannel], *, arrives: bool
) -> tuple[SlackChannel, Receipt]:
    channel = bot("edit+thread", timeout="300ms")
    first = channel.send(sample_message())
    workspace.receiver.hang(path=POST, times=1)
    error = error_of(channel, sample_message(Action.UPDATE), first)
    assert (error.reason, error.unknown) == (Reason.TIMEOUT, True)
    if arrives:
        workspace.posts["1772368299.000000"] = workspace.receiver.requests[-1].json()
    return bot("edit+thread"), first


def test_a_reply_that_arrived_unanswered_is_not_doubled(workspace: Workspace, bot: Callable[..., SlackChannel]) -> None:
    channel, first = _reply_arrives_unanswered(workspace, bot, arrives=True)
    receipt = channel.send(sample_message(Action.UPDATE, attempt=2, may_repeat=True), first)
    assert "was there already" in receipt.detail
    assert receipt.reference == first.reference
    assert len(workspace.replies) == 1


def test_a_reply_that_never_arrived_is_made_and_marked(workspace: Workspace, bot: Callable[..., SlackChannel]) -> None:
    channel, first = _reply_arrives_unanswered(workspace, bot, arrives=False)
    channel.send(sample_message(Action.UPDATE, attempt=2, may_repeat=True), first)
    [reply] = workspace.replies
    assert "(may be a repeat)" in str(reply["blocks"])


def test_a_bot_that_may_not_read_the_thread_marks_its_second_reply(
    workspace: Workspace, bot: Callable[..., SlackChannel]
) -> None:
    workspace.may_read = False
    channel, first = _reply_arrives_unanswered(workspace, bot, arrives=True)
    channel.send(sample_message(Action.UPDATE, attempt=2, may_repeat=True), first)
    assert len(workspace.replies) == 2
    assert "(may be a repeat)" in str(workspace.replies[1]["blocks"])


def test_a_first_message_sent_again_is_marked(workspace: Workspace, bot: Callable[..., SlackChannel]) -> None:
    channel = bot()
    channel.send(sample_message())
    channel.send(sample_message(attempt=2, may_repeat=True))
    before, after = [str(post["blocks"]) for post in workspace.top]
    assert "(may be a repeat)" not in before
    assert "(may be a repeat)" in after
    assert "delivery 5f3e2a10" in before
    assert "delivery 5f3e2a10" in after
