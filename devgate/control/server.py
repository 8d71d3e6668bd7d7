"""The control channel: a Unix socket, and TCP for who has a token (control.md section 1)."""

from __future__ import annotations

import ipaddress
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import trio

from devgate.access.tokens import Tokens
from devgate.control.connection import Admit, Connection, Ears, Limits
from devgate.control.hangups import Hangups
from devgate.control.listeners import UnixDoor, open_tcp, open_unix
from devgate.control.replies import Args
from devgate.control.shares import Shares
from devgate.control.streams import Begin, Dispatch
from devgate.control.transport import PlainWire, wrap
from devgate.errors import SetupError, TokenRefused
from devgate.gateway.refusals import Refusals
from devgate.net.accepting import BUDGET, Accepting
from devgate.net.addresses import host_of, shown, spelled
from devgate.net.guests import Guests
from devgate.net.turns import Turns

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 1024  # on the Unix socket, and as many on TCP: strangers cannot lock it
RECHECK_SECONDS = 15.0  # between two looks whether streams may go on
# Bytes unread that a client on TCP may leave: a token has 64 connections.
MAX_UNSENT_TCP = 4 * 1024 * 1024


class Guest:
    """One connection of a door, from its place to its end."""

    def __init__(self, sock: socket.socket, address: str, guests: Guests[Guest] | None) -> None:
        self.sock = sock
        self.address = address
        self.scope = trio.CancelScope()
        self._guests = guests

    def asks(self) -> None:
        if self._guests is not None:
            self._guests.asks(self)

    def rests(self) -> None:
        if self._guests is not None:
            self._guests.rests(self)


Serve = Callable[[Guest, Hangups], Coroutine[Any, Any, None]]


class ControlServer:
    """Turns bytes into requests, hands them to `dispatch`, and its answers into lines.

    What `begin` begins needs no task; all else goes to `dispatch`. Both get the request without
    its `id` and `token`, and the source that is recorded: "socket", "tcp:NAME" with the token's
    name, or "tcp" where no tokens are kept.
    `dispatch` is cancelled when its client disappears: what must not end with the client, it
    shields.
    """

    def __init__(
        self,
        dispatch: Dispatch,
        *,
        begin: Begin = lambda args, source, on_done: False,
        access: Tokens | None,
        max_connections: int = MAX_CONNECTIONS,
        max_tcp: int | None = None,
        limits: Limits | None = None,
        ears: Ears | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        """`max_connections` is the Unix socket's, `max_tcp` that of TCP (None: as many)."""
        self._refusals = refusals or Refusals()
        self._max_tcp = max_connections if max_tcp is None else max_tcp
        self._turns = Turns()
        self._shares = Shares()
        self._asked = dispatch, begin
        self._access = access
        self._max_connections = max_connections
        self._limits = limits or Limits()
        self._ears = ears
        self._connections: set[Connection] = set()
        self._accepting: set[trio.CancelScope] = set()
        self._serving = 0
        self._served = trio.lowlevel.ParkingLot()
        self._draining = False

    async def serve_unix(
        self,
        path: str,
        mode: int,
        *,
        task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve at this path until cancelled or drained. Started, with the path, once it answers.

        Raises SetupError (`doors.open_unix`). The file is removed at the end if still ours.
        """
        door = await open_unix(path, mode)
        try:
            await self._serve([door], self._plain, [path], task_status, None)
        finally:
            door.close()

    async def serve_tcp(
        self,
        listen: Sequence[str | socket.socket],
        tls: ssl.SSLContext | None = None,
        *,
        task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve at these addresses ("127.0.0.1:0"), or on sockets that listen already.

        Started with the addresses really bound. Raises SetupError for one that cannot be had,
        and without tokens for all that are not loopback.
        """
        doors = await open_tcp(listen)
        try:
            if self._access is None:
                for sock in doors:
                    _check_loopback(sock)
            places = [shown(sock) for sock in doors]

            async def serve(guest: Guest, hangups: Hangups) -> None:
                await self._tcp(guest, hangups, tls)

            await self._serve(doors, serve, places, task_status, self._guests())
        finally:
            for sock in doors:
                sock.close()

    async def drain(self) -> None:
        """Close the doors, read no more, let replies out, end the streams; until all are closed.

        Bounded by the operations under way; the caller sets a deadline and then cancels.
        """
        self._draining = True
        for scope in self._accepting:
            scope.cancel()
        for connection in self._connections:
            connection.drain()
        while self._serving:
            await self._served.park()

    # One door

    async def _serve(
        self,
        doors: Sequence[socket.socket | UnixDoor],
        serve: Serve,
        places: list[str],
        task_status: trio.TaskStatus[list[str]],
        guests: Guests[Guest] | None,
    ) -> None:
        """Doors first, connections after them, the watch for hang-ups last: as it is nested."""
        hangups = Hangups()
        self._serving += 1
        try:
            async with trio.open_nursery() as watch:
                watch.start_soon(hangups.run)
                if guests is not None:
                    watch.start_soon(self._turns.run)
                    if self._access is not None:
                        watch.start_soon(self._recheck)
                async with trio.open_nursery() as inside:
                    await self._accept(doors, serve, inside, hangups, places, task_status, guests)
                watch.cancel_scope.cancel()
        finally:
            hangups.close()
            self._serving -= 1
            self._served.unpark_all()

    async def _accept(
        self,
        doors: Sequence[socket.socket | UnixDoor],
        serve: Serve,
        inside: trio.Nursery,
        hangups: Hangups,
        places: list[str],
        task_status: trio.TaskStatus[list[str]],
        guests: Guests[Guest] | None,
    ) -> None:
        here: set[Guest] = set()

        async def one(guest: Guest) -> None:
            try:
                with guest.scope:
                    await serve(guest, hangups)
            except Exception:
                # A fault of one connection is no fault of the others.
                if self._refusals.turn(guest.address) is not None:
                    log.exception("control connection crashed")
            finally:
                guest.sock.close()
                here.discard(guest)
                if guests is not None:
                    guests.leave(guest)

        def take(sock: socket.socket, peer: Any) -> None:
            address = spelled(peer)
            guest = Guest(sock, host_of(address).strip("[]"), guests)
            if guests is not None and not guests.enter(guest, address):
                sock.close()
                return
            here.add(guest)
            inside.start_soon(one, guest)

        # On TCP places are given by address, so that one has to be accepted before it is known.
        accept = Accepting(
            lambda: BUDGET if guests is not None else self._max_connections - len(here),
            lambda: f"all {self._max_connections} are in use",
            take,
            log,
            name="control accept",
        )

        with trio.CancelScope() as accepting:
            self._accepting.add(accepting)
            try:
                async with trio.open_nursery() as outside:
                    for door in doors:
                        sock = door.sock if isinstance(door, UnixDoor) else door
                        outside.start_soon(accept.run, sock)
                    task_status.started(places)
            finally:
                self._accepting.discard(accepting)
                for door in doors:
                    door.close()

    # One connection

    async def _plain(self, guest: Guest, hangups: Hangups) -> None:
        wire = PlainWire(guest.sock)
        await self._run(Connection(wire, *self._asked, None, hangups, self._limits, self._ears))

    async def _tcp(self, guest: Guest, hangups: Hangups, tls: ssl.SSLContext | None) -> None:
        try:
            wire = PlainWire(guest.sock) if tls is None else await wrap(guest.sock, tls)
        except OSError as err:
            log.debug("control connection lost reason=%s", err)
            return
        await self._run(
            Connection(
                wire,
                *self._asked,
                self._guard(guest),
                hangups,
                replace(self._limits, unsent=min(self._limits.unsent, MAX_UNSENT_TCP)),
                self._ears,
                stranger=self._access is not None,
                turns=self._turns,
                shares=self._shares if self._access is not None else None,
                busy=guest,
            )
        )

    def _guests(self) -> Guests[Guest]:
        return Guests(
            "control TCP",
            lambda: self._max_tcp,
            lambda guest: guest.scope.cancel(),
            lambda why, address: self._refusals.refuse(
                "control", why, host_of(address).strip("[]")
            ),
            log,
        )

    def _guard(self, guest: Guest) -> Admit:
        """Who may ask on this connection. What it refuses is counted and logged."""
        access = self._access
        if access is None:
            return _unguarded
        guarded = _guarded(access)

        def admit(request: Args) -> str:
            try:
                return guarded(request)
            except TokenRefused as err:
                self._refusals.refuse("control", err.why, guest.address, source=err.source)
                raise

        return admit

    async def _recheck(self) -> NoReturn:
        """Streams end when their reader loses the right to them."""
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


def _unguarded(request: Args) -> str:
    return "tcp"


def _guarded(access: Tokens) -> Admit:
    def admit(request: Args) -> str:
        token = access.check(request.get("token"))
        if token is None:
            given = "a wrong token" if "token" in request else "no token"
            raise TokenRefused(f"{given}; nothing was done", "token")
        if not token.may(request.get("type")):
            raise TokenRefused(
                f"the token {token.name} may {token.role} only; nothing was done",
                "role",
                f"tcp:{token.name}",
            )
        return f"tcp:{token.name}"

    return admit


def _check_loopback(sock: socket.socket) -> None:
    host = sock.getsockname()[0].partition("%")[0]
    if not ipaddress.ip_address(host).is_loopback:
        raise SetupError(
            f"[control] listen: {shown(sock)} is not loopback, so requests need tokens;"
            " set [control] tokens, and make one with `devgate token add NAME`"
        )
