"""Devices and callers in one loop, which know exactly what they have sent and what came back."""

from __future__ import annotations

import json
import select
import socket
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from upgrading.waits import Span, Turns

READ = 65536
SPLIT_SECONDS = 0.03  # between the two halves of a request that is sent in two


@dataclass(slots=True, eq=False)
class Device:
    """One connected machine. It answers each command, and sometimes asks for its number."""

    imei: str
    sock: socket.socket
    came: bytes = b""
    asked: float | None = None  # when its request went out that has no answer yet
    started: list[int] = field(default_factory=list)  # numbers of the starts that came
    registered: bool = False
    acknowledged: int = 0
    lost: bool = False
    half: bytes = b""  # of its request, which has not gone out


@dataclass(slots=True, eq=False)
class Caller:
    """One connection of a web application, with one start at a time."""

    sock: socket.socket
    came: bytes = b""
    number: int = 0  # of the start under way; 0: none
    since: float = 0.0


class Load:
    """All of them. `run` works until a time; figures are kept until the end."""

    def __init__(self, path: Path, to: tuple[str, int], imeis: list[str], callers: int) -> None:
        self.devices: list[Device] = []
        self.waits: list[Span] = []  # of starts, from the request to the reply
        self.texts: list[Span] = []  # of devices' requests, from the last byte to the answer
        self.turns = Turns()
        self.replies: dict[int, str] = {}  # status of each start, by its number
        self.doubled: list[int] = []  # starts that got a second reply
        self.unlike: list[str] = []  # what came and should not
        self.callers_lost = 0
        self._path = str(path)
        self._to = to
        self._imeis = imeis
        self._epoll = select.epoll()
        self._by_fd: dict[int, Device | Caller] = {}
        self._callers = [self._caller() for _ in range(callers)]
        self._free: deque[Caller] = deque(self._callers)
        self._number = 0
        self._imei_of: dict[int, str] = {}  # of each start
        self._idle: deque[Device] = deque()
        self._asks: deque[Device] = deque()
        self._halves: deque[tuple[float, Device]] = deque()
        self.halved = 0
        self.asked = 0
        self.answered = 0

    # Beginning

    def connect(self) -> None:
        """Connect and register all devices."""
        left = deque(self._imeis)
        until = monotonic() + 300
        while left or any(not one.registered for one in self.devices):
            for _ in range(min(100, len(left))):
                imei = left.popleft()
                sock = socket.create_connection(self._to)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                device = Device(imei, sock)
                self._watch(sock, device)
                self.devices.append(device)
                sock.send(f"023000{imei}HT".encode())
            self._poll(0.01)
            if monotonic() > until:
                raise SystemExit("the devices cannot all register")
        self.turns = Turns()
        self._idle = deque(self.devices)
        self._asks = deque(self.devices)

    def _caller(self) -> Caller:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self._path)
        caller = Caller(sock)
        self._watch(sock, caller)
        return caller

    def _watch(self, sock: socket.socket, whose: Device | Caller) -> None:
        sock.setblocking(False)
        self._by_fd[sock.fileno()] = whose
        self._epoll.register(sock, select.EPOLLIN)

    # Working

    def run(
        self, starts: float, texts: float, goes_on: Callable[[], bool], most_seconds: float
    ) -> None:
        """Start devices and send their requests, this many a second, as long as `goes_on`."""
        began, begun, asked = monotonic(), 0, 0
        while goes_on() and (now := monotonic()) - began < most_seconds:
            while begun < (now - began) * starts and self._free and self._idle:
                self._start(now)
                begun += 1
            # Who fell behind does not make up for it: the next second has its own.
            begun = max(begun, int((now - began) * starts) - 50)
            while asked < (now - began) * texts:
                self._ask(now)
                asked += 1
            while self._halves and self._halves[0][0] <= now:
                self._second_half()
            self._poll(0.002)

    def settle(self, seconds: float) -> None:
        """Wait for all that is outstanding."""
        until = monotonic() + seconds
        while monotonic() < until and (
            self._halves
            or any(one.number for one in self._callers)
            or any(one.asked is not None for one in self.devices)
        ):
            while self._halves:
                self._second_half()
            self._poll(0.01)

    def _start(self, now: float) -> None:
        caller, device = self._free.popleft(), self._idle.popleft()
        self._number += 1
        caller.number, caller.since = self._number, now
        self._say(caller, device.imei)
        self._idle.append(device)

    def _say(self, caller: Caller, imei: str) -> None:
        number = caller.number
        request = {
            "id": number,
            "type": "start",
            "imei": imei,
            "long": number,
            "key": f"n{number}",
        }
        self._imei_of[number] = imei
        try:
            caller.sock.send(b"command" + json.dumps(request).encode())
        except OSError:
            self._again(caller)

    def _again(self, caller: Caller) -> None:
        """Its connection is gone: the same start is asked for again, under its key."""
        self.callers_lost += 1
        fd = caller.sock.fileno()
        self._epoll.unregister(fd)
        del self._by_fd[fd]
        caller.sock.close()
        until = monotonic() + 10
        while True:
            try:
                caller.sock = socket.socket(socket.AF_UNIX)
                caller.sock.connect(self._path)
                break
            except OSError:
                if monotonic() > until:
                    raise
        caller.came = b""
        self._watch(caller.sock, caller)
        if caller.number:
            self._say(caller, self._imei_of[caller.number])

    def _ask(self, now: float) -> None:
        for _ in range(len(self._asks)):
            device = self._asks[0]
            self._asks.rotate(-1)
            if device.asked is None and not device.lost:
                break
        else:
            return
        frame = f"023000{device.imei}TN".encode()
        device.asked = now
        self.asked += 1
        if self.asked % 4:
            self._send(device, frame)
        else:
            cut = 1 + self.asked // 4 % 21
            self.halved += 1
            self._send(device, frame[:cut])
            device.half = frame[cut:]
            self._halves.append((now + SPLIT_SECONDS, device))

    def _second_half(self) -> None:
        device = self._halves.popleft()[1]
        if device.half:  # or it went ahead of a result
            device.asked = monotonic()
        self._send(device)

    def _send(self, device: Device, wire: bytes = b"") -> None:
        """What is left of its request goes ahead of it."""
        wire, device.half = device.half + wire, b""
        if not wire:
            return
        try:
            if device.sock.send(wire) != len(wire):
                raise OSError("no room")
        except OSError:
            device.lost = True

    def _poll(self, seconds: float) -> None:
        ready = self._epoll.poll(seconds)
        self.turns.polled(seconds)
        for fd, _ in ready:
            whose = self._by_fd.get(fd)
            if isinstance(whose, Device):
                self._device(whose)
            elif whose is not None:
                self._heard(whose)

    def _device(self, device: Device) -> None:
        try:
            data = device.sock.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            device.lost = True
            self._epoll.unregister(device.sock)
            return
        device.came += data
        while len(device.came) >= 3:
            head = device.came[:3]
            if not head.isdigit() or int(head) < 6:
                self.unlike.append(f"{device.imei}: {device.came[:40]!r}")
                device.came = b""
                return
            size = int(head)
            if len(device.came) < size:
                return
            frame, device.came = device.came[:size], device.came[size:]
            self._frame(device, frame.decode("latin-1"))

    def _frame(self, device: Device, frame: str) -> None:
        status, imei, command = frame[3:6], frame[6:21], frame[21:23]
        if imei != device.imei:
            self.unlike.append(f"{device.imei}: {frame}")
        elif command == "HT" and status == "200" and not device.registered:
            device.registered = True
        elif command == "TN" and status == "200" and device.asked is not None:
            self.texts.append(Span(device.asked, monotonic()))
            device.asked = None
            self.answered += 1
        elif command == "QD" and status == "000":
            device.started.append(int(frame[23:]))
            self._send(device, f"023200{imei}QD".encode())
        elif command == "QD" and status == "200":
            device.acknowledged += 1
        else:
            self.unlike.append(f"{device.imei}: {frame}")

    def _heard(self, caller: Caller) -> None:
        try:
            data = caller.sock.recv(READ)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            return self._again(caller)
        caller.came += data
        while (end := caller.came.find(b"\n")) >= 0:
            line, caller.came = caller.came[: end + 1], caller.came[end + 1 :]
            reply = json.loads(line)
            number = reply["id"]
            if number in self.replies:
                self.doubled.append(number)
            self.replies[number] = reply["status"]
            if number == caller.number:
                self.waits.append(Span(caller.since, monotonic()))
                caller.number = 0
                self._free.append(caller)
        return None

    def close(self) -> None:
        """Close all connections."""
        for sock in [*(one.sock for one in self.devices), *(one.sock for one in self._callers)]:
            sock.close()
        self._epoll.close()

    # What came of it

    def report(self) -> dict[str, object]:
        """Figures. All but the counts of work and the waits have to be 0."""
        came = Counter(number for one in self.devices for number in one.started)
        done = {number for number, status in self.replies.items() if status == "200"}
        return {
            "devices": len(self.devices),
            "connections_lost": sum(one.lost for one in self.devices),
            "callers_lost": self.callers_lost,
            "requests_of_devices": self.asked,
            "in_two_parts": self.halved,
            "requests_without_an_answer": sum(one.asked is not None for one in self.devices),
            "frames_that_should_not_be": len(self.unlike),
            "starts": self._number,
            "starts_without_a_reply": self._number - len(self.replies),
            "replies": dict(Counter(self.replies.values())),
            "replies_doubled": len(self.doubled),
            "starts_lost": len(done - set(came)),
            "starts_doubled": sum(count > 1 for count in came.values()),
            "starts_done_and_not_told": len(set(came) - done),
            "results_without_a_receipt": sum(
                len(one.started) - one.acknowledged for one in self.devices
            ),
            "longest_start_seconds": _longest(self.waits),
            "longest_request_seconds": _longest(self.texts),
            "longest_stall_of_load_seconds": _longest(self.turns.stalls),
        }


def _longest(spans: Sequence[Span]) -> float:
    return round(max((one.seconds for one in spans), default=0.0), 3)
