"""A database that is locked, full or gone: starts are refused honestly, and devices stay."""

from __future__ import annotations

import contextlib
import resource
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.caller import Caller, Robot, eventually, knowing
from tests.e2e.device import frame
from tests.e2e.harness import Gateway, Json
from tests.postgres import Postgres

IMEIS = [f"860000000000{n:03}" for n in range(10)]
NEWCOMER, OTHER, BUSY = (IMEIS.pop() for _ in range(3))
PHONE = "400-500-5620"


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    """A gateway with SQLite, for one fault after the other."""
    with knowing({}) as running:
        yield running


@pytest.fixture
def device(served: Gateway) -> Iterator[Robot]:
    with Robot(served, IMEIS.pop(0)) as robot:
        yield robot


def start(device: Robot, **extra: object) -> Json:
    return {"imei": device.imei, "type": "start", "long": 500, **extra}


def until_refused(served: Gateway, device: Robot) -> None:
    eventually(lambda: served.ask(start(device))["status"], lambda status: status == "503")


def until_done(served: Gateway, device: Robot) -> None:
    eventually(lambda: served.ask(start(device))["status"], lambda status: status == "200")
    assert served.ask({"type": "status"})["store"] == "ok"


def refused(served: Gateway, device: Robot, **extra: object) -> Json:
    """A start that cannot be journalled: 503, and nothing reaches the device."""
    before = list(device.seen)
    reply = served.ask(start(device, **extra))
    assert reply["status"] == "503"
    assert "nothing was sent" in reply["message"]
    assert device.seen == before
    return reply


def answers_all_the_same(served: Gateway) -> None:
    """Devices are answered from memory, and one may register."""
    with served.register(NEWCOMER) as device:
        device.send(frame("000", NEWCOMER, "TN"))
        device.expect(frame("200", NEWCOMER, "TN", PHONE))


def well_again(served: Gateway, device: Robot) -> None:
    """Starts are done, and the log of events has no gap and is in order."""
    until_done(served, device)
    before, key = len(device.seen), f"{device.imei} again"
    assert served.ask(start(device, key=key))["status"] == "200"
    assert served.ask(start(device, key=key))["status"] == "200"
    assert len(device.seen) == before + 1
    last = served.ask({"type": "status"})["last_event"]
    with Caller(served) as caller:
        caller.follow(type="watch", after=0)
        events = caller.until(lambda event: event["event"] == last)
    assert [event["event"] for event in events] == list(range(1, last + 1))
    presence = ("device.online", "device.offline")
    newcomer = [e["type"] for e in events if e["imei"] == NEWCOMER and e["type"] in presence]
    assert newcomer == [*presence] * (len(newcomer) // 2), "they alternate"
    assert newcomer
    page = served.ask({"type": "history", "imei": device.imei, "limit": 1000})
    records = {record["command"]: record for record in page["items"]}
    for event in events:
        if event["type"] == "command.ended" and event["imei"] == device.imei:
            record = records.pop(event["command"])
            assert record["status"] == event["status"]
            assert (record["sent_at"] is None) == (event["status"] == "503")
    assert records == {}, "each has ended, once"
    sent = [record for record in page["items"] if record["status"] == "200"]
    assert len(sent) == len(device.seen), "what the device saw, and no more, is on record"


# SQLite, and another program that holds its lock


@contextlib.contextmanager
def locked(served: Gateway) -> Iterator[None]:
    # All that was told is on disk then: no commit waits for the lock ahead of the test's.
    served.status(OTHER)
    database = sqlite3.connect(served.folder / "devgate.db", isolation_level=None)
    with contextlib.closing(database):
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


def test_a_short_lock_is_waited_for(served: Gateway, device: Robot) -> None:
    with Caller(served) as caller:
        with locked(served):
            caller.send(**start(device))
            answers_all_the_same(served)
            assert device.seen == []
        assert caller.line()["status"] == "200"
    well_again(served, device)


def test_a_long_lock_refuses_starts_and_keeps_devices(served: Gateway, device: Robot) -> None:
    with locked(served):
        assert "locked" in refused(served, device)["message"]
        answers_all_the_same(served)
        assert "locked" in served.ask({"type": "status"})["store"]
        assert served.status(device.imei)["online"], "reading goes on"
    well_again(served, device)


# A disk that is full


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[str]:
    """The URL of a store on a file system of 1 MB."""
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)],
        capture_output=True, text=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"mounting is not allowed here: {made.stderr.strip()}")
    try:
        yield f"sqlite:///{folder / 'devgate.db'}"
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_refuses_starts_and_keeps_devices(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path) as store,
        knowing({}, store=store) as served,
        Robot(served, OTHER) as device,
    ):
        assert served.ask(start(device, key="first"))["status"] == "200"
        with (tmp_path / "rest").open("wb", buffering=0) as rest, contextlib.suppress(OSError):
            while True:
                rest.write(bytes(512))
        # What has been taken from the disk already may do for a few commands more.
        until_refused(served, device)
        assert "disk" in refused(served, device, key="second")["message"]
        assert "disk" in served.ask({"type": "status"})["store"]
        answers_all_the_same(served)
        (tmp_path / "rest").unlink()
        well_again(served, device)
        assert served.ask(start(device, key="second"))["status"] == "200"
        assert served.ask(start(device, key="first"))["status"] == "200"


def test_a_limit_on_files_refuses_starts_and_keeps_devices(served: Gateway, device: Robot) -> None:
    """The same where no file system can be mounted: no file may grow past about 8 KB."""
    assert served.process is not None
    before = resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (8192, before[1]))
    until_refused(served, device)
    assert "disk" in refused(served, device)["message"]
    answers_all_the_same(served)
    resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, before)
    well_again(served, device)


# PostgreSQL, stopped and started again


def test_postgresql_goes_and_comes_back_under_load(postgres: Postgres, postgres_url: str) -> None:
    with (
        knowing({}, store=postgres_url) as served,
        Robot(served, OTHER) as device,
        Robot(served, BUSY) as busy,
    ):
        told: list[str] = []
        flowed: list[str] = []  # of these, what was told since the last fault
        over = threading.Event()

        def load() -> None:
            while not over.is_set():
                flowed.append(served.ask(start(busy))["status"])
                told.append(flowed[-1])

        callers = [threading.Thread(target=load) for _ in range(4)]
        for caller in callers:
            caller.start()
        try:
            for how in (signal.SIGINT, signal.SIGQUIT):
                flowed.clear()
                eventually(flowed.copy, lambda statuses: len(statuses) >= 20)
                postgres.stop(how)
                until_refused(served, device)
                refused(served, device, key=f"order {how}")
                answers_all_the_same(served)
                assert served.ask({"type": "status"})["store"] != "ok"
                # A start whose outcome waits for the disk holds up those behind it for seconds.
                eventually(flowed.copy, lambda statuses: "503" in statuses)
                postgres.start()
                until_done(served, device)
                assert served.ask(start(device, key=f"order {how}"))["status"] == "200"
        finally:
            over.set()
            for caller in callers:
                caller.join()
        assert set(told) == {"200", "503"}
        assert told.count("200") == len(busy.seen)
        well_again(served, device)
        well_again(served, busy)
