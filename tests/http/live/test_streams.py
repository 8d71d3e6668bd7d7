"""How long a stream waits for its reader, by the clock of the test."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from devgate.errors import StoreError
from devgate.gateway.operations.reply import Reply, Stream
from devgate.http.live import sse
from devgate.http.live.sse import EventStream

Chunk = tuple[float, bytes]


class Client:
    """The far end of one ASGI request: it takes each piece as long as `slow` says."""

    def __init__(self, slow: Callable[[int], float] = lambda number: 0.0) -> None:
        self.got: list[Chunk] = []
        self.cut = self.ended = False
        self.gone = trio.Event()
        self._slow = slow
        self.scope: dict[str, Any] = {
            "type": "http", "method": "GET", "client": ("127.0.0.1", 5), "devgate.cut": self._cut,
        }  # fmt: skip

    def _cut(self) -> None:
        self.cut = True
        self.gone.set()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            return
        self.ended = not message["more_body"]
        if not self.ended:
            await trio.sleep(self._slow(len(self.got)))
            self.got.append((trio.current_time(), message["body"]))

    @property
    def text(self) -> bytes:
        return b"".join(body for _, body in self.got)


async def lines(*waits: float) -> AsyncGenerator[Reply, None]:
    for number, wait in enumerate(waits, 1):
        await trio.sleep(wait)
        yield {"event": number}
    await trio.sleep_forever()


def stream(
    source: AsyncGenerator[Reply, None],
    stopping: trio.Event | None = None,
    known: Callable[[], bool] = lambda: True,
) -> EventStream:
    event = trio.Event() if stopping is None else stopping
    return EventStream(Stream({"status": "200"}, source), event, known)


async def serve(response: EventStream, client: Client, until: float) -> None:
    with trio.move_on_at(until):
        await response(client.scope, client.receive, client.send)


async def test_silence_is_broken_in_time(autojump_clock: MockClock) -> None:
    client = Client()
    await serve(stream(lines(20.0)), client, 50.0)
    assert [(at, body) for at, body in client.got[1:]] == [
        (15.0, b": beat\n\n"),
        (20.0, b'id: 1\ndata: {"event":1}\n\n'),
        (35.0, b": beat\n\n"),
    ]


async def test_events_that_wait_go_out_together(autojump_clock: MockClock) -> None:
    client = Client()
    await serve(stream(lines(*[0.0] * 50)), client, 1.0)
    assert client.text.count(b"id: ") == 50
    # How many wait at a look depends on the order in which trio runs reader and writer.
    assert len(client.got) < 25


async def test_who_reads_slowly_is_told_and_cut_off(autojump_clock: MockClock) -> None:
    client = Client(lambda number: 11.0 if number == 2 else 0.0)
    await serve(stream(lines(1.0, 1.0, 1.0)), client, 100.0)
    assert client.got[-1][0] == 13.0
    assert client.got[-1][1].startswith(b'event: cut\ndata: {"message":"you read too slowly')
    assert client.ended
    assert not client.cut


async def test_who_reads_nothing_is_cut_off(autojump_clock: MockClock) -> None:
    client = Client(lambda number: 1000.0 if number == 1 else 0.0)
    await serve(stream(lines(1.0, 1.0)), client, 500.0)
    assert client.cut
    assert len(client.got) == 1


async def test_a_stream_ends_with_its_gateway(autojump_clock: MockClock) -> None:
    client, stopping = Client(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, stream(lines(1.0), stopping), client, 500.0)
        await trio.sleep(5.0)
        stopping.set()
    assert trio.current_time() == 5.0
    assert client.text.endswith(b'event: cut\ndata: {"message":"the gateway stops"}\n\n')


async def test_a_stream_ends_with_its_token(autojump_clock: MockClock) -> None:
    client = Client()
    known = iter([True, False])
    await serve(stream(lines(*[10.0] * 20), known=lambda: next(known)), client, 500.0)
    assert b"not known any longer" in client.got[-1][1]
    assert client.got[-1][0] == 40.0


async def test_a_stream_ends_when_the_past_cannot_be_read(autojump_clock: MockClock) -> None:
    async def broken() -> AsyncGenerator[Reply, None]:
        yield {"event": 1}
        raise StoreError("the database is away")

    client = Client()
    await serve(stream(broken()), client, 500.0)
    assert client.text.endswith(b'event: cut\ndata: {"message":"the database is away"}\n\n')
    assert b"id: 1\n" in client.text


async def test_a_client_that_goes_ends_its_stream(autojump_clock: MockClock) -> None:
    client, ended = Client(), trio.Event()

    async def watched() -> AsyncGenerator[Reply, None]:
        try:
            await trio.sleep_forever()
            yield {}
        finally:
            ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, stream(watched()), client, 500.0)
        await trio.sleep(5.0)
        client.gone.set()
    assert trio.current_time() == 5.0
    assert ended.is_set()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ({"event": 5, "a": "b\nc"}, b'id: 5\ndata: {"event":5,"a":"b\\nc"}\n\n'),
        ({"missed": 3}, b'event: missed\ndata: {"missed":3}\n\n'),
        ({"at": None}, b'data: {"at":null}\n\n'),
    ],
)
def test_a_line_as_an_event(line: Reply, text: bytes) -> None:
    assert sse.event(line) == text


class Attached:
    """Lines that are attached to something until they are closed, read or not."""

    closed = False

    def __aiter__(self) -> AsyncIterator[Reply]:
        return self

    async def __anext__(self) -> Reply:
        await trio.sleep_forever()

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_its_lines_are_closed_whatever_was_asked(
    autojump_clock: MockClock, method: str
) -> None:
    client, attached = Client(), Attached()
    client.scope["method"] = method
    response = EventStream(Stream({"status": "200"}, attached), trio.Event(), lambda: True)
    await serve(response, client, 50.0)
    assert attached.closed
