"""What a Slack channel's settings may be, and what is said when they are not."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tocsin_hooks.channels import Capability
from tocsin_slack import tocsin_channel_types
from tocsin_slack.config import SlackConfig, rebased

HOOK = {"webhook_url": {"env": "SLACK_WEBHOOK_URL"}}
BOT = {"token": {"env": "SLACK_BOT_TOKEN"}, "channel": "#ops"}


def config(**settings: Any) -> SlackConfig:
    return SlackConfig.model_validate(settings)


def test_a_webhook_posts_anew_and_a_bot_edits_unless_told_otherwise() -> None:
    assert config(**HOOK).how_to_update == "new"
    assert config(**BOT).how_to_update == "edit"
    assert config(**BOT, updates="edit+thread").how_to_update == "edit+thread"


def test_a_webhook_can_neither_edit_nor_thread() -> None:
    [kind] = tocsin_channel_types()
    assert kind.name == "slack"
    assert kind.capabilities == {Capability.EDIT, Capability.THREAD}
    assert config(**HOOK).capabilities() == frozenset()
    assert config(**BOT).capabilities() is None
    assert config(**BOT, updates="thread").capabilities() == {Capability.THREAD}
    assert config(**BOT, updates="new").capabilities() == frozenset()


@pytest.mark.parametrize("updates", ["edit", "thread", "edit+thread"])
def test_a_webhook_asked_to_edit_or_thread_is_refused(updates: str) -> None:
    with pytest.raises(ValueError, match="a webhook cannot edit or reply") as refused:
        config(**HOOK, updates=updates)
    assert f"updates = '{updates}'" in str(refused.value)
    assert "set 'token' and 'channel' instead of 'webhook_url'" in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "needs 'webhook_url' .an incoming webhook., or 'token' and 'channel'"),
        ({"channel": "#ops"}, "needs 'webhook_url'"),
        ({**HOOK, "token": {"env": "T"}, "channel": "#ops"}, "has both 'webhook_url' and 'token'"),
        ({"token": {"env": "T"}}, "has a 'token' but no 'channel'"),
        ({**BOT, "channel": "  "}, "has a 'token' but no 'channel'"),
        ({**HOOK, "channel": "#ops"}, "a webhook posts to its own channel, not to '#ops'"),
        ({"token": "xoxb-1-2-3", "channel": "#ops"}, "a secret is never written here"),
        ({"webhook_url": "hooks.slack.com/services/T/B/x"}, "webhook_url given is no address"),
        ({**HOOK, "proxy": "socks5://10.0.0.1:1080"}, "proxy given is no address"),
        ({**HOOK, "mention": ["bob"]}, "cannot mention 'bob'; give the id of a user"),
        ({**HOOK, "mention": ["U0>x"]}, "cannot mention 'U0>x'"),
        ({**HOOK, "mention": ["here"] * 21}, "mentions 21; at most 20"),
        ({**HOOK, "timezone": "Europe/Atlantis"}, "unknown time zone 'Europe/Atlantis'"),
        ({**HOOK, "timezone": "../../etc/passwd"}, "unknown time zone"),
        ({**HOOK, "base_url": "gateway:80"}, "'gateway:80' is no address"),
        ({**HOOK, "ca_file": "no/such.pem"}, "there is no file 'no/such.pem'"),
        ({**HOOK, "timeout": 5}, "write it with its unit"),
        ({**HOOK, "updates": "sometimes"}, "updates"),
    ],
)
def test_what_is_wrong_is_said(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        config(**settings)


def test_a_refused_address_is_not_shown() -> None:
    with pytest.raises(ValueError, match="webhook_url") as refused:
        config(webhook_url="ftp://host/T0/B0/topsecret", mention=["bob"])
    errors = refused.value.errors(include_input=False)  # type: ignore[attr-defined]
    assert "topsecret" not in str([error["msg"] for error in errors])


def test_names_are_taken_as_people_write_them(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    found = SlackConfig.model_validate(
        {**BOT, "icon_emoji": "bell", "mention": ["@U012AB3CD", "here"], "ca_file": "ca.pem"},
        context={"base": tmp_path},
    )
    assert found.icon_emoji == ":bell:"
    assert found.mention == ("U012AB3CD", "here")
    assert found.ca_file == tmp_path / "ca.pem"


def test_a_gateway_takes_the_place_of_the_webhooks_host_only() -> None:
    url = "https://hooks.slack.com/services/T0/B0/x?a=1"
    assert rebased(url, "http://127.0.0.1:8065/ignored") == "http://127.0.0.1:8065/services/T0/B0/x?a=1"
    assert rebased(url, "") == url


def test_the_sample_shown_to_people_works() -> None:
    [kind] = tocsin_channel_types()
    found = kind.config.model_validate(tomllib.loads(kind.sample))
    assert kind.channel(found)


def test_slack_sdk_is_loaded_only_when_something_is_sent() -> None:
    told = "import tocsin_slack, sys; tocsin_slack.tocsin_channel_types(); "
    shown = subprocess.run(
        [sys.executable, "-c", told + "print([name for name in sys.modules if name.startswith('slack_sdk')])"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "[]\n"
