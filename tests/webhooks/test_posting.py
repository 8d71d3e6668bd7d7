"""One request and what becomes of it, over real sockets."""

from __future__ import annotations

import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from time import time

import pytest
import trio
import trustme

from devgate import __version__
from devgate.config.webhook import key_of
from devgate.webhooks import poster as module
from devgate.webhooks.poster import MAX_ANSWER_BYTES, MAX_WAIT_SECONDS, Outcome, Poster, judged
from tests.e2e.device import WAIT_SECONDS
from tests.webhooks.receiver import SECRET, Answer, receiving

KEY = key_of(SECRET)


@asynccontextmanager
async def posting_to(url: str, *, allow_private: bool = True) -> AsyncIterator[Poster]:
    poster = Poster(url, KEY, allow_private=allow_private, max_connections=4)
    try:
        yield poster
    finally:
        await poster.aclose()


async def test_a_post_is_signed_json_and_its_connection_is_kept() -> None:
    with receiving() as receiver:
        async with posting_to(receiver.url("/a?b=c")) as poster:
            for n in range(3):
                assert (await poster.post(f"evt_{n}", b"{}")).kind == "delivered"
        assert [(got.path, got.id, got.body) for got in receiver.taken] == [
            ("/a?b=c", f"evt_{n}", b"{}") for n in range(3)
        ]
        assert all(got.genuine for got in receiver.taken)
        headers = receiver.taken[0].headers
        assert headers["content-type"] == "application/json"
        assert headers["user-agent"] == f"devgate/{__version__}"
        assert abs(int(headers["webhook-timestamp"]) - time()) < 60
        assert receiver.connections == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, "delivered"), (202, "delivered"), (299, "delivered"), (400, "refused"),
     (401, "refused"),
     (404, "refused"), (500, "refused"), (408, "ill"), (429, "ill"), (502, "ill"), (503, "ill"),
     (504, "ill"), (410, "gone"), (301, "refused"), (308, "refused")],
)  # fmt: skip
async def test_what_a_status_means(status: int, kind: str) -> None:
    with receiving(lambda got: Answer(status, {"location": "/elsewhere"})) as receiver:
        async with posting_to(receiver.url()) as poster:
            outcome = await poster.post("evt_1", b"{}")
        assert outcome.kind == kind
        assert str(status) in outcome.text
        assert [got.path for got in receiver.got] == ["/hook"], "redirects are not followed"


@pytest.mark.parametrize(
    ("header", "min_wait", "max_wait"),
    [("7", 7, 7), (" 7 ", 7, 7), ("0", 0, 0), ("soon", 0, 0),
     ("999999999", MAX_WAIT_SECONDS, MAX_WAIT_SECONDS),
     ("-5", 0, 0), ("", 0, 0), ("9" * 30, 0, 0), ("Fri, 31 Dec 99999 00:00:00 GMT", 0, 0),
     ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0)],
)  # fmt: skip
async def test_retry_after(header: str, min_wait: float, max_wait: float) -> None:
    with receiving(lambda got: Answer(429, {"retry-after": header})) as receiver:
        async with posting_to(receiver.url()) as poster:
            outcome = await poster.post("evt_1", b"{}")
    assert min_wait <= outcome.wait <= max_wait


async def test_retry_after_as_a_date() -> None:
    with receiving(lambda got: Answer(503, {"Retry-After": formatdate(time() + 100)})) as receiver:
        async with posting_to(receiver.url()) as poster:
            outcome = await poster.post("evt_1", b"{}")
    assert 50 < outcome.wait <= 100


async def test_a_body_without_end_is_not_read() -> None:
    sent = 0

    def parts() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 0x1000
            yield b"1000\r\n" + b"x" * 0x1000 + b"\r\n"

    def endless(got: object) -> Answer:
        return Answer(200, {"transfer-encoding": "chunked"}, parts())

    with receiving(endless) as receiver:
        async with posting_to(receiver.url()) as poster:
            with trio.fail_after(60):
                for n in range(2):
                    assert (await poster.post(f"evt_{n}", b"{}")).kind == "delivered"
        assert receiver.connections == 2, "one whose answer was not read is not used again"
    assert sent >= MAX_ANSWER_BYTES


async def test_a_header_without_end_is_not_read() -> None:
    with receiving(lambda got: Answer(200, {"x": "y" * 1_000_000})) as receiver:
        async with posting_to(receiver.url()) as poster:
            assert (await poster.post("evt_1", b"{}")).kind == "ill"


async def test_one_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.1)
    asleep = threading.Event()

    def sleep(got: object) -> Answer:
        asleep.wait(WAIT_SECONDS)
        return Answer()

    with receiving(sleep) as receiver:
        async with posting_to(receiver.url()) as poster:
            assert await poster.post("evt_1", b"{}") == Outcome("ill", "no answer within 0.1 s")
            asleep.set()
            monkeypatch.setattr(module, "TIMEOUT_SECONDS", WAIT_SECONDS)
            assert (await poster.post("evt_2", b"{}")).kind == "delivered"


async def test_one_that_closes_without_an_answer() -> None:
    with receiving(lambda got: Answer(0)) as receiver:
        async with posting_to(receiver.url()) as poster:
            outcome = await poster.post("evt_1", b"{}")
    assert outcome.kind == "ill"
    assert "disconnected" in outcome.text


async def test_one_that_is_not_there() -> None:
    with receiving() as receiver:
        url = receiver.url()
    async with posting_to(url) as poster:
        outcome = await poster.post("evt_1", b"{}")
    assert outcome.kind == "ill"
    assert "connect" in outcome.text


async def test_a_private_address_is_refused_in_words() -> None:
    with receiving() as receiver:
        async with posting_to(receiver.url(), allow_private=False) as poster:
            outcome = await poster.post("evt_1", b"{}")
        assert outcome.kind == "ill"
        assert "127.0.0.1, which is not a public address; set allow_private" in outcome.text
        assert receiver.connections == 0


@pytest.fixture
def authority(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> trustme.CA:
    """An authority that this process trusts alone."""
    ca = trustme.CA()
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return ca


def served_by(ca: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    return context


async def test_tls_with_the_right_name(authority: trustme.CA) -> None:
    with receiving(tls=served_by(authority, "localhost")) as receiver:
        async with posting_to(receiver.url(scheme="https", host="localhost")) as poster:
            assert (await poster.post("evt_1", b"{}")).kind == "delivered"


@pytest.mark.parametrize(
    "make", [lambda ca: (ca, "elsewhere.example"), lambda ca: (trustme.CA(), "localhost")]
)
async def test_tls_with_a_wrong_name_or_of_an_unknown_authority(
    authority: trustme.CA, make: Callable[[trustme.CA], tuple[trustme.CA, str]]
) -> None:
    with receiving(tls=served_by(*make(authority))) as receiver:
        async with posting_to(receiver.url(scheme="https", host="localhost")) as poster:
            outcome = await poster.post("evt_1", b"{}")
        assert outcome.kind == "ill"
        assert "certificate verify failed" in outcome.text
        assert receiver.got == []


def test_every_status_means_something() -> None:
    assert {judged(status, 0.0).kind for status in range(200, 600)} == {
        "delivered", "refused", "ill", "gone",
    }  # fmt: skip
