"""What a webhook may reach: public addresses over https, and what the settings add to that."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

import pytest

from tocsin_hooks import Reason, SendError
from tocsin_hooks.http import HttpSender
from tocsin_hooks.testing import Receiver, sample_message
from tocsin_webhook import WebhookChannel, WebhookConfig
from tocsin_webhook.guard import Reach

REFUSED = {
    "0.0.0.0": "reserved",
    "0.1.2.3": "reserved",
    "10.0.0.0": "private",
    "10.255.255.255": "private",
    "100.64.0.1": "private",
    "100.100.100.200": "metadata",
    "100.127.255.255": "private",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "metadata",
    "169.254.0.1": "link-local",
    "169.254.169.254": "metadata",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.1": "reserved",
    "192.0.0.192": "metadata",
    "192.0.2.1": "documentation",
    "192.88.99.1": "6to4",
    "192.168.1.1": "private",
    "198.18.0.1": "reserved",
    "198.19.255.255": "reserved",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
    "::": "reserved",
    "::1": "loopback",
    "::7f00:1": "reserved",
    "::ffff:7f00:1": "IPv4-mapped",
    "::ffff:808:808": "IPv4-mapped",
    "64:ff9b::7f00:1": "NAT64",
    "64:ff9b::808:808": "NAT64",
    "64:ff9b:1::a00:1": "NAT64",
    "100::1": "reserved",
    "2001:0:4136:e378:8000:63bf:f5ff:fffe": "reserved",
    "2001:1::1": "reserved",
    "2001:20::1": "reserved",
    "2001:db8::1": "documentation",
    "2002:7f00:1::1": "6to4",
    "2002:808:808::1": "6to4",
    "3fff::1": "documentation",
    "5f00::1": "reserved",
    "fc00::1": "private",
    "fd00:ec2::254": "metadata",
    "fd12:3456::1": "private",
    "fe80::1": "link-local",
    "febf::1": "link-local",
    "fec0::1": "private",
    "ff02::1": "multicast",
}
PUBLIC = (
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2003::1",
    "2606:4700::1111",
    "2a00:1450::1",
)


def config(**settings: Any) -> WebhookConfig:
    return WebhookConfig.model_validate({"url": "https://hooks.example.org/T0/secret", **settings})


def refusal_of(**settings: Any) -> str:
    with pytest.raises(ValueError, match="url") as caught:
        config(**settings)
    return str(caught.value)


def error_of(channel: WebhookChannel) -> SendError:
    with pytest.raises(SendError) as caught:
        channel.send(sample_message())
    return caught.value


# ---------------------------------------------------------------- which addresses


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_public_is_refused_and_named(address: str) -> None:
    prefix = 128 if ":" in address else 32
    told = f"the {REFUSED[address]} address '{address}' needs allow_private = ['{address}/{prefix}']"
    assert Reach().objection(address, 443, tls=True) == told
    assert Reach(private=("192.0.3.0/24",)).objection(address, 443, tls=True) == told


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_reached(address: str) -> None:
    assert Reach().objection(address, 443, tls=True) == ""


@pytest.mark.parametrize("address", [address for address in REFUSED if ":" not in address or "::ffff" not in address])
def test_what_the_objection_asks_for_allows_the_address_unless_it_carries_another(address: str) -> None:
    prefix = 128 if ":" in address else 32
    left = Reach(private=(f"{address}/{prefix}",)).objection(address, 443, tls=True)
    carrying = {
        "64:ff9b::7f00:1": ("loopback", "127.0.0.1"),
        "2002:7f00:1::1": ("loopback", "127.0.0.1"),
        "2001:0:4136:e378:8000:63bf:f5ff:fffe": ("private", "10.0.0.1"),
    }
    kind, inner = carrying.get(address, ("", ""))
    assert left == (f"the {kind} address '{inner}' needs allow_private = ['{inner}/32']" if inner else "")


def test_an_address_that_carries_another_needs_both_to_be_allowed() -> None:
    nat64, mapped = "64:ff9b::a00:1", "::ffff:10.0.0.1"
    for address, network in ((nat64, "64:ff9b::/96"), (mapped, "::ffff:0:0/96")):
        assert "address '10.0.0.1' needs" in Reach(private=(network,)).objection(address, 443, tls=True)
        assert Reach(private=("10.0.0.0/8",)).objection(address, 443, tls=True) != ""
        assert Reach(private=(network, "10.0.0.0/8")).objection(address, 443, tls=True) == ""
    assert Reach(private=("64:ff9b::/96",)).objection("64:ff9b::808:808", 443, tls=True) == ""


def test_a_network_opens_what_lies_in_it_and_nothing_else() -> None:
    reach = Reach(private=("10.1.0.0/16", "fd00::/8"))
    assert [reach.objection(a, 443, tls=True) for a in ("10.1.0.0", "10.1.255.255", "fd12::1", "8.8.8.8")] == [""] * 4
    for address in ("10.0.255.255", "10.2.0.0", "127.0.0.1", "fc00::1", "::1", "169.254.169.254"):
        assert reach.objection(address, 443, tls=True)


def test_a_wide_network_does_not_open_link_local_and_metadata_addresses() -> None:
    wide = Reach(private=("0.0.0.0/0", "::/0"))
    assert wide.objection("10.0.0.1", 443, tls=True) == ""
    for address in ("169.254.169.254", "169.254.1.1", "100.100.100.200", "168.63.129.16", "fe80::1", "fd00:ec2::254"):
        assert f"address '{address}' needs allow_private" in wide.objection(address, 443, tls=True)
    named = Reach(private=("169.254.0.0/16", "fe80::/10"))
    assert [named.objection(a, 443, tls=True) for a in ("169.254.169.254", "169.254.1.1", "fe80::1")] == [""] * 3


def test_the_interface_that_an_address_names_changes_nothing() -> None:
    assert "link-local address 'fe80::1' needs" in Reach().objection("fe80::1%eth0", 443, tls=True)


# ---------------------------------------------------------------- ports and schemes


@pytest.mark.parametrize(
    ("reach", "tls", "port", "told"),
    [
        (Reach(), True, 443, ""),
        (Reach(), True, 80, "port 80 needs allow_ports = [80]"),
        (Reach(), True, 8443, "port 8443 needs allow_ports = [8443]"),
        (Reach(ports=(8443,)), True, 8443, ""),
        (Reach(ports=(8443,)), True, 443, ""),
        (Reach(), False, 80, "http needs allow_http = true"),
        (Reach(), False, 443, "http needs allow_http = true"),
        (Reach(), False, 22, "http needs allow_http = true, port 22 needs allow_ports = [22]"),
        (Reach(http=True), False, 80, ""),
        (Reach(http=True), False, 8080, "port 8080 needs allow_ports = [8080]"),
        (Reach(http=True, ports=(8080,)), False, 8080, ""),
    ],
)
def test_schemes_and_ports_are_those_of_the_web_unless_others_are_allowed(
    reach: Reach, tls: bool, port: int, told: str
) -> None:
    assert reach.objection("8.8.8.8", port, tls=tls) == told
    assert reach.objection_to_url(f"{'https' if tls else 'http'}://hooks.example.org:{port}/T0") == told


# ---------------------------------------------------------------- what `tocsin check` sees


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://hooks.example.org/T0/secret", "http needs allow_http = true"),
        ("https://hooks.example.org:22/T0/secret", "port 22 needs allow_ports = [22]"),
        ("https://10.0.0.7/secret", "the private address '10.0.0.7' needs allow_private = ['10.0.0.7/32']"),
        ("https://me:secret@[::1]/", "the loopback address '::1' needs allow_private = ['::1/128']"),
        ("https://[fe80::1%25eth0]/secret", "the link-local address 'fe80::1' needs allow_private = ['fe80::1/128']"),
        ("https://2130706433/secret", "the loopback address '127.0.0.1' needs"),
        ("https://0x7f.1/secret", "the loopback address '127.0.0.1' needs"),
        ("https://0177.0.0.1/secret", "the loopback address '127.0.0.1' needs"),
        ("https://127.1/secret", "the loopback address '127.0.0.1' needs"),
        ("https://0/secret", "the reserved address '0.0.0.0' needs"),
        ("https://[::ffff:169.254.169.254]/secret", "the IPv4-mapped address"),
        ("https://localhost/secret", "the loopback address '127.0.0.1' needs"),
        ("https://LOCALHOST./secret", "the loopback address '127.0.0.1' needs"),
        ("https://db.localhost/secret", "the loopback address '127.0.0.1' needs"),
        ("ftp://hooks.example.org/secret", "found the scheme 'ftp'"),
        ("file:///etc/secret", "found the scheme 'file'"),
        ("hooks.example.org/secret", "found no scheme"),
        ("//hooks.example.org/secret", "found no scheme"),
        ("https:///secret", "found no host"),
        ("https://hooks.example.org:0/secret", "found port 0"),
        ("https://hooks.example.org:99999/secret", "found a host or a port that is none"),
        ("https://hooks.example.org:x/secret", "found a host or a port that is none"),
        ("https://[bad/secret", "found a host or a port that is none"),
        ("https://good.example.org\\@127.0.0.1/secret", "characters that no address holds"),
        ("https://hooks.example.org/a secret", "characters that no address holds"),
        ("https://hooks.example.org/\u2028secret", "characters that no address holds"),
    ],
)
def test_an_address_that_cannot_be_posted_to_is_refused_when_the_config_is_read(url: str, told: str) -> None:
    said = refusal_of(url=url)
    assert told in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("https://hooks.example.org/T0", {}),
        ("https://hooks.example.org:443", {}),
        ("HTTPS://me:pw@hooks.example.org./T0?x=1#y", {}),
        ("https://b\u00fccher.example/T0", {}),
        ("https://8.8.8.8/", {}),
        ("https://[2606:4700::1111]/", {}),
        ("http://hooks.example.org/T0", {"allow_http": True}),
        ("http://hooks.svc.cluster.local:8080/T0", {"allow_http": True, "allow_ports": 8080}),
        ("https://10.0.0.7/", {"allow_private": "10.0.0.0/8"}),
        ("https://127.1/", {"allow_private": ["127.0.0.1"]}),
        ("https://localhost/", {"allow_private": ["127.0.0.1/32"]}),
        ("https://localhost/", {"allow_private": ["::1"]}),
        ({"env": "HOOK_URL"}, {}),
        ("http://hooks.example.org:1/T0", {"base_url": "http://10.0.0.7:8080"}),
    ],
)
def test_an_address_that_can_be_posted_to_is_accepted(url: Any, settings: dict[str, Any]) -> None:
    assert config(url=url, **settings).url is not None


@pytest.mark.parametrize(
    ("network", "told"),
    [
        ("10.1.2.3/8", "'10.1.2.3/8' is an address within a network; '10.0.0.0/8' would be all of that network"),
        ("fd00::1/8", "'fd00::/8' would be all of that network"),
        ("10.0.0.0/33", "expects a network such as '10.0.0.0/8', found '10.0.0.0/33'"),
        ("10.0.0.0/-1", "expects a network"),
        ("10.0.0", "expects a network"),
        ("localhost", "expects a network such as '10.0.0.0/8', found 'localhost'"),
        ("", "expects a network"),
        ("*", "expects a network"),
    ],
)
def test_a_network_that_is_none_is_refused_with_what_would_do(network: str, told: str) -> None:
    with pytest.raises(ValueError, match="allow_private") as caught:
        config(allow_private=[network])
    assert told in str(caught.value)


@pytest.mark.parametrize("ports", [[0], [65536], [-1], ["http"], [80.5]])
def test_a_port_that_is_none_is_refused(ports: list[Any]) -> None:
    with pytest.raises(ValueError, match="allow_ports"):
        config(allow_ports=ports)


def test_the_guards_own_settings_are_told_of_before_the_address() -> None:
    with pytest.raises(ValueError, match="allow_private") as caught:
        config(url="http://10.0.0.7:8080/", allow_private=["10"])
    assert "needs" not in str(caught.value), "it cannot be known yet"


# ---------------------------------------------------------------- sending


def test_an_address_in_a_secret_is_checked_when_it_is_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_URL", f"{receiver.url}/T0/secret")
    error = error_of(WebhookChannel(config(url={"env": "HOOK_URL"})))
    assert (error.reason, error.permanent) == (Reason.CONFIG, True)
    assert str(error) == (
        f"no request to '127.0.0.1': http needs allow_http = true, port {receiver.port} needs allow_ports = "
        f"[{receiver.port}], the loopback address '127.0.0.1' needs allow_private = ['127.0.0.1/32']"
    )
    monkeypatch.setenv("HOOK_URL", "gopher://hooks.example.org/T0/secret")
    error = error_of(WebhookChannel(config(url={"env": "HOOK_URL"})))
    assert (error.reason, error.permanent) == (Reason.CONFIG, True)
    assert str(error) == (
        "url: environment variable 'HOOK_URL': expects an address such as 'https://example.org/hook', "
        "found the scheme 'gopher'"
    )
    assert receiver.connections == 0


class Resolver:
    """Leads a name to these addresses, one after the other."""

    def __init__(self, *addresses: tuple[str, ...]) -> None:
        self.addresses = list(addresses)

    def __call__(self, host: str, port: int) -> Sequence[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses.pop(0)]


def resolved(receiver: Receiver, *addresses: tuple[str, ...], **settings: Any) -> WebhookChannel:
    url = f"http://hooks.example.org:{receiver.port}/T0/secret"
    found = config(url=url, allow_http=True, allow_ports=receiver.port, **settings)
    http = HttpSender(user_agent="tests/1", guard=found.reach(), resolve=Resolver(*addresses))
    return WebhookChannel(found, http=http)


@pytest.mark.parametrize("addresses", [("127.0.0.1",), ("8.8.8.8", "127.0.0.1"), ("127.0.0.1", "8.8.8.8")])
def test_a_name_that_leads_to_a_private_address_among_others_is_refused(
    receiver: Receiver, addresses: tuple[str, ...]
) -> None:
    error = error_of(resolved(receiver, addresses))
    assert str(error) == (
        "no connection to 'hooks.example.org': the loopback address '127.0.0.1' needs allow_private = ['127.0.0.1/32']"
    )
    assert (error.reason, error.permanent, error.unknown) == (Reason.CONFIG, False, False), "a name may be mended"
    assert receiver.connections == 0


def test_a_name_that_turns_private_is_refused_at_the_next_connection(receiver: Receiver) -> None:
    receiver.answer(200, headers={"Connection": "close"})
    webhook = resolved(receiver, ("127.0.0.1",), ("10.0.0.7",), allow_private="127.0.0.1")
    assert webhook.send(sample_message()).sent
    assert "the private address '10.0.0.7' needs" in str(error_of(webhook))
    assert receiver.connections == 1


def test_a_gateway_is_the_operators_own_word_and_not_guarded(receiver: Receiver) -> None:
    webhook = WebhookChannel(config(base_url=receiver.url))
    assert webhook.send(sample_message()).detail == "'127.0.0.1' answered 200"
    assert receiver.requests[0].target == "/T0/secret"


def test_a_proxy_comes_from_the_settings_only_and_the_address_is_still_checked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, receiver.url)
    monkeypatch.setenv("HOOK_URL", "http://10.0.0.7/T0")
    assert "allow_private" in str(
        error_of(WebhookChannel(config(url={"env": "HOOK_URL"}, allow_http=True, proxy=receiver.url)))
    )
    assert receiver.connections == 0, "neither through a proxy that was asked for, nor through the environment's"
    webhook = WebhookChannel(config(url="http://hooks.example.org/T0", allow_http=True, proxy=receiver.url))
    assert webhook.send(sample_message()).sent
    assert receiver.requests[0].target == "http://hooks.example.org/T0"


@pytest.mark.parametrize(
    "host",
    [
        "%31%32%37.0.0.1",
        "%6cocalhost",
        "0x7f.1%2e",
        "hooks%2eexample.org",
        "\uff4cocalhost",
        "\uff11\uff12\uff17.0.0.1",
        "127\u30020\u30020\u30021",
        "\u2460\u2461\u2466.0.0.1",
    ],
)
def test_no_proxy_is_asked_for_an_address_inside_that_is_written_otherwise(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("HOOK_URL", f"http://{host}/T0")
    webhook = WebhookChannel(config(url={"env": "HOOK_URL"}, allow_http=True, proxy=receiver.url))
    error = error_of(webhook)
    assert (error.reason, error.permanent) == (Reason.CONFIG, True)
    assert receiver.connections == 0


def test_nothing_is_asked_of_an_address_that_a_redirect_names(receiver: Receiver) -> None:
    with Receiver() as inside:
        receiver.answer(307, headers={"Location": f"{inside.url}/latest/meta-data"})
        error = error_of(resolved(receiver, ("127.0.0.1",), allow_private="127.0.0.1"))
        assert (error.reason, error.permanent, inside.connections) == (Reason.CLIENT, True, 0)
