"""What a webhook's body says, checked against its published schema."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tocsin_hooks import Action, ExceptionSummary
from tocsin_hooks.messages import Item
from tocsin_hooks.testing import sample_event, sample_group_message, sample_message
from tocsin_webhook.config import LARGEST, SMALLEST
from tocsin_webhook.payload import BODY_VERSION, body_of, type_of
from tocsin_webhook.schema import WebhookBody, json_schema

SCHEMA = Path(__file__).parents[1] / "docs" / "webhook.schema.json"
NAMES = ["flow", "run_id", "run_name", "task", "message", "url", "host", "project"]


def body(**changes: Any) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(body_of(sample_message(**changes), LARGEST))
    return decoded


def test_the_published_schema_is_fresh() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == json_schema(), (
        "python -m tocsin_webhook.schema > docs/webhook.schema.json"
    )


@pytest.mark.parametrize("action", list(Action))
def test_every_body_is_of_the_published_form_and_nothing_more(action: Action) -> None:
    sent = body(action=action)
    model = WebhookBody.model_validate(sent)
    assert model.model_dump(mode="json", exclude={"timestamp"})["data"]["message"] == sent["data"]["message"]
    known = json.loads(json_schema())["$defs"]
    assert set(sent) == set(WebhookBody.model_fields)
    for part, name in (("event", "EventPart"), ("message", "MessagePart"), ("delivery", "DeliveryPart")):
        assert set(sent["data"][part]) == set(known[name]["properties"])
    assert sent["version"] == BODY_VERSION


def test_a_body_tells_event_message_incident_and_delivery() -> None:
    sent = body(attempt=3)
    assert sent["type"] == "tocsin.task.failed"
    assert sent["timestamp"] == "2026-03-01T12:30:15+00:00"
    assert sent["truncated"] is False
    assert sent["data"]["event"] == sample_event().to_dict()
    assert sent["data"]["message"]["title"] == "Failed: etl/load"
    assert sent["data"]["incident"] == {"key": "warehouse/etl/load", "opened_at": "2026-03-01T12:29:05+00:00"}
    assert sent["data"]["delivery"] == {
        "id": "5f3e2a10-4c1b-5d2e-8f00-000000000000",
        "channel": "ops",
        "route": "failures",
        "attempt": 3,
    }


def test_a_reminder_is_told_by_its_action_and_its_reason() -> None:
    sent = body(action=Action.REPEAT, reason="repeat", acknowledged_by="kim")
    assert (sent["type"], sent["data"]["message"]["action"]) == ("tocsin.task.failed", "repeat")
    assert sent["data"]["message"]["reason"] == "repeat"
    assert sent["data"]["message"]["acknowledged_by"] == "kim"
    assert sent["data"]["message"]["silent"] is False


def test_a_message_of_several_lists_them_as_data() -> None:
    sent = json.loads(body_of(sample_group_message(items=2, count=7, silent=True), LARGEST))
    WebhookBody.model_validate(sent)
    message = sent["data"]["message"]
    assert (message["group"], message["count"], message["silent"]) == ({"project": "warehouse", "flow": "etl"}, 7, True)
    assert message["items"] == [
        {
            "subject": f"etl/part-{number}",
            "state": "Failed",
            "at": "2026-03-01T12:30:15+00:00",
            "text": f"ValueError: bad row {number}",
            "recovered": False,
        }
        for number in (1, 2)
    ]
    assert sent["data"]["incident"]["key"] == "failures: warehouse, etl"


def test_a_message_of_one_event_has_no_items_and_no_group() -> None:
    message = body()["data"]["message"]
    assert (message["items"], message["group"], message["count"]) == ([], {}, 1)


def test_what_stands_by_itself_has_no_incident() -> None:
    assert body(action=Action.EVENT)["data"]["incident"] is None


@pytest.mark.parametrize(
    ("state", "task", "action", "expected"),
    [
        ("Success", "load", Action.RECOVER, "tocsin.task.succeeded"),
        ("TriggerFailed", "", Action.OPEN, "tocsin.flow.trigger_failed"),
        ("Failed", "load", Action.TEST, "tocsin.test"),
        ("AwaitingRetry", "load", Action.EVENT, "tocsin.task.awaiting_retry"),
        ("\n\u4e2d ", "load", Action.EVENT, "tocsin.task.\u4e2d"),
        ("!", "load", Action.EVENT, "tocsin.task.unknown"),
    ],
)
def test_the_type_names_what_changed_and_how(state: str, task: str, action: Action, expected: str) -> None:
    assert type_of(sample_event(state=state, task=task), action) == expected


@pytest.mark.parametrize("limit", [SMALLEST, 50_000, LARGEST])
@pytest.mark.parametrize(
    "changes",
    [
        {"text": "x" * 1_000_000},
        {"title": "\U0001f525" * 300_000},
        {"text": "\x01" * 300_000},
        {"event": sample_event(parameters={f"key{n}" * 20: "v" * 100 for n in range(20_000)})},
        {"event": sample_event(parameters={"deep": [[["x" * 50] * 300] * 300]})},
        {"event": sample_event(exception=ExceptionSummary("E" * 9999, "m" * 99_999, "t\n" * 300_000))},
        {"event": sample_event(tags=frozenset(f"tag-{n}" for n in range(100_000)))},
        {"items": tuple(Item("\x01" * 999, "\x02" * 999, "\x03" * 999, "\x04" * 999) for _ in range(2000))},
        {"group": {f"{n}" + "\x01" * 99: "\x02" * 99_999 for n in range(40)}},
        {"event": sample_event(blocks=9, blocked=("\x01" * 9999,) * 99, causes=("\x01" * 9999,) * 99)},
        {
            "event": sample_event(
                labels={str(n): "\x02" * 99 for n in range(9999)},
                **dict.fromkeys(
                    ["flow", "run_id", "run_name", "task", "message", "url", "host", "project"], "\x03" * 30_000
                ),
            )
        },
    ],
    ids=range(11),
)
def test_a_body_too_large_is_shortened_and_says_so(changes: dict[str, Any], limit: int) -> None:
    encoded = body_of(sample_message(**changes), limit)
    assert len(encoded) <= limit
    sent = json.loads(encoded)
    WebhookBody.model_validate(sent)
    assert sent["truncated"] is True
    assert sent["data"]["event"]["id"] == sample_event().id
    assert sent["data"]["delivery"]["id"] == sample_message().id


def test_only_what_is_too_long_is_shortened() -> None:
    event = sample_event(parameters={"rows": "r" * 500_000})
    sent = body(event=event)
    assert sent["data"]["event"]["parameters"]["rows"] == "r" * 16_383 + "…"
    assert sent["data"]["event"] | {"parameters": 0} == event.to_dict() | {"parameters": 0}


def test_any_text_gives_json_that_strict_readers_take() -> None:
    chance = random.Random(7)
    for _ in range(200):
        text = "".join(chr(chance.choice((chance.randrange(0x80), chance.randrange(0x110000)))) for _ in range(40))
        encoded = body_of(sample_message(title=text, event=sample_event(parameters={text: float("nan")})), LARGEST)
        assert json.loads(encoded.decode("utf-8"), parse_constant=pytest.fail)["data"]["message"]["title"]
