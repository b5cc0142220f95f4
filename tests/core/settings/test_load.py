"""What a config without mistakes holds, and that no text makes reading it fail in another way."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from tocsin.settings import CODES, Config, ConfigError, Source, check, load, plugin_settings
from tocsin_hooks.channels import ChannelType

Loaded = Callable[..., Config]

FULL = """\
version = 1
project = "prod"

[defaults]
send = ["ops"]
opens = "is_failed"
key = ["flow", "task", "params.region"]
recover = { notice = false }
template = "short"

[store]
path = "var/tocsin.db"
retention = "14d"
history = "all"

[delivery]
threads = 2
drain = "10s"
lease = "2m"

[plugins]
allow = ["tocsin-slack"]
block = ["noisy"]

[filters]
critical = "tags=tier1"

[channels.ops]
type = "console"

[[routes]]
name = "noise"
when = "flow=~smoke_.*"
send = []
stop = true

[[routes]]
when = "@critical"

[[routes]]
name = "deep"
under = "route 2"
send = ["ops"]
template = "short"

[templates.short]
title = "{{ flow }}"
text = "{{ message }}"
"""


def test_everything_written_is_in_the_config(loaded: Loaded, tmp_path: Path) -> None:
    config = loaded(FULL)
    assert (config.path, config.version, config.project) == (tmp_path / "tocsin.toml", 1, "prod")
    assert config.store.path == tmp_path / "var/tocsin.db"
    assert config.store.retention == timedelta(days=14)
    assert config.store.history == "all"
    assert (config.delivery.threads, config.delivery.drain, config.delivery.lease) == (
        2,
        timedelta(seconds=10),
        timedelta(minutes=2),
    )
    assert (config.plugins.allow, config.plugins.block) == (("tocsin-slack",), ("noisy",))
    defaults = config.defaults
    assert (defaults.send, defaults.send_is_set, defaults.template) == (("ops",), True, "short")
    assert (defaults.opens.to_text(), defaults.key) == ("is_failed", ("flow", "task", "params.region"))
    assert not defaults.recover.notice


def test_what_is_left_out_is_as_documented(loaded: Loaded, tmp_path: Path) -> None:
    config = loaded("")
    assert config.project == ""
    assert config.store.path == tmp_path / "tocsin.db"
    assert config.store.retention == timedelta(days=30)
    assert (config.store.history, config.timezone, config.windows, config.watches) == ("routed", "UTC", {}, ())
    assert (config.escalations, len(config.inhibitions)) == ({}, 2)
    assert (config.delivery.threads, config.delivery.drain, config.delivery.lease) == (
        8,
        timedelta(seconds=30),
        timedelta(seconds=60),
    )
    assert (config.defaults.send, config.defaults.send_is_set, config.defaults.template) == ((), False, None)
    assert config.defaults.opens.to_text() == "is_failed or is_retrying"
    assert config.defaults.key == ("project", "flow", "task")
    assert config.defaults.recover.notice
    assert (config.plugins.allow, config.plugins.block) == (None, ())
    assert (config.channels, config.routes, config.filters, config.templates) == ({}, (), {}, {})


def test_a_route_tells_what_it_inherits_from_what_it_sets(loaded: Loaded) -> None:
    noise, second, deep = loaded(FULL).routes
    assert (noise.send, noise.stop, noise.under, noise.template) == ((), True, None, None)
    assert (second.name, second.send, second.stop) == ("route 2", None, False)
    assert (deep.under, deep.send, deep.template, deep.filter) == ("route 2", ("ops",), "short", None)
    lines = [number for number, line in enumerate(FULL.splitlines(), 1) if line == "[[routes]]"]
    assert [str(route.position) for route in (noise, second, deep)] == [f"tocsin.toml:{line}:3" for line in lines]


def test_recovery_is_switched_off_with_one_word(loaded: Loaded) -> None:
    assert not loaded("[defaults]\nrecover = false").defaults.recover.notice
    assert loaded("[defaults]\nrecover = true").defaults.recover.notice


def test_a_config_does_not_change(loaded: Loaded) -> None:
    config = loaded(FULL)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.project = "x"  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        config.delivery.threads = 3


def test_plugins_are_allowed_before_there_are_plugins(tmp_path: Path) -> None:
    def source(text: str) -> Source:
        return Source(None, text.encode(), "tocsin.toml", tmp_path)

    assert plugin_settings(source(FULL)).block == ("noisy",)
    for broken in ("[plugins]\nallow = 3", "not toml [", ""):
        assert plugin_settings(source(broken)).allow is None


def test_warnings_do_not_keep_a_config_from_loading(loaded: Loaded, tmp_path: Path) -> None:
    assert loaded("[filters]\nunused = 'region=eu'").filters["unused"].to_text() == "region=eu"


# ---------------------------------------------------------------- any text

_WORDS = r"""
version project defaults store delivery filters channels routes templates plugins send opens key template recover notice
path retention threads drain lease type retry tries first max when name stop under title text file allow block
python ops pager console fussy url token level room people headers env is_failed flow=x @a and or not ( ) { } " ' = .
, [ ] [[ ]] # 1 1.5 true "10s" "@a" "flow=x" "console" "pager" {} [] \ 1979-05-27 allow_inline_secrets
"""
_HEADERS = """
[defaults] [store] [delivery] [filters] [channels.ops] [channels] [[routes]] [templates.t] [templates] [plugins]
[defaults.recover] [channels.ops.retry] [[channels]] [routes] [windows.w] [windows] [[inhibit]] [inhibit]
[escalations.e] [[watch]] [defaults.group] [escalations.e.repeat]
"""
_KEYS = """
version project send opens key template recover path retention threads type retry when name stop under text file url
token level pin password a b x allow_inline_secrets defaults channels routes filters python mode silent group digest
throttle flap open_after mute escalate recover by wait interval every limit per over changes within calm failures
windows then urgent times weekdays days months years timezone source target equal hold mark enabled steps after send if
on notice ack_lasts outside window kind flow cron grace fixed or_times_median min_runs
"""
_VALUES = r"""
1 0 -1 2 true 1.5 nan "" "ops" "10s" "console" "pager" "fussy" "boom" ["ops"] [1] [[]] {} {env="X"} {python="os:sep"}
{python="x:y"} "@a" "@b" "flow=x" "flow=" "é\u0000" 1979-05-27 07:32:00 [{}] [{when="@a"}] {a={type="pager"}}
{type="fussy",pin={a="b"}} false "3/30m" ["w"] "w" "e" ["flow","*"] [["18:00","07:00"]] ["mon:fri"] ["-2:1"] ["2026"]
{wait="0s"} {by=["flow"],repeat="1m"} {every="1h",urgent="{}"} {windows=["w"]} [{after="5m",send=["ops"]}] [{}]
"missed" "too_long" {fixed="1h"} "event" "is_failed" "upstream" {limit="1/h"} {changes=2} {failures=1} {limit=3}
"""
_pairs = st.builds("{} = {}".format, st.sampled_from(_KEYS.split()), st.sampled_from(_VALUES.split()))
_shaped = st.lists(st.sampled_from(_HEADERS.split()) | _pairs, max_size=14).map("\n".join)
_texts = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from([*_WORDS.split(), "\x00", "\t", "\n"]), max_size=25).map(" ".join),
    _shaped,
    _shaped,
)
_names = st.lists(
    st.sampled_from(["DEFAULTS", "SEND", "CHANNELS", "OPS", "TYPE", "ROUTES", "0", "", "X_Y"]), max_size=4
)
_settings = st.sampled_from(["{}", "[]", "true", "[{}]", '"x"', '["ops"]', "nan", "1\nb=2"])


def outcome(source: Source, types: dict[str, ChannelType]) -> Config | ConfigError:
    """What `load` does; any other exception fails the test."""
    try:
        return load(source, channel_types=types)
    except ConfigError as error:
        return error


@settings(max_examples=400, deadline=None)
@given(text=_texts)
def test_any_text_is_a_config_or_a_config_error(types: dict[str, ChannelType], text: str) -> None:
    source = Source(None, text.encode("utf-8", "surrogatepass"), "tocsin.toml", Path("/nonexistent"))
    problems = check(source, channel_types=types)
    for problem in problems:
        assert problem.render().startswith("tocsin.toml")
        assert problem.code in CODES
    errors = [problem for problem in problems if problem.severity == "error" and problem.code != "E407"]
    found = outcome(source, types)
    assert (list(found.problems) if isinstance(found, ConfigError) else []) == errors
    assert isinstance(found, ConfigError) == bool(errors)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=40))
def test_any_bytes_are_a_config_or_a_config_error(types: dict[str, ChannelType], data: bytes) -> None:
    found = outcome(Source(None, data, "tocsin.toml", Path("/nonexistent")), types)
    assert isinstance(found, Config) or found.problems


@settings(max_examples=100, deadline=None)
@given(
    env=st.dictionaries(
        _names.map(lambda parts: "__".join(["TOCSIN", *parts])), st.text(max_size=8) | _settings, max_size=4
    )
)
def test_any_environment_is_a_config_or_names_the_variable(types: dict[str, ChannelType], env: dict[str, str]) -> None:
    found = outcome(Source.without_file(environ=env, base=Path("/nonexistent")), types)
    if isinstance(found, ConfigError):
        assert {problem.place.position.file for problem in found.problems} <= env.keys()
    else:
        assert isinstance(found, Config)
