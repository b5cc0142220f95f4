from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field, field_validator

from tocsin.settings import Config, Problem, Source, check, load
from tocsin_hooks.channels import ChannelConfig, ChannelType
from tocsin_hooks.durations import Duration
from tocsin_hooks.secrets import MaybeSecret, Secret


class PagerConfig(ChannelConfig):
    url: MaybeSecret
    token: Secret | None = None
    level: Literal["low", "high"] = "low"
    room: str = ""
    people: list[str] = Field(default_factory=list)
    headers: dict[str, MaybeSecret] = Field(default_factory=dict)
    timeout: Duration | None = None

    @field_validator("room")
    @classmethod
    def _known(cls, room: str) -> str:
        if room == "nowhere":
            raise ValueError(f"'{room}' is no room")
        return room


class FussyConfig(ChannelConfig):
    password: str = ""
    pin: dict[str, str] = Field(default_factory=dict)

    @field_validator("password")
    @classmethod
    def _long(cls, password: str) -> str:
        if password == "boom":
            raise RuntimeError(password)
        return password

    @field_validator("pin")
    @classmethod
    def _strong(cls, pin: dict[str, str]) -> dict[str, str]:
        raise ValueError(f"{pin} is weak")


class NoChannel:
    def __init__(self, config: ChannelConfig) -> None:
        self.config = config

    def send(self, message: Any, previous: Any = None) -> Any:
        raise AssertionError("reading a config sends nothing")


TYPES = {
    name: ChannelType(name, config, NoChannel)
    for name, config in (("pager", PagerConfig), ("fussy", FussyConfig), ("console", ChannelConfig))
}

Checked = Callable[..., list[Problem]]
Loaded = Callable[..., Config]


def source(text: str | bytes, base: Path, **env: str) -> Source:
    data = text.encode() if isinstance(text, str) else text
    return Source(base / "tocsin.toml", data, "tocsin.toml", base, overrides=tuple(sorted(env.items())))


@pytest.fixture(scope="session")
def types() -> dict[str, ChannelType]:
    return TYPES


@pytest.fixture
def checked(tmp_path: Path) -> Checked:
    """`checked(text, env={}, **options)`: the problems of a config."""

    def run(text: str | bytes, *, env: dict[str, str] | None = None, **options: Any) -> list[Problem]:
        return check(source(text, tmp_path, **(env or {})), channel_types=TYPES, **options)

    return run


@pytest.fixture
def said(checked: Checked) -> Callable[..., list[str]]:
    """`said(text)`: the problems of a config, one line each: `line:column code message`."""

    def run(text: str | bytes, **options: Any) -> list[str]:
        return [p.render().partition("\n")[0].removeprefix("tocsin.toml:") for p in checked(text, **options)]

    return run


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """`loaded(text, env={}, **options)`: the config, or ConfigError."""

    def run(text: str | bytes, *, env: dict[str, str] | None = None, **options: Any) -> Config:
        return load(source(text, tmp_path, **(env or {})), channel_types=TYPES, **options)

    return run
