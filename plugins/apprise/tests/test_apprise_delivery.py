"""What becomes of a message that goes through Apprise: against servers on loopback and services of our own."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest
from apprise import decorators

from tocsin_apprise import AppriseChannel, AppriseConfig
from tocsin_apprise.services import build, catalogue, schemas, tame
from tocsin_hooks.messages import Action, Reason, SendError
from tocsin_hooks.testing import Receiver, sample_event, sample_message


def channel(url: Any, **settings: Any) -> AppriseChannel:
    return AppriseChannel(AppriseConfig.model_validate({"url": url, **settings}))


def error_of(sender: AppriseChannel, **changes: Any) -> SendError:
    with pytest.raises(SendError) as caught:
        sender.send(sample_message(**changes))
    return caught.value


class Bells:
    """In-process services, made by Apprise's own decorator: `tocsinbell://` keeps what it is given."""

    def __init__(self) -> None:
        self.rung: list[dict[str, Any]] = []
        self.answer: Callable[[], bool | None] = lambda: None


BELLS = Bells()
schemas()  # so that Apprise's own modules are loaded, with their warnings, before ours is added
on_schema: Any = decorators.notify  # untyped there


def ring(body: str, title: str, notify_type: str, meta: dict[str, Any], **rest: Any) -> bool | None:
    BELLS.rung.append({"body": body, "title": title, "type": str(getattr(notify_type, "value", notify_type)), **rest})
    return BELLS.answer()


on_schema(on="tocsinbell", name="Bell")(ring)


@pytest.fixture
def bells() -> Bells:
    BELLS.rung.clear()
    BELLS.answer = lambda: None
    return BELLS


# ---------------------------------------------------------------- delivering


@pytest.mark.parametrize("schema", ["json", "xml", "form"])
def test_the_same_content_reaches_every_kind_of_service(schema: str, receiver: Receiver) -> None:
    message = sample_message(title="Zahlung fällig \U0001f525", text="Zeile 17 in 倉庫 <&>")
    receipt = channel(f"{schema}://127.0.0.1:{receiver.port}/hook").send(message)
    [request] = receiver.requests
    if schema == "json":
        content = request.json()
        title, body, kind = content["title"], content["message"], content["type"]
    elif schema == "form":
        fields = parse_qs(request.text)
        title, body, kind = (fields[name][0] for name in ("title", "message", "type"))
    else:
        texts = {element.tag.rpartition("}")[2]: element.text or "" for element in ET.fromstring(request.body).iter()}
        title, body, kind = texts["Subject"], texts["Message"], texts["MessageType"]
    assert title == "Zahlung fällig \U0001f525"
    assert body.replace("\r\n", "\n").startswith("Zeile 17 in 倉庫 <&>\n\n")
    assert "Run: brave-otter" in body
    assert kind == "failure"
    assert request.headers["User-Agent"] == "tocsin"
    assert receipt.detail.startswith("Sent ")


def test_a_custom_service_gets_type_title_and_text(bells: Bells) -> None:
    sender = channel("tocsinbell://")
    for action in (Action.OPEN, Action.RECOVER, Action.TEST):
        sender.send(sample_message(action))
    assert [(bell["title"], bell["type"]) for bell in bells.rung] == [
        ("Failed: etl/load", "failure"),
        ("Recovered: etl/load", "success"),
        ("Test of channel ops", "info"),
    ]


def test_no_file_is_attached_whatever_the_text_says(bells: Bells, receiver: Receiver, tmp_path: Any) -> None:
    (tmp_path / "secret.txt").write_text("do not send")
    text = f"attach=file://{tmp_path}/secret.txt file://{tmp_path}/secret.txt ![x](file://{tmp_path}/secret.txt)"
    channel("tocsinbell://").send(sample_message(text=text, templated=True))
    assert bells.rung[0]["attach"] is None
    channel(f"json://127.0.0.1:{receiver.port}", format="markdown").send(sample_message(text=text))
    assert receiver.requests[0].json()["attachments"] == []
    assert "do not send" not in receiver.requests[0].text


def test_markdown_is_shown_as_given_by_a_service_that_takes_it(receiver: Receiver) -> None:
    sender = channel(f"json://127.0.0.1:{receiver.port}?format=markdown", format="markdown")
    sender.send(sample_message(text="**late** `etl/load`", templated=True))
    assert receiver.requests[0].json()["message"] == "**late** `etl/load`"


def test_text_is_not_taken_for_markdown_or_escapes(receiver: Receiver) -> None:
    channel(f"json://127.0.0.1:{receiver.port}").send(sample_message(text=r"*a*_b_ \n :fire: <b>", templated=True))
    assert receiver.requests[0].json()["message"] == r"*a*_b_ \n :fire: <b>"


# ---------------------------------------------------------------- size


def test_a_long_text_is_cut_once_and_marked(receiver: Receiver) -> None:
    channel(f"json://127.0.0.1:{receiver.port}").send(sample_message(text="x" * 100_000))
    [request] = receiver.requests
    body = request.json()["message"]
    assert 32_700 < len(body) <= 32_768
    assert body.endswith(" more characters)")


def test_a_long_text_can_be_split_into_messages(receiver: Receiver) -> None:
    channel(f"json://127.0.0.1:{receiver.port}", overflow="split").send(sample_message(text="word " * 14_000))
    assert len(receiver.requests) == 3
    assert all(len(request.json()["message"]) <= 32_768 for request in receiver.requests)
    assert "".join(request.json()["message"] for request in receiver.requests).count("word") == 14_000


def test_a_long_text_can_be_left_to_the_service(receiver: Receiver) -> None:
    channel(f"json://127.0.0.1:{receiver.port}", overflow="upstream").send(sample_message(text="x" * 100_000))
    assert len(receiver.requests[0].json()["message"]) > 100_000


def test_the_urls_own_overflow_counts_where_none_is_set(receiver: Receiver) -> None:
    url = f"json://127.0.0.1:{receiver.port}?overflow=upstream"
    channel(url).send(sample_message(text="x" * 100_000))
    channel(url, overflow="truncate").send(sample_message(text="x" * 100_000))
    assert [len(request.json()["message"]) > 32_768 for request in receiver.requests] == [True, False]


def test_the_title_of_a_service_without_titles_fits_with_the_text() -> None:
    service = build("tgram://123456789:abcdefg_hijklmnopqrstuvwxyz/12345")
    tame(service, "tgram://", seconds=1, overflow=None)
    assert service.title_maxlen <= 0
    from tocsin_apprise.channel import _texts

    title, body = _texts(sample_message(text="x" * 10_000), service, markdown=False)
    assert service.body_maxlen - 10 < len(f"# {title}\r\n{body}") <= service.body_maxlen


# ---------------------------------------------------------------- failing


@pytest.mark.parametrize(
    ("status", "reason", "permanent"),
    [
        (401, Reason.AUTH, True),
        (404, Reason.CLIENT, True),
        (429, Reason.RATE_LIMITED, False),
        (500, Reason.SERVER, False),
    ],
)
def test_the_reason_is_the_one_the_service_gave(
    receiver: Receiver, status: int, reason: Reason, permanent: bool
) -> None:
    receiver.answer(status)
    error = error_of(channel(f"json://127.0.0.1:{receiver.port}"))
    assert (error.reason, error.permanent, error.unknown) == (reason, permanent, False)
    assert f"error={status}" in error.detail


def test_a_connection_broken_after_sending_is_unknown(receiver: Receiver) -> None:
    receiver.reset()
    error = error_of(channel(f"json://127.0.0.1:{receiver.port}"))
    assert (error.reason, error.permanent, error.unknown) == (Reason.NETWORK, False, True)


def test_eight_threads_get_their_own_reasons(receiver: Receiver) -> None:
    statuses = [400, 404, 405, 409, 500, 502, 503, 507]
    for status in statuses:
        receiver.answer(status, path=f"/{status}")
    seen: dict[int, str] = {}
    barrier = threading.Barrier(len(statuses))

    def send(status: int) -> None:
        sender = channel(f"json://127.0.0.1:{receiver.port}/{status}")
        barrier.wait(10)
        seen[status] = error_of(sender).detail

    threads = [threading.Thread(target=send, args=(status,)) for status in statuses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert {status: [s for s in statuses if f"error={s}" in text] for status, text in seen.items()} == {
        status: [status] for status in statuses
    }


@pytest.mark.parametrize("parameters", ["?retry=3&wait=20", "?optional=yes"])
def test_apprise_neither_retries_nor_hides_a_failure(receiver: Receiver, parameters: str) -> None:
    receiver.answer(500)
    started = time.monotonic()
    error = error_of(channel(f"json://127.0.0.1:{receiver.port}{parameters}"))
    assert error.reason is Reason.SERVER
    assert len(receiver.requests) == 1
    assert time.monotonic() - started < 15


def test_no_redirect_is_followed(receiver: Receiver) -> None:
    receiver.answer(302, headers={"Location": f"{receiver.url}/elsewhere"}, path="/hook")
    service = build(f"json://127.0.0.1:{receiver.port}/hook")
    if not hasattr(service, "redirects"):
        pytest.skip("this Apprise cannot be told")
    error = error_of(channel(f"json://127.0.0.1:{receiver.port}/hook"))
    assert (error.reason, error.permanent) == (Reason.CLIENT, True)
    assert [request.path for request in receiver.requests] == ["/hook"]


def test_a_service_that_returns_false_or_raises_has_failed(bells: Bells) -> None:
    sender = channel("tocsinbell://")
    bells.answer = lambda: False
    assert error_of(sender).reason is Reason.SERVER
    bells.answer = lambda: 1 // 0 == 0
    error = error_of(sender)
    assert (error.reason, error.permanent) == (Reason.SERVER, False)
    bells.answer = lambda: True
    assert sender.send(sample_message()).sent


# ---------------------------------------------------------------- time


@pytest.mark.timeout(10)  # without the bound it would take much longer
def test_no_service_pauses_between_requests() -> None:
    service = build("tgram://123456789:abcdefg_hijklmnopqrstuvwxyz/12345")
    tame(service, "tgram://", seconds=1, overflow=None)
    for _ in range(3):
        service.throttle()
        service.throttle(wait=5)


def test_the_timeouts_of_a_call_are_ours_unless_the_url_asks_for_less() -> None:
    service = build("json://127.0.0.1?rto=2&cto=90")
    tame(service, "json://127.0.0.1?rto=2&cto=90", seconds=20, overflow=None)
    assert service.request_timeout == (20, 2)
    service = build("json://127.0.0.1")
    tame(service, "json://127.0.0.1", seconds=20, overflow=None)
    assert service.request_timeout == (5, 20)


def test_a_service_that_hangs_is_left_behind_and_others_go_on(bells: Bells, receiver: Receiver) -> None:
    release = threading.Event()
    bells.answer = lambda: release.wait(20)
    hanging = channel("tocsinbell://", timeout="50ms")
    try:
        for _ in range(8):
            error = error_of(hanging)
            assert (error.reason, error.unknown, error.permanent) == (Reason.TIMEOUT, True, False)
            assert error.detail == "tocsinbell:// did not finish in 0.05 s"
        error = error_of(hanging)
        assert (error.reason, error.unknown) == (Reason.TIMEOUT, False)
        assert error.detail == "8 earlier calls still hang; no further one is started"
        assert len(bells.rung) == 8
        assert channel(f"json://127.0.0.1:{receiver.port}").send(sample_message()).sent
        assert all(thread.daemon for thread in threading.enumerate() if thread.name == "tocsin-apprise")
    finally:
        release.set()
    for thread in threading.enumerate():
        if thread.name == "tocsin-apprise":
            thread.join(5)
    assert hanging.send(sample_message()).sent


@pytest.mark.timeout(20)  # without the bound it would take much longer
def test_a_server_that_drips_is_left_behind(receiver: Receiver) -> None:
    receiver.drip(every=0.05)
    error = error_of(channel(f"json://127.0.0.1:{receiver.port}", timeout="300ms"))
    assert (error.reason, error.unknown) == (Reason.TIMEOUT, True)


def test_a_process_ends_though_a_call_still_hangs(receiver: Receiver) -> None:
    receiver.drip(every=0.1)  # never long enough without a byte for a timeout of the library's own
    program = (
        "from tocsin_apprise import AppriseChannel, AppriseConfig\n"
        "from tocsin_hooks.messages import SendError\n"
        "from tocsin_hooks.testing import sample_message\n"
        f"url = 'json://127.0.0.1:{receiver.port}'\n"
        "channel = AppriseChannel(AppriseConfig.model_validate({'url': url, 'timeout': '200ms'}))\n"
        "try:\n    channel.send(sample_message())\n"
        "except SendError as error:\n    print(error.reason)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "timeout\n"


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("slakc://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "no service 'slakc://'; did you mean 'slack://'?"),
        ("nothing-like-it://x", "knows no service 'nothing-like-it://'; see https://"),
        ("hooks.example.org/T0KEN", "no Apprise URL"),
        ("json://a, json://b", "one URL per channel"),
        (["json://a", "json://b"], "one URL per channel: write a table for each"),
        ("tgram://hunter2token/", "this 'tgram://' URL"),
        ("discord://hunter2token", "this 'discord://' URL"),
        ("", "is empty"),
    ],
)
def test_a_url_that_apprise_would_not_have_is_refused_with_the_config(url: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint.replace("?", r"\?")) as caught:
        AppriseConfig.model_validate({"url": url})
    assert "hunter2token" not in str(caught.value)
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in str(caught.value)


def test_a_service_whose_package_is_missing_names_it() -> None:
    services = catalogue()
    disabled = [
        schema
        for schema in schemas()
        if not services[schema].enabled and services[schema].requirements.get("packages_required")
    ]
    if not disabled:
        pytest.skip("every package is installed")
    for schema in disabled:
        with pytest.raises(ValueError, match=f"Apprise cannot use '{schema}://' here: it needs .*: pip install '"):
            build(f"{schema}://127.0.0.1/topic")


def test_the_catalogue_is_large_and_needs_no_network() -> None:
    assert len(schemas()) >= 170
    assert {"json", "slack", "tgram", "discord", "ntfys"} <= set(schemas())


def test_a_url_by_reference_is_checked_when_a_message_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sender = channel({"env": "BELL_URL"})
    assert error_of(sender).detail == "environment variable 'BELL_URL' is not set"
    monkeypatch.setenv("BELL_URL", "slakc://hunter2token/x/y")
    error = error_of(sender)
    assert (error.reason, error.permanent) == (Reason.CONFIG, True)
    assert error.detail == "Apprise knows no service 'slakc://'; did you mean 'slack://'?"
    monkeypatch.setenv("BELL_URL", "json://a.example json://b.example")
    assert "one URL per channel" in error_of(sender).detail


def test_base_url_takes_the_place_of_host_and_port(receiver: Receiver) -> None:
    channel("jsons://bell:pw@service.example.org:8443/hook?x=1", base_url=receiver.url).send(sample_message())
    [request] = receiver.requests
    assert request.path == "/hook"
    assert request.headers["Authorization"] == "Basic YmVsbDpwdw=="


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("tgram://123456789:abcdefg_hijklmnopqrstuvwxyz/12345", "holds no host that could be replaced|not speak http"),
        ("pover://u2jfkdmwqoaeyrtyzxcvbnm2345678@azGDORePK8gMaC0QOYAMyEEuzJnyUi", "not speak http"),
    ],
)
def test_base_url_is_refused_where_the_service_has_no_host(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"base_url does not fit '{url.partition(':')[0]}://'.*({complaint})"):
        channel(url, base_url="http://127.0.0.1:1")


def test_a_plugin_that_does_more_is_named_once(caplog: pytest.LogCaptureFixture, bells: Bells) -> None:
    with caplog.at_level(logging.WARNING, "tocsin_apprise"):
        channel("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general")
        channel("tocsinbell://").send(sample_message())
    [record] = [record for record in caplog.records if record.name.startswith("tocsin_apprise")]
    assert "'slack://' through Apprise; type = 'slack' of the plugin 'tocsin-slack'" in record.getMessage()
    assert "T1JJ3T3L2" not in record.getMessage()


def test_what_apprise_masks_is_masked_in_every_text(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = "0123456789:abcdefg_hijklmnopqrstuvwxyz"
    receiver.answer(400, body=f"no bot {token}, nor p%40ss-w0rd-x or p@ss-w0rd-x")
    build(f"tgram://{token}/12345")  # teaches what to mask
    error = error_of(channel(f"json://bell:p%40ss-w0rd-x@127.0.0.1:{receiver.port}"))
    shown = [str(error), *(record.getMessage() for record in caplog.records)]
    assert [text for text in shown if "p@ss-w0rd-x" in text or "p%40ss-w0rd-x" in text] == []


def test_a_service_says_only_what_concerns_its_own_call(receiver: Receiver) -> None:
    service = build(f"json://127.0.0.1:{receiver.port}")
    lines = tame(service, "json://", seconds=1, overflow=None)
    assert service.notify(body="x", title="y")
    assert (logging.INFO, "Sent JSON POST notification.") in lines.kept
    assert sample_event().subject not in str(lines.kept)
