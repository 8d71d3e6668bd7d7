"""HTTP/1.1 as RFC 9112 has it, where h11 and hypercorn are lenient.

A proxy in front may understand an irregular message otherwise than we do, and then one request
becomes two: request smuggling. So a message that can be read in two ways is refused, and its
connection is closed.
"""

from __future__ import annotations

import re

import h11
from hypercorn.events import Event, RawData
from hypercorn.protocol.h11 import H11Protocol

from devgate.http.problems import problem
from devgate.http.serving.connection import LARGE_PIECE_BYTES, PIECE_BYTES

HEAD_END = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length:", re.IGNORECASE)
METHOD = re.compile(rb"[A-Z][A-Z-]{0,31}")
VERSIONS = (b"1.0", b"1.1")


class StrictConnection(h11.Connection):
    """h11's connection, which also refuses messages that can be read in two ways."""

    why = ""  # a request was refused
    without_body = False  # the answer must have no body

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """As h11's; a message that can be read in two ways is an error."""
        if self.their_state is h11.IDLE:
            self._must_be_plain(self.trailing_data[0])
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._must_be_clear(event)
        return event

    def _must_be_plain(self, data: bytes) -> None:
        """`data` begins with the head of the next request, or a part of it."""
        head, end, _ = data.partition(HEAD_END)
        if head.count(b"\n") != head.count(b"\r\n"):
            self._refuse("CR LF expected at the end of each line, not LF alone")
        if b"\r\n " in head or b"\r\n\t" in head:
            self._refuse("a header on one line expected")
        if end and len(LENGTH.findall(head)) > 1:
            self._refuse("one Content-Length expected")

    def _must_be_clear(self, request: h11.Request) -> None:
        self.without_body = request.method == b"HEAD"
        if request.http_version not in VERSIONS:
            self._refuse("HTTP/1.1 expected", 505)
        if not METHOD.fullmatch(request.method):
            self._refuse("a method in capital letters expected")
        names = {name for name, _ in request.headers}
        if b"transfer-encoding" in names:
            if b"content-length" in names:
                self._refuse("Content-Length or Transfer-Encoding expected, not both")
            if request.http_version == b"1.0":
                self._refuse("no Transfer-Encoding expected in HTTP/1.0")

    def _refuse(self, why: str, status: int = 400) -> None:
        self.why = why
        raise h11.RemoteProtocolError(why, error_status_hint=status)


class Http1(H11Protocol):
    """Hypercorn's, on a strict connection, and without a way to HTTP/2."""

    connection: StrictConnection
    refused = False  # because of what the peer has sent
    _measured = False  # a body of known length is coming
    _chunked = False  # the request that came last has a body in chunks

    async def initiate(self) -> None:
        """As H11Protocol.initiate(), with a StrictConnection."""
        self.connection = StrictConnection(
            h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size
        )

    @property
    def piece(self) -> int:
        """How many bytes may be processed in one turn of the loop."""
        # A body of known length is passed on as it is. One in chunks may have a million of them.
        return LARGE_PIECE_BYTES if self._measured else PIECE_BYTES

    async def handle(self, event: Event) -> None:
        """As H11Protocol.handle(); nothing is read behind a request that was refused."""
        if isinstance(event, RawData) and self.refused:
            return
        await super().handle(event)
        state = self.connection.their_state
        self._measured = state is h11.SEND_BODY and not self._chunked

    async def _check_protocol(self, event: h11.Request) -> None:
        """Ignore `Upgrade: h2c` and HTTP/2 by prior knowledge: HTTP/2 needs TLS and ALPN here."""
        self._chunked = any(name == b"transfer-encoding" for name, _ in event.headers)

    async def _send_error_response(self, status_code: int) -> None:
        _, hung_up = self.connection.trailing_data
        self.refused = (
            not hung_up
        )  # to leave in the middle of a request is no breach of the protocol
        text = self.connection.why or "a request as RFC 9112 has it expected"
        if status_code == 431:
            text = f"a head of at most {self.config.h11_max_incomplete_size} bytes expected"
        answer = problem("400", text, status_code, {"Connection": "close"})
        body = b"" if self.connection.without_body else bytes(answer.body)
        await self._send_h11_event(
            h11.Response(
                headers=[*answer.raw_headers, *self.config.response_headers("h11")],
                status_code=status_code,
            )
        )
        if body:
            await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())
