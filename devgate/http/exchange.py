"""Requests on one connection, each from its head to the last byte of its body."""

from __future__ import annotations

import logging

import trio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from devgate.http.problems import problem
from devgate.http.wire import Wire

log = logging.getLogger("devgate.http")

# What a client still sends behind an early answer is read and thrown away, or a reset would
# take the answer from it.
LINGER = 5.0  # seconds
MOST = 64 * 1024 * 1024  # bytes


class Exchanges:
    """The application, for the requests of one connection. Nothing it raises goes further."""

    def __init__(self, app: ASGIApp, wire: Wire) -> None:
        self._app = app
        self._wire = wire

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "CONNECT":
            self._wire.abort()  # there is nothing to upgrade or to connect to
            return
        exchange = Exchange(self._wire, receive, send)
        scope["devgate.cut"] = self._wire.abort
        self._wire.begins()
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception:
            log.exception("http request crashed method=%s path=%r", scope["method"], scope["path"])
            if exchange.answered:
                self._wire.abort()  # half an answer must not look like a whole one
            else:
                response = problem("500", "the gateway failed; its log says how")
                await response(scope, exchange.receive, exchange.send)
        finally:
            self._wire.ends()


class Exchange:
    """One request and its answer.

    Hypercorn hands a body over through a short queue, and puts the news of the request's
    end there, too: an answer that ends in front of a body that nobody reads would wait for
    itself. So the body is always read to its end before the answer ends.
    """

    def __init__(self, wire: Wire, receive: Receive, send: Send) -> None:
        self.answered = False
        self._wire = wire
        self._receive = receive
        self._send = send
        self._read = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            self._read = True
        return message

    async def send(self, message: Message) -> None:
        self.answered = True
        if message["type"] != "http.response.body" or message.get("more_body") or self._read:
            await self._send(message)
            return
        if body := message.get("body"):
            await self._send({"type": "http.response.body", "body": body, "more_body": True})
        await self._discard()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _discard(self) -> None:
        size = 0
        with trio.move_on_after(LINGER):
            while not self._read and size < MOST:
                size += len((await self.receive()).get("body", b""))
        if not self._read:
            self._wire.abort()
            await trio.lowlevel.checkpoint()  # where its cancellation ends this request, too
