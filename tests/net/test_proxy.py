from __future__ import annotations

import itertools
import socket
import struct

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from devgate.net.filters import plug
from devgate.net.limits import Crowds
from devgate.net.proxy import BINARY, MAX_BLOCK, MAX_LINE, BadHeader, Preamble, ProxyHeader
from tests.net.conftest import Dial, Notes

HT = b"023000123456787654321HT"


def block(command: int, family: int, body: bytes, size: int | None = None) -> bytes:
    """A header of version 2."""
    size = len(body) if size is None else size
    return BINARY + struct.pack("!BBH", command, family, size) + body


FOUR = socket.inet_aton("192.0.2.7") + socket.inet_aton("10.0.0.1") + struct.pack("!HH", 40001, 80)
SIX = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::7")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + struct.pack("!HH", 40002, 80)
)
MAPPED = socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.7") + SIX[16:]
OPTIONS = b"\x04\x00\x04abcd"

GOOD = [
    (b"PROXY TCP4 192.0.2.7 10.0.0.1 40001 12306\r\n", "192.0.2.7:40001"),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 40002 12306\r\n", "[2001:db8::7]:40002"),
    (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 40002 12306\r\n", "192.0.2.7:40002"),
    (b"PROXY UNKNOWN\r\n", ""),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", ""),
    (b"PROXY UNKNOWN " + b"x" * (MAX_LINE - 16) + b"\r\n", ""),
    (block(0x21, 0x11, FOUR), "192.0.2.7:40001"),
    (block(0x21, 0x11, FOUR + OPTIONS), "192.0.2.7:40001"),
    (block(0x21, 0x21, SIX), "[2001:db8::7]:40002"),
    (block(0x21, 0x21, MAPPED), "192.0.2.7:40002"),
    (block(0x21, 0x31, b"/" * 216), ""),
    (block(0x21, 0x00, OPTIONS), ""),
    (block(0x20, 0x00, b""), ""),
    (block(0x20, 0x11, FOUR), ""),
    (block(0x20, 0xFF, b"?"), ""),
    (block(0x21, 0x11, FOUR + b"\x04" * (MAX_BLOCK - 12)), "192.0.2.7:40001"),
]  # fmt: skip


@pytest.mark.parametrize(("header", "address"), GOOD)
def test_a_header_may_be_cut_anywhere(header: bytes, address: str) -> None:
    wire = header + HT
    for cut in range(len(wire) + 1) if len(wire) < 300 else (1, 12, 15, 16, 17, len(header) - 1):
        preamble = Preamble()
        got = preamble.feed(wire[:cut])
        rest = wire[cut:]
        if got is None:
            got, rest = preamble.feed(rest), b""
        assert isinstance(got, ProxyHeader)
        assert got.address == address
        assert got.first_bytes + rest == HT


@pytest.mark.parametrize(("header", "address"), GOOD[:-1])
def test_a_header_may_come_byte_by_byte(header: bytes, address: str) -> None:
    preamble = Preamble()
    got = [preamble.feed(header[n : n + 1]) for n in range(len(header))]
    assert got == [None] * (len(header) - 1) + [ProxyHeader(address, b"")]


BAD = [
    HT,
    b"1",
    b"GET / HTTP/1.1\r\n",
    b"\x16\x03\x01\x02\x00",
    b"PROXY TCP5 192.0.2.7 10.0.0.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2 3\r\n",
    b"PROXY TCP4  192.0.2.7 10.0.0.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.777 10.0.0.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 nobody 1 2\r\n",
    b"PROXY TCP4 ::1 ::1 1 2\r\n",
    b"PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n",
    b"PROXY TCP6 fe80::1%lo ::1 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 65536 2\r\n",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 1 -2\r\n",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 1 000002\r\n",
    b"PROXY TCP4 \xff\xfe 10.0.0.1 1 2\r\n",
    b"PROXY \r\n",
    b"PROXY " + b"x" * (MAX_LINE - 6),
    block(0x11, 0x11, FOUR),
    block(0x22, 0x11, FOUR),
    block(0x21, 0x12, FOUR),
    block(0x21, 0x77, FOUR),
    block(0x21, 0x11, FOUR[:-1]),
    block(0x21, 0x21, SIX[:-1]),
    block(0x21, 0x11, b"", MAX_BLOCK + 1),
]


@pytest.mark.parametrize("wire", BAD)
def test_what_is_no_header_is_refused_as_soon_as_that_is_clear(wire: bytes) -> None:
    got = Preamble().feed(wire)
    assert isinstance(got, BadHeader)
    assert "PROXY header" in got.why


@given(st.binary(max_size=300), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", BINARY]))
def test_no_bytes_raise_or_are_kept_without_bound(data: bytes, start: bytes) -> None:
    preamble = Preamble()
    for byte in start + data:
        if (got := preamble.feed(bytes([byte]))) is not None:
            assert isinstance(got, ProxyHeader | BadHeader)
            return
    assert len(start + data) < (MAX_LINE if start[:5] == b"PROXY" else 16 + MAX_BLOCK)


@given(
    st.ip_addresses(),
    st.integers(0, 65535),
    st.booleans(),
    st.lists(st.integers(0, 80), max_size=5),
)
def test_every_source_is_read_back_however_it_is_cut(
    host: object, port: int, text: bool, cuts: list[int]
) -> None:
    six = ":" in str(host)
    packed = socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, str(host))
    if text:
        header = f"PROXY TCP{6 if six else 4} {host} {host} {port} 12306\r\n".encode()
    else:
        header = block(0x21, 0x21 if six else 0x11, packed * 2 + struct.pack("!HH", port, 1))
    preamble = Preamble()
    got: ProxyHeader | BadHeader | None = None
    rest = b""
    for start, stop in itertools.pairwise([0, *sorted(min(c, len(header)) for c in cuts), None]):
        piece = (header + HT)[start:stop]
        if got is None:
            got = preamble.feed(piece)
        else:
            rest += piece
    assert isinstance(got, ProxyHeader)
    assert got.first_bytes + rest == HT
    read, _, back = got.address.rpartition(":")
    assert int(back) == port
    kind = socket.AF_INET6 if read.startswith("[") else socket.AF_INET
    assert packed.endswith(socket.inet_pton(kind, read.strip("[]")))


async def test_the_desk_sees_the_devices_bytes_and_address(dial: Dial, notes: Notes) -> None:
    device, link = dial()
    plug(link, proxy=True)
    notes.poller.add(link)
    device.sendall(GOOD[0][0][:20])
    with trio.fail_after(60):
        await trio.lowlevel.wait_readable(link.fd)
    assert notes.round() == [], "half a header is nothing to the desk"
    assert link.address == "127.0.0.1:1"
    device.sendall(GOOD[0][0][20:] + HT)
    await notes.until(lambda: link in notes.heard)
    assert notes.heard[link] == HT
    assert link.address == "192.0.2.7:40001"
    assert link.inbound is None, "from here on it costs nothing"
    device.sendall(b"1")
    await notes.until(lambda: notes.heard[link] == HT + b"1")


async def test_a_device_is_counted_where_its_header_says_that_it_is(
    dial: Dial, notes: Notes
) -> None:
    crowds = Crowds()
    device, link = dial()
    plug(link, proxy=True, enter=crowds.enter)
    notes.poller.add(link)
    device.sendall(GOOD[0][0] + HT)
    await notes.until(lambda: link in notes.heard)
    assert link.crowd is not None
    assert (link.crowd.network, link.crowd.inside) == ("192.0.2.7", 1)


async def test_a_flood_behind_a_header_is_read_to_its_end(dial: Dial, notes: Notes) -> None:
    device, link = dial()
    plug(link, proxy=True)
    notes.poller.add(link)
    device.sendall(GOOD[-1][0] + b"x" * 20_000)
    device.shutdown(socket.SHUT_WR)
    await notes.until(lambda: link in notes.ended)
    assert notes.heard[link] == b"x" * 20_000
    assert notes.ended[link] == ""


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (HT, "no PROXY header; is the sender a load balancer that writes one?"),
        (BAD[4], "bad PROXY header: TCP4 or TCP6, two addresses, two ports expected"),
        (b"PROXY TCP", "closed before its PROXY header"),
        (GOOD[0][0], "too many connections from its address 192.0.2.7:40001"),
    ],
)
async def test_a_link_without_a_good_header_ends(
    wire: bytes, why: str, dial: Dial, notes: Notes
) -> None:
    device, link = dial()
    plug(link, proxy=True, enter=lambda address: None)
    notes.poller.add(link)
    device.sendall(wire)
    device.shutdown(socket.SHUT_WR)
    await notes.until(lambda: link in notes.ended)
    assert notes.ended == {link: why}
    assert notes.heard == {}
    assert link.address == "127.0.0.1:1"
