"""What pages listen to: their own parts whenever they changed, and one device's frames."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from time import time
from typing import Any

import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from devgate.errors import DevgateError
from devgate.events.kinds import Event
from devgate.gateway.replies import Stream
from devgate.http.auth import identify
from devgate.http.boards import Board, Concern
from devgate.http.pages.view import SEEN, Visit
from devgate.http.problems import Problem
from devgate.http.streams import Streamed, piece
from devgate.model import imei

BEAT = 15.0  # seconds between two comments, so that a dead reader is noticed
STUCK = 30.0  # seconds for one piece: who does not take it is cut off
AGAIN = b"retry: 2000\n\n"  # milliseconds until a browser comes back

Values = Mapping[str, Any]
Write = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Live:
    """A page that lives: what its template is given, and which events it shows.

    `pulse`: it is drawn again after so many seconds though nothing happened, since some of what
    it shows makes no event.
    """

    template: str
    values: Callable[[Visit], Awaitable[Values]]
    concern: Callable[[Visit, Values, Event], Concern]
    pulse: float
    at_hand: Callable[[Visit, Values], Values] | None = None  # what is known without asking
    quick: frozenset[str] = frozenset()  # the parts that show that


class Drawing:
    """One such page, drawn again and again for all who see the same as the first who came."""

    def __init__(self, visit: Visit, page: Live) -> None:
        visit.scripted = True
        self._visit, self._page = visit, page
        self._values: Values = {}  # none were shown yet

    @property
    def key(self) -> Hashable:
        """All that the parts depend on."""
        visit = self._visit
        query = [one for one in visit.request.query_params.multi_items() if one[0] != SEEN]
        place = sorted(visit.request.path_params.items())
        role = visit.caller.role if visit.caller else ""
        return self._page, *place, *query, visit.language, str(visit.zone), role

    async def draw(self, whole: bool) -> Mapping[str, str] | None:
        visit, page = self._visit, self._page
        visit.now = time()
        if not whole:
            if page.at_hand is None or not self._values:
                return None
            return visit.parts(page.template, page.at_hand(visit, self._values), page.quick)
        try:
            self._values = await page.values(visit)
        except (Problem, DevgateError):  # the database is away, or the device was removed
            return None
        return visit.parts(page.template, self._values)

    def concern(self, event: Event) -> Concern:
        return self._page.concern(self._visit, self._values, event)


def following(page: Live) -> Callable[[Visit], Awaitable[Response]]:
    """`parts` events: the parts of the page that changed, as a JSON object of their HTML.

    The first one holds them all, if something happened since the page was loaded. `gone`: who
    looks is not known any longer, or as somebody else.
    """

    async def follow(visit: Visit) -> Response:
        if visit.caller is None or not visit.may("watch"):
            raise Problem("401", "your role does not allow this")
        return Followed(visit, page)

    return follow


class Followed(Streamed):
    """A page as it goes on, until its reader leaves or the gateway stops."""

    media_type = "text/event-stream"

    def __init__(self, visit: Visit, page: Live) -> None:
        # A proxy in front shall pass it on at once.
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._visit = visit
        self._page = page

    async def flow(self, scope: Scope, send: Send) -> None:
        await self.begin(send)
        if not await self._sent(AGAIN, scope, send):
            return
        drawing, boards = Drawing(self._visit, self._page), self._visit.web.boards
        with boards.looking(drawing.key, drawing.draw, drawing.concern, self._page.pulse) as board:
            await self._follow(board, scope, send)

    async def _follow(self, board: Board, scope: Scope, send: Send) -> None:
        viewer = board.join(_number(self._visit.request.query_params.get(SEEN, "")))
        looked = trio.current_time()
        while not board.over:
            text = b": still here\n\n"
            with trio.move_on_after(BEAT):
                text = await viewer.news()
            if (now := trio.current_time()) >= looked + BEAT:
                looked = now
                if not self._known():
                    await self._sent(b"event: gone\ndata: {}\n\n", scope, send)
                    return
            if text and not await self._sent(text, scope, send):
                return

    def _known(self) -> bool:
        """Whether the reader still is who came, with the same rights."""
        caller = self._visit.caller
        try:
            now = identify(self._visit.web, self._visit.request)
        except Problem:
            return False
        return bool(now and caller and (now.name, now.role) == (caller.name, caller.role))

    @staticmethod
    async def _sent(text: bytes, scope: Scope, send: Send) -> bool:
        with trio.move_on_after(STUCK):
            await send(piece(text))
            return True
        scope["devgate.cut"]()
        return False


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1


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
            await write(AGAIN.decode())
            nursery.start_soon(gone)
            nursery.start_soon(stopped)
            nursery.start_soon(beat)
            await self._feed(write)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


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
