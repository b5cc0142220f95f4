"""What `slack_notifier` and `gmail_notifier` say."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from tocsin.flows.context import context
from tocsin.masked import masked
from tocsin.options import config
from tocsin_hooks.states import State

if TYPE_CHECKING:
    from tocsin.flows.flow import Flow
    from tocsin.flows.task import Task

SENDER = "notifications@tocsin.invalid"

CAP = 1900
"""Characters of what a state says; Slack takes 2,000 in a field."""

_TEXT = "{name} is now in a {state} state\n\n{said}\n\n{note}\n"
_HTML = """\
<html><body>
<p>{name} is now in a <b style="color: {color}">{state}</b> state</p>
<pre>{said}</pre>
<p><small>{note}</small></p>
</body></html>
"""


def slack_message_formatter(tracked_obj: Task | Flow, state: State, backend_info: bool = True) -> dict[str, Any]:
    """The JSON of a note: one attachment with the state's colour, the state as title, and what the state says."""
    said = error_in(state)
    text = f"```{said}```" if said else cut(masked(state.message)) or None
    attachment: dict[str, Any] = {
        "fallback": "State change notification",
        "color": state.color,
        "author_name": "tocsin",
        "title": type(state).__name__,
        "fields": [] if text is None else [{"title": "Message", "value": text, "short": False}],
        "text": f"{name_of(tracked_obj)} is now in a {type(state).__name__} state",
        "footer": run_note(),
    }
    if backend_info and (link := run_link(tracked_obj)):
        attachment["title_link"] = link
    return {"attachments": [attachment]}


def email_message_formatter(tracked_obj: Task | Flow, state: State, email_to: str) -> str:
    """The text of a message, plain and in HTML, with its headers."""
    from email.mime.multipart import MIMEMultipart
    from email.mime.text import MIMEText

    words = {
        "name": name_of(tracked_obj),
        "state": type(state).__name__,
        "said": error_in(state) or cut(masked(state.message)) or "",
        "note": run_note(),
    }
    message = MIMEMultipart("alternative")
    message["Subject"] = " ".join(f"tocsin: {words['name']} is {words['state']}".split())  # a header is one line
    message["From"] = SENDER
    message["To"] = email_to
    message.attach(MIMEText(_TEXT.format(**words), "plain", "utf-8"))
    safe = {key: escape(value) for key, value in words.items()}
    message.attach(MIMEText(_HTML.format(color=state.color, **safe), "html", "utf-8"))
    return message.as_string()


def cut(text: str | None, cap: int = CAP) -> str | None:
    """The start of a text.

    >>> cut("abcdefgh", 5), cut(None)
    ('abcd…', None)
    """
    return text if text is None or len(text) <= cap else f"{text[: cap - 1]}…"


def error_in(state: State) -> str:
    """The exception that a state carries, as text; nothing when it carries none."""
    if not isinstance(state.result, Exception):
        return ""
    try:
        return cut(masked(repr(state.result))) or ""
    except Exception:  # somebody else's __repr__
        return type(state.result).__name__


def name_of(subject: Task | Flow) -> str:
    """What the task or flow is called; a mapped child with its number."""
    subject = getattr(subject, "subject", subject)  # handlers of a runner are given the runner
    if context.get("task_name") == subject.name:
        return str(context.get("task_full_name") or subject.name)
    return subject.name


def run_note() -> str:
    """Which run it is, so that two at a time can be told apart.

    >>> with context(flow_name="etl", flow_run_name="monday", task_run_count=2):
    ...     run_note()
    'flow etl, run monday, attempt 2'
    """
    parts = [f"flow {context.flow_name}"] if context.get("flow_name") else []
    if run := context.get("flow_run_name") or context.get("flow_run_id"):
        parts.append(f"run {run}")
    if (attempt := context.get("task_run_count") or 1) > 1:
        parts.append(f"attempt {attempt}")
    return ", ".join(parts) or "tocsin notification"


def run_link(subject: Task | Flow) -> str:
    """Where the run can be seen; nothing when config does not say, and outside a run."""
    from tocsin.flows.flow import Flow

    base = str(config.get("server", {}).get("ui", {}).get("url") or "").rstrip("/")
    kind = "flow-run" if isinstance(getattr(subject, "subject", subject), Flow) else "task-run"
    run_id = context.get(f"{kind.replace('-', '_')}_id")
    return f"{base}/{kind}/{run_id}" if base and run_id and context.get("flow_run_id") else ""
