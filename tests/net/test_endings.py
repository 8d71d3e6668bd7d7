"""Half-closes, resets, closing: how a link ends, and what is still delivered."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import pytest
import trio

from devgate.net.link import Link
from devgate.net.poller import Poller
from tests.e2e.device import WAIT_SECONDS
from tests.net.conftest import Dial, Notes, fill, give_out, received, reset


async def test_half_closed_devices_get_their_answers(dial: Dial, notes: Notes) -> None:
    device, link = dial()
    notes.poller.add(link)
    device.sendall(b"ask")
    device.shutdown(socket.SHUT_WR)
    await notes.until(lambda: link in notes.heard)
    assert link.send(b"answer")
    await notes.until(lambda: link in notes.ended)
    notes.poller.close(link)
    assert received(device, 99) == b"answer"


async def test_a_half_closed_device_gets_a_full_outbox_before_the_end(
    dial: Dial, notes: Notes
) -> None:
    device, link = dial()
    notes.poller.add(link)
    sent = fill(link)
    device.shutdown(socket.SHUT_WR)
    for _ in range(3):
        notes.round()
    assert link not in notes.ended, "its answers come first"
    got = b""
    device.settimeout(0.005)  # it reads slowly; meanwhile the poller has its turns
    while link not in notes.ended:
        with contextlib.suppress(TimeoutError):
            got += device.recv(4096)
        notes.round()
    notes.poller.close(link)
    device.settimeout(WAIT_SECONDS)
    assert got + received(device, len(sent)) == sent


async def test_a_device_that_closes_over_a_full_outbox_ends(dial: Dial, notes: Notes) -> None:
    device, link = dial()
    notes.poller.add(link)
    fill(link)
    device.close()
    await notes.until(lambda: link in notes.ended)


async def test_a_reset_in_mid_frame_ends_that_link_alone(dial: Dial, notes: Notes) -> None:
    device, link = dial()
    other_device, other = dial()
    notes.poller.add(link)
    notes.poller.add(other)
    device.sendall(b"0230001234")
    reset(device)
    other_device.sendall(b"1")
    await notes.until(lambda: link in notes.ended and other in notes.heard)
    assert notes.heard[link] == b"0230001234", "what came before it is not lost"
    assert notes.ended == {link: "reset by the device"}


async def test_a_reset_over_a_full_outbox_ends_the_link(dial: Dial, notes: Notes) -> None:
    device, link = dial()
    notes.poller.add(link)
    fill(link)
    device.sendall(b"last words")
    reset(device)
    await notes.until(lambda: link in notes.ended)
    assert notes.heard[link] == b"last words"
    assert link.why == "reset by the device"


async def test_the_end_of_a_link_that_broke_meanwhile_is_told(dial: Dial, notes: Notes) -> None:
    device, link = dial()
    notes.poller.add(link)
    link.max_unsent = 0
    while link.send(b"x" * 1000):
        pass
    device.sendall(b"1")
    device.shutdown(socket.SHUT_WR)
    await notes.until(lambda: link in notes.ended)
    assert link.why == "it does not read"


async def test_closing_delivers_what_the_kernel_has(dial: Dial, poller: Poller) -> None:
    device, link = dial()
    poller.add(link)
    assert link.send(b"farewell")
    poller.close(link)
    assert received(device, 99) == b"farewell"
    assert not link.send(b"too late")


async def test_aborting_resets(dial: Dial, poller: Poller) -> None:
    device, link = dial()
    poller.add(link)
    fill(link)
    poller.close(link, abort=True)
    with pytest.raises(ConnectionResetError):
        received(device, 1 << 30)


async def test_closing_twice_does_not_close_somebody_elses(dial: Dial, poller: Poller) -> None:
    _device, link = dial()
    poller.add(link)
    number = link.fd
    poller.close(link)
    give_out(number, os.open(os.devnull, os.O_RDONLY))
    poller.close(link)
    poller.close(link, abort=True)
    os.close(number)  # it was still open


async def test_what_cannot_be_polled_is_closed_all_the_same(
    tmp_path: Path, poller: Poller
) -> None:
    (tmp_path / "file").write_bytes(b"")
    link = Link(os.open(tmp_path / "file", os.O_RDONLY))
    number = link.fd
    with pytest.raises(PermissionError):  # the kernel polls no files
        poller.add(link)
    poller.close(link)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


async def test_all_outboxes_are_flushed_at_the_end(dial: Dial, poller: Poller) -> None:
    device, link = dial()
    poller.add(link)
    sent = fill(link)
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            assert await trio.to_thread.run_sync(received, device, len(sent)) == sent

        nursery.start_soon(read)
        assert await poller.flush_all(trio.current_time() + WAIT_SECONDS) == 0


async def test_flushing_ends_at_its_deadline(dial: Dial, poller: Poller) -> None:
    for _ in range(2):
        _device, link = dial()
        poller.add(link)
        fill(link)
    _device, idle = dial()
    poller.add(idle)
    deadline = trio.current_time() + 0.05
    assert await poller.flush_all(deadline) == 2
    assert trio.current_time() >= deadline


async def test_closing_the_poller_wakes_its_reader(dial: Dial) -> None:
    poller = Poller()
    _device, link = dial()
    poller.add(link)
    list(poller.arrivals())
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await poller.wait()

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        await poller.aclose()
        await poller.aclose()
    poller.close(link)  # its owner comes last, and that is well
