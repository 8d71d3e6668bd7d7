"""Connections to public addresses only.

The author of a configuration, or a name server, must not make the gateway connect to hosts that
only the gateway can reach. So a name is resolved here, each address is checked, and the connection
goes to the checked address: it does not matter if the name resolves to another one the next time.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from functools import partial

import httpcore
import trio

from devgate.webhooks.public_addresses import PERMIT, is_public, not_public

# Names that are looked up at once. Their threads have a limit of their own: a name server that
# does not answer must not use up the threads that read the database.
MAX_LOOKUPS = 4


class Forbidden(httpcore.ConnectError):
    """A host whose address is not public. Nothing was sent to it."""


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """The network backend of httpcore. `allow_private` allows all addresses; `permit` is the
    setting that does so, for messages."""

    def __init__(self, *, allow_private: bool, permit: str = PERMIT) -> None:
        self._allow_private = allow_private
        self._permit = permit
        self._backend = httpcore.TrioBackend()
        self._lookups = trio.CapacityLimiter(MAX_LOOKUPS)

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
            # The part behind a % is an interface of this machine.
            if not self._allow_private and not is_public(ipaddress.ip_address(text.split("%")[0])):
                raise Forbidden(not_public(f"{host} is {text}, which", self._permit))
        return addresses
