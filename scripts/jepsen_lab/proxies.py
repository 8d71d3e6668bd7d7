"""The network between nodes, to PostgreSQL, and from load balancers: a TCP proxy in front of each,
which can be cut.

A process of its own, told by lines on its standard input, each answered with one:

    cut SOURCE TARGET hold    what is under way is kept, and goes on after the cut
    cut SOURCE TARGET lose    packets are lost, and nothing is acknowledged, as in a network that
                              is down; TCP sends them again after the cut
    cut SOURCE TARGET reset   connections are reset, and new ones are as well
    mend

SOURCE is a node or `lb`, which is every load balancer; TARGET is a node or `pg`, which is every
PostgreSQL server. Both directions of such connections are cut. Who has opened a link to a node
stands in its first line: each request between nodes shows who asks.

Network namespaces would lose the same packets (`lose` is done by the kernel), and need root.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import socket
import struct
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial

import trio
from faulting import links

PG, LB = "pg", "lb"
RESET = struct.pack("ii", 1, 0)
_SOURCE = re.compile(rb'"token":"([^":]+):')

Open = Callable[[], Awaitable[trio.SocketStream]]
Streams = tuple[trio.SocketStream, trio.SocketStream]


class Gate:
    """All connections from one source to one target."""

    def __init__(self) -> None:
        self._open = trio.Event()
        self._open.set()
        self.refuses = False
        self.streams: set[Streams] = set()
        self._deaf: set[trio.SocketStream] = set()

    def cut(self, how: str) -> None:
        if self._open.is_set():
            self._open = trio.Event()
        self.refuses = how == "reset"
        for pair in list(self.streams):
            if self.refuses:
                reset(*pair)
            elif how == "lose":
                self._lose(pair)

    def _lose(self, pair: Streams) -> None:
        """What comes is not acknowledged, and nothing is sent while the gate is shut."""
        for stream in pair:
            if stream.socket.family == socket.AF_INET:
                with contextlib.suppress(OSError):  # it has just ended
                    links.cut(stream.socket)
                    self._deaf.add(stream)

    def mend(self) -> None:
        self.refuses = False
        while self._deaf:
            with contextlib.suppress(OSError):
                links.mend(self._deaf.pop().socket)
        self._open.set()

    async def passes(self) -> None:
        while not self._open.is_set():
            await self._open.wait()


def reset(*streams: trio.SocketStream) -> None:
    for stream in streams:
        with contextlib.suppress(OSError, trio.ClosedResourceError):
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        stream.socket.close()


class Network:
    def __init__(self) -> None:
        self.gates: defaultdict[tuple[str, str], Gate] = defaultdict(Gate)

    async def carry(
        self, source: str, target: str, connect: Open, client: trio.SocketStream
    ) -> None:
        """One connection, from its first byte to its end."""
        first = b""
        with contextlib.suppress(
            OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError
        ):
            if not source:
                while b"\n" not in first and (found := _SOURCE.search(first)) is None:
                    if not (data := await client.receive_some(65536)):
                        return
                    first += data
                found = _SOURCE.search(first)
                source = found.group(1).decode() if found else ""
            gate = self.gates[source, target]
            if gate.refuses:
                reset(client)
                return
            await gate.passes()
            server = await connect()
            pair = (client, server)
            gate.streams.add(pair)
            try:
                await server.send_all(first)
                async with trio.open_nursery() as nursery:
                    for one, other in (pair, pair[::-1]):
                        nursery.start_soon(self._pass_on, gate, one, other, nursery)
            finally:
                gate.streams.discard(pair)
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(server)
                    await trio.aclose_forcefully(client)

    async def _pass_on(
        self, gate: Gate, one: trio.SocketStream, other: trio.SocketStream, nursery: trio.Nursery
    ) -> None:
        with contextlib.suppress(
            OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError
        ):
            while data := await one.receive_some(65536):
                await gate.passes()
                await other.send_all(data)
        await gate.passes()  # an end that the other side cannot see yet
        nursery.cancel_scope.cancel()

    def execute(self, words: list[str]) -> None:
        if words[0] == "cut":
            self.gates[words[1], words[2]].cut(words[3])
        elif words[0] == "mend":
            for gate in self.gates.values():
                gate.mend()


async def run(args: argparse.Namespace) -> None:
    network = Network()
    async with trio.open_nursery() as nursery:
        for text in args.node:
            node, port, target, *more = text.split(":")
            outer, pg_ports = more[:4], more[4:]
            to_node = partial(trio.open_tcp_stream, "127.0.0.1", int(target))
            doors = [
                partial(trio.open_tcp_stream, "127.0.0.1", int(inner)) for inner in outer[1::2]
            ]
            to_pg = [partial(trio.open_unix_socket, place) for place in args.postgres]
            for source, name, connect, at in (
                ("", node, to_node, port),
                *((LB, node, to, at) for to, at in zip(doors, outer[::2], strict=True)),
                *((node, PG, to, at) for to, at in zip(to_pg, pg_ports, strict=True)),
            ):
                await nursery.start(
                    partial(trio.serve_tcp, partial(network.carry, source, name, connect),
                            int(at), host="127.0.0.1")
                )  # fmt: skip
        print("ready", flush=True)
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            network.execute(line.split())
            print("done", flush=True)
        nursery.cancel_scope.cancel()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--postgres", action="append", required=True, help="the Unix socket of one of its servers"
    )
    parser.add_argument(
        "--node", action="append", required=True,
        help="NAME:PORT:TARGET:PORT:TARGET:PORT:TARGET:PGPORT...: where the others reach it and "
        "where it is, the same for load balancers (devices and HTTP), and where it reaches each "
        "PostgreSQL server",
    )  # fmt: skip
    trio.run(run, parser.parse_args())


if __name__ == "__main__":
    main()
