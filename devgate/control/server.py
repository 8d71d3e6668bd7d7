"""The control channel: a Unix socket, and TCP for who has a token (control.md section 1)."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import NoReturn

import trio

from devgate.control.caller import Access, Caller, GroupMember, SocketGroup, user_of
from devgate.control.connection import Connection
from devgate.control.door import Door, Guest, Serve
from devgate.control.hangups import Hangups
from devgate.control.limits import Limits
from devgate.control.listeners import UnixDoor, open_tcp, open_unix
from devgate.control.shares import Shares
from devgate.control.streams import Entry
from devgate.control.transport import PlainTransport, wrap
from devgate.errors import SetupError
from devgate.gateway.refusals import Refusals
from devgate.net.addresses import host_of, is_loopback, shown
from devgate.net.given import Open
from devgate.net.guests import Guests
from devgate.net.moved import MovedCaller
from devgate.net.turns import Turns
from devgate.net.urgent import Urgent

log = logging.getLogger(__name__)

# On the Unix socket, and the same number on TCP: unauthenticated peers on TCP cannot use up the
# places of the socket.
MAX_CONNECTIONS = 1024
RECHECK_SECONDS = 15.0  # between two looks whether streams may go on
LOOK_SECONDS = 0.02  # between two looks which connections another process can have
# Bytes unread that a client on TCP may leave: a token has 64 connections.
MAX_UNSENT_TCP = 4 * 1024 * 1024


class ControlServer:
    """Turns bytes into requests, hands them to its entry, and the answers into lines.

    What `begin` begins needs no task; all else goes to `dispatch`. Both get the request without
    its `id` and `token`, and the source that is recorded: "socket", "tcp:NAME" with the token's
    name (another `way` than "tcp" stands in its place), or "tcp" where no tokens are kept.
    `dispatch` is cancelled when its client disappears: what must not end with the client, it
    shields.
    """

    def __init__(
        self,
        entry: Entry,
        *,
        access: Access | None,
        group: SocketGroup | None = None,
        max_connections: int = MAX_CONNECTIONS,
        max_tcp: int | None = None,
        limits: Limits | None = None,
        urgent: Urgent | None = None,
        refusals: Refusals | None = None,
        door: str = "control",
        way: str = "tcp",
    ) -> None:
        """`max_connections` is the limit of the Unix socket, `max_tcp` that of TCP (None: the
        same). `group`: what those may ask who can open the Unix socket and are not its
        `trusted_users`; None: everything.

        `door` is the word of `counters.REFUSAL_REASONS` that refusals on TCP are counted under,
        `way` what sources there begin with.
        """
        self._door = door
        self._way = way
        self._refusals = refusals or Refusals()
        self._max_tcp = max_connections if max_tcp is None else max_tcp
        self._turns = Turns()
        self._shares = Shares()
        self._entry = entry
        self._access = access
        self._group = group
        self._max_connections = max_connections
        self._limits = limits or Limits()
        self._urgent = urgent
        self._connections: set[Connection] = set()
        self._doors: set[Door] = set()  # until the last connection of each has ended
        self._served = trio.lowlevel.ParkingLot()
        self._draining = False

    async def serve_unix(
        self,
        path: str,
        mode: int,
        given: Open | None = None,
        *,
        task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve at this path until cancelled or drained. Started, with the path, once it answers.
        `given`: what listens there already.

        Raises SetupError (`listeners.open_unix`). The file is removed at the end if still ours.
        """
        if given is None:
            door = await open_unix(path, mode)
        else:
            await trio.lowlevel.checkpoint()
            path = given.sock.getsockname()
            door = UnixDoor(given.sock, path, keep_file=given.instead)
        try:
            await self._serve([door], self._plain, [path], task_status, None)
        finally:
            door.close()

    async def serve_tcp(
        self,
        listen: Sequence[str | socket.socket],
        tls: ssl.SSLContext | None = None,
        *,
        shared: bool = False,
        task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve at these addresses ("127.0.0.1:0"), or on sockets that listen already. `shared`:
        as `net.addresses.bind` has it.

        Started with the addresses really bound. Raises SetupError for one that cannot be had,
        and without tokens for all that are not loopback.
        """
        listeners = await open_tcp(listen, shared=shared)
        try:
            if self._access is None:
                for sock in listeners:
                    _check_loopback(sock)
            places = [shown(sock) for sock in listeners]

            async def serve(guest: Guest, hangups: Hangups) -> None:
                await self._tcp(guest, hangups, tls)

            await self._serve(listeners, serve, places, task_status, self._guests())
        finally:
            for sock in listeners:
                sock.close()

    def listeners(self) -> list[UnixDoor | socket.socket]:
        """What it accepts connections on."""
        return [one for door in self._doors for one in door.listeners]

    async def drain(self) -> None:
        """Close the doors, read no more, send the last replies, end the streams. Returns when all
        connections are closed.

        Operations under way may take long: the caller sets a deadline and then cancels.
        """
        self._draining = True
        for door in self._doors:
            door.close()
        for connection in self._connections:
            connection.drain()
        while self._doors:
            await self._served.park()

    async def give_away(self, give: Callable[[MovedCaller], Awaitable[None]]) -> None:
        """Close the doors, and give each connection to another process once its requests have
        their replies. Those with TLS or a stream are ended. Returns when none is left."""
        for door in self._doors:
            door.close()
        while self._connections:
            for connection in list(self._connections):
                if (moved := connection.give()) is not None:
                    with moved.sock:
                        await give(moved)
            await trio.sleep(LOOK_SECONDS)

    def adopt(self, moved: MovedCaller) -> None:
        """Continue a connection that another process had. It is closed if there is no such door
        here."""
        unix = moved.door == "unix"
        for door in self._doors:
            if unix is any(isinstance(one, UnixDoor) for one in door.listeners):
                try:
                    peer = None if unix else moved.sock.getpeername()
                except OSError:
                    break  # it has left meanwhile
                door.admit(moved.sock, peer, moved)
                return
        moved.sock.close()

    async def _serve(
        self,
        listeners: Sequence[socket.socket | UnixDoor],
        serve: Serve,
        places: list[str],
        task_status: trio.TaskStatus[list[str]],
        guests: Guests[Guest] | None,
    ) -> None:
        """Ends in this order: the door, its connections, the watch for hang-ups."""
        hangups = Hangups()
        door = Door(listeners, serve, guests, self._max_connections, self._refusals)
        self._doors.add(door)
        try:
            async with trio.open_nursery() as watch:
                watch.start_soon(hangups.run)
                if guests is not None:
                    watch.start_soon(self._turns.run)
                    if self._access is not None:
                        watch.start_soon(self._recheck)
                async with trio.open_nursery() as inside:
                    await door.run(inside, hangups, lambda: task_status.started(places))
                watch.cancel_scope.cancel()
        finally:
            hangups.close()
            self._doors.discard(door)
            self._served.unpark_all()

    # One connection

    async def _plain(self, guest: Guest, hangups: Hangups) -> None:
        caller = None
        if self._group is not None and user_of(guest.sock) not in self._group.trusted_users:
            caller = GroupMember(self._group, self._refusals)
        await self._run(
            Connection(
                PlainTransport(guest.sock),
                self._entry,
                hangups,
                self._limits,
                self._urgent,
                caller=caller,
                begun=guest.moved.begun if guest.moved else b"",
            )
        )

    async def _tcp(self, guest: Guest, hangups: Hangups, tls: ssl.SSLContext | None) -> None:
        try:
            transport = PlainTransport(guest.sock) if tls is None else await wrap(guest.sock, tls)
        except OSError as err:
            log.debug("control connection lost reason=%s", err)
            return
        await self._run(
            Connection(
                transport,
                self._entry,
                hangups,
                replace(self._limits, unsent=min(self._limits.unsent, MAX_UNSENT_TCP)),
                self._urgent,
                caller=Caller(
                    guest.address,
                    self._access,
                    self._shares,
                    self._refusals,
                    door=self._door,
                    way=self._way,
                    authenticated=guest.moved is not None and guest.moved.authenticated,
                ),
                guest=guest,
                turns=self._turns,
                begun=guest.moved.begun if guest.moved else b"",
            )
        )

    def _guests(self) -> Guests[Guest]:
        return Guests(
            f"{self._door} TCP",
            lambda: self._max_tcp,
            lambda guest: guest.scope.cancel(),
            lambda why, address: self._refusals.refuse(self._door, why, host_of(address)),
            log,
        )

    async def _recheck(self) -> NoReturn:
        """End streams whose reader has lost the right to them."""
        while True:
            await trio.sleep(RECHECK_SECONDS)
            for connection in list(self._connections):
                try:
                    connection.recheck()
                except Exception:
                    log.exception("control connection could not be checked again")

    async def _run(self, connection: Connection) -> None:
        self._connections.add(connection)
        if self._draining:
            connection.drain()
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)


def _check_loopback(sock: socket.socket) -> None:
    if not is_loopback(sock.getsockname()[0]):
        raise SetupError(
            f"[control] listen: {shown(sock)} is not loopback, so requests need tokens;"
            " set [control] tokens, and make one with `devgate token add NAME`"
        )
