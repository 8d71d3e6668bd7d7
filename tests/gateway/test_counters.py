"""Counting, where a wrong number would be believed."""

from __future__ import annotations

import socket
from collections.abc import Set
from contextlib import aclosing

import pytest

from devgate.events.kinds import Event
from devgate.events.log import EventLog, EventPage
from devgate.gateway.counters import HT, QR, TN, FrameCounts, Histogram, RequestCounts
from devgate.net.link import Link
from devgate.net.poller import Poller
from tests.e2e.device import frame


def test_several_requests_in_one_read_are_told_apart() -> None:
    counts = FrameCounts()
    imei = "123456787654321"
    for commands in (["TN"] * 3, ["TN", "QR", "HT", "TN"], ["HT", "HT"]):
        counts.quickly("".join(frame("000", imei, command) for command in commands).encode())
    assert [counts.quick[place] for place in (TN, QR, HT)] == [5, 1, 3]
    assert sum(counts.quick) == 9


def test_a_bound_is_in_its_own_bucket() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.0, 1.0, 1.5, 2.0, 2.1):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 1]
    assert histogram.total == pytest.approx(6.6)


async def test_a_poller_that_does_not_come_to_its_links_is_noticed() -> None:
    poller, counts = Poller(), FrameCounts()
    near, far = socket.socketpair()
    near.setblocking(False)
    link = Link(near.detach())
    poller.add(link)
    with far:
        assert [data for _, data in poller.arrivals()] == []
        counts.look(1.0, poller.pending())
        assert counts.progress == 1.0, "there is nothing to do"
        far.send(b"1")
        assert poller.pending()
        counts.look(2.0, poller.pending())
        assert counts.progress == 1.0
        assert [data for _, data in poller.arrivals()] == [b"1"], "looking took nothing away"
        counts.rounds += 1
        counts.look(3.0, poller.pending())
        assert counts.progress == 3.0
        poller.close(link)
    await poller.aclose()


async def test_the_slowest_reader_of_events_is_known() -> None:
    async def page(after: int, until: int, limit: int, types: Set[str]) -> EventPage:
        return EventPage((), after + 1, after)

    log = EventLog(0, page)
    log.publish([Event(0.0, "device.online", None, None, "{}", n) for n in (1, 2, 3, 4, 5)])
    assert (log.readers, log.lag) == (0, 0)
    async with aclosing(log.follow(0)) as slow, aclosing(log.follow(3)) as quick:
        await anext(slow)
        await anext(quick)
        await anext(quick)
        assert (log.readers, log.lag) == (2, 5)
        await anext(slow)
        assert log.lag == 4
    assert (log.readers, log.lag) == (0, 0)


def test_requests_are_counted_by_way_in_whoever_asked() -> None:
    counts = RequestCounts()
    counts.asked["start", "socket", "done"] += 1
    counts.asked["start", "tcp:till", "done"] += 2
    counts.asked["start", "tcp:office", "done"] += 3
    counts.asked["start", "tcp:office", "refused"] += 1
    assert dict(counts.by_way()) == {
        ("start", "socket", "done"): 1,
        ("start", "tcp", "done"): 5,
        ("start", "tcp", "refused"): 1,
    }
