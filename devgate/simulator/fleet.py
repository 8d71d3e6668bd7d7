"""Many devices on real sockets: one parked task each, and one timer for all."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import trio

from devgate.errors import SetupError
from devgate.model import Imei, iso
from devgate.simulator import sockets
from devgate.simulator.alarms import Alarms
from devgate.simulator.device import Device, Mark, Start, Step
from devgate.simulator.options import Options, imeis

MAX_CONNECTING = 64  # at once: as many as fit into the smallest usual backlog
READ_SIZE = 1024  # more than the longest frame

OnStart = Callable[[Imei, bytes], None]


@dataclass(slots=True)
class Counters:
    """The first four are current values; the others only grow."""

    devices: int = 0
    connected: int = 0
    registered: int = 0
    running: int = 0
    starts: int = 0  # seen by devices, whether they carried them out or not
    stops: int = 0
    results: int = 0  # sent, repetitions included
    heartbeats: int = 0
    reconnects: int = 0
    refused: int = 0  # registrations answered 300 or 401
    # Failed and broken connections, and frames that are wrong or not for the device.
    errors: int = 0


class Client:
    """A device with its socket."""

    __slots__ = ("device", "leaves", "met", "number", "sock", "vanished")

    def __init__(self, number: int, device: Device) -> None:
        self.number = number
        self.device = device
        self.sock: socket.socket | None = None
        # An open connection that the device does not read.
        self.vanished: socket.socket | None = None
        self.leaves = False  # the task must end this connection
        self.met = False  # whether it had a connection before


class Fleet:
    """Devices that connect to `target` (host and port) and behave as `options` say.

    `on_start` is called, within the loop, for every start that a device sees. The
    `counters` may be read at any time; `complete` is set when all devices were first
    registered at the same time. `trouble` is the last connection error, for a person.
    """

    def __init__(
        self, target: tuple[str, int], options: Options, on_start: OnStart | None = None
    ) -> None:
        self.target = target
        self.options = options
        self.counters = Counters(devices=options.count)
        self.complete = trio.Event()
        self.trouble = ""
        self._on_start = on_start
        self._rng = Random(options.seed)
        self._rate_limit = sockets.RateLimit(options.ramp)
        self._connecting = trio.CapacityLimiter(MAX_CONNECTING)
        self._alarms = Alarms(options.count, self._ring)
        self._addresses: list[sockets.Address] = []
        self._record: int | None = None
        first_times = options.count - options.times
        self._clients = [
            Client(n, Device(imei, options.habits, self._rng, times=n >= first_times))
            for n, imei in enumerate(imeis(options.count, options.first))
        ]
        self._by_imei = {client.device.imei: client.device for client in self._clients}

    def device(self, imei: Imei) -> Device:
        """The device with that IMEI; KeyError if it is not of this fleet."""
        return self._by_imei[imei]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled; started once nothing is missing to connect. At most once.

        Raises SetupError if there are too few descriptors, the target has no address or the record
        cannot be written. A gateway that does not run is no error: devices wait for it.
        """
        sockets.make_room(self.options.count * self.options.ends)
        self._addresses = await sockets.resolve(*self.target)
        self._open_record()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._alarms.run)
                for client in self._clients:
                    nursery.start_soon(self._live, client)
                task_status.started()
        finally:
            if self._record is not None:
                os.close(self._record)
                self._record = None

    async def _live(self, client: Client) -> None:
        """Connect again and again. Only this closes the device's sockets."""
        failures = 0
        try:
            while True:
                await self._rate_limit.turn()
                if await self._connect(client, failures):
                    registered = await self._talk(client)
                    failures = 0 if registered else failures + 1
                else:
                    failures += 1
                await trio.sleep(self._backoff(failures))
        finally:
            self._close(client.sock)
            self._close(client.vanished)

    def _backoff(self, failures: int) -> float:
        first, longest = self.options.backoff
        # 2**30 times the first wait is longer than the longest one, and fits into a float.
        return min(longest, first * 2.0 ** min(failures, 30)) * self._rng.uniform(0.5, 1.0)

    async def _connect(self, client: Client, failures: int) -> bool:
        address = self._addresses[failures % len(self._addresses)]
        local = sockets.source(address, client.number, self.options.count)
        async with self._connecting:
            try:
                client.sock = await sockets.connect(address, local)
            except OSError as err:
                self._failed(err)
                return False
        return True

    async def _talk(self, client: Client) -> bool:
        """One connection from its first byte to its end. True if the device was registered."""
        sock, device, counters = client.sock, client.device, self.counters
        assert sock is not None, "connected just now"
        counters.connected += 1
        counters.reconnects += client.met
        client.met, client.leaves = True, False
        registered = False
        self._act(client, device.connected(trio.current_time()))
        try:
            while not client.leaves and (data := await self._read(sock)):
                self._act(client, device.receive(data, trio.current_time()))
                registered = registered or device.registered
        finally:
            counters.connected -= 1
            counters.registered -= device.disconnected()
            if client.sock is not None:
                self._close(client.sock)
                client.sock = None
        return registered

    async def _read(self, sock: socket.socket) -> bytes:
        """The bytes that came; b"" at the end of the connection."""
        while True:
            try:
                await trio.lowlevel.wait_readable(sock)
                return sock.recv(READ_SIZE)
            except BlockingIOError:
                continue
            except trio.ClosedResourceError:
                return b""  # _leave() has woken this task
            except OSError as err:
                self._failed(err)
                return b""

    def _ring(self, number: int, now: float) -> None:
        client = self._clients[number]
        self._act(client, client.device.due(now))

    def _act(self, client: Client, step: Step) -> None:
        """Send, count, and set the alarm for what comes next."""
        marks = []
        for news in step.news:
            if isinstance(news, Start):
                self._started(client.device.imei, news.data)  # told before its answer goes out
            else:
                marks.append(news)
        if step.wire and client.sock is not None and not client.leaves:
            self._send(client, client.sock, step.wire)
        for mark in marks:  # after the last words: one may end the connection
            self._note(client, mark)
        self._alarms.set(client.number, client.device.next, trio.current_time())

    def _send(self, client: Client, sock: socket.socket, wire: bytes) -> None:
        """Send all bytes. If the kernel does not take so few, the gateway does not read: the
        connection ends."""
        try:
            if sock.send(wire) == len(wire):
                return
            self._failed(OSError("the gateway does not read"))
        except OSError as err:
            self._failed(err)
        self._leave(client, sock)

    def _note(self, client: Client, mark: Mark) -> None:
        counters = self.counters
        match mark:
            case Mark.BEAT:
                counters.heartbeats += 1
            case Mark.RESULT:
                counters.results += 1
            case Mark.STOP:
                counters.stops += 1
            case Mark.RUNS:
                counters.running += 1
            case Mark.RESTS:
                counters.running -= 1
            case Mark.REGISTERED:
                counters.registered += 1
                self._close(client.vanished)
                client.vanished = None
                if counters.registered == counters.devices:
                    self.complete.set()
            case Mark.FORGOTTEN:
                counters.registered -= 1
            case Mark.REFUSED:
                counters.refused += 1
            case Mark.UNREADABLE | Mark.NOT_OURS:
                counters.errors += 1
            case Mark.HANG_UP | Mark.VANISH:
                if client.sock is not None and not client.leaves:
                    sock = client.sock
                    self._leave(client, sock)
                    if mark is Mark.VANISH:
                        self._close(client.vanished)
                        client.vanished, client.sock = sock, None

    def _leave(self, client: Client, sock: socket.socket) -> None:
        """Make the client's task end this connection, also if that task calls this."""
        client.leaves = True
        trio.lowlevel.notify_closing(sock)

    def _failed(self, err: OSError) -> None:
        self.counters.errors += 1
        self.trouble = err.strerror or str(err)

    def _started(self, imei: Imei, data: bytes) -> None:
        self.counters.starts += 1
        if self._record is not None:
            long = "".join(chr(byte) if 32 < byte < 127 else "?" for byte in data) or "-"
            line = f"{imei} {long} {iso(time.time())}\n"
            try:
                os.write(self._record, line.encode("ascii"))
            except OSError as err:
                # An incomplete record would be worse than none: its lines are counted.
                raise self._unwritable(err) from None
        if self._on_start is not None:
            self._on_start(imei, data)

    def _open_record(self) -> None:
        if self.options.record is not None:
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._record = os.open(self.options.record, flags, 0o644)
            except OSError as err:
                raise self._unwritable(err) from None

    def _unwritable(self, err: OSError) -> SetupError:
        return SetupError(
            f"{self.options.record}: the starts cannot be recorded there ({err.strerror}); "
            "name a file that can be written"
        )

    @staticmethod
    def _close(sock: socket.socket | None) -> None:
        if sock is not None:
            sock.close()
