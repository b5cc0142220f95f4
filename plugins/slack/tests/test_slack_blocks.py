"""What a message looks like in Slack, held against Slack's published limits."""

from __future__ import annotations

import json
import re
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings, strategies as st

from tocsin_hooks.events import ExceptionSummary
from tocsin_hooks.messages import Action, Link, Message
from tocsin_hooks.testing import sample_event, sample_group_message, sample_message
from tocsin_slack.blocks import Layout, blocks, headline, plain, text

# The limits as Slack publishes them; none of them is taken from the code under test.
KEYS = {
    "header": {"type", "text"},
    "section": {"type", "text", "fields"},
    "rich_text": {"type", "elements"},
    "actions": {"type", "elements"},
    "context": {"type", "elements"},
    "button": {"type", "text", "url", "action_id"},
    "plain_text": {"type", "text", "emoji"},
    "mrkdwn": {"type", "text", "verbatim"},
    "rich_text_section": {"type", "elements"},
    "rich_text_preformatted": {"type", "elements"},
    "text": {"type", "text"},
}


def faults(found: list[dict[str, Any]]) -> list[str]:
    """What Slack would say against these blocks."""
    wrong = [] if 1 <= len(found) <= 7 else [f"{len(found)} blocks"]
    if len(json.dumps(found, ensure_ascii=False)) > 12_000:
        wrong.append("longer than 12,000 characters")
    ids = [element["action_id"] for block in found if block["type"] == "actions" for element in block["elements"]]
    if len(set(ids)) < len(ids):
        wrong.append("an id twice")
    for block in found:
        wrong += _faults_of(block)
    return wrong


def _faults_of(block: dict[str, Any]) -> list[str]:
    wrong = _keys(block)
    match block["type"]:
        case "header":
            wrong += _text(block["text"], 150, {"plain_text"})
        case "section":
            if "text" not in block and "fields" not in block:
                wrong.append("an empty section")
            if "text" in block:
                wrong += _text(block["text"], 3000)
            if "fields" in block and not 1 <= len(block["fields"]) <= 10:
                wrong.append(f"{len(block['fields'])} fields")
            for field in block.get("fields", []):
                wrong += _text(field, 2000)
        case "actions":
            if not 1 <= len(block["elements"]) <= 25:
                wrong.append(f"{len(block['elements'])} buttons")
            for button in block["elements"]:
                wrong += _keys(button) + _text(button["text"], 75, {"plain_text"})
                if not 1 <= len(button["action_id"]) <= 255 or not 1 <= len(button["url"]) <= 3000:
                    wrong.append("a button's id or address")
        case "context":
            if not 1 <= len(block["elements"]) <= 10:
                wrong.append(f"{len(block['elements'])} elements in the context")
            for element in block["elements"]:
                wrong += _text(element, 3000)
        case "rich_text":
            if not block["elements"]:
                wrong.append("an empty rich text")
            for element in block["elements"]:
                wrong += _keys(element)
                for part in element["elements"]:
                    wrong += _keys(part) + ([] if part["text"] else ["an empty text"])
        case other:
            wrong.append(f"a block of type {other!r}")
    return wrong


def _keys(thing: dict[str, Any]) -> list[str]:
    extra = set(thing) - KEYS[thing["type"]]
    return [f"{sorted(extra)} in a {thing['type']}"] if extra else []


def _text(thing: dict[str, Any], limit: int, types: set[str] = frozenset({"plain_text", "mrkdwn"})) -> list[str]:  # type: ignore[assignment]
    wrong = _keys(thing) + ([] if thing["type"] in types else [f"{thing['type']} where it may not be"])
    if not 1 <= len(thing["text"]) <= limit or not thing["text"].strip():
        wrong.append(f"a text of {len(thing['text'])}, at most {limit}")
    if thing["type"] == "mrkdwn" and re.search(r"&(?!(amp|lt|gt);)", thing["text"]):
        wrong.append("an ampersand that is no entity")
    return wrong


def texts(thing: Any) -> list[str]:
    """Every text in the blocks."""
    if isinstance(thing, dict):
        own = [thing["text"]] if isinstance(thing.get("text"), str) else []
        return own + [found for value in thing.values() for found in texts(value)]
    return [found for value in thing for found in texts(value)] if isinstance(thing, list) else []


def of_type(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [block for block in found if block["type"] == kind]


def mrkdwn(found: Any) -> list[str]:
    if isinstance(found, dict):
        own = [found["text"]] if found.get("type") == "mrkdwn" else []
        return own + [text for value in found.values() for text in mrkdwn(value)]
    return [text for value in found for text in mrkdwn(value)] if isinstance(found, list) else []


def with_traceback(traceback: str, **changes: Any) -> Message:
    return sample_message(event=sample_event(exception=ExceptionSummary("E", "m", traceback)), **changes)


# ------------------------------------------------------------ what it says


def test_the_state_is_a_word_and_a_sign() -> None:
    assert headline(sample_message()) == "🔴 Failed: etl/load"
    retrying = sample_event(state="Retrying", state_family=("Retrying", "Scheduled", "Pending"))
    assert headline(sample_message(title="etl/load", event=retrying)) == "🔁 Retrying: etl/load"
    crashed = sample_event(state="Crashed", state_family=("Crashed", "Failed", "Finished"))
    assert headline(sample_message(title="etl/load", event=crashed)) == "💥 Crashed: etl/load"
    assert headline(sample_message(Action.RECOVER)) == "✅ Recovered: etl/load"


def test_a_state_unknown_here_takes_the_sign_of_its_nearest_ancestor() -> None:
    event = sample_event(state="DiskFull", state_family=("DiskFull", "Failed", "Finished"))
    assert headline(sample_message(title="etl/load", event=event)) == "🔴 DiskFull: etl/load"


def test_a_test_is_marked_as_one() -> None:
    assert headline(sample_message(Action.TEST)) == "🧪 Test of channel ops"
    assert headline(sample_message(Action.TEST, title="hello")) == "🧪 Test: hello"


def test_a_recovery_says_how_long_it_took() -> None:
    [line] = [t for t in texts(blocks(sample_message(Action.RECOVER))) if "down for" in t]
    assert line.endswith("down for 1 min 10 s")
    for opened in ("", "once upon a time", "2027-01-01T00:00:00Z"):
        assert "down for" not in str(blocks(sample_message(Action.RECOVER, incident_opened_at=opened)))


def test_the_small_print_names_time_route_event_and_delivery() -> None:
    [context] = of_type(blocks(sample_message(), Layout(zone=ZoneInfo("Europe/Berlin"))), "context")
    assert texts(context["elements"]) == [
        "<!date^1772368215^{date_short_pretty} {time_secs}|2026-03-01 13:30:15 CET>",
        "route failures",
        "event 0b0f5a62-6d0e-5a7e-9a52-1f6a3f0f7c01",
        "delivery 5f3e2a10",
    ]


def test_a_possible_repetition_says_so_in_every_form() -> None:
    again = sample_message(may_repeat=True)
    [context] = of_type(blocks(again), "context")
    assert texts(context)[-1] == "(may be a repeat)"
    for said in (text(again), plain(again)):
        assert "(may be a repeat)" in said
    assert "(may be a repeat)" not in str(blocks(sample_message())) + text(sample_message()) + plain(sample_message())


def test_empty_fields_are_left_out_and_ten_are_the_most() -> None:
    [facts] = [block for block in blocks(sample_message()) if "fields" in block]
    assert texts(facts["fields"]) == ["*Run*\nbrave-otter", "*Attempt*\n2 of 3", "*Duration*\n1 min 23 s"]
    many = sample_message(fields=tuple((f"L{n}", f"v{n}") for n in range(11)))
    [facts] = [block for block in blocks(many) if "fields" in block]
    assert len(facts["fields"]) == 10
    assert not [block for block in blocks(sample_message(fields=(("A", " "),))) if "fields" in block]


def test_people_are_mentioned_when_it_has_failed_for_good_only() -> None:
    layout = Layout(("U012AB3CD", "S0614TZR7", "here"))
    calls = "<@U012AB3CD> <!subteam^S0614TZR7> <!here>"
    for said in (
        str(blocks(sample_message(), layout)),
        text(sample_message(), layout),
        plain(sample_message(), layout),
    ):
        assert calls in said
    calm = [
        sample_message(Action.RECOVER),
        sample_message(Action.TEST),
        sample_message(event=sample_event(will_retry=True)),
        sample_message(event=sample_event(state="Retrying", state_family=("Retrying", "Scheduled", "Pending"))),
    ]
    for message in calm:
        said = str(blocks(message, layout)) + text(message, layout) + plain(message, layout)
        assert "<@U012AB3CD>" not in said
        assert "<!here>" not in said


def test_the_text_beside_the_blocks_tells_what_happened() -> None:
    said = text(sample_message())
    assert said.splitlines()[0] == "🔴 Failed: etl/load"
    assert "ValueError: bad row 17: &lt;no amount&gt;" in said
    assert "<https://tocsin.example.org/runs/8c7d6c1e|Run>" in said
    assert text(sample_message(title="", text="")).startswith("🔴 Failed: etl/load")


def test_the_plain_text_holds_what_the_blocks_held() -> None:
    said = plain(sample_message())
    for part in ("Failed: etl/load", "Attempt: 2 of 3", "write(rows)", "delivery 5f3e2a10", "event 0b0f5a62"):
        assert part in said


def test_the_operators_own_text_stands_without_ours() -> None:
    message = sample_message(templated=True, title="Wake up", text="the load is late")
    assert headline(message) == "🔴 Wake up"
    said = "\n".join(texts(blocks(message)))
    assert "the load is late" in said
    for ours in ("brave-otter", "Traceback", "*Failed*", "route"):
        assert ours not in said


def test_links_become_buttons_and_what_is_no_web_address_does_not() -> None:
    links = (
        Link("Run", "https://example.org/run?a=1&b=2|3"),
        Link("Again", "https://example.org/run?a=1&b=2|3"),
        Link("Script", "javascript:alert(1)"),
        Link("Broken", "https://[example"),
        Link("Spaced", "https://example.org/a b"),
        Link("Endless", "https://example.org/" + "x" * 3000),
        Link("", "http://example.org/logs"),
    )
    message = sample_message(links=links)
    [actions] = of_type(blocks(message), "actions")
    found = [(button["text"]["text"], button["url"]) for button in actions["elements"]]
    assert found == [("Run", "https://example.org/run?a=1&b=2|3"), ("Open", "http://example.org/logs")]
    assert "<https://example.org/run?a=1&amp;b=2%7C3|Run>" in text(message)
    assert of_type(blocks(sample_message(links=())), "actions") == []


# ------------------------------------------------------------ what it must not do


def test_markup_in_names_and_texts_is_inert() -> None:
    event = sample_event(flow="<!channel>", task="<https://evil.example|click> & <@U0>")
    message = sample_message(event=event, title="<!here> &amp;", text="<!everyone>", fields=(("<!A>", "<!channel>"),))
    found = blocks(message)
    assert faults(found) == []
    for said in [*mrkdwn(found), text(message), plain(message)]:
        assert re.findall(r"<[!@]\w+", said.replace("<!date^", "")) == []
        assert "<https://evil" not in said
    [line] = [said for said in mrkdwn(found) if "*Failed*" in said]
    assert "&lt;!channel&gt;/&lt;https://evil.example|click&gt; &amp; &lt;@U0&gt;" in line
    assert texts(of_type(found, "header")) == ["🔴 Failed: <!here> &amp;"]  # plain text takes no entities
    assert "&amp;amp;" in text(message)


def test_a_traceback_keeps_its_fences_backticks_and_stars() -> None:
    traceback = 'File "a.py"\n  ```` `x` *y* _z_ ~w~ <!channel> &amp; {"k": "\\n"}\nE: m'
    [prose] = of_type(blocks(with_traceback(traceback)), "rich_text")
    [pre] = [part for part in prose["elements"] if part["type"] == "rich_text_preformatted"]
    assert pre["elements"] == [{"type": "text", "text": traceback}]


def test_of_a_long_traceback_the_end_is_shown() -> None:
    found = blocks(with_traceback("\n".join(f"line {n}" for n in range(100_000))))
    assert faults(found) == []
    [pre] = [part for part in of_type(found, "rich_text")[0]["elements"] if part["type"] == "rich_text_preformatted"]
    shown = pre["elements"][0]["text"]
    assert shown.startswith("…\nline ")
    assert shown.endswith("line 99999")
    assert len(shown) > 3000


@pytest.mark.parametrize("length", [1, 74, 75, 76, 149, 150, 151, 1999, 2000, 2001, 2999, 3000, 3001, 30_000])
@pytest.mark.parametrize("unit", ["x", "&", '"', "🔥", "e\u0301", "\u202eש", "\n"], ids=ascii)
def test_every_part_stays_in_its_limit_at_every_length(length: int, unit: str) -> None:
    long = unit * length
    event = sample_event(flow=long, task=long, exception=ExceptionSummary(long, long, long), url="https://a.b/" + long)
    message = sample_message(
        event=event,
        title=long,
        text=long,
        route=long,
        fields=((long, long),) * 12,
        links=tuple(Link(long, f"https://example.org/{n}{'x' * length}") for n in range(12)),
    )
    found = blocks(message, Layout(("U012AB3CD",) * 20))
    assert faults(found) == []
    for said in (text(message, Layout(("S" * 20,) * 20)), plain(message, Layout(("S" * 20,) * 20))):
        assert 0 < len(said) <= 4000


words = st.one_of(
    st.text(st.characters(codec=None), max_size=400),
    st.text(st.sampled_from('<>&"\\\n`*é🔥\u0301\u200d\ud800'), min_size=200, max_size=400).map(lambda part: part * 40),
)
links = st.lists(st.builds(Link, words, st.one_of(words, words.map("https://example.org/".__add__))), max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(Action)),
    st.booleans(),
    st.booleans(),
    st.lists(words, min_size=12, max_size=12),
    links,
    st.lists(st.tuples(words, words), max_size=12),
)
def test_whatever_the_text_the_blocks_are_valid(
    action: Action,
    templated: bool,
    may_repeat: bool,
    said: list[str],
    links: list[Link],
    fields: list[tuple[str, str]],
) -> None:
    event = sample_event(
        id=said[0],
        flow=said[1],
        task=said[2],
        state=said[3],
        host=said[4],
        url="https://example.org/" + said[5],
        exception=ExceptionSummary(said[6], said[6], said[7]),
    )
    message = sample_message(
        action,
        id=said[8],
        title=said[9],
        text=said[10],
        route=said[11],
        event=event,
        links=tuple(links),
        fields=tuple(fields),
        templated=templated,
        may_repeat=may_repeat,
    )
    found = blocks(message, Layout(("here",)))
    assert faults(found) == []
    json.dumps([found, text(message), plain(message)], ensure_ascii=False).encode()
    assert 0 < len(text(message).strip()) <= 4000
    assert 0 < len(plain(message).strip()) <= 4000


@pytest.mark.parametrize("action", list(Action))
def test_another_library_builds_the_same_blocks_and_finds_no_fault(action: Action) -> None:
    other = pytest.importorskip("slackblocks")

    def text_object(thing: dict[str, Any]) -> Any:
        kinds = {"plain_text": other.TextType.PLAINTEXT, "mrkdwn": other.TextType.MARKDOWN}
        return other.Text(thing["text"], kinds[thing["type"]], thing.get("emoji", False), thing.get("verbatim", False))

    def rich(thing: dict[str, Any]) -> Any:
        kinds = {"rich_text_section": other.RichTextSection, "rich_text_preformatted": other.RichTextCodeBlock}
        return kinds[thing["type"]]([other.RichText(part["text"]) for part in thing["elements"]])

    def button(thing: dict[str, Any]) -> Any:
        return other.Button(text_object(thing["text"]), thing["action_id"], thing["url"])

    def rebuilt(block: dict[str, Any]) -> Any:
        match block["type"]:
            case "header":
                return other.HeaderBlock(text_object(block["text"]), block_id="b")
            case "section" if "text" in block:
                return other.SectionBlock(text_object(block["text"]), block_id="b")
            case "section":
                return other.SectionBlock(fields=[text_object(field) for field in block["fields"]], block_id="b")
            case "actions":
                return other.ActionsBlock([button(element) for element in block["elements"]], block_id="b")
            case "context":
                return other.ContextBlock([text_object(element) for element in block["elements"]], block_id="b")
            case _:
                return other.RichTextBlock([rich(element) for element in block["elements"]], block_id="b")

    def without_false(thing: Any) -> Any:
        if isinstance(thing, dict):
            return {key: without_false(value) for key, value in thing.items() if value is not False}
        return [without_false(value) for value in thing] if isinstance(thing, list) else thing

    for block in blocks(sample_message(action, title="x" * 200, text="<&>" * 2000), Layout(("here",))):
        theirs = json.loads(repr(rebuilt(block)))
        assert without_false(theirs) == without_false({**block, "block_id": "b"})


def test_a_group_is_told_by_its_list_and_not_by_one_of_its_events() -> None:
    message = sample_group_message()
    shown = blocks(message, Layout(("U012AB3CD",)))
    assert faults(shown) == []
    assert headline(message) == "🔴 3 problems in etl"
    [prose] = [block for block in shown if block["type"] == "rich_text"]
    assert prose["elements"] == [
        {"type": "rich_text_section", "elements": [{"type": "text", "text": message.text}]}  # and no traceback
    ]
    assert "etl/load" not in str(shown).replace("https://tocsin.example.org", "")
    assert "<@U012AB3CD>" in str(shown)


@pytest.mark.parametrize("items", [30, 60])
def test_a_list_as_long_as_core_makes_it_is_shown_whole_even_without_blocks(items: int) -> None:
    message = sample_group_message(items=items)
    assert len(message.text) <= 2800
    assert message.text in str(blocks(message)[-3]["elements"][0]["elements"][0]["text"])
    assert message.text in plain(message)


def test_a_digest_and_a_partial_recovery_mention_nobody() -> None:
    layout = Layout(("U012AB3CD",))
    for reason in ("digest", "recovered", "summary", "calm"):
        assert "U012AB3CD" not in text(sample_group_message(Action.UPDATE, reason=reason), layout)
    assert "U012AB3CD" in text(sample_group_message(Action.UPDATE, reason="new"), layout)


def test_the_small_print_of_a_reminder_has_its_own_time() -> None:
    message = sample_message(Action.REPEAT, at="2026-03-01T16:29:05+00:00")
    assert "2026-03-01 16:29:05 UTC" in str(blocks(message)[-1])


def test_the_same_message_looks_the_same_each_time() -> None:
    assert blocks(sample_message()) == blocks(sample_message())


def test_these_limits_find_what_is_wrong() -> None:
    header = {"type": "header", "text": {"type": "mrkdwn", "text": "x" * 151}}
    assert faults([header]) == ["mrkdwn where it may not be", "a text of 151, at most 150"]
    section = {"type": "section", "fields": [{"type": "mrkdwn", "text": "a & b" + "x" * 2000}] * 11}
    assert "11 fields" in faults([section])
    assert "an ampersand that is no entity" in faults([section])
    assert "longer than 12,000 characters" in faults([section])
