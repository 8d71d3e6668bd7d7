"""A real server on real sockets, and a small set of operations for it to carry."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from devgate.access.tokens import Tokens
from devgate.control.caller import SocketGroup
from devgate.control.limits import Limits
from devgate.control.server import MAX_CONNECTIONS, ControlServer
from devgate.errors import CallerError
from devgate.gateway.operations.reply import Stream
from devgate.net.urgent import Urgent

Json = dict[str, Any]


class Office:
    """What can be asked in these tests, and what became of it."""

    def __init__(self) -> None:
        self.begun: list[object] = []
        self.ended: list[object] = []
        self.gates: dict[object, trio.Event] = {}
        self.changed = trio.lowlevel.ParkingLot()
        self.taken: dict[
            object, Callable[[Json], None]
        ] = {}  # by name: to be answered by the test

    def gate(self, name: object) -> trio.Event:
        return self.gates.setdefault(name, trio.Event())

    def note(self, where: list[object], what: object) -> None:
        where.append(what)
        self.changed.unpark_all()

    async def until(self, where: list[object], count: int) -> None:
        """Wait until this many things have been noted there."""
        while len(where) < count:
            await self.changed.park()

    def begin(
        self, args: Mapping[str, object], source: str, on_done: Callable[[Json], None]
    ) -> bool:
        """What needs no task here: a `quick`, answered when the test says so, and bad ones."""
        kind, name = args.get("type"), args.get("name")
        if kind == "quick":
            self.note(self.begun, name)
            self.taken[name] = on_done
        elif kind == "quick-odd":
            on_done({"status": {1, 2}})
        elif kind == "quick-bad":
            raise CallerError("400", "name: a better one expected")
        elif kind == "quick-crash":
            raise ZeroDivisionError("by our own fault")
        else:
            return False
        return True

    async def dispatch(self, args: Mapping[str, object], source: str) -> Json | Stream:
        kind = args.get("type")
        if kind == "echo":
            return {"status": "200", "source": source, "args": dict(args)}
        if kind == "big":
            return {"status": "200", "message": "x" * int(str(args["size"]))}
        if kind in ("start", "hold"):
            return await self._hold(args)
        if kind == "count":
            return Stream({"status": "200", "message": "counting"}, self._count(args))
        if kind == "crash":
            raise ZeroDivisionError("by our own fault")
        if kind == "odd":
            return {"status": {1, 2}}
        raise CallerError("400", f"type: echo expected, not {kind!r}")

    async def _hold(self, args: Mapping[str, object]) -> Json:
        name = args.get("name")
        self.note(self.begun, name)
        try:
            await self.gate(name).wait()
        except trio.Cancelled:
            self.note(self.ended, ("cancelled", name))
            raise
        self.note(self.ended, ("done", name))
        return {"status": "200", "message": "held", "name": name}

    async def _count(self, args: Mapping[str, object]) -> AsyncGenerator[Json, None]:
        """Yield this many lines, wait at the gate, then yield one more."""
        name, size = args.get("name"), int(str(args.get("size", 10)))
        self.note(self.begun, name)
        try:
            for number in range(int(str(args["to"]))):
                yield {"event": number, "at": "x" * size}
                await trio.lowlevel.checkpoint()
            await self.gate(name).wait()
            if args.get("crash"):
                raise ZeroDivisionError("in the middle of a stream")
            yield {"event": "last"}
        finally:
            self.note(self.ended, ("stream", name))


class Caller:
    """One client's connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._data = b""

    async def send(self, *requests: Json) -> None:
        await self.raw(b"".join(b"command" + json.dumps(r).encode() for r in requests))

    async def raw(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def done(self) -> None:
        """End the sending side."""
        assert isinstance(self.stream, trio.SocketStream)
        await self.stream.send_eof()

    async def line(self) -> Json:
        while b"\n" not in self._data:
            data = await self.stream.receive_some(65536)
            assert data, f"closed behind {self._data!r}"
            self._data += bytes(data)
        line, _, self._data = self._data.partition(b"\n")
        reply: Json = json.loads(line)
        return reply

    async def ask(self, **request: object) -> Json:
        await self.send(request)
        return await self.line()

    async def rest(self) -> list[Json]:
        """All lines until the server closes."""
        while data := await self.stream.receive_some(65536):
            self._data += bytes(data)
        assert self._data.endswith(b"\n") or not self._data
        lines, self._data = self._data.splitlines(), b""
        return [json.loads(line) for line in lines]


@dataclass
class Served:
    """A running server on a Unix socket."""

    server: ControlServer
    office: Office
    path: str
    nursery: trio.Nursery
    urgent: Urgent
    callers: list[Caller] = field(default_factory=list)

    async def call(self) -> Caller:
        caller = Caller(await trio.open_unix_socket(self.path))
        self.callers.append(caller)
        return caller

    async def answers(self) -> bool:
        """A new caller gets its answer: nothing was disturbed."""
        caller = await self.call()
        reply = await caller.ask(type="echo")
        await caller.stream.aclose()
        return bool(reply["status"] == "200")


class Ways:
    """How connections hear of what there is to be read; conftest.py runs all tests in both."""

    by_poller = False


async def _call(urgent: Urgent) -> None:
    while True:
        await trio.lowlevel.wait_readable(urgent.fd)
        urgent.run()


@contextmanager
def short_folder() -> Iterator[str]:
    """A folder whose path leaves room for a Unix socket's."""
    folder = tempfile.mkdtemp(prefix="dg", dir="/tmp")
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def serving(
    *,
    access: Tokens | None = None,
    group: SocketGroup | None = None,
    limits: Limits | None = None,
    max_connections: int = MAX_CONNECTIONS,
) -> AsyncIterator[Served]:
    """A server on a Unix socket for the length of a block; what still runs then is cancelled."""
    office = Office()
    urgent = Urgent()
    server = ControlServer(
        office,
        access=access,
        group=group,
        limits=limits,
        max_connections=max_connections,
        urgent=urgent if Ways.by_poller else None,
    )
    with closing(urgent), short_folder() as folder:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_call, urgent)
            path = f"{folder}/run/s"
            assert await nursery.start(server.serve_unix, path, 0o660) == [path]
            served = Served(server, office, path, nursery, urgent)
            yield served
            for caller in served.callers:
                await trio.aclose_forcefully(caller.stream)
            nursery.cancel_scope.cancel()
