"""Who was refused is known; whose right has ended reads no more."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
import trio
from starlette.requests import Request
from starlette.responses import Response
from trio.testing import MockClock

from devgate.access import tokens as token_file
from devgate.access.tokens import Tokens
from devgate.gateway.operations.reply import Reply, Stream
from devgate.http.api.export import Export
from devgate.http.auth import identify, keeps_right
from devgate.http.forwarded import Proxies
from devgate.http.live.sse import EventStream
from devgate.http.pages.live import frames
from devgate.http.pages.view import Visit
from devgate.http.sessions import Sessions
from devgate.http.web import Web
from devgate.store.device import COLUMNS
from tests.http.harness import Site, problem, site
from tests.http.live.test_streams import Client
from tests.http.test_metrics import look
from tests.http.visitor import visitor

TRIES = 20


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with site({"http": {"users": "users", "proxies": ["127.0.0.1", "10.0.0.0/8"]}}) as running:
        yield running


def forwarded(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


def test_a_wrong_token_is_counted_and_logged_once(served: Site) -> None:
    """M7, M5: wrong tokens move a counter; 20 of them write one line, with the client's address
    and not the proxy's."""
    with served.client() as client, served.client(None) as peer:
        before = look(client)
        for _ in range(TRIES):
            head = {"Authorization": "Bearer dg_wrong", **forwarded("6.6.6.6, 203.0.113.9")}
            problem(peer.get("/api/status", headers=head), 401, "401")
        now = look(client)
    name = "refused_total"
    assert now(name, door="http", why="token") - before(name, door="http", why="token") == TRIES
    lines = [line for line in served.log().splitlines() if "203.0.113.9" in line]
    assert len(lines) == 1, lines
    assert "6.6.6.6" not in served.log(), "what an unauthenticated peer wrote is not believed"
    assert "dg_wrong" not in served.log()


def test_a_role_that_does_not_suffice_is_counted_and_logged(served: Site) -> None:
    """M7: source, address and operation of what a role does not allow, on all three ways."""
    with served.client() as client, served.client("read") as reader, visitor(served.url) as page:
        before = look(client)
        for number, (method, path, content) in enumerate((
            ("DELETE", "/api/devices/860000000000001", b""),
            ("POST", "/api/command", b'command{"type":"refresh"}'),
        )):  # fmt: skip
            response = reader.request(
                method, path, content=content, headers=forwarded(f"198.51.100.{number}")
            )
            assert response.status_code == 403
        page.log_in(token=served.tokens["read"])
        page.get("/devices/860000000000001/start", 403)
        now = look(client)
    name = "refused_total"
    assert now(name, door="http", why="role") - before(name, door="http", why="role") == 3
    line = served.logged("198.51.100.0")
    for word in ("refused", "role", "http:read", "remove"):
        assert word in line, line
    assert "refresh" in served.logged("198.51.100.1")


@pytest.mark.parametrize(
    ("peer", "given", "client"),
    [
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["6.6.6.6", "203.0.113.9, 10.1.2.3"], "203.0.113.9"),
        ("127.0.0.1", ["10.9.9.9, 10.1.2.3"], "10.9.9.9"),
        ("127.0.0.1", ["6.6.6.6, unknown"], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("127.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("127.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["6.6.6.6" + ", 10.1.2.3" * 5000], "10.1.2.3"),
        ("", ["203.0.113.9"], ""),
    ],
)
def test_whose_request_it_is(peer: str, given: list[str], client: str) -> None:
    """M5, D5: the right-most address that is no proxy of ours, and from our proxies alone."""
    assert Proxies(["127.0.0.1", "10.0.0.0/8"]).client(peer, given) == client


async def endless() -> AsyncGenerator[Reply, None]:
    while True:
        await trio.sleep(1.0)
        yield {**dict.fromkeys(COLUMNS, "x" * 9000), "ack_timeout": 5.0}


def asked(folder: Path, client: Client) -> tuple[Web, Request]:
    """A request with the token `reader`."""
    secret = token_file.add(folder / "tokens", "reader", "read")
    tokens = Tokens(folder / "tokens")
    sessions = Sessions(b"s" * 32, None, tokens)
    web = cast("Web", SimpleNamespace(tokens=tokens, sessions=sessions, stopping=trio.Event()))
    client.scope |= {"headers": [(b"authorization", f"Bearer {secret}".encode())]}
    request = Request(client.scope)
    client.scope["devgate.caller"] = identify(web, request)
    return web, request


@pytest.mark.parametrize("kind", ["frames", "events", "export"])
async def test_a_stream_ends_with_the_right_to_it(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    """M4: whoever has lost the token reads no further than 15 seconds; the frames of a device's
    page went on without end."""
    client = Client()
    web, request = asked(tmp_path, client)
    stream = Stream({"status": "200"}, endless())

    async def dispatch(asked: object, source: str) -> Stream:
        return stream

    response: Response
    if kind == "frames":
        tapped = SimpleNamespace(dispatch=dispatch, **vars(web))
        caller = SimpleNamespace(source="http:reader")
        visit: Any = SimpleNamespace(
            web=tapped, request=request, device="1" * 15, must=lambda operation: caller
        )
        response = await frames(cast("Visit", visit))
    elif kind == "events":
        response = EventStream.of(web, request, stream, "watch")
    else:
        response = Export(web, request, stream, "export", spreadsheet=False)
    with trio.move_on_after(600):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(response, client.scope, client.receive, client.send)
            await trio.sleep(100.5)
            token_file.remove(tmp_path / "tokens", "reader")
    assert client.ended or client.cut
    assert 100 < client.got[-1][0] <= 116.5


def test_a_removed_token_keeps_no_role(tmp_path: Path) -> None:
    """M4: a reader whose token now has a role that does not suffice is refused as well."""
    client = Client.__new__(Client)
    client.scope = {"type": "http", "method": "GET", "client": ("127.0.0.1", 5), "headers": []}
    web, request = asked(tmp_path, client)
    assert isinstance(web.tokens, Tokens)
    file = tmp_path / "tokens"
    assert keeps_right(web, request, "watch")
    assert not keeps_right(web, request, "remove")
    file.write_text(file.read_text().replace("reader", "other"))
    assert not keeps_right(web, request, "watch"), "another's token"


def test_peers_are_distinguished_behind_a_proxy(served: Site) -> None:
    """M5: httpx keeps one connection to the proxy; each request on it has its own client."""
    with httpx.Client(base_url=served.url, verify=False) as client:
        for number in range(3):
            head = {"Authorization": "Bearer no", **forwarded(f"192.0.2.{100 + number}")}
            assert client.get("/api/status", headers=head).status_code == 401
    for number in range(3):
        served.logged("refused", f"192.0.2.{100 + number}")
