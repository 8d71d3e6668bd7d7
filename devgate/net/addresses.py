"""Addresses to listen on: from a text to a bound socket and back to a text."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any

from devgate.errors import DoorInUse, SetupError
from devgate.model import host_port

# The kernel reduces it to net.core.somaxconn. After a network fault all devices connect at once.
BACKLOG = 4096

_REMEDIES = {
    errno.EADDRINUSE: "the port is in use; stop the program that has it (`ss -ltnp` names it) "
    "or choose another port",
    errno.EACCES: "this user may not use the port; choose one from 1024 up, "
    "or give the service CAP_NET_BIND_SERVICE",
    errno.EADDRNOTAVAIL: "this machine has no such address; choose one that `ip address` shows, "
    "or 0.0.0.0 for all",
    errno.EAFNOSUPPORT: "this machine does not have that kind of address; "
    "choose an IPv4 address, or turn IPv6 on",
}


def parse(text: str) -> tuple[str, int]:
    """Host and port of "0.0.0.0:12306", "[::]:12306" or "localhost:0".

    Raises SetupError for anything else.
    """
    with suppress(ValueError):
        host, port = host_port(text.strip())
        if host:
            return host, port
    raise SetupError(
        f"listen address {text!r}: an address and a port expected, "
        'like "0.0.0.0:12306" or "[::]:12306"'
    )


def bind(
    listen: Sequence[str | socket.socket], backlog: int = BACKLOG, *, shared: bool = False
) -> list[socket.socket]:
    """Listening, non-blocking TCP sockets. The caller closes them.

    A name gets a socket for each of its addresses. An IPv6 socket takes IPv6 alone, so that
    "0.0.0.0:12306" and "[::]:12306" can be used together. `shared`: other processes of this user
    may listen there, too; the kernel gives each connection to one of them. A socket that listens
    already is used as it is. Raises SetupError, and then closes all. May ask a name server: call
    it in a thread or before the loop.
    """
    with ExitStack() as opened:
        sockets: list[socket.socket] = []
        for text in [listen] if isinstance(listen, str) else listen:
            bound = [text] if isinstance(text, socket.socket) else _bind(text, backlog, shared)
            sockets.extend(opened.enter_context(sock) for sock in bound)
        opened.pop_all()
        return sockets


def shown(sock: socket.socket) -> str:
    """The address that a socket is really bound to, like "127.0.0.1:12306"."""
    return spelled(sock.getsockname())


def spelled(address: Any) -> str:
    """An address as the socket module gives it, as people write it. "" for a Unix socket.

    IPv6 stands in brackets; an IPv4 address that came in by IPv6 is an IPv4 address.
    """
    if not isinstance(address, tuple):
        return ""
    host, port = str(address[0]), address[1]
    if ":" not in host:
        return f"{host}:{port}"
    mapped = host.lower().removeprefix("::ffff:")
    return f"{mapped}:{port}" if "." in mapped and ":" not in mapped else f"[{host}]:{port}"


def host_of(address: str) -> str:
    """The host of an address that spelled() wrote, IPv6 without its brackets. "" for none."""
    return address.rpartition(":")[0].strip("[]")


def network_of(address: str) -> str:
    """The network of an address that spelled() wrote: network() of its host."""
    host = address.rpartition(":")[0]
    return network(host.strip("[]")) if ":" in host else host


def loopback(address: str) -> bool:
    """Whether an address that spelled() wrote is this machine's own; a Unix socket's is."""
    host = host_of(address)
    return not host or is_loopback(host)


def network(address: str) -> str:
    """The network of one customer: an IPv4 address, or the /64 of an IPv6 address.

    `address` has no port. One IPv6 customer has at least 2^64 addresses: they count as one. A text
    that is no address is returned unchanged.
    """
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed or address)


def is_loopback(address: str) -> bool:
    """Whether an address, without a port, is this machine's own."""
    parsed = _parsed(address)
    return parsed is not None and parsed.is_loopback


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An IPv4 address that came in by IPv6 is an IPv4 address. None for what is no address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


def _bind(text: str, backlog: int, shared: bool) -> list[socket.socket]:
    host, port = parse(text)
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except (socket.gaierror, UnicodeError):
        raise SetupError(
            f"cannot listen on {text}: no such host; write an address of this machine"
        ) from None
    sockets: list[socket.socket] = []
    trouble: OSError | None = None
    for family, kind, proto, _, address in dict.fromkeys(found):
        try:
            sockets.append(_listener(family, kind, proto, address, backlog, shared))
        except OSError as err:
            trouble = err
            # "localhost" may have an IPv6 address on a machine that has no IPv6.
            if _parsed(host) is None and err.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                continue
            break
    else:
        if sockets:
            return sockets
    for sock in sockets:
        sock.close()
    assert trouble is not None, "getaddrinfo found an address or raised"
    what = _REMEDIES.get(trouble.errno or 0, (trouble.strerror or str(trouble)).lower())
    error = DoorInUse if trouble.errno == errno.EADDRINUSE else SetupError
    raise error(f"cannot listen on {text}: {what}") from trouble


def _listener(
    family: int, kind: int, proto: int, address: Any, backlog: int, shared: bool
) -> socket.socket:
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(backlog)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
