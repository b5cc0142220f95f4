"""What a mail says, and how it is filed: no server needed."""

from __future__ import annotations

import dataclasses
import json
import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from typing import Any

import pendulum
import pytest

from tocsin_email import EmailConfig
from tocsin_email.body import COLOURS, body_of, html_text, plain_text
from tocsin_email.compose import compose, message_id, subject, thread_id
from tocsin_email.texts import head, one_line, tail
from tocsin_hooks.events import ExceptionSummary
from tocsin_hooks.messages import Action, Link
from tocsin_hooks.testing import sample_event, sample_message

BASE = {"host": "mail.example.org", "from": "tocsin <tocsin@example.org>", "to": ["data@example.org"]}


def config(**changes: Any) -> EmailConfig:
    return EmailConfig.model_validate({**BASE, **changes})


def sent(message: Any = None, **settings: Any) -> EmailMessage:
    """The mail as a recipient's program parses it."""
    parsed = message_from_bytes(compose(message or sample_message(), config(**settings)).as_bytes(), policy=default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def part(mail: EmailMessage, kind: str) -> str:
    found = mail.get_body((kind,))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n")


def with_traceback(text: str) -> Any:
    return sample_message(event=sample_event(exception=ExceptionSummary("ValueError", "bad", text)))


class Page(HTMLParser):
    """Collects tags, attributes and text, and complains of what is not closed."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(source)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


# ---------------------------------------------------------------- filing


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"event": sample_event(state="TimedOut", exception=None, message="")}, "[TIMED OUT] etl/load"),
        ({"event": sample_event(state="Retrying")}, "[RETRYING] etl/load: ValueError: bad row 17: <no amount>"),
        ({"action": Action.TEST, "title": "Test of channel ops"}, "[TEST] Test of channel ops"),
        ({"templated": True, "title": "Invoices are late"}, "Invoices are late"),
    ],
)
def test_the_subject_says_state_and_reason_or_what_the_operator_wrote(changes: dict[str, Any], expected: str) -> None:
    assert subject(sample_message(**changes)) == expected


def test_a_long_subject_is_cut_at_120_characters() -> None:
    event = sample_event(exception=ExceptionSummary("ValueError", "\U0001f525" * 5000))
    text = subject(sample_message(event=event), "warehouse")
    assert len(text) == 120
    assert text.startswith("warehouse [FAILED] etl/load: ValueError: \U0001f525")
    assert text.endswith("…")


def test_line_breaks_in_names_and_titles_make_no_headers() -> None:
    hostile = "etl\r\nBcc: eve@example.org\r\n\r\nbody"
    event = sample_event(flow=hostile, exception=ExceptionSummary("X", hostile), state="Failed\nBcc: eve@example.org")
    mail = sent(sample_message(event=event, title=hostile, id=hostile, route=hostile))
    assert mail["Bcc"] is None
    assert mail["X-Tocsin-Flow"] == "etl Bcc: eve@example.org body"
    assert "etl Bcc: eve@example.org body" in mail["Subject"]
    assert mail["List-Id"] == "<etl-bcc-eve-example-org-body.tocsin.example.org>"
    assert set(mail.keys()) == {*sent().keys()}


def test_names_and_subjects_outside_ascii_arrive_as_written() -> None:
    event = sample_event(flow="Köln 倉庫", exception=ExceptionSummary("Fehler", "Zeile kaputt \U0001f525"))
    settings = {"from": '"Glocke, groß" <tocsin@example.org>', "to": ["Jörg Ö <joerg@bücher.example>"]}
    raw = compose(sample_message(event=event), config(**settings)).as_bytes()
    assert raw.isascii()  # needs neither 8BITMIME nor SMTPUTF8
    mail = sent(sample_message(event=event), **settings)
    assert mail["Subject"] == "[FAILED] Köln 倉庫/load: Fehler: Zeile kaputt \U0001f525"
    assert mail["From"].addresses[0].display_name == "Glocke, groß"
    assert mail["To"].addresses[0].display_name == "Jörg Ö"
    assert mail["To"].addresses[0].addr_spec == "joerg@xn--bcher-kva.example"
    assert mail["X-Tocsin-Flow"] == "Köln 倉庫"


def test_all_mails_of_one_incident_answer_the_same_root() -> None:
    mails = [sent(sample_message(action)) for action in (Action.OPEN, Action.UPDATE, Action.RECOVER)]
    [root] = {mail["In-Reply-To"] for mail in mails}
    assert [mail["References"] for mail in mails] == [root] * 3
    assert len({mail["Message-ID"] for mail in mails} | {root}) == 4


def test_another_incident_or_another_period_is_another_thread() -> None:
    message = sample_message()
    roots = {
        thread_id(message, "example.org"),
        thread_id(sample_message(incident="other"), "example.org"),
        thread_id(sample_message(incident_opened_at="2026-03-02T00:00:00+00:00"), "example.org"),
    }
    assert len(roots) == 3


@pytest.mark.parametrize(
    ("message", "settings"),
    [(sample_message(), {"updates": "new"}), (sample_message(Action.TEST), {}), (sample_message(Action.EVENT), {})],
)
def test_a_mail_that_stands_by_itself_refers_to_nothing(message: Any, settings: dict[str, Any]) -> None:
    mail = sent(message, **settings)
    assert mail["In-Reply-To"] is None
    assert mail["References"] is None


def test_every_attempt_carries_the_same_id_in_the_configured_domain() -> None:
    first = sent(sample_message(), domain="alerts.example.com")
    again = sent(sample_message(attempt=3, may_repeat=True), domain="alerts.example.com")
    assert first["Message-ID"] == again["Message-ID"] == "<5f3e2a10-4c1b-5d2e-8f00-000000000000@alerts.example.com>"
    assert (first["X-Tocsin-Attempt"], again["X-Tocsin-Attempt"]) == ("1", "3")


def test_a_mail_is_the_same_byte_for_byte_but_for_the_number_of_the_attempt() -> None:
    first, again = (compose(sample_message(attempt=n), config()).as_bytes() for n in (1, 2))
    assert first != again
    assert first.replace(b"X-Tocsin-Attempt: 1", b"X-Tocsin-Attempt: 2") == again


def test_an_id_that_is_no_word_is_hashed() -> None:
    assert re.fullmatch(r"<[0-9a-f]{32}@example\.org>", message_id(sample_message(id="a>b c"), "example.org"))


def test_the_headers_that_keep_robots_quiet_are_there_once() -> None:
    mail = sent()
    expected = {
        "Date": "Sun, 01 Mar 2026 12:30:15 +0000",
        "Auto-Submitted": "auto-generated",
        "Precedence": "bulk",
        "X-Auto-Response-Suppress": "All",
        "List-Id": "<failures.tocsin.example.org>",
        "X-Tocsin-Flow": "etl",
        "X-Tocsin-State": "Failed",
        "X-Tocsin-Delivery": "5f3e2a10-4c1b-5d2e-8f00-000000000000",
        "Importance": "high",
    }
    assert {name: mail.get_all(name) for name in expected} == {name: [value] for name, value in expected.items()}


@pytest.mark.parametrize(
    "message",
    [
        sample_message(Action.RECOVER),
        sample_message(Action.TEST),
        sample_message(event=sample_event(will_retry=True)),
        sample_message(event=sample_event(state="Retrying", state_family=("Retrying", "Scheduled", "Pending"))),
    ],
)
def test_only_a_final_failure_is_of_high_importance(message: Any) -> None:
    assert sent(message)["Importance"] is None


def test_hidden_recipients_show_in_no_header() -> None:
    settings = {"cc": "boss@example.org", "bcc": ["eve@example.org", "data@example.org"]}
    raw = compose(sample_message(), config(**settings)).as_bytes()
    assert b"eve@" not in raw
    assert b"boss@" in raw
    assert config(**settings).recipients() == ("data@example.org", "boss@example.org", "eve@example.org")


def test_bcc_true_hides_everybody() -> None:
    raw = compose(sample_message(), config(bcc=True, cc=["boss@example.org"])).as_bytes()
    assert b"To: undisclosed-recipients:;" in raw
    assert b"data@" not in raw
    assert b"boss@" not in raw
    assert config(bcc=True, cc=["boss@example.org"]).recipients() == ("data@example.org", "boss@example.org")


def test_times_are_those_of_the_recipients_zone_on_both_sides_of_a_clock_change() -> None:
    seen = []
    for hour in (0, 1):  # Europe/Berlin goes from +01:00 to +02:00 at 01:00 UTC
        event = sample_event(time=pendulum.datetime(2026, 3, 29, hour, 30, tz="UTC"))
        mail = sent(sample_message(event=event), timezone="Europe/Berlin")
        [line] = [line for line in part(mail, "plain").splitlines() if line.startswith("When:")]
        seen.append((mail["Date"], line.removeprefix("When:").strip()))
    assert seen == [
        ("Sun, 29 Mar 2026 01:30:00 +0100", "2026-03-29 01:30:00 CET (UTC+01:00)"),
        ("Sun, 29 Mar 2026 03:30:00 +0200", "2026-03-29 03:30:00 CEST (UTC+02:00)"),
    ]


# ---------------------------------------------------------------- text


def test_the_plain_part_comes_first_and_is_complete() -> None:
    mail = sent()
    assert [p.get_content_type() for p in mail.iter_parts()] == ["text/plain", "text/html"]
    assert part(mail, "plain") == (
        "Failed: etl/load\n\n"
        "Task load of flow etl failed.\nValueError: bad row 17: <no amount>\n\n"
        "Subject:  etl/load\n"
        "Run:      brave-otter\n"
        "Attempt:  2 of 3\n"
        "Duration: 1 min 23 s\n"
        "When:     2026-03-01 12:30:15 UTC (UTC+00:00)\n\n"
        "Traceback (most recent call last):\n"
        '  File "etl.py", line 14, in load\n    write(rows)\n'
        '  File "etl.py", line 31, in write\n    raise ValueError("bad row 17: <no amount>")\n'
        "ValueError: bad row 17: <no amount>\n\n"
        "Run: https://tocsin.example.org/runs/8c7d6c1e\n\n"
        "-- \n"
        "Sent by tocsin on channel 'ops', because of route 'failures'. Change it in tocsin.toml.\n"
    )


def test_the_page_says_what_the_plain_part_says() -> None:
    page = Page(part(sent(), "html"))
    for text in (
        "FAILED",
        "Failed: etl/load",
        "brave-otter",
        "ValueError: bad row 17: <no amount>",
        "route 'failures'",
    ):
        assert text in page.text
    assert ("a", "https://tocsin.example.org/runs/8c7d6c1e") in [(tag, attrs.get("href")) for tag, attrs in page.tags]


def test_the_page_is_fit_for_mail_programs() -> None:
    source = part(sent(), "html")
    tags = Page(source).tags
    assert ("html", {"lang": "en"}) in tags
    assert "<title>Failed: etl/load</title>" in source
    assert all(attrs.get("role") == "presentation" for tag, attrs in tags if tag == "table")
    assert {tag for tag, _ in tags}.isdisjoint({"script", "img", "style", "link", "form", "iframe"})
    assert not re.search(r"display:\s*(grid|flex)|url\(", source)
    [pre] = [attrs for tag, attrs in tags if tag == "pre"]
    assert "white-space:pre-wrap" in (pre["style"] or "")


def test_markup_in_a_message_is_shown_and_not_obeyed() -> None:
    hostile = '<script>alert(1)</script><img src=x onerror="y">'
    event = sample_event(task=hostile, exception=ExceptionSummary(hostile, hostile, f"{hostile}\n{hostile}"))
    links = (
        Link(hostile, "javascript:alert(1)"),
        Link("Run", 'https://example.org/"><script>'),
        Link("No", "file:///x"),
    )
    message = sample_message(
        title=hostile, text=hostile, event=event, route=hostile, fields=((hostile, hostile),), links=links
    )
    source = part(sent(message), "html")
    page = Page(source)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "img"})
    assert [attrs["href"] for tag, attrs in page.tags if tag == "a"] == ['https://example.org/"><script>']
    assert page.text.count(hostile) >= 8
    assert "javascript:" not in source


@pytest.mark.parametrize("colour", COLOURS.values())
def test_white_on_a_state_colour_can_be_read(colour: str) -> None:
    assert _contrast("#ffffff", colour) >= 4.5


def test_every_text_colour_can_be_read_on_its_ground() -> None:
    for ground, ink in (("#ffffff", "#57606a"), ("#ffffff", "#1f2328"), ("#f6f8fa", "#1f2328"), ("#1f4e79", "#ffffff")):
        assert {ground, ink} <= set(re.findall(r"#[0-9a-f]{6}", html_text(body_of(sample_message(), "UTC"))))
        assert _contrast(ground, ink) >= 4.5


def _contrast(first: str, second: str) -> float:
    def luminance(colour: str) -> float:
        channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("unit", ["x", "<", '"', "\U0001f525", "e\u0301", "line <b>\n"])
def test_the_page_stays_below_90_kilobytes_whatever_comes(unit: str) -> None:
    huge = unit * (1_000_000 // len(unit))
    event = sample_event(exception=ExceptionSummary(huge, huge, huge), flow=huge, task=huge, message=huge)
    links = tuple(Link(huge, "https://example.org/" + "&" * 1900) for _ in range(50))
    fields = tuple((huge, huge) for _ in range(200))
    mail = sent(sample_message(event=event, title=huge, text=huge, fields=fields, links=links))
    for kind in ("html", "plain"):
        found = mail.get_body((kind,))
        assert found is not None
        assert 10_000 < len(found.get_content().encode()) < 90_000


def test_of_a_long_traceback_the_end_is_kept_and_the_cut_is_marked() -> None:
    text = "".join(f'  File "deep.py", line {n}\n' for n in range(50_000)) + "ValueError: <the end>"
    mail = sent(with_traceback(text))
    plain = part(mail, "plain")
    assert "ValueError: <the end>" in plain
    assert "line 49999\n" in plain
    assert "line 0\n" not in plain
    [cut] = re.findall(r"\[(\d+) characters before this were cut\]\n  File", plain)
    assert len(text) - 60_000 < int(cut) < len(text) - 20_000
    assert "ValueError: <the end>" in Page(part(mail, "html")).text


def test_no_line_of_a_mail_is_longer_than_998_octets() -> None:
    message = with_traceback("\u00e9" * 5000 + "\n." + "y" * 5000)
    raw = compose(message, config(to=[f"{'n' * 60}{n}@example.org" for n in range(50)])).as_bytes()
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")


def test_a_cut_never_splits_a_character_made_of_several() -> None:
    assert one_line("abcde\u0301fgh", 6) == "abcd…"
    family = "\U0001f468\u200d\U0001f469"
    assert one_line(f"ab{family}cdef", 5) == "ab…"
    assert head("e\u0301" * 40, 61).startswith("e\u0301" * 7 + "\n[")
    assert tail("e\u0301" * 40, 62).partition("]\n")[2] == "e\u0301" * 7


def test_a_templated_message_is_sent_as_the_operator_wrote_it() -> None:
    mail = sent(sample_message(templated=True, title="Invoices are late", text="Call Ann."))
    assert part(mail, "plain") == "Invoices are late\n\nCall Ann.\n"
    assert "tocsin.toml" not in part(mail, "html")


def test_a_recovery_shows_no_traceback() -> None:
    message = sample_message(Action.RECOVER, event=sample_event())
    assert "Traceback" not in plain_text(body_of(message, "UTC"))
    assert "Traceback" in plain_text(body_of(dataclasses.replace(message, action=Action.OPEN), "UTC"))


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"host": ""}, 'no server; set host = "mail.example.org"'),
        ({"username": "u"}, "'username' and 'password' go together; 'password' is missing"),
        ({"password": {"env": "P"}}, "'username' is missing"),
        ({"username": "u", "password": "literal"}, "a secret is never written here"),
        ({"username": "u", "password": {"env": "P"}, "security": "plain"}, "never sent over security"),
        ({"url": {"env": "SMTP_URL"}}, "'url' holds the whole address"),
        ({"to": []}, "'to' is empty"),
        ({"to": ["no address"]}, "'no address' is no mail address"),
        ({"to": ["a@example.org, b@example.org"]}, "is no mail address"),
        ({"to": ["a@example.org\r\nBcc: eve@example.org"]}, "holds a control character"),
        ({"from": "Ops\n <ops@example.org>"}, "holds a control character"),
        ({"from": "jörg@example.org"}, "needs SMTPUTF8"),
        ({"from": "a@-example.org"}, "is no mail address"),
        ({"to": [f"r{n}@example.org" for n in range(101)]}, "101 recipients; at most 100"),
        ({"domain": "not a domain"}, "'not a domain' is no domain"),
        ({"timezone": "Europe/Atlantis"}, "no time zone is called 'Europe/Atlantis'"),
        ({"ca_file": "no/such.pem"}, "there is no file 'no/such.pem'"),
        ({"base_url": "http://127.0.0.1:25"}, "smtp://user:password@host:port"),
        ({"local_hostname": "a b"}, "cannot be sent there"),
        ({"security": "ssl"}, "'starttls', 'tls' or 'plain'"),
        ({"port": 0}, "greater than or equal to 1"),
        ({"timeout": 30}, "write it with its unit"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_would_do(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        config(**changes)


def test_a_password_in_the_wrong_place_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="a secret is never written here") as caught:
        config(username="u", password="hunter2pw")
    assert "hunter2pw" not in str(caught.value)


def test_a_file_that_holds_no_certificate_is_refused(tmp_path: Any) -> None:
    (tmp_path / "junk.pem").write_text("junk")
    for setting in ("ca_file", "client_cert"):
        with pytest.raises(ValueError, match=r"junk\.pem' .*in PEM form"):
            config(**{setting: str(tmp_path / "junk.pem")})


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("plain", 25)])
def test_the_port_follows_the_security_unless_it_is_set(security: str, port: int) -> None:
    assert config(security=security).server().port == port
    assert config(security=security, port=2525).server().port == 2525


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.org", ("mail.example.org", 587, "starttls", "", "")),
        ("smtps://me%40x.org:p%2Fw@[::1]:4650", ("::1", 4650, "tls", "me@x.org", "p/w")),
    ],
)
def test_a_url_holds_the_whole_address(url: str, expected: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_URL", url)
    server = config(host="", url={"env": "SMTP_URL"}).server()
    assert (server.host, server.port, server.security, server.username, server.password) == expected
    assert "p/w" not in repr(server)


@pytest.mark.parametrize(
    ("url", "security", "complaint"),
    [
        ("https://mail.example.org", None, "does not have the form"),
        ("smtp://mail.example.org:port", None, "is no URL"),
        ("smtp://:25", None, "names no host"),
        ("smtp://me:hunter2pw@mail.example.org", "plain", "never sent over"),
        ("smtp://me@mail.example.org", None, "needs both user and password"),
        ("smtps://mail.example.org", "starttls", "says smtps, but security is 'starttls'"),
    ],
)
def test_a_wrong_url_is_refused_without_being_quoted(
    url: str, security: str | None, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_URL", url)
    with pytest.raises(ValueError, match=re.escape(complaint)) as caught:
        config(host="", url={"env": "SMTP_URL"}, security=security).server()
    assert "environment variable 'SMTP_URL'" in str(caught.value)
    assert "hunter2pw" not in str(caught.value)


def test_the_settings_can_be_written_out_without_the_password() -> None:
    written = json.loads(
        config(username="u-name", password={"env": "P"}, cc="Boss <boss@example.org>").model_dump_json()
    )
    assert written["cc"] == ["Boss <boss@example.org>"]
    assert written["username"] == "u-name"
    assert written["password"] == "Secret(env 'P')"


def test_threads_are_a_capability_unless_switched_off() -> None:
    assert config().capabilities() is None
    assert config(updates="new").capabilities() == frozenset()
