"""A secret is never written into the config, whatever its plugin calls it: E406."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, SecretStr

from tocsin.settings import Config, Problem, Source, check, load
from tocsin_hooks.channels import ChannelConfig, ChannelType
from tocsin_hooks.errors import SecretError
from tocsin_hooks.secrets import MaybeSecret


class HookConfig(ChannelConfig):
    url: MaybeSecret | None = None
    webhook_url: MaybeSecret | None = None
    headers: dict[str, MaybeSecret] = Field(default_factory=dict)


class StrangeConfig(ChannelConfig):
    token: SecretStr
    more: SecretStr | None = None


class NoChannel:
    def __init__(self, config: ChannelConfig) -> None:
        self.config = config

    def send(self, message: Any, previous: Any = None) -> Any:
        raise AssertionError("reading a config sends nothing")


TYPES = {
    name: ChannelType(name, config, NoChannel) for name, config in (("hook", HookConfig), ("strange", StrangeConfig))
}
HEAD = "[defaults]\nsend=['ops']\n[channels.ops]\n"


def source(text: str, base: Path) -> Source:
    return Source(base / "tocsin.toml", text.encode(), "tocsin.toml", base)


def problems(body: str, base: Path, **options: Any) -> list[Problem]:
    return check(source(HEAD + body, base), channel_types=TYPES, **options)


def loaded(body: str, base: Path) -> Config:
    return load(source(HEAD + body, base), channel_types=TYPES)


@pytest.mark.parametrize(
    "setting",
    [
        "webhook_url='https://hooks.slack.com/services/T0/B0/abcdef123456'",
        "webhook_url='https://chat.example.org/hooks/ops'",
        "url='https://hooks.slack.com/services/T0/B0/abcdef123456'",
        "url='https://discord.com/api/webhooks/1/a'",
        "url='https://ops.example.org/hook?token=abc'",
        "url='https://ann:pw@ops.example.org/hook'",
        "url='https://ops.example.org/3f2504e0-4f89-11d3-9a0c-0305e82c3301'",
        "url='tgram://123456789:AAF4x_kTq9LmZ2/12315544'",
        "url='slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general'",
        "headers={X-Auth='xoxb-1234567890-abcdef'}",
    ],
)
def test_a_secret_in_a_setting_that_may_be_plain_is_refused_and_not_shown(tmp_path: Path, setting: str) -> None:
    [problem] = problems(f"type='hook'\n{setting}", tmp_path)
    assert problem.code == "E406"
    assert problem.place.position.line == 5
    assert "refer to it: { env = " in problem.text
    assert setting.partition("'")[2].strip("'}") not in problem.render()


@pytest.mark.parametrize(
    "setting",
    [
        "url='https://ops.example.org/hooks/flow'",
        "url='http://127.0.0.1:8080/services/T0/B0/abcdef123456'",
        "webhook_url='http://localhost:8080/hook'",
        "webhook_url='http://[::1]:8080/hook'",
        "url='https://data-platform-alerts.eu-central-1.example.org/v2/pipelines_production_2026/failures'",
        "url='json://ops.example.org/hooks'",
        "webhook_url={ env = 'HOOK' }",
        "headers={X-Team='data-platform'}",
    ],
)
def test_an_address_that_lets_nobody_in_may_be_written(tmp_path: Path, setting: str) -> None:
    assert problems(f"type='hook'\n{setting}", tmp_path, secrets=False) == []


def test_who_allows_secrets_in_the_file_may_write_them(tmp_path: Path) -> None:
    body = "type='hook'\nwebhook_url='https://hooks.slack.com/services/T0/B0/abcdef123456'"
    text = f"allow_inline_secrets=true\n{HEAD}{body}"
    assert check(source(text, tmp_path), channel_types=TYPES) == []


def test_a_plain_secret_of_pydantics_own_type_is_refused(tmp_path: Path) -> None:
    found = problems("type='strange'\ntoken='hunter2-and-more'\nmore='hunter3-and-more'", tmp_path)
    assert [problem.code for problem in found] == ["E406", "E406"]
    assert "hunter" not in "".join(problem.render() for problem in found)
    assert found[0].text.startswith("[channels.ops] token: a secret is never written here; refer to it: { env = ")


def test_a_secret_of_pydantics_own_type_is_read_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STRANGE_TOKEN", raising=False)
    config: Any = loaded("type='strange'\ntoken={env='STRANGE_TOKEN'}", tmp_path).channels["ops"].config
    with pytest.raises(SecretError, match="'STRANGE_TOKEN' is not set"):
        config.token.get_secret_value()
    monkeypatch.setenv("STRANGE_TOKEN", "hunter2-and-more\n")
    assert config.token.get_secret_value() == "hunter2-and-more"
    assert "hunter2" not in repr(config)


def test_a_missing_secret_of_pydantics_own_type_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRANGE_TOKEN", raising=False)
    [problem] = problems("type='strange'\ntoken={env='STRANGE_TOKEN'}", tmp_path)
    assert (problem.code, problem.place.position.line) == ("E407", 5)
    assert problems("type='strange'\ntoken={env='STRANGE_TOKEN'}", tmp_path, secrets=False) == []
