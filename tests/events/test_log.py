"""Whoever follows from a number sees every event once, in order."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Set
from contextlib import aclosing

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from devgate.events import log as module
from devgate.events.kinds import Event
from devgate.events.log import EventLog, EventPage
from tests.events.pages import page_of


def some(n: int, type: str = "device.online") -> Event:
    return Event(1_700_000_000.0 + n, type, "1" * 15, None, "{}", n)


class Table:
    """The events that are on disk."""

    def __init__(self, *numbers: int) -> None:
        self.events = [some(n) for n in numbers]
        self.asked: list[int] = []

    async def page(self, after: int, until: int, limit: int, types: Set[str]) -> EventPage:
        self.asked.append(after)
        await trio.lowlevel.checkpoint()
        return page_of(self.events, after, until, limit, types)


def add(table: Table, log: EventLog, *numbers: int) -> None:
    events = [some(n) for n in numbers]
    table.events += events
    log.publish(events)


async def read(log: EventLog, after: int | None, count: int) -> list[int]:
    got: list[int] = []
    with trio.fail_after(60):
        async with aclosing(log.follow(after)) as events:
            async for event in events:
                got.append(event.n)
                if len(got) == count:
                    break
    return got


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RING_EVENTS", 4)
    monkeypatch.setattr(module, "PAGE_EVENTS", 3)


async def test_from_now_on() -> None:
    table = Table(1, 2, 3)
    log = EventLog(3, table.page)
    assert log.last == 3
    got: list[int] = []

    async def follow() -> None:
        got.extend(await read(log, None, 2))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await wait_all_tasks_blocked()
        add(table, log, 4, 5)
    assert got == [4, 5]
    assert table.asked == [], "who keeps up never asks the database"


async def test_from_before_this_run() -> None:
    table = Table(*range(1, 8))
    log = EventLog(7, table.page)
    add(table, log, 8, 9)
    assert await read(log, 2, 7) == [3, 4, 5, 6, 7, 8, 9]


@pytest.mark.usefixtures("small")
async def test_across_database_and_memory() -> None:
    table = Table()
    log = EventLog(0, table.page)
    for n in range(1, 31):
        add(table, log, n)
    assert await read(log, 0, 30) == list(range(1, 31))
    assert max(table.asked) < 27, "the last four are in memory"


@pytest.mark.usefixtures("small")
async def test_a_slow_reader_misses_nothing_and_holds_nothing_up() -> None:
    table = Table()
    log = EventLog(0, table.page)
    got: list[int] = []
    async with aclosing(log.follow(0)) as events:
        for burst in (1, 2, 10, 3, 1, 20):
            add(table, log, *range(log.last + 1, log.last + 1 + burst))
            got.append((await anext(events)).n)
        while len(got) < log.last:
            got.append((await anext(events)).n)
    assert got == list(range(1, 38))


@pytest.mark.usefixtures("small")
async def test_what_is_no_longer_kept_is_passed_over() -> None:
    table = Table(5, 6, 7)
    log = EventLog(7, table.page)
    assert await read(log, 1, 3) == [5, 6, 7]


@pytest.mark.usefixtures("small")
async def test_a_table_that_somebody_emptied_does_not_hang_its_readers() -> None:
    table = Table()
    log = EventLog(9, table.page)
    got: list[int] = []

    async def follow() -> None:
        got.extend(await read(log, 2, 2))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await wait_all_tasks_blocked()
        add(table, log, 10, 11)
    assert got == [10, 11]


@given(
    st.integers(0, 8),
    st.integers(0, 8),
    st.lists(st.tuples(st.integers(1, 6), st.integers(0, 9)), max_size=8),
)
@settings(max_examples=60)
def test_no_gap_and_no_repeat_whatever_the_pace(
    old: int, after: int, steps: list[tuple[int, int]]
) -> None:
    """Bursts of events are published, and between them a reader takes some of what there is."""
    after = min(after, old)

    async def go() -> None:
        table = Table(*range(1, old + 1))
        log = EventLog(old, table.page)
        log._ring = deque(maxlen=4)
        got: list[int] = []
        async with aclosing(log.follow(after)) as events:
            for burst, takes in steps:
                add(table, log, *range(log.last + 1, log.last + 1 + burst))
                room = min(takes, log.last - after - len(got))
                got += [(await anext(events)).n for _ in range(room)]
            while len(got) < log.last - after:
                got.append((await anext(events)).n)
        assert got == list(range(after + 1, log.last + 1))

    trio.run(go)


def test_the_line_of_an_event() -> None:
    event = Event(1_700_000_000.25, "command.ended", "1" * 15, "01K", json.dumps({"x": 1}), 4711)
    assert event.line() == {
        "event": 4711,
        "at": "2023-11-14T22:13:20.250Z",
        "type": "command.ended",
        "imei": "1" * 15,
        "command": "01K",
        "x": 1,
    }
    assert "command" not in some(1).line()


async def test_events_that_were_not_published_are_read_from_the_database() -> None:
    table = Table(1, 2)
    log = EventLog(2, table.page)
    add(table, log, 3)
    table.events += [some(4)]  # committed, and memory was short
    add(table, log, 5, 6)
    assert await read(log, 2, 4) == [3, 4, 5, 6]
    assert await read(log, 4, 2) == [5, 6]


ENDED = frozenset({"command.ended"})


async def test_a_reader_of_one_type_passes_over_the_others() -> None:
    table = Table()
    table.events = [
        some(n, "command.ended" if n == 700 else "device.online") for n in range(1, 901)
    ]
    log = EventLog(900, table.page)
    with log.reading(0, ENDED) as reader:
        page = await reader.more()
        assert ([event.n for event in page.events], page.first, page.end) == ([700], 1, 900)
        assert table.asked == [0], "the noise is no page of its own"
        assert log.lag == 900
        reader.position = page.end
        assert log.lag == 0


@pytest.mark.usefixtures("small")
async def test_what_is_in_memory_is_passed_over_as_well() -> None:
    table = Table()
    log = EventLog(0, table.page)
    log.publish([some(1), some(2, "command.ended"), some(3), some(4)])
    with log.reading(0, ENDED) as reader:
        page = await reader.more()
        assert ([event.n for event in page.events], page.first, page.end) == ([2], 1, 3)
        reader.position = page.end
        assert await reader.more() == ([], 4, 4)
    assert table.asked == []


@pytest.mark.usefixtures("small")
async def test_a_reader_of_one_type_knows_what_is_no_longer_kept() -> None:
    table = Table()
    table.events = [some(n, "command.ended" if n == 8 else "device.online") for n in (6, 7, 8, 9)]
    log = EventLog(9, table.page)
    with log.reading(2, ENDED) as reader:
        page = await reader.more()
        assert ([event.n for event in page.events], page.first, page.end) == ([8], 6, 9)


async def test_nothing_is_read_that_was_not_published() -> None:
    """A commit that was not published yet may be lost, and its numbers used again."""
    table = Table(1, 2, 3, 4)
    log = EventLog(2, table.page)
    with log.reading(0) as reader:
        page = await reader.more()
        assert ([event.n for event in page.events], page.end) == ([1, 2], 2)


async def test_an_empty_table_is_passed_over_and_said() -> None:
    table = Table()
    log = EventLog(9, table.page)
    with log.reading(2, ENDED) as reader:
        assert await reader.more() == ((), 10, 9)
