"""Floods at the HTTP port: how much of them is worked off at a time, and when they end."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
from collections.abc import Iterator

import pytest

from devgate.http.serving.frames import CONTROL_BURST, FRAMES_A_TURN, PREFACE_BYTES, FrameMeter
from tests.http.harness import Site, site
from tests.http.serving.test_server import talk
from tests.http.test_metrics import look
from tests.net.papers import Papers

HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)[:3] + b"\x04" + bytes(5)
CALM = 11  # ENHANCE_YOUR_CALM


def frame(kind: int, payload: bytes, stream: int = 0, flags: int = 0) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


GET = b"\x82\x87\x84\x41\x01a"  # GET https / of host a, in HPACK
FLOODS = {
    "WINDOW_UPDATE": [frame(8, (1).to_bytes(4, "big"))] * 2000,
    "SETTINGS": [frame(4, b"")] * 2000,
    "PING": [frame(6, bytes(8))] * 2000,
    "PRIORITY": [frame(2, bytes(4) + b"\x0f", n * 2 + 1) for n in range(2000)],
    "unknown": [frame(0xBE, b"")] * 2000,
    "rapid reset": [
        frame(1, GET, n * 2 + 1, 5) + frame(3, (8).to_bytes(4, "big"), n * 2 + 1)
        for n in range(2000)
    ],
    "empty DATA": [frame(1, GET, 1, 4)] + [frame(0, b"", 1)] * 2000,
}


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def served(papers: Papers) -> Iterator[Site]:
    tls = {"certificate": str(papers.certificate), "key": str(papers.key)}
    with site({"http": {"tls": tls}}) as running:
        yield running


@pytest.fixture(scope="module")
def plain() -> Iterator[Site]:
    with site() as running:
        yield running


def http2(served: Site, papers: Papers) -> ssl.SSLSocket:
    trust = papers.client()
    trust.set_alpn_protocols(["h2"])
    raw = socket.create_connection(served.at, timeout=60)
    return trust.wrap_socket(raw, server_hostname="gate.example")


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_of_control_frames_is_ended(served: Site, papers: Papers, kind: str) -> None:
    """H2: 300 connections of WINDOW_UPDATE frames made a start take 9 s. Now a connection ends
    with ENHANCE_YOUR_CALM after CONTROL_BURST frames, whatever their kind."""
    got, few, many = b"", FLOODS[kind][: CONTROL_BURST + 44], FLOODS[kind]
    with http2(served, papers) as client:
        client.sendall(HELLO + b"".join(few))
        while data := client.recv(65536):
            got += data
    assert farewells(got) == [CALM]
    with http2(served, papers) as client, contextlib.suppress(OSError):
        client.sendall(HELLO)
        while True:  # until the gateway has closed it
            client.sendall(b"".join(many))


def farewells(wire: bytes) -> list[int]:
    """The error codes of all GOAWAY frames."""
    codes, at = [], 0
    while at < len(wire):
        length, kind = int.from_bytes(wire[at : at + 3], "big"), wire[at + 3]
        if kind == 7:
            codes.append(int.from_bytes(wire[at + 13 : at + 17], "big"))
        at += 9 + length
    return codes


def test_the_flood_is_counted_and_logged_once(served: Site, papers: Papers) -> None:
    """M7: what ends a flood moves `devgate_refused_total`, and all of them write one line."""
    at = f"https://localhost:{served.at[1]}"
    with served.client(base_url=at, verify=papers.client()) as client:
        head = {"sni_hostname": "gate.example"}
        client.get("/api/status", extensions=head)
        for _ in range(3):
            test_a_flood_of_control_frames_is_ended(served, papers, "PING")
    assert served.log().count('"refused"') <= 1


def test_the_pages_of_a_browser_are_no_flood() -> None:
    """H2: one who reads 10 MB and acknowledges each 32 KiB stays far below the bound."""
    meter = FrameMeter()
    wire = HELLO + frame(1, GET, 1, 5) + frame(8, bytes(4), 1) * 320
    assert b"".join(meter.cut(wire)) == wire
    assert meter.control == 321
    assert meter.control <= CONTROL_BURST + 10_000_000 / 4096


@pytest.mark.parametrize("seed", range(5))
def test_frames_are_cut_wherever_they_are_split(seed: int) -> None:
    """H2: no piece has more than FRAMES_A_TURN frames, and no byte is lost."""
    chance = random.Random(seed)
    frames = [frame(chance.choice([0, 1, 4, 6, 8]), bytes(chance.choice([0, 4, 300])), 1)
              for _ in range(500)]  # fmt: skip
    wire = bytes(PREFACE_BYTES) + b"".join(frames)
    whole = FrameMeter()
    list(whole.cut(wire))
    meter, pieces, at = FrameMeter(), [], 0
    while at < len(wire):
        step = chance.choice([1, 5, 9, 100, 2048])
        pieces += list(meter.cut(wire[at : at + step]))
        at += step
    assert b"".join(pieces) == wire
    assert meter.control == whole.control
    starts = {PREFACE_BYTES + sum(map(len, frames[:n])) for n in range(len(frames))}
    at = 0
    for piece in FrameMeter().cut(wire):
        assert len(starts & set(range(at, at + len(piece)))) <= FRAMES_A_TURN
        at += len(piece)


@pytest.mark.parametrize(
    "wire",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, b""),
        b"PRI * HTTP/2.0\r\n\r\n",
    ],
)
def test_no_http2_without_tls(plain: Site, wire: bytes) -> None:
    """H2: HTTP/2 by prior knowledge needs no login and no TLS; now it is refused."""
    with socket.create_connection(plain.at, timeout=60) as client:
        client.sendall(wire)
        got = b""
        while part := client.recv(65536):
            got += part
    assert got.startswith(b"HTTP/1.1 505 "), got


def test_no_upgrade_to_http2(plain: Site) -> None:
    """L1: `Upgrade: h2c` was taken, even with broken settings; now it is ignored, as HTTP asks."""
    got = talk(
        plain,
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n",
    )
    assert got.startswith(b"HTTP/1.1 200 "), got
    assert b"101" not in got.partition(b"\r\n")[0]


def test_garbage_writes_one_line(plain: Site) -> None:
    """H4: 300 connections of garbage write one line of the log, and no traceback."""
    lines = len(plain.log().splitlines())
    wires = [b"\x16\x03\x01\x02\x00" * 40, b"\r\n\r\n\r\n", b"GET / HTTP/1.1\r\n: x\r\n\r\n",
             b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
             b"\xff" * 20_000, b"GET / HTTP/1.1\r\nHost: a\r\n"]  # fmt: skip
    for number in range(300):
        talk(plain, wires[number % len(wires)])
    with plain.client() as client:
        assert look(client)("refused_total", door="http", why="protocol") >= 150
    assert len(plain.log().splitlines()) - lines <= 1
