"""The form of a webhook's body, published as JSON Schema: `python -m tocsin_webhook.schema`."""

from __future__ import annotations

import json
import sys
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow")  # a later version may add to it


class ExceptionPart(_Part):
    """An exception as text."""

    type: str
    message: str
    traceback: str


class EventPart(_Part):
    """One change of the state of a flow run or, with `task`, of a task run. Times are UTC."""

    version: int
    id: str
    time: AwareDatetime
    flow: str
    run_id: str
    state: str
    state_family: list[str] = Field(description="the state's class and its ancestors, nearest first")
    old_state: str
    sequence: int | None = Field(description="position in the sender's history")
    source: str
    project: str
    run_name: str
    task: str = Field(description="empty for a change of the flow run itself")
    task_run_id: str
    map_index: int | None
    attempt: int
    max_attempts: int
    loop_count: int
    message: str
    tags: list[str]
    parameters: dict[str, Any]
    exception: ExceptionPart | None
    duration: float | None = Field(description="in seconds")
    will_retry: bool
    next_attempt_at: AwareDatetime | None
    severity: str
    url: str
    host: str
    labels: dict[str, str]
    causes: list[str] = Field(default_factory=list, description="subjects whose failure is the reason for this one")
    blocks: int = Field(default=0, description="how many tasks of the run cannot run because of this failure")
    blocked: list[str] = Field(default_factory=list, description="the first of them")


class ItemPart(_Part):
    """One of the problems, or events, that a message tells of."""

    subject: str = Field(description="`flow`, `flow/task` or `flow/task[3]`")
    state: str
    at: str = Field(description="ISO 8601")
    text: str
    recovered: bool


class MessagePart(_Part):
    """The same for people, as the operator's templates word it."""

    title: str
    text: str
    action: Literal["open", "update", "repeat", "recover", "event", "test"] = Field(
        description="what it means for its incident; `repeat` is a reminder of one that is not over"
    )
    severity: str = Field(description="critical, error, warning or info")
    reason: str = Field(default="", description="why it was sent: first, new, changed, repeat, digest and so on")
    silent: bool = Field(default=False, description="whether it should ring nobody")
    acknowledged_by: str = Field(default="", description="who has taken the incident on")
    group: dict[str, str] = Field(default_factory=dict, description="the labels that all it tells of share")
    items: list[ItemPart] = Field(
        default_factory=list, description="what it tells of, the newest first; empty where `event` is all"
    )
    count: int = Field(default=1, description="how many there are, of which `items` may hold the first only")


class IncidentPart(_Part):
    """One problem, the same across attempts and runs."""

    key: str
    opened_at: str


class DeliveryPart(_Part):
    """How it came here. `id` is the same on every attempt; the header `webhook-id` is made of it."""

    id: str
    channel: str
    route: str
    attempt: int


class DataPart(_Part):
    """What happened, what to tell people, and how it came here."""

    event: EventPart
    message: MessagePart
    incident: IncidentPart | None = Field(description="null for what stands by itself")
    delivery: DeliveryPart


class WebhookBody(_Part):
    """What tocsin posts to a webhook."""

    type: str = Field(description="`tocsin.flow.STATE` or `tocsin.task.STATE`; `tocsin.test` for a test")
    timestamp: AwareDatetime = Field(description="when it happened, not when it was sent")
    version: Literal[1]
    truncated: bool = Field(
        default=False, description="whether parts were shortened or left out to keep the body small"
    )
    data: DataPart


def json_schema() -> str:
    """The schema as it is published."""
    return json.dumps(WebhookBody.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(json_schema())
