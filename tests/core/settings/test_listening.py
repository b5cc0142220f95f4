"""Where the hub answers those who ask how it is: nowhere unless asked to, and then to this machine only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tocsin.settings.listening import Address, address_of

Said = Callable[..., list[str]]


def hub(listen: str, more: str = "") -> str:
    return f'[hub]\nlisten = "{listen}"\n{more}'


def errors(lines: list[str]) -> list[str]:
    return [line for line in lines if " W" not in line]


def test_without_the_table_nothing_listens(loaded: Callable[..., Any]) -> None:
    assert loaded("").hub.listen is None


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:9464", "127.0.0.1", 9464),
        ("127.1.2.3:0", "127.1.2.3", 0),
        ("localhost:65535", "localhost", 65535),
        ("LocalHost:1", "LocalHost", 1),
        ("[::1]:9464", "::1", 9464),
        ("[0:0:0:0:0:0:0:1]:9464", "::1", 9464),
        ("[::ffff:127.0.0.1]:9464", "::ffff:127.0.0.1", 9464),
    ],
)
def test_an_address_of_this_machine_is_taken(
    said: Said, loaded: Callable[..., Any], text: str, host: str, port: int
) -> None:
    assert errors(said(hub(text))) == []
    listen = loaded(hub(text)).hub.listen
    assert listen.port == port
    assert address_of(f"[{host}]:1").host == listen.host if ":" in host else listen.host == host


@pytest.mark.parametrize("text", ["0.0.0.0:9464", "[::]:9464", "10.0.0.8:9464", "metrics.example.org:80", "hub:9464"])
def test_an_address_that_others_reach_is_refused_unless_that_is_meant(
    said: Said, loaded: Callable[..., Any], text: str
) -> None:
    [problem] = errors(said(hub(text)))
    assert problem.startswith("2:10 E107 ")
    assert f"'{text}' can be reached from other machines" in problem
    assert loaded(hub(text, "allow_remote = true\n")).hub.listen == address_of(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("9464", "is no address"),
        ("127.0.0.1", "is no address"),
        (":9464", "names no host"),
        ("[]:9464", "names no host"),
        ("::1:9464", "is no address"),
        ("127.0.0.1:65536", "the highest is 65535"),
        ("127.0.0.1:-1", "is no address"),
        ("127.0.0.1:http", "is no address"),
        ("127.0.0.1:9464/metrics", "is no address"),
        ("http://127.0.0.1:9464", "is no address"),
        ("127.0.0.256:9464", "names no host that there can be"),
        ("127.0.0:9464", "names no host that there can be"),
        ("a b:9464", "names no host that there can be"),
        ("[localhost]:9464", "has no IPv6 address in its brackets"),
        ("127.0.0.1:\N{ARABIC-INDIC DIGIT NINE}", "is no address"),
        ("", "is no address"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason_and_an_example(said: Said, text: str, reason: str) -> None:
    [problem] = errors(said(hub(text)))
    assert problem.startswith("2:10 E107 ")
    assert reason in problem


def test_a_number_is_no_address(said: Said) -> None:
    [problem] = errors(said("[hub]\nlisten = 9464\n"))
    assert "expected an address in quotes" in problem


def test_an_unknown_key_is_named_with_the_nearest(checked: Callable[..., Any]) -> None:
    [problem] = [p for p in checked("[hub]\nlisen = 'x'\n") if p.code == "E106"]
    assert "'lisen'" in problem.render()
    assert "listen" in problem.render()


def test_the_environment_can_set_it(loaded: Callable[..., Any]) -> None:
    config = loaded("", env={"TOCSIN__HUB__LISTEN": "127.0.0.1:9999"})
    assert config.hub.listen == Address("127.0.0.1", 9999)
