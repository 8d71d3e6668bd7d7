"""One device as it behaves in the field: what it sends, when, and what it answers.

No I/O: bytes and the time come in, bytes and news go out. A device lives on while
its connection is gone: it runs to its end, and brings a result when it is back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import NamedTuple

from devgate.model import Imei
from devgate.protocol.frames import Frame, encode
from devgate.simulator.options import Habits
from devgate.simulator.reader import FrameReader, Heard, Short

BEATS = (b"1", b" ", b"0", b"AT")
HELLO_SECONDS = 10.0  # seconds without an answer to HT, then it is sent again
HELLO_GAP_SECONDS = 1.0  # between two HT, however often the server asks: no ping-pong
REFUSED_SECONDS = 30.0  # after 300 or 401: somebody may enter the device meanwhile
ACK_SECONDS = 5.0  # seconds without an acknowledgement, then a result is sent again
RESULT_TRIES = 3  # how often one result is sent
MAX_ANSWERS = 8  # results kept; a device that is flooded with commands forgets the oldest
MAX_DIGITS = 9  # of a start's number: the display has no more
TURN_SECONDS = 30.0  # seconds that one of a `times` device's turns takes


class Mark(Enum):
    """What happened, other than a start."""

    REGISTERED = "the server knows the device"
    FORGOTTEN = "it did, and does so no longer"
    REFUSED = "the server will not have the device: 300 or 401"
    BEAT = "a heartbeat was sent"
    RESULT = "a result was sent, perhaps again"
    STOP = "a stop came in"
    RUNS = "the device runs, and did not before"
    RESTS = "the device has stopped"
    UNREADABLE = "the server sent what is no frame"
    NOT_OURS = "the server sent a frame that is not for this device"
    HANG_UP = "the device wants to close the connection"
    VANISH = "the device wants to leave the connection open and make a new one"


class Start(NamedTuple):
    """A start for this device came in, with this DATA. It may still fail."""

    data: bytes


News = Start | Mark


class Step(NamedTuple):
    """The bytes to send now, and the news."""

    wire: bytes
    news: Sequence[News]


@dataclass(slots=True)
class Answer:
    """A result on its way: when it is sent next, and how often still."""

    command: str
    status: str
    at: float
    tries: int = RESULT_TRIES


class Device:
    """Call connected(), then receive() with what comes and due() at `next`; disconnected() at
    the end. Each gets the current time in seconds, of any clock that never goes back.
    """

    __slots__ = (
        "_answers",
        "_ask",
        "_beat",
        "_habits",
        "_hang_up",
        "_hello",
        "_hello_sent",
        "_reader",
        "_rng",
        "_unit",
        "imei",
        "online",
        "phone",
        "qr",
        "registered",
        "until",
    )

    def __init__(self, imei: Imei, habits: Habits, rng: Random, *, times: bool = False) -> None:
        self.imei = imei
        self.online = False
        self.registered = False
        self.until: float | None = None  # running, until then
        self.phone: bytes | None = None
        self.qr: bytes | None = None
        self._habits = habits
        self._rng = rng
        self._unit = TURN_SECONDS if times else 1.0
        self._reader = FrameReader()
        self._answers: list[Answer] = []
        self._hello = self._hello_sent = self._beat = self._ask = self._hang_up = math.inf

    @property
    def next(self) -> float:
        """When due() has work; infinity if nothing happens without the server or a connection."""
        wake = math.inf if self.until is None else self.until
        if not self.online:
            return wake
        wake = min(wake, self._beat, self._hang_up)
        if not self.registered:
            return min(wake, self._hello)
        for answer in self._answers:
            wake = min(wake, answer.at)
        return min(wake, self._ask)

    def connected(self, now: float) -> Step:
        """A new connection was made."""
        habits, rng = self._habits, self._rng
        assert not self.online, "a device has one connection at a time"
        self.online = True
        self._reader = FrameReader()
        self._hello_sent = -math.inf
        # Devices that connect together must not send their heartbeats together for ever.
        self._hello, self._beat = now, now + habits.heartbeat * rng.uniform(0.1, 1.0)
        if rng.random() < habits.greet:
            self._hello, self._beat = now + HELLO_SECONDS, now
        self._hang_up = now + rng.expovariate(habits.churn / 3600) if habits.churn else math.inf
        return self.due(now)

    def disconnected(self) -> bool:
        """The connection is gone. True if the device was registered on it."""
        was, self.registered, self.online = self.registered, False, False
        return was

    def receive(self, data: bytes, now: float) -> Step:
        """React to these bytes, and do what is due by now."""
        news: list[News] = []
        for heard in self._reader.feed(data):
            self._hear(heard, now, news)
        return self._do(now, news)

    def due(self, now: float) -> Step:
        """Do what is due by now."""
        return self._do(now, [])

    def _do(self, now: float, news: list[News]) -> Step:
        if self.until is not None and self.until <= now:
            self._end_run(news)
        if not self.online:
            return Step(b"", news)
        wire = b""
        if not self.registered and self._hello <= now:
            self._hello_sent, self._hello = now, now + HELLO_SECONDS
            wire += encode("000", self.imei, "HT")
        if self.registered:
            wire += self._results(now, news)
            if self._ask <= now:
                self._ask = now + self._habits.ask * self._rng.uniform(0.5, 1.5)
                wire += encode("000", self.imei, "TN") + encode("000", self.imei, "QR")
        if self._beat <= now:
            self._beat = now + self._habits.heartbeat * self._rng.uniform(0.95, 1.05)
            wire += self._rng.choice(BEATS)
            news.append(Mark.BEAT)
        if self._hang_up <= now:
            self._hang_up = math.inf
            news.append(self._rng.choice((Mark.HANG_UP, Mark.VANISH)))
        return Step(wire, news)

    def _results(self, now: float, news: list[News]) -> bytes:
        """Due results; the last copy of each is not waited for."""
        wire = b""
        for answer in self._answers:
            if answer.at <= now:
                answer.at, answer.tries = now + ACK_SECONDS, answer.tries - 1
                wire += encode(answer.status, self.imei, answer.command)
                news.append(Mark.RESULT)
        if wire:
            self._answers = [answer for answer in self._answers if answer.tries]
        return wire

    def _hear(self, heard: Heard, now: float, news: list[News]) -> None:
        if heard is Short.UNREADABLE:
            news.append(Mark.UNREADABLE)
        elif not isinstance(heard, Frame) or heard.status == "404":
            self._register_again(now, news)
        elif heard.status == "000" and heard.command in ("QD", "ST"):
            self._obey(heard, now, news)
        elif heard.imei != self.imei:
            news.append(Mark.NOT_OURS)
        elif heard.command == "HT":
            self._welcome(heard.status, now, news)
        elif heard.command in ("TN", "QR"):
            text = heard.data if heard.status == "200" else None
            if heard.command == "TN":
                self.phone = text
            else:
                self.qr = text
        elif heard.command in ("QD", "ST"):
            self._acknowledged(heard.command)
        else:
            news.append(Mark.NOT_OURS)

    def _register_again(self, now: float, news: list[News]) -> None:
        if self.registered:
            self.registered = False
            news.append(Mark.FORGOTTEN)
        self._hello = max(now, self._hello_sent + HELLO_GAP_SECONDS)

    def _welcome(self, status: str, now: float, news: list[News]) -> None:
        if status == "200":
            if not self.registered:
                self.registered, self._ask = True, now
                news.append(Mark.REGISTERED)
            return
        if self.registered:
            self.registered = False
            news.append(Mark.FORGOTTEN)
        self._hello = now + REFUSED_SECONDS * self._rng.uniform(0.5, 1.0)
        news.append(Mark.REFUSED)

    def _obey(self, frame: Frame, now: float, news: list[News]) -> None:
        """Carry out a command, or fail; and answer, or be silent."""
        if frame.imei != self.imei:
            news.append(Mark.NOT_OURS)
            self._answer(frame.command, "202", now)
            return
        news.append(Start(frame.data) if frame.command == "QD" else Mark.STOP)
        silent = self._rng.random() < self._habits.silent
        # A device that does not answer may have carried it out or not: so a 408 is unknown.
        done = self._rng.random() >= (0.5 if silent else self._habits.fail)
        if done and frame.command == "QD":
            done = self._run(frame.data, now, news)
        elif done:
            self._end_run(news)
        if not silent:
            self._answer(frame.command, "200" if done else "201", now)

    def _run(self, data: bytes, now: float, news: list[News]) -> bool:
        """Run: a second start adds its time to the first. False: DATA is not a valid number."""
        if not data.isdigit() or len(data) > MAX_DIGITS or not int(data):
            return False
        if self.until is None:
            news.append(Mark.RUNS)
        self.until = (now if self.until is None else self.until) + int(data) * self._unit
        return True

    def _end_run(self, news: list[News]) -> None:
        if self.until is not None:
            self.until = None
            news.append(Mark.RESTS)

    def _answer(self, command: str, status: str, now: float) -> None:
        if len(self._answers) == MAX_ANSWERS:
            del self._answers[0]
        at = now + self._rng.uniform(*self._habits.delay)
        self._answers.append(Answer(command, status, at))

    def _acknowledged(self, command: str) -> None:
        """The oldest result of that kind that was sent has arrived."""
        for answer in self._answers:
            if answer.command == command and answer.tries < RESULT_TRIES:
                self._answers.remove(answer)
                return
