"""What a soak does to a gateway, all at once: devices, storms, starts, slow readers."""

from __future__ import annotations

import collections
import contextlib
import os
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmark.servers import FIRST_IMEI, KNOWN_DEVICES
from devgate.control.client import Channel, NoGateway
from devgate.gateway.commands.transitions import ACCEPTED, START, Places, after_event

HABITS = ("--fail", "0.02", "--silent", "0.002")  # devices are not perfect
CHURN = 4.0  # lost connections per device and hour: 15,000 devices reconnect 17 times a second
STORM_EVERY = 60.0  # seconds between two power cuts of the smaller fleet
SLOW_READERS = 10
SLOW_BURST = 20  # TN frames that a slow reader asks at once, ten times a second
LONGEST_RUN = 60  # seconds that a device is started for, at most
PROGRAM = (sys.executable, "-m", "devgate")


class Loads:
    """The loads of one soak. Counters are read by the sampler at any time."""

    def __init__(self, port: int, control: Path, core: int, devices: int) -> None:
        self.port = port
        self.control = control
        self.core = core
        self.steady = devices * 4 // 5
        self.stormy = devices - self.steady
        self.statuses: collections.Counter[str] = collections.Counter()
        self.storms = 0
        self.cut_readers = 0
        self.events = 0
        self._places: dict[str, Places] = {}  # where each command may stand
        self.broken: list[str] = []  # loads that failed, in a sentence each
        self._lags: collections.deque[float] = collections.deque(maxlen=10_000)
        self._stopping = threading.Event()

    @contextlib.contextmanager
    def running(self, starters: int) -> Iterator[None]:
        """All loads, until the end of the block."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._fleet(0, self.steady, "--churn", str(CHURN)))
            # One watches and reads; one watches and never reads, and must not matter.
            stack.enter_context(self._program("watch", "--json", output=subprocess.DEVNULL))
            stack.enter_context(self._program("watch", "--json", output=subprocess.PIPE))
            works = [self._storms, self._watch, self._slow_readers, *[self._starts] * starters]
            threads = [threading.Thread(target=self._guarded, args=(work,)) for work in works]
            for thread in threads:
                thread.start()
            try:
                yield
            finally:
                self._stopping.set()
                for thread in threads:
                    thread.join()

    def lag(self) -> float | None:
        """Median milliseconds from an event to its reader since the last call."""
        lags = [self._lags.popleft() for _ in range(len(self._lags))]
        return statistics.median(lags) * 1e3 if lags else None

    def _guarded(self, work: Callable[[], None]) -> None:
        """A load that fails is a finding, not a silence."""
        try:
            work()
        except Exception as err:
            if not self._stopping.is_set():
                self.broken.append(f"{work.__name__.strip('_')}: {type(err).__name__}: {err}")

    def _storms(self) -> None:
        """The smaller fleet: its power is cut every minute, and all of it comes back at once."""
        while not self._stopping.is_set():
            with self._fleet(self.steady, self.stormy, "--ramp", str(self.stormy)):
                self._stopping.wait(STORM_EVERY)
            self.storms += 1

    def _watch(self) -> None:
        with Channel(str(self.control)) as channel:
            channel.send({"type": "watch"})
            channel.awaited()  # the reply; events follow
            while not self._stopping.is_set():
                try:
                    event = channel.reply(timeout=1.0)
                except TimeoutError:
                    continue
                if event is None:
                    raise NoGateway("the watch ended")
                if at := event.get("at"):
                    self.events += 1
                    self._judge(event)
                    self._lags.append(time.time() - datetime.fromisoformat(at).timestamp())

    def _judge(self, event: Mapping[str, Any]) -> None:
        """The events of a command are legal. Those that were accepted before are not looked at."""
        command, type = event.get("command"), event["type"]
        if command is None or (type != ACCEPTED and command not in self._places):
            return
        before = self._places.get(command, START)
        self._places[command] = after_event(before, type, event.get("status"))
        if before and not self._places[command]:
            self.broken.append(f"events: {event} is told of a command that is {sorted(before)}")

    def _starts(self) -> None:
        """Starts and stops of random devices, one after the other."""
        dice = random.Random()
        with Channel(str(self.control)) as channel:
            while not self._stopping.is_set():
                request: dict[str, object] = {
                    "imei": str(FIRST_IMEI + dice.randrange(self.steady)),
                    "type": "stop" if dice.random() < 0.1 else "start",
                }
                if request["type"] == "start":
                    request["long"] = str(dice.randint(1, LONGEST_RUN))
                channel.send(request)
                self.statuses[channel.awaited()["status"]] += 1
                self._stopping.wait(dice.uniform(0, 0.1))

    def _slow_readers(self) -> None:
        """Devices that ask and never read: they must lose their connections, and only they."""
        readers: dict[int, socket.socket] = {}
        try:
            while not self._stopping.wait(0.1):
                for i in range(SLOW_READERS):
                    imei = FIRST_IMEI + KNOWN_DEVICES - 1 - i
                    if i not in readers:
                        readers[i] = self._silent_device(imei)
                    try:
                        readers[i].send(b"023000%dTN" % imei * SLOW_BURST)
                    except BlockingIOError:
                        continue
                    except OSError:
                        readers.pop(i).close()
                        self.cut_readers += 1
        finally:
            for reader in readers.values():
                reader.close()

    def _silent_device(self, imei: int) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", self.port))
        sock.send(b"023000%dHT" % imei)
        sock.setblocking(False)
        return sock

    @contextlib.contextmanager
    def _fleet(self, first: int, count: int, *options: str) -> Iterator[None]:
        """`devgate simulate`; it goes as in a power cut, without a word."""
        arguments = [f"127.0.0.1:{self.port}", "--count", str(count)]
        arguments += ["--first", str(FIRST_IMEI + first), "--json", *HABITS, *options]
        with self._program("simulate", *arguments, output=subprocess.DEVNULL):
            yield

    @contextlib.contextmanager
    def _program(self, *arguments: str, output: int) -> Iterator[None]:
        command = [*PROGRAM, arguments[0], "--socket", str(self.control), *arguments[1:]]
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            os.sched_setaffinity(process.pid, {self.core})
            try:
                yield
                if process.poll() is not None and output != subprocess.PIPE:
                    assert process.stderr is not None, "it was opened with a pipe"
                    words = process.stderr.read().strip() or "without a word"
                    self.broken.append(f"devgate {arguments[0]} ended: {words}")
            finally:
                process.kill()
