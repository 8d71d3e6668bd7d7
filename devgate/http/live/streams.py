"""Responses that go on until one of the two sides ends them."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

log = logging.getLogger("devgate.http")

BEAT_SECONDS = 15.0  # without an event, then a comment is sent: proxies close silent connections
STUCK_SECONDS = 30.0  # for one piece: a reader that does not take it is cut off
RETRY_FIELD = b"retry: 2000\n"  # milliseconds until a browser comes back

CountStream = Callable[[], AbstractContextManager[None]]


class Streamed(Response, ABC):
    """A response whose body `flow` sends. It is cancelled when the client has gone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Problem (429) if the reader has too many streams."""
        share: CountStream = scope.get("devgate.stream", nullcontext)
        with share():
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, receive, nursery.cancel_scope)
            if scope["method"] == "HEAD":
                await self.begin(send)
            else:
                await self.flow(scope, send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            nursery.cancel_scope.cancel()

    async def begin(self, send: Send) -> None:
        """Send the head."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})

    @abstractmethod
    async def flow(self, scope: Scope, send: Send) -> None:
        """Send the head, and then the body piece by piece."""

    @staticmethod
    async def _watch(receive: Receive, scope: trio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()


class ServerSent(Streamed):
    """Server-sent events: a response that tells a browser when to come back."""

    media_type = "text/event-stream"

    def __init__(self) -> None:
        # A proxy in front must pass each piece on at once.
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]  # there is no end to it

    async def sent(self, text: bytes, scope: Scope, send: Send) -> bool:
        """Send one piece. False: the reader does not take it, and was cut off."""
        with trio.move_on_after(STUCK_SECONDS):
            await send(piece(text))
            return True
        log.info(
            "http stream cut off client=%s reason=%s", scope.get("client"), "it does not read"
        )
        scope["devgate.cut"]()
        return False


def piece(data: bytes) -> dict[str, object]:
    """A part of a body that goes on."""
    return {"type": "http.response.body", "body": data, "more_body": True}
