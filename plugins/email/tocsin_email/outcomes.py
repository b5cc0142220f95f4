"""What a server's replies mean for a delivery."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tocsin_email.texts import one_line
from tocsin_hooks.messages import Reason, Receipt, SendError
from tocsin_hooks.secrets import redact

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's reply to one command."""

    code: int
    text: str

    @classmethod
    def of(cls, code: int, text: bytes) -> Reply:
        """The reply as smtplib gives it."""
        return cls(code, text.decode("utf-8", "replace"))

    @property
    def accepted(self) -> bool:
        """Whether the server did what it was asked."""
        return 200 <= self.code < 300

    @property
    def for_good(self) -> bool:
        """Whether asking again cannot help."""
        return 500 <= self.code < 600

    def __str__(self) -> str:
        return one_line(redact(f"{self.code} {self.text}"), 200)  # a secret that is cut in two is not known again


def judge(replies: Mapping[str, Reply], mark: str) -> Receipt:
    """The receipt of a mail to which the server gave these final replies, by recipient.

    Raises SendError if somebody is still to be tried again, or if nobody was reached at all. Whoever was refused
    for good beside others who were reached is named in the receipt. `mark` is the mail's Message-ID.

    >>> replies = {"a@example.org": Reply(250, "queued as 7"), "b@example.org": Reply(550, "no such user")}
    >>> judge(replies, "<1@example.org>").detail
    '250 queued as 7; refused for good: b@example.org (550 no such user)'
    """
    reached = {who: reply for who, reply in replies.items() if reply.accepted}
    for_good = {who: reply for who, reply in replies.items() if reply.for_good}
    for_now = {who: reply for who, reply in replies.items() if who not in reached and who not in for_good}
    notes = [f"accepted for {len(reached)}"] if reached and for_now else []
    notes += [f"refused for now: {_named(for_now)}"] if for_now else []
    notes += [f"refused for good: {_named(for_good)}"] if for_good else []
    if for_now:
        raise SendError(Reason.SERVER, "; ".join(notes))
    if not reached:
        raise SendError(_shared_reason(for_good.values()), "; ".join(notes), permanent=True)
    answers = dict.fromkeys(str(reply) for reply in reached.values())
    return Receipt("; ".join([*answers, *notes]), {"message_id": mark})


def refusal(reply: Reply, doing: str) -> SendError:
    """The error for a reply that ends the whole attempt.

    >>> error = refusal(Reply(530, "authentication required"), "took no mail from 'tocsin@example.org'")
    >>> error.reason, error.disable
    (<Reason.AUTH: 'auth'>, True)
    """
    reason = _reason(reply)
    return SendError(
        reason,
        f"the server {doing}: {reply}",
        permanent=reply.for_good,
        disable=reply.for_good and reason is Reason.AUTH,
    )


def _reason(reply: Reply) -> Reason:
    if not reply.for_good:
        return Reason.SERVER
    if reply.code in (530, 534, 535, 538):
        return Reason.AUTH
    return Reason.PAYLOAD if reply.code == 552 else Reason.CLIENT


def _shared_reason(replies: Iterable[Reply]) -> Reason:
    reasons = {_reason(reply) for reply in replies}
    return reasons.pop() if len(reasons) == 1 else Reason.CLIENT


def _named(replies: Mapping[str, Reply]) -> str:
    named = [f"{who} ({reply})" for who, reply in list(replies.items())[:_MOST_NAMED]]
    more = len(replies) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")
