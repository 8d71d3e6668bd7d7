from __future__ import annotations

import contextlib
import socket

import pytest
import trio

from devgate.net.link import Link
from devgate.net.poller import ROUND_LINKS, Poller
from devgate.net.queues import LINK_READS, READ_SIZE
from tests.net.conftest import Dial, Notes, fill, give_out, received


async def test_what_arrives_is_yielded_and_answered(dial: Dial, notes: Notes) -> None:
    device, link = dial()
    notes.poller.add(link)
    device.sendall(b"023000123456787654321HT")
    await notes.until(lambda: link in notes.heard)
    assert notes.heard[link] == b"023000123456787654321HT"
    assert link.send(b"023200123456787654321HT")
    assert received(device, 23) == b"023200123456787654321HT"


async def test_what_was_there_before_it_was_added_is_yielded(dial: Dial, notes: Notes) -> None:
    device, link = dial()
    device.sendall(b"early")
    device.shutdown(socket.SHUT_WR)
    notes.poller.add(link)
    await notes.until(lambda: link in notes.ended)
    assert notes.heard[link] == b"early"


async def test_nothing_to_do_is_waited_for(dial: Dial, notes: Notes) -> None:
    device, link = dial()
    notes.poller.add(link)
    notes.round()  # that it may be written to is no news for anybody
    async with trio.open_nursery() as nursery:
        nursery.start_soon(notes.until, lambda: link in notes.heard)
        await trio.testing.wait_all_tasks_blocked()
        assert not notes.heard
        device.sendall(b"1")
    assert notes.heard == {link: b"1"}


async def test_a_flood_is_read_in_turns_and_to_its_end(dial: Dial, notes: Notes) -> None:
    flooding, flood = dial()
    calm, quiet = dial()
    notes.poller.add(flood)
    notes.poller.add(quiet)
    wire = bytes(range(256)) * (READ_SIZE // 256) * 20
    flooding.sendall(wire)
    calm.sendall(b"1")
    arrived: list[tuple[Link, bytes]] = []
    while not arrived:
        await notes.poller.wait()
        arrived = notes.round()
    assert (quiet, b"1") in arrived
    assert [link for link, _ in arrived].count(flood) == LINK_READS
    await notes.until(lambda: notes.heard[flood] == wire)
    assert notes.largest_round <= 2 * LINK_READS


async def test_a_flood_with_an_end_behind_it_is_read_to_its_end(dial: Dial, notes: Notes) -> None:
    device, link = dial()
    notes.poller.add(link)
    device.sendall(b"x" * (READ_SIZE * 9))
    device.shutdown(socket.SHUT_WR)
    await notes.until(lambda: link in notes.ended)
    assert notes.heard[link] == b"x" * (READ_SIZE * 9)


@pytest.mark.parametrize("size", [READ_SIZE - 1, READ_SIZE, READ_SIZE * LINK_READS, READ_SIZE * 5])
async def test_no_size_of_a_burst_is_left_unread(size: int, dial: Dial, notes: Notes) -> None:
    device, link = dial()
    notes.poller.add(link)
    for _ in range(3):
        notes.heard.clear()
        device.sendall(b"x" * size)
        await notes.until(lambda: len(notes.heard.get(link, b"")) == size)


async def test_many_at_once_are_served_in_bounded_rounds(dial: Dial, notes: Notes) -> None:
    devices = [dial() for _ in range(ROUND_LINKS + 40)]
    for device, link in devices:
        notes.poller.add(link)
        device.sendall(b"1")
    await notes.until(lambda: len(notes.heard) == len(devices))
    assert notes.largest_round <= ROUND_LINKS


async def test_floods_leave_room_for_others(dial: Dial, notes: Notes) -> None:
    floods = [dial() for _ in range(ROUND_LINKS)]
    for device, link in floods:
        notes.poller.add(link)
        device.sendall(b"x" * (READ_SIZE * 12))
    notes.round()
    calm, quiet = dial()
    notes.poller.add(quiet)
    calm.sendall(b"1")
    notes.round()
    assert notes.heard[quiet] == b"1", "heard in the next round"
    assert notes.largest_round <= ROUND_LINKS * LINK_READS
    await notes.until(lambda: all(len(d) == READ_SIZE * 12 for d in _of(notes, floods)))


def _of(notes: Notes, devices: list[tuple[socket.socket, Link]]) -> list[bytes]:
    return [notes.heard.get(link, b"") for _, link in devices]


async def test_draining_out_of_turn_does_not_multiply_the_turns(dial: Dial, notes: Notes) -> None:
    device, link = dial()
    notes.poller.add(link)
    device.sendall(b"x" * (READ_SIZE * 60))
    drained = [data for _ in range(5) for _, data in notes.poller.drain(link)]
    assert len(drained) == 5 * LINK_READS
    arrived = notes.round()
    assert len(arrived) == LINK_READS
    left = READ_SIZE * (60 - 6 * LINK_READS)
    notes.heard.clear()
    await notes.until(lambda: len(notes.heard.get(link, b"")) == left)


async def test_draining_says_what_is_there_and_no_more(dial: Dial, poller: Poller) -> None:
    device, link = dial()
    poller.add(link)
    assert list(poller.drain(link)) == []
    device.sendall(b"in time")
    with trio.fail_after(60):
        await trio.lowlevel.wait_readable(link.fd)
    assert list(poller.drain(link)) == [(link, b"in time")]
    poller.close(link)
    assert list(poller.drain(link)) == []


async def test_a_round_that_is_left_early_loses_nothing(dial: Dial, notes: Notes) -> None:
    devices = [dial() for _ in range(10)]
    for device, link in devices:
        notes.poller.add(link)
        device.sendall(b"x" * (READ_SIZE * 2))
    first, data = next(iter(notes.poller.arrivals()))
    notes.heard[first] = data
    await notes.until(lambda: all(len(d) == READ_SIZE * 2 for d in _of(notes, devices)))


async def test_a_link_closed_inside_a_round_is_not_heard_again(dial: Dial, poller: Poller) -> None:
    pairs = [dial(), dial()]
    for device, link in pairs:
        poller.add(link)
        device.sendall(b"x" * (READ_SIZE * 3))
    heard = []
    for link, _ in poller.arrivals():
        heard.append(link)
        for _, each in pairs:
            poller.close(each)
    assert len(heard) == 1


async def test_a_flood_closed_before_its_turn_is_not_heard_again(dial: Dial, notes: Notes) -> None:
    pairs = [dial(), dial()]
    for device, link in pairs:
        notes.poller.add(link)
        device.sendall(b"x" * (READ_SIZE * 60))
    notes.round()
    assert all(notes.poller.waits(link) for _, link in pairs), "both have more to say"
    heard = []
    for link, data in notes.poller.arrivals():
        heard.append((link, data))
        for _, each in pairs:
            notes.poller.close(each)
    assert len(heard) == 1
    assert not notes.poller.behind


async def test_a_descriptor_given_out_again_is_not_mixed_up(dial: Dial, notes: Notes) -> None:
    poller = notes.poller
    first_device, first = dial()
    second_device, second = dial()
    for device, link in ((first_device, first), (second_device, second)):
        poller.add(link)
        device.sendall(b"old")
    heard: list[tuple[Link, bytes]] = []
    fresh: list[Link] = []
    for link, data in poller.arrivals():
        heard.append((link, data))
        if not fresh:
            victim = second if link is first else first
            number = victim.fd
            poller.close(victim)
            near, far = socket.socketpair()
            far.close()
            near.setblocking(False)
            give_out(number, near.detach())
            fresh.append(Link(number))
            poller.add(fresh[0])
    assert len([data for _, data in heard if data]) == 1
    await notes.until(lambda: fresh[0] in notes.ended)
    assert fresh[0] not in notes.heard
    poller.close(fresh[0])


async def test_room_and_bytes_in_one_event_are_both_used(dial: Dial, notes: Notes) -> None:
    device, link = dial()
    notes.poller.add(link)
    sent = fill(link)
    notes.round()
    waiting = len(link.unsent)
    got = received(device, len(sent) - waiting)
    device.sendall(b"more")
    with trio.fail_after(60):
        await trio.lowlevel.wait_writable(link.fd)
        await trio.lowlevel.wait_readable(link.fd)
    notes.round()
    assert notes.heard == {link: b"more"}
    assert len(link.unsent) < waiting
    device.setblocking(False)
    while len(got) < len(sent):
        with contextlib.suppress(BlockingIOError):
            got += device.recv(65536)
        notes.round()
    assert got == sent


async def test_the_outbox_goes_out_when_there_is_room(dial: Dial, notes: Notes) -> None:
    device, link = dial()
    notes.poller.add(link)
    sent = fill(link)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(notes.until, lambda: not link.unsent)
        got = await trio.to_thread.run_sync(received, device, len(sent))
    assert got == sent


async def test_of_very_many_the_one_that_has_said_something_is_first(
    dial: Dial, notes: Notes
) -> None:
    for _ in range(ROUND_LINKS):
        notes.poller.add(dial()[1])
    device, link = dial()
    device.sendall(b"1")
    notes.poller.add(link)
    notes.poller.look_through()
    assert notes.round() == [(link, b"1")]


async def test_room_for_what_is_unsent_is_not_passed_over(dial: Dial, notes: Notes) -> None:
    device, link = dial()
    notes.poller.add(link)
    sent, came = fill(link), b""
    device.setblocking(False)
    with trio.fail_after(60):
        while len(came) < len(sent):
            with contextlib.suppress(BlockingIOError):
                came += device.recv(65536)
            notes.poller.look_through()
            notes.round()
            await trio.lowlevel.checkpoint()
    assert came == sent


async def test_what_is_forgotten_is_polled_no_more_and_stays_open(
    dial: Dial, notes: Notes
) -> None:
    device, link = dial()
    notes.poller.add(link)
    notes.poller.add(link)  # once is enough
    device.sendall(b"1")
    notes.poller.look_through()
    notes.poller.forget(link)
    assert notes.round() == []
    assert not notes.poller.behind
    notes.poller.add(link)
    assert notes.round() == [(link, b"1")]
    assert link.send(b"2")
    assert received(device, 1) == b"2"
