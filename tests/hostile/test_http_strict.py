"""Messages of HTTP that can be read in two ways are refused, and their connection is closed."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest

from tests.http.harness import Site, site

ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) ")
EXPECTED = {"another coding": b"501", "HTTP/1.2": b"505", "HTTP/2.0": b"505"}  # else 400
NEXT = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
HOST = b"Host: a\r\n"


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with site() as running:
        yield running


def answers(served: Site, wire: bytes) -> bytes:
    """All that comes until the gateway closes the connection."""
    got = b""
    with socket.create_connection(served.at, timeout=60) as client:
        client.sendall(wire)
        try:
            while part := client.recv(65536):
                got += part
        except ConnectionResetError:
            pass
    return got


AMBIGUOUS = {
    "both lengths": b"POST /login HTTP/1.1\r\n" + HOST
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, the other way round": b"GET /healthz HTTP/1.1\r\n" + HOST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"GET /healthz HTTP/1.1\r\n" + HOST
    + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "two different lengths": b"GET /healthz HTTP/1.1\r\n" + HOST
    + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "a signed length": b"GET /healthz HTTP/1.1\r\n" + HOST + b"Content-Length: +0\r\n\r\n",
    "another coding": b"GET /healthz HTTP/1.1\r\n" + HOST
    + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding in HTTP/1.0": b"GET /healthz HTTP/1.0\r\n" + HOST
    + b"Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n",
    "LF alone behind the request": b"GET /healthz HTTP/1.1\n" + HOST + b"\r\n",
    "LF alone behind a header": b"GET /healthz HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
    "LF alone at the end": b"GET /healthz HTTP/1.1\r\nHost: a\n\n",
    "CR alone": b"GET /healthz HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
    "a folded header": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: y\r\n z\r\n\r\n",
    "a space before the colon": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X : y\r\n\r\n",
    "small letters": b"get /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "NUL": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
    "HTTP/1.2": b"GET /healthz HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/2.0": b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n",
    "bad chunk": b"POST /login HTTP/1.1\r\n" + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_it_is_refused_and_nothing_behind_it_is_answered(served: Site, name: str) -> None:
    """L1: Content-Length beside Transfer-Encoding, bare LF, `get` and `HTTP/2.0` were answered,
    and so was the request behind them: behind a careless proxy that is request smuggling."""
    got = answers(served, AMBIGUOUS[name] + NEXT)
    assert ANSWER.findall(got) == [EXPECTED.get(name, b"400")], got
    assert b"connection: close" in got.lower()


def test_it_is_told_why(served: Site) -> None:
    """L1: the answer is a problem that says what was expected."""
    got = answers(served, AMBIGUOUS["both lengths"] + NEXT)
    assert b"application/problem+json" in got
    assert b"Content-Length or Transfer-Encoding expected, not both" in got
    both = b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    without_body = answers(served, b"HEAD /healthz HTTP/1.1\r\nHost: a\r\n" + both)
    assert without_body.startswith(b"HTTP/1.1 400 ")
    assert without_body.endswith(b"\r\n\r\n")


def test_a_long_head_is_told_its_bound(served: Site) -> None:
    got = answers(served, b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000)
    assert ANSWER.findall(got) == [b"431"], got
    assert re.search(rb"a head of at most \d+ bytes expected", got), got


def test_what_is_clear_is_answered(served: Site) -> None:
    """L1: bodies may hold any line ends, and several requests on one connection are fine."""
    body = b"a\nb\n\nc\r\r\n\r\nGET / HTTP/1.1\n\n"
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    chunked = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    wire = b""
    for more in (length + body, chunked, length + body):
        wire += b"POST /preferences HTTP/1.1\r\nHost: a\r\n" + more
    wire += b"OPTIONS /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    got = answers(served, wire)
    assert ANSWER.findall(got) == [b"415"] * 3 + [b"405"], got
