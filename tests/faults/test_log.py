"""A log that nobody reads, that cannot be written, or that is not there: no harm is done."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.caller import DEVICES, Robot, eventually
from tests.e2e.harness import Gateway, Json, address, environment

IMEI = "860000000000001"
STARTS = 60  # each is one line and more; the pipe has room for some twenty


@contextlib.contextmanager
def logging_to(fd: int) -> Iterator[Gateway]:
    """A gateway with this descriptor as its standard error; closed here."""
    with new() as served:
        with contextlib.ExitStack() as mine:
            mine.callback(os.close, fd)
            served.start(stderr=fd)
        yield served


@contextlib.contextmanager
def new() -> Iterator[Gateway]:
    """One that has not been started; ended here."""
    served = Gateway()
    try:
        served.fill(DEVICES)
        yield served
    finally:
        if served.process is not None and served.process.poll() is None:
            served.process.kill()
            served.process.wait()
        shutil.rmtree(served.folder)


def starts(served: Gateway) -> None:
    """Starts that all are answered, with a status in between."""
    with Robot(served, IMEI) as device:
        for _ in range(STARTS):
            reply = served.ask({"imei": IMEI, "type": "start", "long": 5})
            assert reply["status"] == "200", reply
        assert len(device.seen) == STARTS
    assert served.ask({"type": "status"})["status"] == "200"


def read_all(pipe: int) -> list[Json]:
    """What has been written and will be, until the other end is closed."""
    data = b""
    while part := os.read(pipe, 65536):
        data += part
    return [json.loads(line) for line in data.splitlines()]


def test_f8_a_log_that_nobody_reads_stops_nothing() -> None:
    """F8: a full pipe used to stop devices, starts and status until its reader went on."""
    ours, theirs = os.pipe()
    try:
        fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)
        with logging_to(theirs) as served:
            starts(served)
            assert served.ask({"type": "status"})["log_dropped"] == 0
            served.terminate()  # nobody reads: the process does not wait for that
            lines = read_all(ours)
            assert lines[0]["event"] == "descriptors"
            assert 1 < len(lines) < STARTS, "as much as the pipe holds, each line whole"
    finally:
        os.close(ours)


def test_f8_a_reader_that_comes_back_misses_nothing() -> None:
    """F8: what waited for the reader of the log is written once it reads again."""
    ours, theirs = os.pipe()
    try:
        fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)
        with logging_to(theirs) as served:
            starts(served)
            assert select.select([ours], [], [], 0)[0]
            os.set_blocking(ours, False)
            data = b""

            def read() -> bytes:
                nonlocal data
                with contextlib.suppress(BlockingIOError):
                    data += os.read(ours, 65536)
                return data

            eventually(read, lambda data: data.count(b'"command ended"') == STARTS)
            os.set_blocking(ours, True)
            served.terminate()
            data += b"".join(iter(lambda: os.read(ours, 65536), b""))
            lines = [json.loads(line) for line in data.splitlines()]
            assert lines[-1]["event"] == "stopped"
            assert not [line for line in lines if line["event"] == "log lines dropped"]
            assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    finally:
        os.close(ours)


@pytest.mark.parametrize("what", ["reader gone", "disk full"])
def test_a_log_that_cannot_be_written_harms_nothing(what: str) -> None:
    """EPIPE and ENOSPC: lines are dropped and counted, and the gateway works."""
    if what == "disk full":
        theirs = os.open("/dev/full", os.O_WRONLY)
    else:
        ours, theirs = os.pipe()
        os.close(ours)
    with logging_to(theirs) as served:
        starts(served)
        eventually(
            lambda: served.ask({"type": "status"})["log_dropped"], lambda lost: lost > STARTS
        )
        served.terminate()


def test_f19_a_closed_standard_error_is_no_reason_to_fail(tmp_path: Path) -> None:
    """F19 (b): `serve 2>&-` ended with exit code 1 and no word."""
    with new() as served:
        closing = ["sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "-"]
        served.process = process = subprocess.Popen(
            [*closing, sys.executable, "-m", "devgate", "serve"],
            cwd=served.folder, env=environment(served.folder),
        )  # fmt: skip

        def asked() -> Json | None:
            assert process.poll() is None, "it ended at once"
            with contextlib.suppress(OSError):
                return served.ask({"type": "status"})
            return None

        status = eventually(asked, lambda reply: reply is not None)
        assert status is not None
        served.device = address(status["listen"]["device"][0])
        starts(served)
        fds = Path(f"/proc/{process.pid}/fd")
        named = [os.readlink(fds / str(fd)) for fd in range(3)]
        assert named == ["/dev/null"] * 3, "what a library writes to 2 must not be in the database"
        served.terminate()


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler for this signal, or ignores it."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    masks = re.findall(r"^Sig(?:Cgt|Ign):\s*(\w+)", status, re.MULTILINE)
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)


def test_f19_a_reload_right_after_the_start_is_not_the_end(new_interpreters: None) -> None:
    """F19 (a): SIGHUP killed `serve` for half a second, and then while the store was loaded."""
    with new() as served:
        served.launch()
        assert served.process is not None
        pid = served.process.pid
        while True:
            mapped = Path(f"/proc/{pid}/maps").read_text("utf-8")
            if catches(pid, signal.SIGHUP):
                break
            assert "pydantic_core" not in mapped, "the server is imported, and SIGHUP still kills"
        while not served.socket.exists():
            assert served.process.poll() is None, served.log()
            served.signal(signal.SIGHUP)
            time.sleep(0.01)
        served.logged("settings reloaded")
        eventually(lambda: b"ready" in served.log_file.read_bytes(), bool)
        served.terminate()
        assert "Traceback" not in served.log()
