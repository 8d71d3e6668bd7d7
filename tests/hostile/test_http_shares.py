"""How much of the HTTP door one token has: streams, and requests under way."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from devgate.http.problems import Problem
from devgate.http.serving.quota import MAX_REQUESTS, Quota
from tests.e2e.caller import eventually
from tests.http.harness import Site, site
from tests.http.test_metrics import look


@pytest.fixture
def fresh() -> Iterator[Site]:
    """One that has not just been filled with connections: their ends come when they come."""
    with site() as running:
        yield running


def test_a_token_has_32_streams(fresh: Site) -> None:
    """M12: one `read` token opened 105,600 streams; now it has 32, and the next is a 429. When
    one has ended, there is room again."""
    request = (
        "GET /api/events/stream HTTP/1.1\r\nHost: a\r\n"
        f"Authorization: Bearer {fresh.tokens['read']}\r\n\r\n"
    ).encode()

    def stream() -> socket.socket:
        client = socket.create_connection(fresh.at, timeout=60)
        client.sendall(request)
        return client

    clients = [stream() for _ in range(32)]
    for client in clients:
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    with stream() as one_more:
        one_more.shutdown(socket.SHUT_WR)
        answer = one_more.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 429 "), answer
        assert b"retry-after: 1" in answer.lower()
        assert b"read has 32 streams" in answer
    with fresh.client() as admin:
        assert admin.get("/api/status").status_code == 200, "others have their own share"
        assert look(admin)("refused_total", door="http", why="share") == 1
    for client in clients:
        client.close()
    with fresh.client() as admin:
        eventually(lambda: look(admin)("event_readers"), lambda count: count == 0)
    with stream() as again:
        assert again.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_a_token_has_a_share_of_the_connections(fresh: Site) -> None:
    """M12: 200 connections of a `read` token; now it has 64, and the next is refused."""
    request = (
        f"GET /api/sites HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {fresh.tokens['read']}"
        "\r\n\r\n"
    ).encode()
    with ExitStack() as opened:
        answers = []
        for _ in range(66):
            client = opened.enter_context(socket.create_connection(fresh.at, timeout=60))
            client.sendall(request)
            answers.append(client.recv(4096).split(b" ")[1])
    assert answers == [b"200"] * 64 + [b"429"] * 2


def test_a_share_is_given_back() -> None:
    """M12: requests under way, and that they are counted by caller."""
    quota = Quota()
    with ExitStack() as under_way:
        for _ in range(MAX_REQUESTS["read"]):
            under_way.enter_context(quota.request("http:a", "read"))
        with pytest.raises(Problem, match="a has 64 requests under way"):
            under_way.enter_context(quota.request("http:a", "read"))
        under_way.enter_context(quota.request("http:b", "read"))
    with quota.request("http:a", "read"):
        pass
    assert not quota._requests
