"""Another node, as far as links see it: the real door, and a few things to ask for.

`python -m tests.cluster.other` is one in a process of its own, which says its address and can be
stopped and killed.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import trio

from devgate.cluster.door import door
from devgate.cluster.following import RemoteStream
from devgate.cluster.links import Links
from devgate.control.server import ControlServer
from devgate.errors import CallerError
from devgate.gateway.operations.reply import Stream
from devgate.gateway.refusals import Refusals

Json = dict[str, Any]
SECRET = "s3cret"
ECHO = {"type": "echo", "n": 1}


@asynccontextmanager
async def stream(
    links: Links, node: str, request: Mapping[str, object]
) -> AsyncIterator[RemoteStream]:
    async with aclosing(await links.follow(node, request)) as followed:
        yield followed


class Answers:
    """What the node `name` answers, in the envelope of `operations.forwarding`."""

    def __init__(self, name: str = "b") -> None:
        self.name = name
        self.held: list[object] = []
        self.gate = trio.Event()
        self.changed = trio.lowlevel.ParkingLot()
        self.streams = 0
        self.pings = 0

    async def until_held(self, count: int) -> None:
        while len(self.held) < count:
            await self.changed.park()

    def begin(
        self, args: Mapping[str, object], source: str, on_done: Callable[[Json], None]
    ) -> bool:
        if args.get("type") != "ping":
            return False
        on_done({"status": "200", "node": self.name})
        self.pings += 1
        self.changed.unpark_all()
        return True

    async def dispatch(self, args: Mapping[str, object], source: str) -> Json | Stream:
        match args.get("type"):
            case "echo":
                return {"reply": {"args": dict(args), "source": source, "id": "the reply's own"}}
            case "hold":
                self.held.append(args.get("n"))
                self.changed.unpark_all()
                await self.gate.wait()
                return {"reply": {"n": args.get("n")}}
            case "refuse":
                more = {"earlier": "01X"}
                refused = {"status": "409", "message": "no", "outcome": "conflict", **more}
                return {"refused": refused}
            case "long":
                return {"reply": {"text": "x" * int(str(args["size"]))}}
            case "count":
                return Stream({"reply": {"status": "200"}}, self._count(int(str(args["to"]))))
        raise CallerError("400", "type: one of these expected")

    async def _count(self, to: int) -> AsyncGenerator[Json, None]:
        self.streams += 1
        try:
            for number in range(to):
                yield {"line": {"number": number}}
            await self.gate.wait()
            yield {"end": True}
        finally:
            self.streams -= 1
            self.changed.unpark_all()


@dataclass
class Other:
    """That node in this process."""

    answers: Answers
    server: ControlServer
    refusals: Refusals
    address: str
    scope: trio.CancelScope

    def dies(self) -> None:
        """All its sockets are closed."""
        self.scope.cancel()


@dataclass
class Pair:
    """A node's links, and another node that they lead to: b."""

    links: Links
    other: Other
    addresses: dict[str, str]
    nursery: trio.Nursery


async def opened(
    nursery: trio.Nursery, name: str = "b", tls: ssl.SSLContext | None = None, secret: str = SECRET
) -> Other:
    """One that answers at an address of loopback."""
    answers, refusals, scope = Answers(name), Refusals(), trio.CancelScope()
    server = door(answers.dispatch, answers.begin, lambda: secret, refusals=refusals)

    async def serve(*, task_status: trio.TaskStatus[list[str]]) -> None:
        with scope:
            await server.serve_tcp(["127.0.0.1:0"], tls, task_status=task_status)

    [address] = await nursery.start(serve)
    return Other(answers, server, refusals, address, scope)


@asynccontextmanager
async def pair(
    *,
    secret: str = SECRET,
    served: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Pair]:
    """The links of node a, which has this secret, and node b. `served` is TLS at b's door."""
    async with trio.open_nursery() as nursery:
        other = await opened(nursery, tls=served)
        addresses = {"b": other.address}
        links = Links("a", lambda: secret, addresses.get, lambda: tls)
        await nursery.start(links.run)
        yield Pair(links, other, addresses, nursery)
        nursery.cancel_scope.cancel()


async def fails(links: Links, request: Mapping[str, object], why: type[Exception]) -> None:
    """Ask node b, and see that it cannot be asked."""
    with pytest.raises(why):
        await links.ask("b", request)


async def main() -> None:
    async with trio.open_nursery() as nursery:
        print((await opened(nursery)).address, flush=True)


if __name__ == "__main__":
    trio.run(main)
