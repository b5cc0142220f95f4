"""How a message becomes a mail: its headers, its thread, its parts."""

from __future__ import annotations

import hashlib
import re
from email.headerregistry import Address, Group
from email.message import EmailMessage
from email.policy import SMTP
from zoneinfo import ZoneInfo

from tocsin_email.addresses import Mailbox
from tocsin_email.body import body_of, html_text, plain_text, short_reason, state_word
from tocsin_email.config import EmailConfig
from tocsin_email.texts import one_line
from tocsin_hooks.messages import Action, Message

_SUBJECT = 120
_POLICY = SMTP.clone(cte_type="7bit")  # so that no server needs 8BITMIME
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def compose(message: Message, config: EmailConfig) -> EmailMessage:
    """The mail about `message`: the same on every attempt but for `X-Tocsin-Attempt`."""
    mail = EmailMessage(policy=_POLICY)
    _address(mail, config)
    _file(mail, message, config)
    _mark_as_automatic(mail, message, config.id_domain())
    body = body_of(message, config.timezone)
    mail.set_content(plain_text(body))
    mail.add_alternative(html_text(body), subtype="html")
    mail.set_boundary(f"=_{_digest(message.id)}")  # in place of one drawn by chance
    return mail


def subject(message: Message, prefix: str = "") -> str:
    """The subject line: the state, what it happened to and why; the operator's own title where there is one.

    >>> from tocsin_hooks.testing import sample_message
    >>> subject(sample_message(), "warehouse")
    'warehouse [FAILED] etl/load: ValueError: bad row 17: <no amount>'
    >>> subject(sample_message("recover"))
    '[RECOVERED] etl/load'
    """
    if message.templated:
        text = message.title
    elif message.action is Action.TEST:
        text = f"[TEST] {message.title}"
    elif message.tells_of_several:
        word = state_word(message)
        said = message.title[: len(word) + 1].upper() == f"{word}:"  # "Recovered: 3 problems in etl"
        text = f"[{word}] {message.title[len(word) + 1 :] if said else message.title}"
    else:
        text = f"[{state_word(message)}] {one_line(message.event.subject, 80)}"
        if reason := short_reason(message):
            text += f": {reason}"
    return one_line(f"{prefix} {text}", _SUBJECT)


def message_id(message: Message, domain: str) -> str:
    """The `Message-ID`: made of the message's own id, so that every attempt carries the same.

    >>> from tocsin_hooks.testing import sample_message
    >>> message_id(sample_message(id="5f3e-1"), "example.org")
    '<5f3e-1@example.org>'
    """
    name = message.id if _ID.fullmatch(message.id) else _digest(message.id)
    return f"<{name}@{domain}>"


def thread_id(message: Message, domain: str) -> str:
    """The id of a mail that never was, which all mails of one incident answer; empty without an incident.

    >>> from tocsin_hooks.testing import sample_message
    >>> first, again = sample_message("open"), sample_message("recover")
    >>> thread_id(first, "example.org") == thread_id(again, "example.org")
    True
    """
    if not message.incident:
        return ""
    return f"<incident-{_digest(message.incident, message.incident_opened_at)}@{domain}>"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _address(mail: EmailMessage, config: EmailConfig) -> None:
    mail["From"] = _header(config.sender)
    if config.bcc is True:
        mail["To"] = Group("undisclosed-recipients")
        return
    mail["To"] = [_header(mailbox) for mailbox in config.to]
    if config.cc:
        mail["Cc"] = [_header(mailbox) for mailbox in config.cc]


def _header(mailbox: Mailbox) -> Address:
    return Address(mailbox.name, addr_spec=mailbox.address)


def _file(mail: EmailMessage, message: Message, config: EmailConfig) -> None:
    domain = config.id_domain()
    mail["Subject"] = subject(message, config.subject_prefix)
    mail["Date"] = message.time.astimezone(ZoneInfo(config.timezone))
    mail["Message-ID"] = message_id(message, domain)
    root = thread_id(message, domain) if config.updates == "thread" else ""
    if root:
        mail["In-Reply-To"] = root
        mail["References"] = root


def _mark_as_automatic(mail: EmailMessage, message: Message, domain: str) -> None:
    event = message.event
    topic = re.sub(r"[^a-z0-9]+", "-", (message.route or message.channel).lower()).strip("-")[:60] or "alerts"
    mail["Auto-Submitted"] = "auto-generated"
    mail["Precedence"] = "bulk"
    mail["X-Auto-Response-Suppress"] = "All"
    mail["List-Id"] = f"<{topic}.tocsin.{domain}>"
    mail["X-Tocsin-Flow"] = one_line(event.flow, 200)
    mail["X-Tocsin-State"] = one_line(event.state, 60)
    mail["X-Tocsin-Delivery"] = one_line(message.id, 100)
    mail["X-Tocsin-Attempt"] = str(message.attempt)
    if message.is_alarm:
        mail["Importance"] = "high"
