"""The control channel: a Unix socket, and TCP for who has a token (control.md section 1)."""

from __future__ import annotations

import ipaddress
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

import trio

from devgate.control.connection import Admit, Connection, Ears, Limits
from devgate.control.doors import UnixDoor, accept, open_tcp, open_unix
from devgate.control.hangups import Hangups
from devgate.control.replies import Args
from devgate.control.streams import Dispatch, Take
from devgate.control.wires import PlainWire, wrap
from devgate.errors import CallerError, SetupError
from devgate.gateway.access import Tokens
from devgate.net.addresses import shown

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 1024  # on the Unix socket, and as many on TCP: strangers cannot lock it

Serve = Callable[[socket.socket, Hangups], Coroutine[Any, Any, None]]


class ControlServer:
    """Turns bytes into requests, hands them to `dispatch`, and its answers into lines.

    What `take` takes needs no task; all else goes to `dispatch`. Both get the request without
    its `id` and `token`, and the source that is recorded: "socket", "tcp:NAME" with the token's
    name, or "tcp" where no tokens are kept.
    `dispatch` is cancelled when its client disappears: what must not end with the client, it
    shields.
    """

    def __init__(
        self,
        dispatch: Dispatch,
        *,
        take: Take = lambda args, source, then: False,
        access: Tokens | None,
        max_connections: int = MAX_CONNECTIONS,
        limits: Limits | None = None,
        ears: Ears | None = None,
    ) -> None:
        self._asked = dispatch, take
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
            await self._serve([door], self._plain, [path], task_status)
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

            async def serve(sock: socket.socket, hangups: Hangups) -> None:
                await self._tcp(sock, hangups, tls)

            await self._serve(doors, serve, places, task_status)
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
    ) -> None:
        """Doors first, connections after them, the watch for hang-ups last: as it is nested."""
        hangups = Hangups()
        self._serving += 1
        try:
            async with trio.open_nursery() as watch:
                watch.start_soon(hangups.run)
                async with trio.open_nursery() as inside:
                    await self._accept(doors, serve, inside, hangups, places, task_status)
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
    ) -> None:
        room = trio.Semaphore(self._max_connections)

        async def one(sock: socket.socket) -> None:
            try:
                await serve(sock, hangups)
            finally:
                sock.close()
                room.release()

        def take(sock: socket.socket) -> None:
            inside.start_soon(one, sock)

        with trio.CancelScope() as accepting:
            self._accepting.add(accepting)
            try:
                async with trio.open_nursery() as outside:
                    for door in doors:
                        sock = door.sock if isinstance(door, UnixDoor) else door
                        outside.start_soon(accept, sock, room, take)
                    task_status.started(places)
            finally:
                self._accepting.discard(accepting)
                for door in doors:
                    door.close()

    # One connection

    async def _plain(self, sock: socket.socket, hangups: Hangups) -> None:
        await self._run(
            Connection(PlainWire(sock), *self._asked, _local, hangups, self._limits, self._ears)
        )

    async def _tcp(
        self, sock: socket.socket, hangups: Hangups, tls: ssl.SSLContext | None
    ) -> None:
        with suppress(OSError):  # gone already: reading will tell
            _tune(sock)
        try:
            wire = PlainWire(sock) if tls is None else await wrap(sock, tls)
        except OSError as err:
            log.debug("control connection lost reason=%s", err)
            return
        await self._run(
            Connection(
                wire,
                *self._asked,
                _unguarded if self._access is None else _guarded(self._access),
                hangups,
                self._limits,
                self._ears,
                stranger=self._access is not None,
            )
        )

    async def _run(self, connection: Connection) -> None:
        self._connections.add(connection)
        if self._draining:
            connection.drain()
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)


def _local(request: Args) -> str:
    return "socket"


def _unguarded(request: Args) -> str:
    return "tcp"


def _guarded(access: Tokens) -> Admit:
    def admit(request: Args) -> str:
        token = access.check(request.get("token"))
        if token is None:
            given = "a wrong token" if "token" in request else "no token"
            raise CallerError("401", f"{given}; nothing was done")
        if not token.may(request.get("type")):
            raise CallerError(
                "401", f"the token {token.name} may {token.role} only; nothing was done"
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


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A host that lost its power never says so: ask after a minute, give up after two.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 20)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
