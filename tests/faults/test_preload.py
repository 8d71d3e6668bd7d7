"""The preload library itself: each fault reaches the process, and is over when it is cleared."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.caller import Robot, knowing
from tests.faults.preload import Faults, Point, library, preloaded
from tests.faults.preload.record import Kind, entries

IMEI = "860000000000001"

FILES = """
import os, sys
fd = os.open("devgate.db", os.O_RDWR | os.O_CREAT)
other = os.open("other", os.O_RDWR | os.O_CREAT)
for call in sys.argv[1:]:
    try:
        match call:
            case "pwrite":
                done = os.pwrite(fd, b"12345678", 0)
            case "fsync":
                done = os.fsync(fd)
            case "open":
                done = os.close(os.open("devgate.db", os.O_RDWR))
            case "other":
                done = os.fsync(other), os.pwrite(other, b"12345678", 0)
    except OSError as err:
        done = err.errno
    print(call, done)
"""

ACCEPTING = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
caller = socket.create_connection(listener.getsockname())
for _ in range(3):
    try:
        listener.accept()[0].close()
        print("accepted")
    except OSError as err:
        print(err.errno)
"""

CLOCKS = """
import time
from datetime import datetime
print(time.time(), time.time_ns() / 1e9, datetime.now().timestamp(), time.clock_gettime(0))
print(time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME))
"""

WAITING = """
import threading, time
lock = threading.Lock()
time.sleep(0.01)
print(lock.acquire(timeout=0.01), lock.acquire(timeout=0.01))
"""

THREADS = """
import threading
for _ in range(2):
    try:
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        print("started")
    except RuntimeError as err:
        print(err)
"""

SENDING = """
import socket
one, other = socket.socketpair()
print("ready", flush=True)
for text in (b"012345", b"QD500", b"QD600"):
    one.sendall(text)
    print(other.recv(99).decode(), flush=True)
"""


def run(faults: Faults, folder: Path, program: str, *arguments: str) -> list[str]:
    """The lines that a Python program printed; it may have been killed."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=folder, capture_output=True, text=True,
        env={**os.environ, **faults.environment()}, timeout=150, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.returncode in (0, -signal.SIGKILL)
    return [*done.stdout.splitlines(), *(["killed"] if done.returncode else [])]


def test_nothing_is_wrong_at_first(faults: Faults, tmp_path: Path) -> None:
    told = run(faults, tmp_path, FILES, "pwrite", "fsync", "open", "other")
    assert told == ["pwrite 8", "fsync None", "open None", "other (None, 8)"]
    assert (faults.get("pwrites"), faults.get("fsyncs"), faults.get("opens")) == (1, 1, 2)
    assert faults.get("faults") == 0


def test_files_fail_as_often_as_was_asked(faults: Faults, tmp_path: Path) -> None:
    faults.set(fsync_errno=errno.EIO, fsync_faults=1)
    faults.set(pwrite_errno=errno.ENOSPC, pwrite_faults=2)
    told = run(faults, tmp_path, FILES, "fsync", "fsync", "pwrite", "pwrite", "pwrite", "other")
    assert told == [
        "fsync 5", "fsync None", "pwrite 28", "pwrite 28", "pwrite 8", "other (None, 8)",
    ]  # fmt: skip
    assert faults.get("faults") == 3
    faults.clear()
    faults.set(pwrite_short=1, pwrite_faults=-1)
    assert run(faults, tmp_path, FILES, "pwrite", "pwrite") == ["pwrite 4", "pwrite 4"]


def test_open_fails(faults: Faults, tmp_path: Path) -> None:
    run(faults, tmp_path, FILES)
    opening = FILES.replace('fd = os.open("devgate.db", os.O_RDWR | os.O_CREAT)', "fd = -1")
    faults.set(open_errno=errno.EMFILE, open_faults=1)
    assert run(faults, tmp_path, opening, "open", "open") == ["open 24", "open None"]


def test_fsync_hangs_until_it_is_let_go(faults: Faults, tmp_path: Path) -> None:
    faults.set(fsync_delay_us=3_600_000_000, fsync_faults=1)
    process = subprocess.Popen(
        [sys.executable, "-c", FILES, "fsync"], cwd=tmp_path, stdout=subprocess.PIPE,
        env={**os.environ, **faults.environment()},
    )  # fmt: skip
    while not faults.get("faults"):
        time.sleep(0.01)
    assert process.poll() is None
    faults.clear()
    assert process.communicate(timeout=150)[0] == b"fsync None\n"


def test_accept_fails_and_takes_nothing(faults: Faults, tmp_path: Path) -> None:
    faults.set(accept_errno=errno.ECONNABORTED, accept_faults=1)
    told = run(faults, tmp_path, ACCEPTING.replace("range(3)", "range(2)"))
    assert told == ["103", "accepted"]
    faults.set(accept_errno=errno.EMFILE, accept_faults=-1, accept_port=-1)
    told = run(faults, tmp_path, ACCEPTING.replace("range(3)", "range(1)"))
    assert told == ["accepted"], "only Unix sockets fail"


def test_only_the_wall_clock_moves(faults: Faults, tmp_path: Path) -> None:
    faults.clock(-3600)
    began, before = time.time(), time.monotonic()
    wall, steady = run(faults, tmp_path, CLOCKS)
    for clock in map(float, wall.split()):
        assert began - 3600.1 <= clock <= time.time() - 3600
    assert before <= float(steady.split()[0]) <= time.monotonic()
    faults.clock(0)
    wall, _ = run(faults, tmp_path, CLOCKS)
    assert all(began <= float(clock) + 0.1 for clock in wall.split())


def test_time_elapses_for_all_clocks(faults: Faults, tmp_path: Path) -> None:
    began, before = time.time(), time.monotonic()
    faults.elapse(1800)
    faults.elapse(1800)
    wall, steady = run(faults, tmp_path, CLOCKS)
    for clock in map(float, wall.split()):
        assert began + 3599.9 <= clock <= time.time() + 3600.1
    assert before + 3600 <= float(steady.split()[0]) <= time.monotonic() + 3600
    assert run(faults, tmp_path, WAITING) == ["True False"], "it waits no longer than it was asked"


def test_a_thread_cannot_be_started(faults: Faults, tmp_path: Path) -> None:
    faults.set(thread_errno=errno.EAGAIN, thread_faults=1)
    assert run(faults, tmp_path, THREADS) == ["can't start new thread", "started"]


@pytest.mark.parametrize(
    ("point", "calls", "on_disk"),
    [
        (Point.BEFORE_PWRITE, [], b""),
        (Point.AMID_PWRITE, [], b"1234"),
        (Point.AFTER_PWRITE, [], b"12345678"),
        (Point.BEFORE_FSYNC, ["pwrite 8"], b"12345678"),
        (Point.AFTER_FSYNC, ["pwrite 8"], b"12345678"),
    ],
)
def test_it_is_killed_at_a_file(
    faults: Faults, tmp_path: Path, point: Point, calls: list[str], on_disk: bytes
) -> None:
    faults.kill_at(point)
    told = run(faults, tmp_path, FILES.replace("print(call, done)", "print(call, done, flush=1)"),
               "pwrite", "fsync")  # fmt: skip
    assert told == [*calls, "killed"]
    assert (tmp_path / "devgate.db").read_bytes() == on_disk


@pytest.mark.parametrize(
    ("point", "told"),
    [
        (Point.BEFORE_SEND, ["ready", "012345", "QD500", "killed"]),
        (Point.AMID_SEND, ["ready", "012345", "QD500", "killed"]),
        (Point.AFTER_SEND, ["ready", "012345", "QD500", "killed"]),
    ],
)
def test_it_is_killed_at_a_send(
    faults: Faults, tmp_path: Path, point: Point, told: list[str]
) -> None:
    faults.kill_at(point, 2, sending=b"QD")
    assert run(faults, tmp_path, SENDING) == told
    assert faults.get("sends") == 2


def test_operations_are_recorded_in_their_order(tmp_path: Path) -> None:
    program = """
import os
fd = os.open("devgate.db", os.O_RDWR | os.O_CREAT)
os.pwrite(fd, b"abc", 5)
os.fsync(fd)
os.ftruncate(fd, 2)
os.rename("devgate.db", "devgate.db-old")
os.unlink("devgate.db-old")
"""
    try:
        library()
    except OSError as err:
        pytest.skip(f"no preload library: {err.strerror}")
    record = tmp_path / "record"
    with preloaded(tmp_path / "control", path="/devgate.db", record=record) as faults:
        faults.set(recording=1)
        assert run(faults, tmp_path, program) == []
    told = [(entry.kind, entry.offset, entry.data) for entry in entries(record)]
    folder = bytes(tmp_path)
    assert [(kind, data) for kind, _, data in told] == [
        (Kind.OPEN, folder + b"/devgate.db"),
        (Kind.WRITE, b"abc"),
        (Kind.SYNC_BEGIN, b""),
        (Kind.SYNC_END, b""),
        (Kind.TRUNCATE, b""),
        (Kind.RENAME, folder + b"/devgate.db\n" + folder + b"/devgate.db-old"),
        (Kind.UNLINK, folder + b"/devgate.db-old"),
    ]
    assert (told[1][1], told[4][1]) == (5, 2)


def test_a_gateway_works_under_it(faults: Faults) -> None:
    """The library reaches SQLite, the sockets and the clock of the real program."""
    faults.clock(86400)
    began = time.time()
    with knowing({}, environment=faults.environment()) as served, Robot(served, IMEI) as robot:
        start = {"imei": IMEI, "type": "start", "long": 7}
        assert served.ask(start)["status"] == "200"
        assert min(map(faults.get, ("fsyncs", "pwrites", "accepts", "sends", "threads"))) > 0
        faults.set(fsync_errno=errno.EIO, fsync_faults=-1)
        refused = served.ask({**start, "long": 8})
        assert (refused["status"], "disk" in refused["message"]) == ("503", True)
        faults.clear()
        served.until(None, "store", "ok")
        faults.kill_at(Point.AFTER_SEND, sending=b"QD9")
        with pytest.raises(ConnectionError):
            served.ask({**start, "long": 9, "key": "order"})
        served.wait()
        faults.clear()
        served.start()
        assert served.ask({**start, "long": 9, "key": "order"})["status"] == "408"
        ahead = served.ask({"type": "history"})["items"]
        tomorrow = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(began + 86400))
        assert all(record["accepted_at"] >= tomorrow for record in ahead)
    assert [command for command in robot.seen if command != "QD9"] == ["QD7"]
