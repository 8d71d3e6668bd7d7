"""Forms before the login: their size, their time, and what they write into the log."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import trio
from starlette.requests import Request
from trio.testing import MockClock

from devgate.http.api import arguments
from devgate.http.problems import Problem
from tests.http.harness import Site, site
from tests.http.serving.test_server import talk

MIB = 1024 * 1024
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with site({"http": {"users": "users"}}) as running:
        yield running


def head(path: str, *lines: str, kind: str = FORM) -> bytes:
    first = [f"POST {path} HTTP/1.1", "Host: a", f"Content-Type: {kind}", *lines]
    return "\r\n".join([*first, "", ""]).encode()


def first_line(served: Site, wire: bytes) -> bytes:
    """Send this, and read the first line of the answer."""
    with socket.create_connection(served.at, timeout=60) as client:
        client.sendall(wire)
        return client.makefile("rb").readline()


def memory(served: Site) -> int:
    """Bytes of the gateway's resident memory."""
    assert served.process is not None
    with open(f"/proc/{served.process.pid}/statm") as statm:
        return int(statm.read().split()[1]) * 4096


@pytest.mark.parametrize("path", ["/login", "/preferences"])
def test_a_form_has_at_most_32_kib(served: Site, path: str) -> None:
    """H3: 20 connections that post 99 fields of 1 MiB each held 2.2 GB; now no form is read
    further than 32 KiB, and the whole costs less than 20 MB."""
    assert b" 413 " in first_line(served, head(path, f"Content-Length: {99 * MIB}"))
    before = memory(served)
    chunk = b"%x\r\n%s\r\n" % (MIB, b"a=" + b"x" * (MIB - 3) + b"&")
    opened = []
    for _ in range(20):
        client = socket.create_connection(served.at, timeout=60)
        opened.append(client)
        client.settimeout(0.2)
        with contextlib.suppress(OSError):  # it reads no further
            client.sendall(head(path, "Transfer-Encoding: chunked") + chunk * 10)
    assert memory(served) - before < 20 * MIB
    for client in opened:
        client.close()
    assert httpx.get(f"{served.url}/healthz", verify=False).status_code == 200


def test_a_form_has_at_most_100_fields(served: Site) -> None:
    """H2, H3: a body of nothing but `&` held a core for as long as it came; now it is refused."""
    for body in (b"&" * 100, b"&" * 16384, urlencode({f"f{n}": n for n in range(101)}).encode()):
        got = talk(served, head("/login", f"Content-Length: {len(body)}") + body)
        assert b" 400 " in got.partition(b"\r\n")[0]
        assert b"at most 100 fields" in got
    flood = head("/login", "Content-Length: 400000000000") + b"&" * 100_000
    assert b" 413 " in first_line(served, flood)


@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=x", "multipart/form-data", "text/plain", "", "@"]
)
def test_other_forms_are_refused(served: Site, kind: str) -> None:
    """H3, L8: no multipart, whose parser also wrote a WARNING of 158 bytes for each bad one."""
    before = served.log()
    body = b'--x\r\nContent-Disposition: form-data; name="form"\r\n\r\nx\r\n--x--\r\n'
    got = talk(served, head("/login", f"Content-Length: {len(body)}", kind=kind) + body)
    assert b" 415 " in got.partition(b"\r\n")[0]
    assert served.log() == before


def test_who_hangs_up_within_a_form_writes_nothing(served: Site) -> None:
    """H4: each half form wrote 3.9 kB of traceback at ERROR, 5.4 GB an hour; now not a line."""
    before = served.log()
    for path in ("/login", "/preferences", "/logout"):
        for more in (b"a=b", b""):
            for _ in range(30):
                with socket.create_connection(served.at, timeout=60) as client:
                    client.sendall(head(path, "Content-Length: 1000") + more)
    for _ in range(30):
        with socket.create_connection(served.at, timeout=60) as client:
            client.sendall(head("/login", "Transfer-Encoding: chunked") + b"5\r\nab")
    talk(served, head("/login", "Content-Length: 1000") + b"a=b")
    with served.client() as client:
        assert client.get("/api/status").status_code == 200
    assert served.log() == before


class Slow:
    """A body that comes one byte at a time, with this many seconds between them."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.sent = 0

    async def __call__(self) -> dict[str, Any]:
        await trio.sleep(self.seconds)
        self.sent += 1
        return {"type": "http.request", "body": b"a", "more_body": True}


@pytest.mark.parametrize(("seconds", "most"), [(1000.0, 0), (29.0, 1), (10.0, 3), (1.0, 30)])
async def test_a_body_comes_in_time(autojump_clock: MockClock, seconds: float, most: int) -> None:
    """H5: a body that came byte by byte was waited for without end; now it must bring 1 KiB a
    second after the first 30 seconds."""
    slow = Slow(seconds)
    scope = {
        "type": "http", "method": "POST", "path": "/login",
        "headers": [(b"content-type", FORM.encode())],
    }  # fmt: skip
    with pytest.raises(Problem, match="too slowly") as raised:
        await arguments.form(Request(scope, slow))
    assert raised.value.status == 408
    assert slow.sent <= most
    assert trio.current_time() < 31


async def test_a_long_body_has_its_time(autojump_clock: MockClock) -> None:
    """H5: an import of 2 KiB a second is slow, and good."""
    parts = [b"x" * 2048] * 1000

    async def receive() -> dict[str, Any]:
        await trio.sleep(1.0)
        part = parts.pop()
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    assert len(await arguments.body(Request(scope, receive), 4 * MIB)) == 2048 * 1000


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/login", {"GET", "HEAD", "POST"}),
        ("/preferences", {"POST"}),
        ("/healthz", {"GET", "HEAD"}),
        ("/api/devices", {"GET", "HEAD", "POST"}),
        ("/devices/860000000000001/start", {"GET", "HEAD", "POST"}),
        ("/logout", {"POST"}),
    ],
)
def test_allow_names_every_method(served: Site, path: str, allowed: set[str]) -> None:
    """Issue 10: `Allow` of /login did not name POST."""
    with served.client() as client:
        response = client.request("PUT", path)
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == allowed
