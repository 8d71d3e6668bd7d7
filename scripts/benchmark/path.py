"""`scripts/bench path`: a start's path through devgate's own code, counted.

A real gateway runs in this process, with one device and one caller over real sockets. From the
caller's bytes on the control socket to the reply's bytes, every call of a function of devgate is
noted, on the loop and in the thread that commits; the log's own thread is left out.

A hop is a step into another file: what a reader has to do who follows the path.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import devgate
from devgate.app import App
from devgate.config.settings import Settings
from devgate.demo import fill
from devgate.process import serve
from devgate.simulator.options import imeis

ROOT = str(Path(devgate.__file__).parent) + os.sep
LOG_THREAD = "log"
COMMIT_THREAD = "devgate-commits"
STARTS = 10  # of which the one with the fewest hops counts: nothing else ran beside it
REST_SECONDS = 0.2  # between two starts, and before the device answers


class Call(NamedTuple):
    """One call of a function, or one step of a coroutine or generator."""

    thread: str
    file: str
    function: str


class Count(NamedTuple):
    calls: int
    hops: int
    files: int


class Recorder:
    """Notes calls while it is on. To be installed before the gateway starts its threads."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.on = False

    def install(self) -> None:
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)

    def remove(self) -> None:
        threading.setprofile(None)
        sys.setprofile(None)

    def _profile(self, frame: FrameType, event: str, _: object) -> None:
        if self.on and event == "call" and frame.f_code.co_filename.startswith(ROOT):
            thread = threading.current_thread().name
            name = getattr(frame.f_code, "co_qualname", frame.f_code.co_name)  # since Python 3.11
            self.calls.append(Call(thread, frame.f_code.co_filename[len(ROOT) :], name))


def counted(calls: Sequence[Call]) -> Count:
    hops = sum(before.file != after.file for before, after in pairwise(calls))
    return Count(len(calls), hops + 1, len({call.file for call in calls}))


def path(calls: Sequence[Call]) -> list[Call]:
    """From the first read of the control socket to the last write, without the log's thread."""
    calls = [call for call in calls if call.thread != LOG_THREAD]
    names = [call.function.rpartition(".")[2] for call in calls]
    first = names.index("receive_now") - 1
    last = max(place for place, name in enumerate(names) if name == "send_now")
    return calls[first : last + 1]


def starts(recorder: Recorder, control: str, device: int, key: bool) -> Iterator[list[Call]]:
    """The calls of some starts, one after the other: from a device and a caller."""
    imei = imeis(1)[0].encode()
    with (
        socket.create_connection(("127.0.0.1", device)) as machine,
        socket.socket(socket.AF_UNIX) as caller,
    ):
        machine.sendall(b"023000" + imei + b"HT")
        machine.recv(1000)
        caller.connect(control)
        time.sleep(REST_SECONDS)
        for number in range(STARTS):
            order: dict[str, object] = {"type": "start", "imei": imei.decode(), "long": 500}
            if key:
                order["key"] = f"order {number}"
            recorder.calls, recorder.on = [], True
            caller.sendall(b"command" + json.dumps(order).encode())
            while b"QD" not in machine.recv(1000):  # behind the receipt of the last result
                pass
            time.sleep(REST_SECONDS)
            machine.sendall(b"023200" + imei + b"QD")
            reply = json.loads(caller.recv(65536))
            recorder.on = False
            assert reply["status"] == "200", reply
            yield path(recorder.calls)
            time.sleep(REST_SECONDS)


def trace(key: bool) -> list[Call]:
    """The calls of one start, in a gateway with its default settings."""
    recorder = Recorder()
    found: list[list[Call]] = []

    async def on_ready(app: App) -> None:
        port = int(app.gateway.listens["device"][0].rpartition(":")[2])

        def run() -> None:
            try:
                found.extend(starts(recorder, settings.control.socket, port, key))
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=run, name="caller").start()

    with tempfile.TemporaryDirectory(prefix="path-") as folder, _no_log():
        settings = Settings.model_validate(
            {
                "device": {"listen": "127.0.0.1:0"},
                "control": {"socket": os.path.join(folder, "control")},
                "http": {"listen": ""},
                "store": {"url": f"sqlite:///{folder}/devgate.db"},
            },
            context={"folder": Path(folder)},
        )
        recorder.install()
        try:
            serve(settings, lambda: settings, on_ready, lambda database: fill(database, 1))
        finally:
            recorder.remove()
    return min(found, key=lambda calls: counted(calls).hops)


@contextmanager
def _no_log() -> Iterator[None]:
    """The gateway writes its log as always, and nobody reads it."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", action="store_true", help="the start has an order number")
    parser.add_argument("--list", action="store_true", help="print every call, as file:function")


def run(args: argparse.Namespace) -> int:
    """Count the calls, hops between files, and files of one start, from the caller's bytes on
    the control socket through the device's result to the reply's bytes."""
    calls = trace(args.key)
    if args.list:
        for before, call in zip([None, *calls], calls, strict=False):
            hop = "->" if before is None or before.file != call.file else "  "
            where = "thread " if call.thread == COMMIT_THREAD else ""
            print(f"{hop} {where}{call.file}:{call.function}")
    loop = [call for call in calls if call.thread != COMMIT_THREAD]
    commit = [call for call in calls if call.thread == COMMIT_THREAD]
    for what, some in (("all", calls), ("on the loop", loop), ("in the commit thread", commit)):
        count = counted(some)
        print(f"{what:<20}  hops {count.hops:>3}  files {count.files:>2}  calls {count.calls:>3}")
    return 0
