"""Addresses and networks as settings: "HOST:PORT", "10.1.0.0/16"."""

from __future__ import annotations

import ipaddress
import re

from pydantic import PlainValidator

from devgate.config.kinds import Word, came
from devgate.model import host_port

_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?", re.ASCII)


def addresses(*, required: bool) -> PlainValidator:
    """Addresses as a list of "HOST:PORT", from a string or a list; "" is none."""

    def check(value: object) -> list[str]:
        checked = [_address(item) for item in _listed(value, '"HOST:PORT" or a list of such')]
        if required and not checked:
            raise ValueError('at least one "HOST:PORT" expected, not nothing')
        for number, address in enumerate(checked):
            if address in checked[:number] and not address.endswith(":0"):
                raise ValueError(f"each address once expected, not {came(address)} again")
        return checked

    return PlainValidator(check)


def _listed(value: object, expected: str) -> list[object]:
    """A list, from a list, one string, or a text with commas from the environment."""
    if isinstance(value, Word):
        return [part.strip() for part in value.split(",")] if value.strip() else []
    if isinstance(value, str):
        return [value] if value else []
    if not isinstance(value, list):
        raise ValueError(f"{expected} expected, not {came(value)}")
    return value


def _address(value: object) -> str:
    """ "HOST:PORT" with a valid host, and the port without leading zeros."""
    if not isinstance(value, str):
        raise ValueError(f'"HOST:PORT" expected, not {came(value)}')
    host, port = host_port(value)
    if host in ("", "*"):
        raise ValueError(
            f"an address in front of the port expected, not {came(value)} "
            '("0.0.0.0" takes every IPv4 address, "[::]" every IPv6 one)'
        )
    try:
        if ":" in host:
            ipaddress.IPv6Address(host)
            host = f"[{host}]"
        elif re.fullmatch(r"[0-9.]+", host):
            ipaddress.IPv4Address(host)
        elif not _HOST_NAME.fullmatch(host):
            raise ValueError
    except ValueError:
        raise ValueError(f"an IP address or a host name expected, not {came(host)}") from None
    return f"{host}:{port}"


def _advertised(value: object) -> str:
    """ "HOST:PORT" that others can connect to; or ""."""
    if value == "":
        return ""
    address = _address(value)
    host, port = host_port(address)
    if not port or host in ("0.0.0.0", "::"):
        raise ValueError(
            f"an address and a port that others can connect to expected, not {came(value)}"
        )
    return address


ADVERTISE = PlainValidator(_advertised)


def networks() -> PlainValidator:
    """Addresses and networks as a list, from a string or a list: "10.0.0.7", "10.1.0.0/16"."""

    def check(value: object) -> list[str]:
        return [_network(item) for item in _listed(value, "an address, a network or a list")]

    return PlainValidator(check)


def _network(value: object) -> str:
    try:
        if not isinstance(value, str):
            raise ValueError
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise ValueError(
            f'addresses like "10.0.0.7" or networks like "10.1.0.0/16" expected, not {came(value)}'
        ) from None


def loopback(address: str) -> bool:
    """True if a checked "HOST:PORT" is a loopback address."""
    host, _ = host_port(address)
    if host.lower() == "localhost":
        return True
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return False  # a name may have any address
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback
