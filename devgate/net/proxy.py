"""The PROXY header, in which a load balancer gives the address of its client. Bytes in, values
out.

Versions 1 (a line of text) and 2 (binary) of HAProxy's protocol. The header comes once, before all
other bytes.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from typing import NamedTuple

from devgate.net.addresses import host_of, loopback, spelled

TEXT = b"PROXY "
BINARY = b"\r\n\r\n\0\r\nQUIT\n"
MAX_LINE = 107  # of version 1, its CRLF included: the protocol's own limit
MAX_BLOCK = 4096  # of version 2, behind its fixed part: addresses take 36, the rest are options

LOCAL, PROXY = 0x20, 0x21  # version 2 in the upper half
UNKNOWN, TCP4, TCP6, UNIX = 0x00, 0x11, 0x21, 0x31
SIZES = {UNKNOWN: 0, TCP4: 12, TCP6: 36, UNIX: 216}

_FIXED = struct.Struct("!12sBBH")


def believed(address: str, networks: Sequence[str]) -> bool:
    """Whether the header of a peer at this address ("1.2.3.4:5678") is believed.

    `networks` are those of the load balancers; without any, this machine's own addresses.
    """
    if not networks:
        return loopback(address)
    host = ipaddress.ip_address(host_of(address).partition("%")[0])
    return any(host in ipaddress.ip_network(network) for network in networks)


class ProxyHeader(NamedTuple):
    """The header has been read."""

    address: str
    """"1.2.3.4:5678"; empty where the socket's own address holds (a balancer's health check)."""

    first_bytes: bytes
    """The bytes that came behind the header: the first ones of the device."""


class BadHeader(NamedTuple):
    """The bytes do not begin with a readable header, whatever comes after them."""

    why: str


class Preamble:
    """Reads the header of one connection, however it is cut. Keeps 4 KiB at most."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()

    @property
    def held(self) -> bytes:
        """The bytes of the header that have come."""
        return bytes(self._held)

    def feed(self, data: bytes) -> ProxyHeader | BadHeader | None:
        """Add bytes. None: the header is not complete. After a result, do not call it again."""
        self._held += data
        held = self._held
        if held.startswith(BINARY[: len(held)]):
            return self._binary()
        if held.startswith(TEXT[: len(held)]):
            return self._text()
        return BadHeader("no PROXY header; is the sender a load balancer that writes one?")

    def _text(self) -> ProxyHeader | BadHeader | None:
        end = self._held.find(b"\r\n", 0, MAX_LINE)
        if end < 0:
            if len(self._held) < MAX_LINE:
                return None
            return BadHeader("bad PROXY header: its line does not end")
        fields = bytes(self._held[:end]).split(b" ")
        first_bytes = bytes(self._held[end + 2 :])
        if fields[1] == b"UNKNOWN":  # whatever follows it means nothing
            return ProxyHeader("", first_bytes)
        version = {b"TCP4": 4, b"TCP6": 6}.get(fields[1])
        if version is None or len(fields) != 6:
            return BadHeader("bad PROXY header: TCP4 or TCP6, two addresses, two ports expected")
        source, target = (_host(field, version) for field in fields[2:4])
        port, other = (_port(field) for field in fields[4:])
        if source is None or target is None or port is None or other is None:
            return BadHeader("bad PROXY header: an address or a port is not one")
        return ProxyHeader(spelled((source, port)), first_bytes)

    def _binary(self) -> ProxyHeader | BadHeader | None:
        if len(self._held) < _FIXED.size:
            return None
        _, command, family, size = _FIXED.unpack_from(self._held)
        if command not in (LOCAL, PROXY):
            return BadHeader("bad PROXY header: of version 2, LOCAL or PROXY expected")
        if size > MAX_BLOCK:
            return BadHeader(f"bad PROXY header: at most {MAX_BLOCK} bytes expected, not {size}")
        if command == PROXY and size < SIZES.get(family, MAX_BLOCK + 1):
            return BadHeader("bad PROXY header: TCP over IPv4 or IPv6, with addresses, expected")
        stop = _FIXED.size + size
        if len(self._held) < stop:
            return None
        block, first_bytes = bytes(self._held[_FIXED.size : stop]), bytes(self._held[stop:])
        if command == PROXY and family == TCP4:
            host, _, port = struct.unpack_from("!4s4sH", block)
            return ProxyHeader(spelled((str(ipaddress.IPv4Address(host)), port)), first_bytes)
        if command == PROXY and family == TCP6:
            host, _, port = struct.unpack_from("!16s16sH", block)
            address = ipaddress.IPv6Address(host)
            return ProxyHeader(spelled((str(address.ipv4_mapped or address), port)), first_bytes)
        return ProxyHeader("", first_bytes)


def _host(field: bytes, version: int) -> str | None:
    if b"%" in field:
        return None  # a scope means nothing on this machine
    try:
        address = ipaddress.ip_address(field.decode("ascii"))
    except ValueError:
        return None
    if address.version != version:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _port(field: bytes) -> int | None:
    if not field.isdigit() or len(field) > 5 or int(field) > 65535:
        return None
    return int(field)
