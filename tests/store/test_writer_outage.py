"""A writer whose database is away, or refuses rows: what waits and is given up, and callbacks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from devgate.store import writer as module
from devgate.store.condition import MAX_RETRY_SECONDS, RETRY_SECONDS
from devgate.store.outage import outage as store_outage
from devgate.store.writer import Writer
from tests.store.disk import Away, Disk, Inline, outage, running
from tests.writing import flushed, written


async def test_a_failed_write_fails_its_waiters_and_is_never_written_later(
    disk: Disk, writer: Inline, autojump_clock: MockClock
) -> None:
    disk.away = "the disk is full"
    writer.post(["kept"])
    async with running(writer):
        with pytest.raises(Away, match="full"):
            await written(writer, ["urgent"])
        assert writer.state == "the disk is full"
        disk.away = ""
        await flushed(writer)
        assert disk.rows == ["kept"]
        assert writer.state == "ok"


async def test_posted_rows_survive_an_outage_in_order_and_merge_by_key(
    disk: Disk, writer: Inline, autojump_clock: MockClock
) -> None:
    disk.away = "the database is locked"
    async with running(writer):
        writer.post(["1"])
        writer.post(["x old"], "x")
        writer.post(["y"], "y")
        await trio.sleep(1)
        writer.post(["2"])
        writer.post(["x new"], "x")
        await trio.sleep(30)
        writer.post(["3"])
        disk.away = ""
        await flushed(writer)
    assert disk.rows == ["1", "y", "2", "x new", "3"]
    assert len(disk.commits) == 1
    assert writer.lost == 0


async def test_an_outage_is_asked_about_in_growing_pauses(
    autojump_clock: MockClock,
) -> None:
    times: list[float] = []

    def commit(rows: Sequence[str]) -> list[str]:
        times.append(trio.current_time())
        raise Away("away")

    writer = Inline(commit, lambda done: None, outage)
    writer.post(["kept"])
    async with running(writer):
        await trio.sleep(10)
    assert times[:6] == pytest.approx([0, 0.1, 0.3, 0.7, 1.5, 3.1])
    assert times[6] - times[5] == pytest.approx(MAX_RETRY_SECONDS)
    assert times[1] == pytest.approx(RETRY_SECONDS)


async def test_a_row_that_is_urgent_does_not_wait_for_the_pause(
    disk: Disk, writer: Inline, autojump_clock: MockClock
) -> None:
    disk.away = "away"
    writer.post(["kept"])
    async with running(writer):
        await trio.sleep(20)
        disk.away = ""
        before = trio.current_time()
        await written(writer, ["urgent"])
        assert trio.current_time() == before
        assert disk.rows == ["kept", "urgent"]


async def test_a_flush_never_returns_while_the_database_is_away(
    disk: Disk, writer: Inline, autojump_clock: MockClock
) -> None:
    disk.away = "away"
    writer.post(["kept"])
    async with running(writer):
        for wait in (0.01, 0.05, 1, 100):  # in a commit, in a pause, and between them
            with trio.move_on_after(wait) as patience:
                await flushed(writer)
            assert patience.cancelled_caught


def _presence(row: str) -> bool:
    return row.startswith("presence")


async def test_one_bad_row_does_no_harm_to_the_others(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Inline(disk.commit, disk.published.append, outage, disposable=_presence)
    disk.bad = {"bad", "presence"}
    outcomes: list[str] = []

    async def write(name: str) -> None:
        try:
            await written(writer, [name])
        except ValueError as err:
            outcomes.append(f"{name}: {err}")
        else:
            outcomes.append(name)

    async with trio.open_nursery() as nursery:
        for name in ("a", "bad", "b"):
            nursery.start_soon(write, name)
        await wait_all_tasks_blocked()
        writer.post(["presence"])
        writer.post(["c"])
        with caplog.at_level(logging.CRITICAL, logger="devgate.store"):
            await writer.once()
    assert sorted(outcomes) == ["a", "b", "bad: no such column: bad"]
    assert sorted(disk.rows) == ["a", "b", "c"]
    assert writer.lost == 1
    assert writer.state == "ok"


async def test_an_outage_while_refused_rows_are_looked_for_loses_nothing(
    disk: Disk, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    tries = 0

    def commit(rows: Sequence[str]) -> list[str]:
        nonlocal tries
        tries += 1
        disk.away = "locked" if tries == 3 else ""
        return disk.commit(rows)

    writer = Inline(commit, disk.published.append, outage, disposable=_presence)
    disk.bad = {"presence"}
    told: list[str] = []

    async def urgent() -> None:
        await written(writer, ["urgent"])
        told.append("on disk")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(urgent)
        await wait_all_tasks_blocked()
        writer.post(["a"])
        writer.post(["presence"])
        writer.post(["b"])
        with caplog.at_level(logging.CRITICAL, logger="devgate.store"):
            await writer.once()  # urgent is written; then the database goes away
            assert disk.rows == ["urgent"]
            assert writer.state == "locked"
            async with running(writer):
                await flushed(writer)
    assert told == ["on disk"]
    assert disk.rows == ["urgent", "a", "b"]
    assert writer.lost == 1


async def test_rows_past_the_limit_are_given_up_and_counted(
    disk: Disk, writer: Inline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_POSTED", 3)
    for number in range(5):
        writer.post([str(number)], droppable=True)
    writer.post(["keyed"], "key")
    writer.post(["a command's"])
    await writer.once()
    assert disk.rows == ["0", "1", "2", "keyed", "a command's"]
    assert writer.lost == 2


async def test_f2_a_posted_row_that_is_refused_stays_and_says_why(
    disk: Disk, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    """F2: whatever the error, an outcome is not given up, and all behind it keep their order."""
    writer = Inline(disk.commit, disk.published.append, outage, disposable=_presence)
    disk.bad = {"outcome"}
    on_disk: list[bool] = []
    writer.post(["before"])
    writer.post(["outcome", "its event"])
    writer.post(["behind"])
    writer.flush(on_disk.append)
    with caplog.at_level(logging.CRITICAL, logger="devgate.store"):
        async with running(writer):
            await trio.sleep(60)
            assert disk.rows == ["before"]
            assert writer.state == "the store refuses rows: no such column: outcome"
            assert (on_disk, writer.lost) == ([False], 0)
            assert writer.unwritten == ["outcome", "its event", "behind"]
            disk.bad = set()
            await flushed(writer)
    assert disk.rows == ["before", "outcome", "its event", "behind"]
    assert disk.commits[-1] == ["outcome", "its event", "behind"]


async def test_f2_of_an_entry_only_the_row_that_may_be_given_up_is(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """F2: a presence that the database refuses leaves its event."""
    writer = Inline(disk.commit, disk.published.append, outage, disposable=_presence)
    disk.bad = {"presence"}
    writer.post(["presence", "its event"])
    with caplog.at_level(logging.CRITICAL, logger="devgate.store"):
        await writer.once()
    assert (disk.rows, writer.lost, writer.state) == (["its event"], 1, "ok")


async def test_f2_no_thread_for_a_commit_is_an_outage(disk: Disk) -> None:
    """F2: the errors of a process at its limits are outages with a sentence."""
    for err, words in (
        (RuntimeError("can't start new thread"), "no thread can be started"),
        (MemoryError(), "no memory is left"),
        (OSError(24, "Too many open files"), "Too many open files"),
    ):
        assert words in str(store_outage(err))
    assert store_outage(ValueError("ours")) is None


async def test_f10_a_commit_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """F10: after SLOW seconds it is the state, and nobody waits longer for what was posted."""
    monkeypatch.setattr(module, "SLOW_SECONDS", 0.05)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    begun, go_on = threading.Event(), threading.Event()

    def commit(rows: Sequence[str]) -> list[str]:
        begun.set()
        assert go_on.wait(60)
        return list(rows)

    writer: Writer[str, list[str]] = Writer(commit, lambda done: None, outage)
    on_disk: list[bool] = []
    later = trio.Event()
    async with running(writer):
        writer.post(["a"])
        assert await trio.to_thread.run_sync(begun.wait, 10)
        told = trio.Event()

        def tell(there: bool) -> None:
            on_disk.append(there)
            told.set()

        writer.flush(tell)
        writer.write(["urgent"], lambda error: later.set())
        await told.wait()
        assert on_disk == [False]
        assert writer.state.startswith("a commit has been under way for ")
        assert not later.is_set(), "whether that one is on disk will be known"
        go_on.set()
        await later.wait()
        assert (writer.state, on_disk) == ("ok", [False])
