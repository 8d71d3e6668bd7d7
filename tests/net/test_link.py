from __future__ import annotations

import contextlib
import os
import socket

from hypothesis import given
from hypothesis import strategies as st

from devgate.net.link import MAX_UNSENT, Link
from tests.net.conftest import Dial, fill, received, reset


def test_what_is_sent_arrives(dial: Dial) -> None:
    device, link = dial()
    assert link.send(b"023200123456787654321HT")
    assert not link.unsent
    assert received(device, 23) == b"023200123456787654321HT"


def test_what_the_kernel_does_not_take_waits_in_order(dial: Dial) -> None:
    device, link = dial()
    sent = fill(link)
    link.max_unsent = 100_000
    for n in range(500):
        piece = b"<%d>" % n
        assert link.send(piece)
        sent += piece
    got = b""
    while len(got) < len(sent):
        got += device.recv(65536)
        assert link.flush()
    assert got == sent
    assert not link.unsent


def test_a_device_that_never_reads_loses_its_link_at_the_bound(dial: Dial) -> None:
    _device, link = dial()
    fill(link)
    link.max_unsent = 70_000
    most = 0
    while link.send(b"x" * 100):
        most = max(most, len(link.unsent))
    assert most <= 70_000 < most + 100
    assert link.broken
    assert link.why == "it does not read"
    assert not link.unsent, "nobody keeps what will never be sent"


def test_a_broken_link_is_never_written_to_again(dial: Dial) -> None:
    device, link = dial()
    link.max_unsent = 0
    sent = 0
    while link.send(b"x" * 1000):
        sent += 1000
    assert not link.send(b"after")
    assert not link.flush()
    device.settimeout(0.05)
    got = b""
    try:
        while data := device.recv(65536):
            got += data
    except TimeoutError:
        pass
    assert set(got) == set(b"x")


def test_the_default_bound_is_the_documented_one() -> None:
    assert MAX_UNSENT == Link(-1).max_unsent == 65536


def test_sending_to_one_that_is_gone_fails_without_raising(dial: Dial) -> None:
    device, link = dial()
    reset(device)
    sent = [link.send(b"x") for _ in range(3)]
    assert sent[-1] is False
    assert link.why == "reset by the device"


def test_a_plain_link_says_what_its_socket_says(dial: Dial) -> None:
    _device, link = dial()
    assert link.receive(b"1") == b"1"
    assert link.receive(b"") == b""


def test_the_first_reason_counts() -> None:
    link = Link(-1)
    assert link.end("first") == b""
    link.end("second")
    assert link.why == "first"


@given(st.lists(st.binary(min_size=1, max_size=3000), max_size=60), st.data())
def test_bytes_stay_in_order_however_the_device_reads(
    pieces: list[bytes], data: st.DataObject
) -> None:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        link = Link(near.fileno(), max_unsent=1 << 20)
        got = b""
        for piece in pieces:
            assert link.send(piece)
            if data.draw(st.booleans()):
                with contextlib.suppress(BlockingIOError):
                    got += os.read(far.fileno(), data.draw(st.integers(1, 8192)))
                assert link.flush()
        while len(got) < sum(map(len, pieces)):
            got += os.read(far.fileno(), 8192)
            assert link.flush()
    assert got == b"".join(pieces)
