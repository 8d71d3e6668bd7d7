"""Requests on one connection, each from its head to the last byte of its body."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

import trio
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from devgate.http.problems import problem
from devgate.http.serving.connection import WebConnection
from devgate.model import shown
from devgate.net.turns import Turns

log = logging.getLogger("devgate.http")

# What a client still sends after an early answer is read and discarded for this long: if it was
# not read, TCP would reset the connection, and the client might lose the answer.
LINGER_SECONDS = 5.0
MAX_BODY = 64 * 1024 * 1024  # bytes that are discarded so


class Exchanges:
    """The application, for the requests of one connection. It lets no exception out."""

    def __init__(
        self,
        app: ASGIApp,
        connection: WebConnection,
        turns: Turns,
        may_log: Callable[[str], int | None],
        stopping: Callable[[], bool],
    ) -> None:
        """`may_log` tells whether an address may have a line in the log: Refusals.turn.
        `stopping`: all connections are closed soon, each after its next answer."""
        self._app = app
        self._connection = connection
        self._turns = turns
        self._may_log = may_log
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As an ASGI application: one request and its answer, counted and bounded."""
        if scope["type"] != "http" or scope["method"] == "CONNECT":
            self._connection.abort()  # there is nothing to upgrade or to connect to
            return
        exchange = Exchange(self._connection, receive, self._final(scope, send))
        scope["devgate.cut"] = self._connection.abort
        scope["devgate.connection"] = self._connection
        self._connection.begins()
        try:
            # A peer that sends many requests at once must not begin all of them in one turn.
            await self._turns.turn(begun=True)
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            self._connection.abort()  # no fault, and the client is not there for an answer
        except Exception as err:
            self._tell(scope, err)
            await self._fail(scope, exchange)
        finally:
            self._connection.ends()

    def _final(self, scope: Scope, send: Send) -> Send:
        """A `send` that adds `Connection: close` to an answer after which the connection is
        closed: a client that sent another request would not know whether it was carried out.
        HTTP/2 has a frame for that."""
        if scope["http_version"] == "2":
            return send

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start" and (
                self._connection.closing or self._stopping()
            ):
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        return sent

    def _tell(self, scope: Scope, err: Exception) -> None:
        """Log an exception of the gateway, with its traceback only if a known caller caused it.

        An unauthenticated peer that finds a fault can cause it ten thousand times a second.
        """
        if scope.get("devgate.caller") is not None:
            log.exception("http request crashed method=%s path=%r", scope["method"], scope["path"])
        elif self._may_log(scope["client"][0] if scope.get("client") else "") is not None:
            last = traceback.extract_tb(err.__traceback__)[-1]
            log.error(
                "http request crashed method=%s path=%r reason=%r file=%s line=%s",
                scope["method"], shown(scope["path"]), shown(err), last.filename, last.lineno,
            )  # fmt: skip

    async def _fail(self, scope: Scope, exchange: Exchange) -> None:
        if not exchange.answered:
            # A start may have been sent before it crashed.
            more = {} if scope["method"] in ("GET", "HEAD") else {"outcome": "unknown"}
            response = problem("500", "the gateway failed; its log says how", more=more)
            try:
                await response(scope, exchange.receive, exchange.send)
            except Exception as err:  # the client has gone, or the connection cannot be used
                log.debug("http answer not sent reason=%r", shown(err))
            else:
                return
        self._connection.abort()  # half an answer must not look like a whole one


class Exchange:
    """One request and its answer.

    Hypercorn passes a body on through a short queue, which also gets the message that the request
    has ended. If nobody reads the body, the queue is full, and the end of the answer would wait
    for ever. So the body is always read to its end before the answer ends.
    """

    def __init__(self, connection: WebConnection, receive: Receive, send: Send) -> None:
        self.answered = False
        self._connection = connection
        self._receive = receive
        self._send = send
        self._read = False

    async def receive(self) -> Message:
        """As an ASGI `receive`: notes when the request was read to its end."""
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            self._read = True
        return message

    async def send(self, message: Message) -> None:
        """As an ASGI `send`: the last piece goes out once the request was read to its end."""
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
        with trio.move_on_after(LINGER_SECONDS):
            while not self._read and size < MAX_BODY:
                size += len((await self.receive()).get("body", b""))
        if not self._read:
            self._connection.abort()
            await trio.lowlevel.checkpoint()  # the cancellation also ends this request here
