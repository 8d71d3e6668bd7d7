"""Simulated devices that misbehave by plan, with real sockets; and their customers."""

from __future__ import annotations

import json
import random
import socket
from dataclasses import dataclass, field

import trio
from crashing.processes import Json

from ruling.worlds import BEAT, World, pause

RECEIVE_BUFFER = (
    1024  # the kernel makes 2,304 bytes of it: a device that does not read is full soon
)
FLOOD = 300  # requests whose answers fill that several times over


@dataclass
class Start:
    """One start: what was planned, and what came of it."""

    number: int  # its `long`, by which the device knows it
    ran: bool = False
    answered: bool = False
    record: Json = field(default_factory=dict)


class Device:
    """A device, from its first connection to the end of the run."""

    def __init__(self, imei: str, port: int, world: World, rng: random.Random) -> None:
        self.imei, self.port, self.world, self.rng = imei, port, world, rng
        self.starts: list[Start] = []
        self.connection = 0
        self.stream: trio.SocketStream | None = None
        self.there = trio.Event()  # it has a connection that works
        self.listening = trio.CancelScope()
        self.stalled_until = 0.0
        self.lock = trio.Lock()
        self.nursery: trio.Nursery

    def frame(self, status: str, command: str) -> bytes:
        return f"023{status}{self.imei}{command}".encode()

    async def connect(self) -> None:
        """A new connection; one that is there is left as it is."""
        sock = trio.socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        await sock.connect(("127.0.0.1", self.port))
        stream = trio.SocketStream(sock)
        await stream.send_all(self.frame("000", "HT"))
        got = b""
        while len(got) < 23:
            got += await stream.receive_some(23 - len(got)) or b"?" * 23
        assert got == self.frame("200", "HT"), got
        self.stream = stream
        self.connection += 1
        self.listening = trio.CancelScope()
        self.nursery.start_soon(self.listen, stream, self.listening)
        self.there.set()

    async def listen(self, stream: trio.SocketStream, scope: trio.CancelScope) -> None:
        """Take what comes, until the connection is dead or closed."""
        held = b""
        with scope:
            try:
                while data := await stream.receive_some(4096):
                    held += data
                    while len(held) >= 3 and len(held) >= (size := int(held[:3])):
                        self.take(held[:size])
                        held = held[size:]
            except trio.BrokenResourceError:
                return

    def take(self, frame: bytes) -> None:
        if frame[3:6] == b"000" and frame[21:23] == b"QD":
            self.nursery.start_soon(self.perform, int(frame[23:]))

    async def perform(self, number: int) -> None:
        world, rng, start = self.world, self.rng, self.starts[number - 1]
        if rng.random() < world.stall:
            self.stalled_until = trio.current_time() + rng.uniform(0.5, 6.0)
        chance = rng.random()
        if chance < world.silent:
            start.ran = rng.random() < 0.5
            return
        start.ran = start.answered = True
        slow = world.always_slow or chance - world.silent < world.slow
        connection = self.connection
        await trio.sleep(rng.uniform(1.2, 4.0) if slow else rng.uniform(0.005, 0.2))
        if connection != self.connection or self.stream is None:
            await trio.sleep(3.0)  # told after the device is back
        await self.there.wait()
        await self.say(self.frame("200", "QD"))

    async def say(self, wire: bytes) -> None:
        """In order, and not before a stall is over."""
        async with self.lock:
            await trio.sleep(max(0.0, self.stalled_until - trio.current_time()))
            if self.stream is not None:
                try:
                    await self.stream.send_all(wire)
                except trio.BrokenResourceError:
                    return

    async def beat(self) -> None:
        await trio.sleep(self.rng.uniform(0, BEAT))
        while True:
            await self.say(b" ")
            await trio.sleep(BEAT)

    async def die(self) -> None:
        """The link is dead: what is sent to the device is never acknowledged. Some time later
        the device comes back on a new one."""
        async with self.lock:
            stream, self.stream = self.stream, None
            self.there = trio.Event()
            self.listening.cancel()
            assert stream is not None
            await stream.send_all(self.frame("000", "TN") * FLOOD)
        await trio.sleep(0.3)  # until the answers have filled what there is

        async def back() -> None:
            await trio.sleep(self.rng.uniform(0.3, 9.0))
            self.stalled_until = 0.0
            await self.connect()
            # Not before: the gateway would be told that the old connection is over.
            await trio.aclose_forcefully(stream)

        self.nursery.start_soon(back)

    async def live(self, path: str, until: float) -> None:
        """Be started again and again until that time, and see what is on record at the end."""
        async with trio.open_nursery() as self.nursery:
            await self.connect()
            self.nursery.start_soon(self.beat)
            await trio.sleep(self.rng.uniform(0, 10))
            while trio.current_time() < until:
                await self.there.wait()
                if self.rng.random() < self.world.dead:
                    await self.die()
                start = Start(len(self.starts) + 1)
                self.starts.append(start)
                order = {"type": "start", "imei": self.imei, "long": start.number}
                start.record = await ask(path, order)
                await trio.sleep(pause(self.world, str(start.record["status"]), self.rng))
            await trio.sleep(max(0.0, until + 16.0 - trio.current_time()))
            for start in self.starts:
                if (id := start.record.get("command")) is not None:
                    start.record = await ask(path, {"type": "command", "command": id})
            self.nursery.cancel_scope.cancel()


async def ask(path: str, request: Json) -> Json:
    async with await trio.open_unix_socket(path) as caller:
        await caller.send_all(b"command" + json.dumps(request).encode() + b"\n")
        got = b""
        while not got.endswith(b"\n"):
            data = await caller.receive_some(65536)
            assert data, "the gateway ended"
            got += data
        reply: Json = json.loads(got)
        return reply
