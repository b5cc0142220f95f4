"""Which addresses a webhook may reach, so that an address from elsewhere cannot make tocsin knock at doors inside."""

from __future__ import annotations

import ipaddress
import socket
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    # The first that fits names an address. From the registries of special-purpose addresses of IANA.
    ("loopback", ("127.0.0.0/8", "::1/128")),
    ("metadata", ("169.254.169.254/32", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32",
                  "fd00:ec2::254/128", "fd20:ce::254/128")),
    ("link-local", ("169.254.0.0/16", "fe80::/10")),
    ("private", ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10")),
    ("multicast", ("224.0.0.0/4", "ff00::/8")),
    ("IPv4-mapped", ("::ffff:0:0/96",)),
    ("NAT64", ("64:ff9b::/96", "64:ff9b:1::/48")),
    ("6to4", ("2002::/16", "192.88.99.0/24")),
    ("documentation", ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20")),
    ("reserved", ("0.0.0.0/8", "192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4", "2001::/23",
                  "::/3", "4000::/2", "8000::/1")),  # of IPv6, only 2000::/3 is given out
)  # fmt: skip
_TABLE: tuple[tuple[str, Network], ...] = tuple(
    (kind, ipaddress.ip_network(text)) for kind, texts in _KINDS for text in texts
)
_BY_NAME_ONLY = frozenset({"metadata", "link-local"})
_NAT64 = IPv6Network("64:ff9b::/96")
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Reach:
    """What a webhook may reach: public addresses over https on port 443, and what the settings add to that."""

    http: bool = False
    private: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()

    @cached_property
    def _networks(self) -> tuple[Network, ...]:
        return tuple(ipaddress.ip_network(text) for text in self.private)

    def objection(self, address: str, port: int, *, tls: bool) -> str:
        """Why there is to be no connection to `address`, with the settings that would allow it; empty where none.

        >>> Reach().objection("93.184.216.34", 443, tls=True)
        ''
        >>> Reach().objection("10.0.0.7", 443, tls=True)
        "the private address '10.0.0.7' needs allow_private = ['10.0.0.7/32']"
        """
        return self._joined(tls=tls, port=port, address=ipaddress.ip_address(address.partition("%")[0]))

    def objection_to_url(self, url: str) -> str:
        """What there is to object to in `url` without looking its name up. Raises ValueError where it is no address.

        >>> Reach().objection_to_url("https://example.org/hook"), Reach(http=True).objection_to_url("http://h/")
        ('', '')
        >>> Reach(ports=(8080,)).objection_to_url("http://127.1:8080/")
        "http needs allow_http = true, the loopback address '127.0.0.1' needs allow_private = ['127.0.0.1/32']"
        """
        scheme, host, port = parts_of(url)
        return self._joined(tls=scheme == "https", port=port, address=self._address_of(host))

    def _joined(self, *, tls: bool, port: int, address: Address | None) -> str:
        needs = []
        if not (tls or self.http):
            needs.append("http needs allow_http = true")
        if port != 443 and port not in self.ports and (tls or port != 80):
            needs.append(f"port {port} needs allow_ports = [{port}]")
        if address is not None and (refused := self._refused(address)):
            kind, at = refused
            needs.append(f"the {kind} address '{at}' needs allow_private = ['{at}/{at.max_prefixlen}']")
        return ", ".join(needs)

    def _refused(self, address: Address) -> tuple[str, Address] | None:
        """The sort of `address`, unless it may be reached; else that of the address which it carries, if it may not."""
        kind = kind_of(address)
        if kind and not self._listed(address, kind):
            return kind, address
        carried = carried_by(address)
        return None if carried is None else self._refused(carried)

    def _listed(self, address: Address, kind: str) -> bool:
        """Whether a network of the settings holds `address`. A wide one does not open what must be named."""
        return any(
            address in network and (kind not in _BY_NAME_ONLY or kind_of(network.network_address) in _BY_NAME_ONLY)
            for network in self._networks
        )

    def _address_of(self, host: str) -> Address | None:
        """The address that `host` surely stands for: none for a name, but for this host's own."""
        if host == "localhost" or host.endswith(".localhost"):
            own: tuple[Address, ...] = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
            return None if any(self._listed(each, "loopback") for each in own) else own[0]
        return literal(host)


def kind_of(address: Address) -> str:
    """What sort of special address it is; empty for a public one.

    >>> [kind_of(ipaddress.ip_address(text)) for text in ("8.8.8.8", "100.64.0.1", "2606:4700::1", "::", "ff02::1")]
    ['', 'private', '', 'reserved', 'multicast']
    """
    return next((kind for kind, network in _TABLE if address in network), "")


def carried_by(address: Address) -> IPv4Address | None:
    """The IPv4 address that packets for an IPv6 address end up at, by the way it is written.

    >>> carried_by(ipaddress.ip_address("64:ff9b::a9fe:a9fe")), carried_by(ipaddress.ip_address("2606:4700::1"))
    (IPv4Address('169.254.169.254'), None)
    """
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def literal(host: str) -> Address | None:
    """The address that `host` is a spelling of, as the system reads it; None for a name.

    >>> [str(literal(text)) for text in ("::1", "0x7f.1", "2130706433", "0177.0.0.1", "example.org")]
    ['::1', '127.0.0.1', '127.0.0.1', '127.0.0.1', 'None']
    """
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def parts_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an address to post to. Raises ValueError, which shows no more than the scheme.

    >>> parts_of("https://me:pw@Example.org./hook")
    ('https', 'example.org', 443)
    """
    example = "expects an address such as 'https://example.org/hook'"
    if any(char == "\\" or char.isspace() or not char.isprintable() for char in url):
        raise ValueError(f"{example}, found characters that no address holds")  # readers of addresses disagree on them
    try:
        split = urlsplit(url)
        host, port = split.hostname, split.port
    except ValueError:
        raise ValueError(f"{example}, found a host or a port that is none") from None
    if split.scheme not in _PORTS:
        raise ValueError(f"{example}, found " + (f"the scheme '{split.scheme}'" if split.scheme else "no scheme"))
    if not host or port == 0:
        raise ValueError(f"{example}, found no host" if not host else f"{example}, found port 0")
    if "%" in host and ":" not in host:  # whoever decodes it sees another host than whoever does not
        raise ValueError(f"{example}, found a host with '%' in it")
    return split.scheme, _as_sent(host).rstrip("."), port or _PORTS[split.scheme]


def _as_sent(host: str) -> str:
    r"""`host` without the letters and digits that international names have beside those of ASCII.

    >>> _as_sent("\uff4cocalhost"), _as_sent("\uff11\uff12\uff17\u30020.0.1")
    ('localhost', '127.0.0.1')
    """
    return host if host.isascii() else unicodedata.normalize("NFKC", host).casefold().replace("\u3002", ".")


def network(text: str) -> str:
    """A network in its usual spelling. Raises ValueError where `text` is none.

    >>> network("10.0.0.0/8"), network("127.0.0.1"), network("::1")
    ('10.0.0.0/8', '127.0.0.1/32', '::1/128')
    """
    try:
        return str(ipaddress.ip_network(text.strip()))
    except ValueError:
        pass
    try:
        wider = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(f"expects a network such as '10.0.0.0/8', found '{text}'") from None
    raise ValueError(f"'{text}' is an address within a network; '{wider}' would be all of that network")
