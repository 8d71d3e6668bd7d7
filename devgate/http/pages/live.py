"""Streams for pages: the parts of a page when they change, and the frames of one device."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import trio
from starlette.responses import Response
from starlette.types import Scope, Send

from devgate.errors import DevgateError
from devgate.events.kinds import Event
from devgate.gateway.clock import time
from devgate.gateway.operations.reply import Stream
from devgate.http.auth import identify
from devgate.http.board import Board, Concern
from devgate.http.live.sse import EventStream
from devgate.http.live.streams import BEAT_SECONDS, RETRY_FIELD, ServerSent
from devgate.http.pages import header
from devgate.http.pages.view import COMMON_PARTS, SEEN, Visit
from devgate.http.pages.words import number
from devgate.http.problems import Problem

BEAT_EVENT = b"event: beat\ndata: {}\n\n"  # not a comment: scripts are not given comments
GONE_EVENT = b"event: gone\ndata: {}\n\n"  # the viewer has lost the right to the page

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LiveRows:
    """Rows of one part of a page, each drawn by itself as soon as an event concerns it.

    `read` gives those of these IMEIs; `template` draws one, given as `name`.
    """

    part: str
    template: str
    name: str
    read: Callable[[Visit, Values, Set[str]], Awaitable[Sequence[Mapping[str, Any]]]]


@dataclass(frozen=True, slots=True)
class Live:
    """A live page: the values of its template, and which events it shows.

    `pulse`: seconds after which it is drawn again without an event, because some of the values
    change without one.
    """

    template: str
    values: Callable[[Visit], Awaitable[Values]]
    concern: Callable[[Visit, Values, Event], Concern]
    pulse: float
    at_hand: Callable[[Visit, Values], Values] | None = None  # adds newer values from memory
    quick: frozenset[str] = frozenset()  # the parts that show these
    rows: LiveRows | None = None


def of_types(concern: Concern, *beginnings: str) -> Callable[[Visit, Values, Event], Concern]:
    """For a page that shows the events whose types begin so, and no others."""
    return lambda _visit, _shown, event: (
        concern if event.type.startswith(beginnings) else Concern.NONE
    )


class Drawing:
    """A live page, drawn again and again for all viewers who see the same as the first one."""

    def __init__(self, visit: Visit, page: Live) -> None:
        visit.scripted = True
        self._visit, self._page = visit, page
        self._values: Values = {}  # none were shown yet
        self._touched: set[str] = set()  # IMEIs of rows that events concerned since the last draw

    @property
    def key(self) -> Hashable:
        """All values that the parts depend on."""
        visit = self._visit
        query = [one for one in visit.request.query_params.multi_items() if one[0] != SEEN]
        place = sorted(visit.request.path_params.items())
        caller, rights = visit.caller, tuple[object, ...]()
        if caller is not None:
            # A viewer who is limited to some sites sees only the jobs that he began.
            person = "" if caller.sites is None else caller.source.plain
            rights = caller.role, caller.sites, person
        return self._page, *place, *query, visit.language, str(visit.zone), *rights

    async def draw(self, whole: bool) -> Mapping[str, str] | None:
        """The parts of the page; not `whole`: the cheap ones. None if it cannot be drawn now."""
        visit, page = self._visit, self._page
        visit.now = time()
        touched, self._touched = self._touched, set()
        # A page that was drawn from memory is read again as soon as the database can be read.
        again = visit.away and visit.web.gateway.records.state == "ok"
        if not whole and not again:
            return await self._glanced(touched) if self._values else None
        visit.away = ""
        visit.unknown = await header.count(visit)
        try:
            self._values = await page.values(visit)
        except (Problem, DevgateError):  # the database is away, or the device was removed
            return None
        return visit.parts(page.template, self._values)

    async def _glanced(self, touched: Set[str]) -> Mapping[str, str]:
        """The cheap parts: values in memory, and the rows that events concerned."""
        visit, page, values = self._visit, self._page, self._values
        visit.unknown = await header.count(visit)
        quick = page.quick if page.at_hand else frozenset[str]()
        if page.at_hand:
            values = page.at_hand(visit, values)
        parts = visit.parts(page.template, values, quick | COMMON_PARTS)
        if (rows := page.rows) is not None:
            if visit.trouble:  # without the database there are no events: all rows, from memory
                touched = values["imeis"]
            for item in await rows.read(visit, values, touched) if touched else ():
                parts[f"{rows.part}/{item['imei']}"] = visit.drawn(
                    rows.template, {**values, rows.name: item}
                )
        return parts

    def concern(self, event: Event) -> Concern:
        """How soon the page has to show an event."""
        concern = self._page.concern(self._visit, self._values, event)
        if concern is Concern.ROW and event.imei:
            self._touched.add(event.imei)
        return concern


def following(page: Live) -> Callable[[Visit], Awaitable[Response]]:
    """`parts` events: the parts of the page that changed, as a JSON object of their HTML.

    The first one holds all parts, if something happened since the page was loaded. `gone`: the
    viewer is not known any more, or has other rights.
    """

    async def follow(visit: Visit) -> Response:
        visit.must("watch")
        return Followed(visit, page)

    return follow


class Followed(ServerSent):
    """The stream of a live page, until its viewer leaves or the gateway stops."""

    def __init__(self, visit: Visit, page: Live) -> None:
        super().__init__()
        self._visit = visit
        self._page = page

    async def flow(self, scope: Scope, send: Send) -> None:
        """Send the parts that change, until the viewer leaves."""
        await self.begin(send)
        if not await self.sent(RETRY_FIELD + b"\n", scope, send):
            return
        drawing, boards = Drawing(self._visit, self._page), self._visit.web.boards
        with boards.looking(drawing.key, drawing.draw, drawing.concern, self._page.pulse) as board:
            await self._follow(board, scope, send)

    async def _follow(self, board: Board, scope: Scope, send: Send) -> None:
        seen = number(self._visit.request.query_params.get(SEEN, ""), 19)
        viewer = board.join(-1 if seen is None else seen)
        checked_at = trio.current_time()
        while not board.over:
            text = BEAT_EVENT
            with trio.move_on_after(BEAT_SECONDS):
                text = await viewer.news()
            if (now := trio.current_time()) >= checked_at + BEAT_SECONDS:
                checked_at = now
                if not self._known():
                    await self.sent(GONE_EVENT, scope, send)
                    return
            if text and not await self.sent(text, scope, send):
                return

    def _known(self) -> bool:
        """Whether the viewer is still the same one, with the same rights."""
        caller = self._visit.caller
        try:
            now = identify(self._visit.web, self._visit.request)
        except Problem:
            return False
        # Another role sees other buttons: the page is to be loaded again.
        return bool(now and caller and now.is_as(caller))


async def frames(visit: Visit) -> Response:
    """Each frame to and from a device as it passes, as the API has it."""
    device = visit.device
    caller = visit.must("tap")
    reply = await visit.web.dispatch({"type": "tap", "imei": device}, caller.source)
    assert isinstance(reply, Stream), "a tap goes on"
    return EventStream.of(visit.web, visit.request, reply, "tap")
