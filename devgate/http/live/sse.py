"""Events and frames as they happen, as server-sent events.

A reader may read past events as slowly as it likes: they are read from the database one page after
the other. A reader that takes nothing for a while is notified and cut off; with its last id it
goes on where it was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import aclosing
from functools import partial

import trio
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from devgate.errors import DevgateError
from devgate.gateway.operations.reply import Reply, Stream
from devgate.http.auth import keeps_right
from devgate.http.live.streams import BEAT_SECONDS, RETRY_FIELD, ServerSent
from devgate.http.problems import written
from devgate.http.web import Web

log = logging.getLogger("devgate.http")

SLOW_SECONDS = 10.0  # for one piece: a reader that takes longer is notified and cut off
GATHER_SECONDS = 0.005  # in which events gather, if they come faster than they are sent
MAX_WAITING = 256  # events between the log and the socket: one piece at most


class EventStream(ServerSent):
    """The lines of a stream. `keeps_right` says whether the reader still may have them."""

    def __init__(
        self, stream: Stream, stopping: trio.Event, keeps_right: Callable[[], bool]
    ) -> None:
        super().__init__()
        self._stream = stream
        self._stopping = stopping
        self._keeps_right = keeps_right
        self._over = ""  # why nothing more comes
        self._closing_message = "there is nothing more"  # when the lines have come to their end
        self._waiting = trio.CancelScope()

    @classmethod
    def of(cls, web: Web, request: Request, stream: Stream, operation: str) -> EventStream:
        """For the caller of this request, as long as that one has the right to the operation."""
        return cls(stream, web.stopping, partial(keeps_right, web, request, operation))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As an ASGI application; whatever ends it closes the stream."""
        async with aclosing(self._stream.lines):
            await super().__call__(scope, receive, send)

    async def flow(self, scope: Scope, send: Send) -> None:
        """Send until the reader leaves, loses the right, or the gateway stops."""
        put, get = trio.open_memory_channel[Reply](MAX_WAITING)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, put)
            nursery.start_soon(self._await_end)
            await self.begin(send)
            async with get:
                await self._write(get, scope, send)
                nursery.cancel_scope.cancel()

    async def _read(self, put: trio.MemorySendChannel[Reply]) -> None:
        async with put:
            try:
                async for line in self._stream.lines:
                    await put.send(line)
            except DevgateError as err:  # the database is away
                self._closing_message = str(err)

    async def _await_end(self) -> None:
        await self._stopping.wait()
        self._over = "the gateway stops"
        self._waiting.cancel()

    async def _write(
        self, get: trio.MemoryReceiveChannel[Reply], scope: Scope, send: Send
    ) -> None:
        text = b"%s: %s\n\n" % (RETRY_FIELD, written(self._stream.reply))
        checked_at = trio.current_time()
        while not self._over:
            began = trio.current_time()
            if not await self.sent(text, scope, send):
                return
            if (now := trio.current_time()) - began > SLOW_SECONDS:
                self._over = "you read too slowly; come back with your last id"
            elif now >= checked_at + BEAT_SECONDS:
                checked_at = now
                if not self._keeps_right():
                    self._over = "you are not known any longer"
            if not self._over:
                text = await self._next(get)
        if not self._stopping.is_set():
            log.info("http stream cut off client=%s reason=%s", scope.get("client"), self._over)
        await self.sent(
            b"event: cut\ndata: %s\n\n" % written({"message": self._over}), scope, send
        )

    async def _next(self, get: trio.MemoryReceiveChannel[Reply]) -> bytes:
        """The lines that wait, at least one; a comment if none comes for BEAT_SECONDS."""
        lines: list[bytes] = []
        with trio.move_on_after(BEAT_SECONDS) as self._waiting:
            try:
                if get.statistics().current_buffer_used:
                    await trio.sleep(GATHER_SECONDS)
                lines.append(event(await get.receive()))
                while len(lines) < MAX_WAITING:
                    lines.append(event(get.receive_nowait()))
            except trio.WouldBlock:
                pass
            except trio.EndOfChannel:
                if not lines:
                    self._over = self._closing_message
        return b"".join(lines) or b": beat\n\n"


def event(line: Reply) -> bytes:
    """One line as a server-sent event. A line about missed events has a name and no id."""
    if "missed" in line:
        return b"event: missed\ndata: %s\n\n" % written(line)
    number = line.get("event")
    head = b"id: %d\n" % number if isinstance(number, int) else b""
    return b"%sdata: %s\n\n" % (head, written(line))
