"""Connections of one door of the control channel: accepted, counted, closed at their end."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import trio

from devgate.control.hangups import Hangups
from devgate.control.listeners import UnixDoor
from devgate.gateway.refusals import Refusals
from devgate.net.accepting import ROUND_CONNECTIONS, Accepting, as_socket
from devgate.net.addresses import host_of, spelled
from devgate.net.guests import Guests
from devgate.net.moved import MovedCaller

log = logging.getLogger("devgate.control")


class Guest:
    """One connection of a door, from when it has a place until it has ended."""

    def __init__(
        self,
        sock: socket.socket,
        address: str,
        guests: Guests[Guest] | None,
        moved: MovedCaller | None = None,
    ) -> None:
        """`address` is the peer's, without its port. `moved`: another process has had it."""
        self.sock = sock
        self.moved = moved
        self.address = address
        self.scope = trio.CancelScope()
        self._guests = guests

    def asks(self) -> None:
        """A request has begun."""
        if self._guests is not None:
            self._guests.asks(self)

    def rests(self) -> None:
        """No request is under way any more."""
        if self._guests is not None:
            self._guests.rests(self)


Serve = Callable[[Guest, Hangups], Coroutine[Any, Any, None]]


class Door:
    """Listening sockets with the same limits, and their connections.

    `guests` gives places by address. Without it there are `max_connections` places, for whoever
    comes first.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket | UnixDoor],
        serve: Serve,
        guests: Guests[Guest] | None,
        max_connections: int,
        refusals: Refusals,
    ) -> None:
        self.listeners = listeners
        self._serve = serve
        self._guests = guests
        self._max_connections = max_connections
        self._refusals = refusals
        self._here: set[Guest] = set()
        # Set by run(): admits a connection that was accepted here or by another process.
        self.admit: Callable[..., None]
        self._open = trio.CancelScope()

    def close(self) -> None:
        """Accept no more connections. Existing ones stay."""
        self._open.cancel()

    async def run(
        self, inside: trio.Nursery, hangups: Hangups, started: Callable[[], None]
    ) -> None:
        """Accept until closed or cancelled, and close the listeners then.

        Connections are served in the nursery `inside`.
        """

        def admit(sock: socket.socket, peer: Any, moved: MovedCaller | None = None) -> None:
            address = spelled(peer)
            guest = Guest(sock, host_of(address), self._guests, moved)
            if self._guests is not None and not self._guests.enter(guest, address):
                sock.close()
                return
            self._here.add(guest)
            inside.start_soon(self._run, guest, hangups)

        self.admit = admit
        accepting = Accepting(
            self._room,
            lambda: f"all {self._max_connections} are in use",
            as_socket(admit),
            log,
            name="control accept",
        )
        try:
            with self._open:
                async with trio.open_nursery() as outside:
                    for one in self.listeners:
                        sock = one.sock if isinstance(one, UnixDoor) else one
                        outside.start_soon(accepting.run, sock)
                    started()
        finally:
            for one in self.listeners:
                one.close()

    def _room(self) -> int:
        # With places by address, a connection must be accepted before its address is known.
        if self._guests is not None:
            return ROUND_CONNECTIONS
        return self._max_connections - len(self._here)

    async def _run(self, guest: Guest, hangups: Hangups) -> None:
        """Own one connection until it is closed. An exception ends only this connection."""
        try:
            with guest.scope:
                await self._serve(guest, hangups)
        except Exception:
            if self._refusals.turn(guest.address) is not None:
                log.exception("control connection crashed")
        finally:
            guest.sock.close()
            self._here.discard(guest)
            if self._guests is not None:
                self._guests.leave(guest)
