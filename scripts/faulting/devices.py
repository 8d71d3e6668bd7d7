"""Devices that note every frame with its time, answer in every way, and lose their links.

One line for each thing that happens: TIME IMEI CONNECTION WHAT [MORE], where TIME is the
system's monotonic clock. WHAT:

    up PORT               connected
    in QD LONG            a start arrived; `in ST`: a stop
    out QD LONG STATUS    a result is sent; LONG is that of the start which it answers
    mute QD LONG          a start arrived that gets no answer
    fault NAME            what the device or its link does wrong from now on
    down                  the connection has ended
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import time
from dataclasses import dataclass, field

import trio

from faulting.links import cut, mend

BEAT_SECONDS = 1.0  # seconds between heartbeats
RESEND_SECONDS = 3.0  # seconds without an acknowledgement, then a result is sent again ...
TRIES = 3  # ... so often in all
REDIAL = (0.02, 0.2)  # seconds before the next try to connect

# What an answer is like, and how often of a thousand. Starts follow one another at once here, so
# that each that is unanswered, late or doubled leaves several open.
ANSWERS = {"mute": 8, "late": 5, "doubled": 2, "split": 60, "joined": 60, "201": 15, "202": 8}
# What befalls a connection, and how often relative to each other.
LINKS = {"closed": 4, "reset": 3, "taken over": 3, "away": 3, "stalled": 3, "half open": 2}


@dataclass(eq=False)
class Answer:
    kind: str
    long: str
    status: str
    due: float
    shape: str = ""
    tries: int = 0


@dataclass(eq=False)
class Connection:
    number: int
    stream: trio.SocketStream
    registered: trio.Event = field(default_factory=trio.Event)
    ended: trio.Event = field(default_factory=trio.Event)
    dead: bool = False  # its packets are lost, in both directions
    talking: trio.Lock = field(default_factory=trio.Lock)  # a frame is not cut by a heartbeat


class Unit:
    def __init__(self, imei: str, fleet: Fleet) -> None:
        self.imei = imei
        self.fleet = fleet
        self.rng = random.Random(f"{fleet.seed} {imei}")
        self.current: Connection | None = None
        self.answers: list[Answer] = []
        self.wake = trio.Event()
        self.connections = 0
        self.last_due = 0.0

    def note(self, connection: int, *what: object) -> None:
        self.fleet.note(f"{time.monotonic():.4f}", self.imei, connection, *what)

    def frame(self, status: str, kind: str) -> bytes:
        return f"023{status}{self.imei}{kind}".encode()

    async def live(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._speak)
            nursery.start_soon(self._beat)
            while True:
                if (connection := await self._dial()) is None:
                    await trio.sleep(self.rng.uniform(*REDIAL))
                    continue
                self.current = connection
                nursery.start_soon(self._listen, connection)
                await self._hold(connection, nursery)
                if not connection.registered.is_set():  # nobody was behind who answered
                    await trio.sleep(self.rng.uniform(*REDIAL))

    async def _dial(self) -> Connection | None:
        """A new connection that has said its HT, or None where nobody answers."""
        ports = list(self.fleet.ports)
        self.rng.shuffle(ports)
        for port in ports:
            try:
                stream = await trio.open_tcp_stream("127.0.0.1", port)
            except OSError:
                continue
            self.connections += 1
            connection = Connection(self.connections, stream)
            self.note(connection.number, "up", port)
            hello = self.frame("000", "HT")
            if self.rng.random() < 0.2:
                hello = b"AT" + hello
            await self._send(connection, hello)
            return connection
        return None

    async def _hold(self, connection: Connection, nursery: trio.Nursery) -> None:
        """Keep the connection until it ends, or until this device leaves it."""
        rng = self.rng
        while True:
            with trio.move_on_after(rng.expovariate(1 / self.fleet.calm)):
                await connection.ended.wait()
                self.current = None
                return
            if not self.fleet.is_quiet():
                break
        fault = rng.choices(list(LINKS), list(LINKS.values()))[0]
        self.note(connection.number, "fault", fault.replace(" ", "-"))
        if fault == "taken over":  # a new one, while the old one is still there and listens
            nursery.start_soon(self._leave_later, connection)
        elif fault in ("stalled", "half open"):
            try:
                cut(connection.stream.socket)
            except OSError:  # it has just ended
                return
            connection.dead = True
            with trio.move_on_after(rng.uniform(0.3, 6)):
                await connection.ended.wait()
            if fault == "half open" or connection.ended.is_set():
                nursery.start_soon(self._leave_later, connection)
                return
            with contextlib.suppress(OSError):
                mend(connection.stream.socket)
            connection.dead = False
            self._wakes()
            await self._hold(connection, nursery)
        else:
            if fault == "reset":
                linger = (1).to_bytes(4, "little") + bytes(4)
                with contextlib.suppress(OSError):  # it has just ended
                    # SOL_SOCKET, SO_LINGER: an RST
                    connection.stream.setsockopt(1, 13, linger)
            self.current = None
            await trio.aclose_forcefully(connection.stream)
            if fault == "away":
                await trio.sleep(rng.uniform(0.3, 4))

    async def _leave_later(self, connection: Connection) -> None:
        await trio.sleep(self.rng.uniform(0.5, 8))
        await trio.aclose_forcefully(connection.stream)

    async def _listen(self, connection: Connection) -> None:
        """Note and obey all frames. A connection that was left is listened to as well."""
        got = b""
        try:
            while part := await connection.stream.receive_some():
                got += part
                while len(got) >= 3 and len(got) >= (length := int(got[:3])):
                    self._hear(connection, got[:length].decode())
                    got = got[length:]
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self.note(connection.number, "down")
        connection.ended.set()
        await trio.aclose_forcefully(connection.stream)

    def _hear(self, connection: Connection, frame: str) -> None:
        status, kind, data = frame[3:6], frame[21:23], frame[23:]
        if frame == "006404":
            if not connection.registered.is_set():
                return
            self.note(connection.number, "odd", frame)
        elif frame[6:21] != self.imei:
            self.note(connection.number, "odd", frame)
        elif status == "200" and kind == "HT":
            connection.registered.set()
            self.note(connection.number, "welcome")
            for answer in self.answers:  # what was not acknowledged comes again
                answer.due = min(answer.due, time.monotonic()) if answer.tries else answer.due
            self._wakes()
        elif status == "000" and kind in ("QD", "ST"):
            self.note(connection.number, "in", kind, data)
            self._obey(connection, kind, data)
        elif status == "200":
            self.note(connection.number, "ack", kind)
            for answer in self.answers:
                if answer.kind == kind and answer.tries:
                    self.answers.remove(answer)
                    break

    def _obey(self, connection: Connection, kind: str, long: str) -> None:
        rng = self.rng
        habit = rng.choices([*ANSWERS, ""], [*ANSWERS.values(), 1000 - sum(ANSWERS.values())])[0]
        if habit == "mute":
            self.note(connection.number, "mute", kind, long)
            return
        delay = rng.uniform(0.002, 0.06)
        if habit == "late":
            delay = rng.uniform(1.8, 4)
        # A device does one thing after the other: its answers keep their order.
        self.last_due = max(self.last_due, time.monotonic() + delay)
        status = habit if habit in ("201", "202") else "200"
        self.answers.append(Answer(kind, long, status, self.last_due, habit))
        self._wakes()

    def _wakes(self) -> None:
        self.wake.set()
        self.wake = trio.Event()

    async def _speak(self) -> None:
        while True:
            now, wake = time.monotonic(), self.wake
            connection = self.current
            nxt = 1.0
            if connection and connection.registered.is_set() and not connection.dead:
                for answer in list(self.answers):
                    if answer not in self.answers:  # acknowledged while another one was sent
                        continue
                    if answer.due > now:
                        nxt = min(nxt, answer.due - now)
                        continue
                    answer.due, answer.tries = now + RESEND_SECONDS, answer.tries + 1
                    if answer.tries >= TRIES:
                        self.answers.remove(answer)
                    await self._answer(connection, answer)
            with trio.move_on_after(max(nxt, 0.001)):
                await wake.wait()

    async def _answer(self, connection: Connection, answer: Answer) -> None:
        self.note(connection.number, "out", answer.kind, answer.long, answer.status)
        wire = self.frame(answer.status, answer.kind)
        if answer.shape == "doubled":
            self.note(connection.number, "out", answer.kind, answer.long, answer.status)
            await self._send(connection, wire + wire)
        elif answer.shape == "joined":
            await self._send(connection, b"1" + wire + b" ")
        elif answer.shape == "split":
            at = self.rng.randint(1, len(wire) - 1)
            await self._send(connection, wire[:at], wire[at:])
        else:
            await self._send(connection, wire)

    async def _send(self, connection: Connection, *parts: bytes) -> None:
        """Send the parts, with time between them. A connection may have ended meanwhile."""
        async with connection.talking:
            with contextlib.suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                for number, part in enumerate(parts):
                    if number:
                        await trio.sleep(self.rng.uniform(0, 0.1))
                    await connection.stream.send_all(part)

    async def _beat(self) -> None:
        while True:
            await trio.sleep(BEAT_SECONDS * self.rng.uniform(0.9, 1.1))
            connection = self.current
            if connection and connection.registered.is_set() and not connection.dead:
                await self._send(connection, self.rng.choice((b"1", b" ", b"0", b"AT")))


class Fleet:
    def __init__(self, ports: list[int], record: str, seed: str, calm: float, quiet: str) -> None:
        self.ports = ports
        self._quiet = quiet
        self.seed = seed
        self.calm = calm
        self._record = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def is_quiet(self) -> bool:
        return bool(self._quiet) and os.path.exists(self._quiet)

    def note(self, *words: object) -> None:
        os.write(self._record, (" ".join(map(str, words)) + "\n").encode())


async def run(args: argparse.Namespace) -> None:
    fleet = Fleet(args.port, args.record, args.seed, args.calm, args.quiet)
    async with trio.open_nursery() as nursery:
        for number in range(args.count):
            nursery.start_soon(Unit(f"{args.first + number:015}", fleet).live)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, action="append", required=True)
    parser.add_argument("--record", required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--calm", type=float, default=20, help="mean seconds between link faults")
    parser.add_argument("--quiet", default="", help="no link fault begins while this file exists")
    trio.run(run, parser.parse_args())


if __name__ == "__main__":
    main()
