from __future__ import annotations

import contextlib
import socket
import ssl

import pytest
import trio
import trustme

from devgate.net.filters import plug
from devgate.net.link import Link
from devgate.net.poller import Poller
from devgate.net.tls import Tls, context
from tests.net.conftest import Dial, Notes
from tests.net.papers import Papers

HT = b"023000123456787654321HT"


async def echo(notes: Notes) -> None:
    """Answer everything in capitals until cancelled."""
    while True:
        await notes.poller.wait()
        for link, data in notes.round():
            if data:
                link.send(data.upper())


def dressed(device: socket.socket, client: ssl.SSLContext) -> trio.SSLStream[trio.SocketStream]:
    device.setblocking(False)
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(device))
    return trio.SSLStream(stream, client, server_hostname="gate.example")


async def read(stream: trio.SSLStream[trio.SocketStream], size: int) -> bytes:
    got = b""
    with trio.fail_after(60):
        while len(got) < size and (data := await stream.receive_some()):
            got += data
    return got


async def ended(notes: Notes, link: Link) -> None:
    """Wait until the end of `link` is noted; an error after five seconds."""
    with trio.fail_after(60):
        while link not in notes.ended:  # noqa: ASYNC110 - noted by the echo's rounds
            await trio.sleep(0.005)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_desk_sees_plain_bytes(
    version: ssl.TLSVersion, papers: Papers, dial: Dial, notes: Notes
) -> None:
    device, link = dial()
    plug(link, tls=papers.server())
    notes.poller.add(link)
    client = papers.client()
    client.maximum_version = version
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo, notes)
        stream = dressed(device, client)
        await stream.send_all(b"023000123456787654321ht")
        assert await read(stream, 23) == HT
        await stream.aclose()
        await ended(notes, link)
        nursery.cancel_scope.cancel()
    assert notes.heard[link] == b"023000123456787654321ht"
    assert notes.ended == {link: ""}
    notes.poller.close(link)


async def test_much_goes_through_in_both_directions(
    papers: Papers, dial: Dial, notes: Notes
) -> None:
    device, link = dial()
    link.max_unsent = 1 << 20
    plug(link, tls=papers.server())
    notes.poller.add(link)
    wire = bytes(range(97, 123)) * 10_000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo, notes)
        stream = dressed(device, papers.client())
        await stream.do_handshake()
        async with trio.open_nursery() as both:
            both.start_soon(stream.send_all, wire)
            assert await read(stream, len(wire)) == wire.upper()
        assert link.send(b"<" + wire + b">"), "more than one record at once"
        assert await read(stream, len(wire) + 2) == b"<" + wire + b">"
        await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()


async def test_bytes_and_a_farewell_in_one_read_are_both_heard(
    papers: Papers, dial: Dial, notes: Notes
) -> None:
    device, link = dial()
    plug(link, tls=papers.server())
    notes.poller.add(link)
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = papers.client().wrap_bio(inward, outward, server_hostname="gate.example")
    device.setblocking(False)

    def shaken() -> bool:
        with contextlib.suppress(BlockingIOError):
            inward.write(device.recv(65536))
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            device.sendall(outward.read())
            return False
        device.sendall(outward.read())
        return True

    with trio.fail_after(60):
        while not shaken():
            await trio.sleep(0.002)
            notes.round()
    tls.write(HT)
    with pytest.raises(ssl.SSLWantReadError):
        tls.unwrap()
    device.sendall(outward.read())
    await notes.until(lambda: link in notes.ended)
    assert notes.heard[link] == HT
    assert link.send(b"answer"), "it may still be answered"


async def test_closing_says_farewell(papers: Papers, dial: Dial, notes: Notes) -> None:
    device, link = dial()
    plug(link, tls=papers.server())
    notes.poller.add(link)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo, notes)
        stream = dressed(device, papers.client())
        await stream.do_handshake()
        await stream.send_all(b"x")
        assert await read(stream, 1) == b"X"
        notes.poller.close(link)
        assert await read(stream, 1) == b"", "in good order, or it were a BrokenResourceError"
        await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()


async def test_an_end_without_farewell_is_an_end(papers: Papers, dial: Dial, notes: Notes) -> None:
    device, link = dial()
    plug(link, tls=papers.server())
    notes.poller.add(link)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo, notes)
        stream = dressed(device, papers.client())
        await stream.do_handshake()
        await stream.send_all(b"x")
        assert await read(stream, 1) == b"X"
        await trio.aclose_forcefully(stream)
        await ended(notes, link)
        nursery.cancel_scope.cancel()
    assert notes.heard[link] == b"x"
    assert notes.ended == {link: ""}


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (HT, "TLS handshake failed: "),
        (b"GET / HTTP/1.1\r\n\r\n", "TLS handshake failed: http request"),
        (b"\x16\x03\x01", "TLS handshake failed: closed by the device"),
        (b"", "TLS handshake failed: closed by the device"),
    ],
)
async def test_who_does_not_speak_tls_is_sent_away(
    wire: bytes, why: str, papers: Papers, dial: Dial, notes: Notes
) -> None:
    device, link = dial()
    plug(link, tls=papers.server())
    notes.poller.add(link)
    device.sendall(wire)
    device.shutdown(socket.SHUT_WR)
    await notes.until(lambda: link in notes.ended)
    assert link.why.startswith(why)
    assert not notes.heard


@pytest.mark.parametrize("known", [True, False, None])
async def test_only_devices_of_the_client_ca_get_in(
    known: bool | None, papers: Papers, dial: Dial, notes: Notes
) -> None:
    device, link = dial()
    plug(link, tls=context(papers.certificate, papers.key, papers.client_ca))
    notes.poller.add(link)
    client = papers.client()
    if known is not None:
        maker = papers.ca if known else trustme.CA()
        maker.issue_cert("device.example").configure_cert(client)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo, notes)
        stream = dressed(device, client)
        if known:
            await stream.send_all(b"x")
            assert await read(stream, 1) == b"X"
        else:
            with pytest.raises(trio.BrokenResourceError):
                await read(stream, 1)
            await ended(notes, link)
            assert link.why.startswith("TLS handshake failed: ")
        await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()
    assert notes.heard == ({link: b"x"} if known else {})


async def test_a_proxy_header_comes_ahead_of_the_hello(
    papers: Papers, dial: Dial, notes: Notes
) -> None:
    device, link = dial()
    plug(link, proxy=True, tls=papers.server())
    notes.poller.add(link)
    device.sendall(b"PROXY TCP4 192.0.2.7 10.0.0.1 40001 12306\r\n")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo, notes)
        stream = dressed(device, papers.client())
        await stream.send_all(b"x")
        assert await read(stream, 1) == b"X"
        await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()
    assert link.address == "192.0.2.7:40001"


async def test_nothing_can_be_sent_before_the_handshake(
    papers: Papers, dial: Dial, poller: Poller
) -> None:
    device, link = dial()
    plug(link, tls=papers.server())
    poller.add(link)
    assert link.send(b"")
    assert not link.send(b"too early")
    assert link.broken
    poller.close(link)
    assert device.recv(99) == b"", "least of all in the clear"


def test_a_hello_may_be_cut_anywhere(papers: Papers) -> None:
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    device = papers.client().wrap_bio(inward, outward, server_hostname="gate.example")
    server = Tls(papers.server())
    plain = b""
    for _ in range(4):
        try:
            device.do_handshake()
            device.write(HT)
            break
        except ssl.SSLWantReadError:
            wire = outward.read()
        for n in range(len(wire)):
            turn = server.receive(wire[n : n + 1])
            assert not turn.closed
            inward.write(turn.wire)
    wire = outward.read()
    for n in range(len(wire)):
        turn = server.receive(wire[n : n + 1])
        plain += turn.plain
        inward.write(turn.wire)
    assert plain == HT
    inward.write(server.send(b"answer"))
    assert device.read(99) == b"answer"


def test_no_bytes_raise(papers: Papers) -> None:
    server = papers.server()
    for first in range(256):
        tls = Tls(server)
        turns = [tls.receive(bytes([first]) * 100), tls.receive(b"more"), tls.receive(b"")]
        assert turns[-1].closed
        assert tls.why.startswith("TLS handshake failed")
        assert tls.send(b"x") == b""
        assert tls.close() == b""
