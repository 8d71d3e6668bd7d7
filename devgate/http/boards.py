"""Boards: parts of live pages, drawn once for all who see the same.

Their cost is bounded, whatever happens and however many people look. A board is drawn while
somebody looks at it, when an event concerns it or time has passed. All boards together take a
small part of a core, and glances have a part of their own. All viewers are sent the same bytes:
the parts that changed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator
from contextlib import aclosing, contextmanager
from time import process_time

import trio

from devgate.errors import DevgateError
from devgate.events.log import EventLog
from devgate.http.board import LATER_SECONDS, Board, Concerns, Draw, Hub
from devgate.http.cpu_budget import GLANCES_SHARE, CpuShare

log = logging.getLogger("devgate.http")

GATHER_SECONDS = 0.5  # seconds in which events gather before boards are drawn for them
STATE_SECONDS = 1.0  # seconds between two looks at the database's state: no event tells of it


class Boards:
    """All boards that somebody looks at. Without any, nothing runs."""

    def __init__(
        self,
        log: EventLog,
        stopping: trio.Event,
        clock: Callable[[], float] = process_time,
        state: Callable[[], str] = lambda: "ok",
    ) -> None:
        self._hub = Hub(log, clock, CpuShare(), CpuShare(GLANCES_SHARE))
        self._state = state  # of the database: "ok", or what is wrong
        self._stopping = stopping
        self._boards: dict[Hashable, Board] = {}
        self._watching: trio.CancelScope | None = None
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Draw while others look, until cancelled. When the gateway stops, all boards are over."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await self._stopping.wait()
            self._nursery.cancel_scope.cancel()
        for board in self._boards.values():
            board.end()
        self._nursery = None

    @contextmanager
    def looking(
        self, key: Hashable, draw: Draw, concerns: Concerns, pulse: float
    ) -> Iterator[Board]:
        """The board of that key, made for the first viewer and ended with the last.

        It is drawn with the rights of the first: the key holds all that a drawing depends on.
        """
        board = self._boards.get(key)
        if board is None or board.over:
            board = self._boards[key] = Board(draw, concerns, pulse, self._hub)
            self._begin(board)
        board.viewers += 1
        try:
            yield board
        finally:
            board.viewers -= 1
            if not board.viewers:
                board.scope.cancel()
                if self._boards.get(key) is board:
                    del self._boards[key]
                if not self._boards and self._watching is not None:
                    self._watching.cancel()
                    self._watching = None

    def _begin(self, board: Board) -> None:
        if self._nursery is None:
            board.end()
            return
        if self._watching is None:
            self._watching = trio.CancelScope()
            self._nursery.start_soon(self._watch, self._watching, self._hub.log.last)
        self._nursery.start_soon(self._run, board)

    async def _run(self, board: Board) -> None:
        """A fault ends this board alone; its viewers connect again and get another."""
        with board.scope:
            try:
                await board.run()
            except Exception:
                log.exception("live page crashed")
                board.end()

    async def _watch(self, scope: trio.CancelScope, position: int) -> None:
        with scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_state)
                await self._watch_events(position)

    async def _watch_state(self) -> None:
        """Without the database there are no events, and pages are drawn from memory."""
        before = "ok"
        while True:
            await trio.sleep(STATE_SECONDS)
            state = self._state()
            for board in self._boards.values():
                if state != "ok" and not board.number:
                    board.apply_all()  # a glance needs a first drawing
                elif state != "ok" or before != "ok":
                    board.glance()
                if state == "ok" != before:
                    board.apply_all()
            before = state

    async def _watch_events(self, position: int) -> None:
        while True:
            try:
                await self._follow(position)
            except DevgateError:  # events this old are in the database alone, and it is away
                await trio.sleep(LATER_SECONDS)
                position = self._hub.log.last
                for board in self._boards.values():
                    board.apply_all()

    async def _follow(self, position: int) -> None:
        async with aclosing(self._hub.log.follow(position)) as events:
            async for event in events:
                for board in self._boards.values():
                    board.apply(event)
                if event.n >= self._hub.log.last:
                    await trio.sleep(GATHER_SECONDS)
