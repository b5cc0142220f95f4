"""`[hub]`: where `tocsin hub` answers those who ask how it is."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, StrictBool, ValidationInfo, field_validator

from tocsin.settings.tables import Table, refused

_ADDRESS = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<host>[^:\[\]]*)):(?P<port>\d{1,5})", re.ASCII)
_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*\.?", re.ASCII)
_EXAMPLE = 'write a host and a port, such as "127.0.0.1:9464"'


@dataclass(frozen=True, slots=True)
class Address:
    """A host, by name or number, and a port of it; port 0 is any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it.

        >>> [address_of(text).is_loopback for text in ("127.8.0.1:80", "[::1]:80", "localhost:80", "0.0.0.0:80")]
        [True, True, True, False]
        """
        try:
            number = ipaddress.ip_address(self.host)
        except ValueError:
            return self.host.lower().rstrip(".") == "localhost"
        mapped = getattr(number, "ipv4_mapped", None)
        return bool((mapped or number).is_loopback)


def address_of(text: str) -> Address:
    """The address that a text names. Raises ValueError.

    >>> address_of("127.0.0.1:9464"), str(address_of("[::1]:0"))
    (Address(host='127.0.0.1', port=9464), '[::1]:0')
    """
    found = _ADDRESS.fullmatch(text.strip())
    if found is None:
        raise ValueError("is no address")
    host, port = found["v6"] or found["host"] or "", int(found["port"])
    if not host:
        raise ValueError("names no host")
    if port > 65535:
        raise ValueError(f"has the port {port}; the highest is 65535")
    if found["v6"] is not None:
        try:
            host = str(ipaddress.IPv6Address(host))
        except ValueError:
            raise ValueError("has no IPv6 address in its brackets") from None
    elif not _is_host(host):
        raise ValueError("names no host that there can be")
    return Address(host, port)


def _is_host(host: str) -> bool:
    if re.fullmatch(r"[0-9.]+", host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            return False
        return True
    return _NAME.fullmatch(host) is not None


def _address(value: Any) -> Any:
    if isinstance(value, Address):
        return value
    if not isinstance(value, str):
        raise refused("E107", "expected an address in quotes", hint=_EXAMPLE)
    try:
        return address_of(value)
    except ValueError as error:
        raise refused("E107", f"'{value}' {error}", hint=_EXAMPLE) from None


class HubSettings(Table):
    """`[hub]`."""

    allow_remote: StrictBool = False
    """Whether others than this machine may reach it: nobody has to say who they are."""
    listen: Annotated[Address | None, BeforeValidator(_address)] = None
    """Where `/healthz` and `/metrics` are answered; None: nowhere."""

    @field_validator("listen")
    @classmethod
    def _for_whom(cls, address: Address | None, info: ValidationInfo) -> Address | None:
        if address is not None and not address.is_loopback and not info.data.get("allow_remote"):
            raise refused(
                "E107",
                f"'{address}' can be reached from other machines, and nobody has to say who they are",
                hint="listen on 127.0.0.1, or write allow_remote = true where a firewall decides who may ask",
            )
        return address
