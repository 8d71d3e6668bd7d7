"""What pages listen to: a word whenever something happened, and one device's frames."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from devgate.gateway.replies import Stream
from devgate.http.pages.view import Visit
from devgate.http.problems import Problem
from devgate.model import Imei, imei

# A page looks again at most so often, however much happens: what it costs is bounded by the
# number of pages that are open, not by that of events.
GAP = 2.0  # seconds, of one device's page
FLEET_GAP = 4.0  # ... of one that any event may concern: drawing it takes some milliseconds
PULSE = 10.0  # seconds after which a page looks again though nothing happened: time passes
BEAT = 15.0  # seconds between two comments, so that a dead reader is noticed

Write = Callable[[str], Awaitable[None]]


class EventStream(Response):
    """Server-sent events: what `feed` writes, until the reader leaves or the gateway stops."""

    def __init__(self, feed: Callable[[Write], Awaitable[None]], stopping: trio.Event) -> None:
        # A proxy in front shall pass it on at once.
        super().__init__(headers={"X-Accel-Buffering": "no"}, media_type="text/event-stream")
        del self.headers["content-length"]
        self._feed = feed
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        turn = trio.Lock()

        async def write(text: str) -> None:
            async with turn:
                body = {"type": "http.response.body", "body": text.encode(), "more_body": True}
                await send(body)

        async with trio.open_nursery() as nursery:
            scope_of_all = nursery.cancel_scope

            async def gone() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                scope_of_all.cancel()

            async def stopped() -> None:
                await self._stopping.wait()
                scope_of_all.cancel()

            async def beat() -> None:
                while True:
                    await trio.sleep(BEAT)
                    await write(": still here\n\n")

            await send(start)
            await write("retry: 2000\n\n")
            nursery.start_soon(gone)
            nursery.start_soon(stopped)
            nursery.start_soon(beat)
            await self._feed(write)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def ticks(visit: Visit) -> Response:
    """`tick` events: the page that listens shall fetch itself again."""
    if not visit.may("watch"):
        raise Problem("401", "your role does not allow this")
    given = visit.request.query_params.get("imei")
    device = imei(given) if given else None

    async def feed(write: Write) -> None:
        position = visit.web.events.last
        while True:
            with trio.move_on_after(PULSE):
                await _something(visit, position, device)
            position = visit.web.events.last
            await write(f"event: tick\ndata: {position}\n\n")
            await trio.sleep(FLEET_GAP if device is None else GAP)

    return EventStream(feed, visit.web.stopping)


async def _something(visit: Visit, position: int, device: Imei | None) -> None:
    """Wait for an event behind that number; of this device, if one is named."""
    async with aclosing(visit.web.events.follow(position)) as events:
        async for event in events:
            if device is None or event.imei == device:
                return


async def frames(visit: Visit) -> Response:
    """Each frame to and from a device as it passes, as JSON; `missed` where it was too much."""
    device = imei(visit.request.path_params["imei"])
    if visit.caller is None or not visit.may("tap"):
        raise Problem("401", "your role does not allow this")
    reply = await visit.web.dispatch({"type": "tap", "imei": device}, visit.caller.source)
    assert isinstance(reply, Stream), "a tap goes on"

    async def feed(write: Write) -> None:
        async with aclosing(reply.lines) as lines:
            async for line in lines:
                await write(f"data: {json.dumps(line)}\n\n")

    return EventStream(feed, visit.web.stopping)
