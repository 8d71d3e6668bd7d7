"""Connections to addresses of the open internet alone.

Whoever may write a configuration, or a name server, must not make the gateway talk to what
only it can reach. So a name is resolved here, every address is judged, and the connection is made
to the address that was judged: a name that resolves otherwise the next time gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from functools import partial
from urllib.parse import urlsplit

import httpcore
import trio

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# IPv6 networks whose addresses carry an IPv4 address, with the place of its last bit.
CARRIERS = (
    (ipaddress.IPv6Network("::/96"), 0),  # "compatible", long out of use
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),  # mapped
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4
)
# Neither is for anybody outside, whatever a version of Python says of it.
NEVER = (
    ipaddress.IPv6Network("64:ff9b:1::/48"),  # NAT64 of one's own network
    ipaddress.IPv6Network("2001::/32"),  # Teredo: a tunnel to anywhere
)


# A public address that is not: the host of every machine in Azure, with what it tells its guests.
HOSTS = frozenset({ipaddress.IPv4Address("168.63.129.16")})

# Names that are looked up at once, in threads of a number of their own: a name server that does
# not answer must not take those that the database is read in.
LOOKUPS = 4

PERMIT = "allow_private = true"  # what lets a [[webhook]] post to other addresses


class Forbidden(httpcore.ConnectError):
    """A host whose address is not public. Nothing was sent to it."""


def is_public(address: Address) -> bool:
    """True if anybody on the internet may talk to this address."""
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in NEVER):
            return False
        for network, shift in CARRIERS:
            if address in network:
                return is_public(ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF))
        if address.is_site_local:
            return False
    return (
        address not in HOSTS
        and address.is_global
        and not (address.is_multicast or address.is_reserved or address.is_unspecified)
    )


def not_public(what: str, permit: str) -> str:
    """A sentence on an address that is not, and what to do."""
    return f"{what} is not a public address; set {permit} to post to it anyway"


def literal(url: str) -> str | None:
    """The host of a URL, if it is written as an address that is not public."""
    host = urlsplit(url).hostname or ""
    try:
        return None if is_public(ipaddress.ip_address(host.split("%")[0])) else host
    except ValueError:
        return host if host == "localhost" else None


class Guard(httpcore.AsyncNetworkBackend):
    """What httpcore connects with. `allow_private` lets every address pass; `permit` is the
    setting that would."""

    def __init__(self, *, allow_private: bool, permit: str = PERMIT) -> None:
        self._allow_private = allow_private
        self._permit = permit
        self._backend = httpcore.TrioBackend()
        self._lookups = trio.CapacityLimiter(LOOKUPS)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore calls it so
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first public address of the host that takes a connection.

        Raises httpcore.ConnectError or ConnectTimeout, as its backend does; also where none of the
        host's addresses may be used.
        """
        error: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in await self._resolve(host, port):
            try:
                return await self._backend.connect_tcp(
                    address, port, timeout, local_address, socket_options or ()
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as err:
                error = err
        raise error

    async def _resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a host, each once. Raises Forbidden if one of them may not be used."""
        try:
            found = await trio.to_thread.run_sync(
                partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM),
                abandon_on_cancel=True,
                limiter=self._lookups,
            )
        except (OSError, UnicodeError) as err:
            why = getattr(err, "strerror", None) or str(err)
            raise httpcore.ConnectError(f"{host} cannot be resolved: {why}") from None
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        for text in addresses:
            # What is behind a % names an interface of this machine.
            if not self._allow_private and not is_public(ipaddress.ip_address(text.split("%")[0])):
                raise Forbidden(not_public(f"{host} is {text}, which", self._permit))
        return addresses
