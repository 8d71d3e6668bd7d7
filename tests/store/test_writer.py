"""Group commits: what is written together, who is called back, and what survives an outage."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from devgate.errors import StoreError
from devgate.store.gathering import GATHER_ENTRIES, GATHER_SECONDS
from devgate.store.writer import Writer
from tests.store.disk import Disk, Inline, outage, running
from tests.writing import flushed, written


async def test_rows_that_wait_together_are_committed_together(disk: Disk, writer: Inline) -> None:
    async with trio.open_nursery() as nursery:
        for name in "abcde":
            nursery.start_soon(written, writer, [name])
        await wait_all_tasks_blocked()
        writer.post(["f"])
        await writer.once()
    [commit] = disk.commits
    assert sorted(commit) == list("abcdef")


async def posted_alone(writer: Inline, count: int) -> None:
    """That many rows are posted, each in a turn of the loop of its own."""
    for number in range(count):
        writer.post([f"alone {number}"])
        await wait_all_tasks_blocked()


async def posted_together(writer: Inline, count: int) -> None:
    """That many rows are on disk by one commit."""
    for number in range(count):
        writer.post([f"together {number}"])
    await flushed(writer)


async def test_what_is_posted_after_many_gathers(
    disk: Disk, writer: Inline, autojump_clock: MockClock
) -> None:
    """In a storm of registrations each commit costs more than its rows."""
    async with running(writer):
        await posted_together(writer, GATHER_ENTRIES)
        await posted_alone(writer, 3)
        assert len(disk.commits) == 1 + 3
        disk.commits.clear()
        await posted_together(writer, GATHER_ENTRIES + 1)
        await posted_alone(writer, 3)
        assert len(disk.commits) == 1
        await trio.sleep(GATHER_SECONDS)
        await wait_all_tasks_blocked()
        assert disk.commits[1:] == [["alone 0", "alone 1", "alone 2"]]
        await posted_alone(writer, 3)
        assert len(disk.commits) == 2 + 3


@pytest.mark.parametrize("wait", [lambda writer: written(writer, ["urgent"]), flushed])
async def test_whoever_waits_for_a_commit_ends_the_gathering(
    disk: Disk,
    writer: Inline,
    autojump_clock: MockClock,
    wait: Callable[[Inline], Awaitable[None]],
) -> None:
    async with running(writer):
        await posted_together(writer, GATHER_ENTRIES + 1)
        await posted_alone(writer, 3)
        began = trio.current_time()
        await wait(writer)
        assert trio.current_time() == began
        assert len(disk.commits) == 2
        assert disk.commits[1][:3] == ["alone 0", "alone 1", "alone 2"]


async def test_what_gathers_is_known_when_the_writer_ends(
    disk: Disk, writer: Inline, autojump_clock: MockClock
) -> None:
    async with running(writer):
        await posted_together(writer, GATHER_ENTRIES + 1)
        await posted_alone(writer, 3)
    assert len(disk.commits) == 1
    assert writer.unwritten == ["alone 0", "alone 1", "alone 2"]


async def test_what_comes_during_a_commit_is_the_next_group() -> None:
    """With the real thread: a thousand commands cost tens of commits."""
    commits: list[list[str]] = []
    begun, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def commit(rows: Sequence[str]) -> list[str]:
        begun.release()
        assert go_on.acquire(timeout=60)
        commits.append(list(rows))
        return []

    writer: Writer[str, list[str]] = Writer(commit, lambda done: None, outage)
    async with running(writer), trio.open_nursery() as nursery:
        nursery.start_soon(written, writer, ["first"])
        assert await trio.to_thread.run_sync(lambda: begun.acquire(timeout=60))
        for number in range(1000):
            nursery.start_soon(written, writer, [str(number)])
        await wait_all_tasks_blocked()
        go_on.release(2)
    assert [len(commit) for commit in commits] == [1, 1000]


async def test_rows_are_written_in_the_order_in_which_they_came(
    disk: Disk, writer: Inline
) -> None:
    """Urgent or not: an event must not get a number before what led to it."""
    async with trio.open_nursery() as nursery:
        writer.post(["device online"])
        nursery.start_soon(written, writer, ["command sent"])
        await wait_all_tasks_blocked()
        writer.post(["device offline"])
        await writer.once()
    assert disk.rows == ["device online", "command sent", "device offline"]


async def test_what_is_committed_is_published_before_anybody_hears_of_it(
    disk: Disk, writer: Inline
) -> None:
    async with running(writer):
        await written(writer, ["a", "b"])
        assert disk.published == [["a", "b"]]


async def test_f9_what_cannot_be_told_is_committed_once_all_the_same(disk: Disk) -> None:
    """F9: a lack of memory behind a commit was taken for a failed commit: its rows were written
    again, and events had two numbers."""

    def publish(rows: list[str]) -> None:
        if not disk.published:
            disk.published.append([])
            raise MemoryError
        disk.published.append(rows)

    writer = Inline(disk.commit, publish, outage)
    async with running(writer):
        await written(writer, ["a", "b"])
        await written(writer, ["c"])
    assert disk.rows == ["a", "b", "c"]
    assert disk.published == [[], ["c"]]
    assert writer.lost == 0


async def test_a_flush_waits_for_all_that_was_posted(disk: Disk, writer: Inline) -> None:
    async with running(writer):
        await flushed(writer)
        assert disk.commits == [], "nothing to wait for"
        for number in range(5):
            writer.post([str(number)])
        await flushed(writer)
        assert len(disk.rows) == 5


async def test_a_write_that_is_cancelled_is_written_all_the_same(
    disk: Disk, writer: Inline
) -> None:
    with trio.move_on_after(0):
        await written(writer, ["a"])
    await writer.once()
    assert disk.rows == ["a"]


async def test_nobody_is_told_of_rows_that_a_stopping_writer_leaves(
    disk: Disk, writer: Inline
) -> None:
    """A writer that is cancelled before its commit has written nothing."""
    told: list[BaseException | None] = []

    async def write() -> None:
        try:
            await written(writer, ["a"])
        except StoreError as err:
            told.append(err)
        else:
            told.append(None)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await wait_all_tasks_blocked()
        with trio.CancelScope() as stops:
            stops.cancel()
            await writer.once()
    assert disk.rows == []
    assert [str(err) for err in told] == ["the gateway stops"]


async def test_nobody_waits_for_a_writer_that_has_ended(
    writer: Inline, autojump_clock: MockClock
) -> None:
    """Those who wait may be shielded from what ended it."""
    told: list[str] = []

    async def write(name: str) -> None:
        with trio.CancelScope(shield=True), pytest.raises(StoreError):
            await written(writer, [name])
        told.append(name)

    async with trio.open_nursery() as nursery:
        async with running(writer) as service:
            await wait_all_tasks_blocked()
            nursery.start_soon(write, "early")
            service.cancel_scope.cancel()
        await write("late")
        with trio.move_on_after(60) as patience:
            await flushed(writer)
    assert sorted(told) == ["early", "late"]
    assert patience.cancelled_caught
    assert writer.state == "the gateway stops"
