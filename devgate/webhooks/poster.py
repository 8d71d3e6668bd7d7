"""One signed POST after another to one URL, and what became of it."""

from __future__ import annotations

import ssl
from email.utils import parsedate_to_datetime
from time import time
from typing import Literal, NamedTuple

import httpcore
import trio

from devgate import __version__
from devgate.webhooks.connecting import GuardedBackend
from devgate.webhooks.public_addresses import PERMIT
from devgate.webhooks.signature import signed

TIMEOUT_SECONDS = 15.0  # seconds for a whole exchange; Standard Webhooks asks for 15 to 30
CONNECT_SECONDS = 5.0  # ... and for one address to accept a connection
IDLE_SECONDS = 30.0  # seconds that a connection waits for the next event
MAX_ANSWER_BYTES = 16 * 1024  # bytes of an answer's body: so much is read to keep the connection
MAX_WAIT_SECONDS = 3600.0  # seconds: who asks for more in Retry-After is asked again after that
# Statuses that speak of the receiver as a whole and not of the one event.
ILL_STATUSES = (408, 429, 502, 503, 504)


class Outcome(NamedTuple):
    """delivered  the receiver has it
    refused  not this event, or not now
    ill      the receiver takes no event at the moment
    gone     nothing is sent to it any more
    """

    kind: Literal["delivered", "refused", "ill", "gone"]
    text: str  # a sentence for a person
    wait: float = 0.0  # seconds that the receiver asked for


class Body:
    """A body for httpcore. It would wrap plain bytes into a generator, which would be left to the
    garbage collector when a delivery is cancelled."""

    def __init__(self, body: bytes) -> None:
        self._body = self._unsent = body

    def __aiter__(self) -> Body:
        self._unsent = self._body
        return self

    async def __anext__(self) -> bytes:
        if not self._unsent:
            raise StopAsyncIteration
        part, self._unsent = self._unsent, b""
        return part


class Poster:
    """Posts to one URL, over connections that are kept. Belongs to one trio run."""

    def __init__(
        self,
        url: str,
        key: bytes,
        *,
        allow_private: bool,
        permit: str = PERMIT,
        max_connections: int,
    ) -> None:
        self._url = url
        self._key = key
        self._guard = GuardedBackend(allow_private=allow_private, permit=permit)
        self._max_connections = max_connections  # connections at once
        # Made here, and not when it is needed: reading the system's authorities takes time.
        self._tls = ssl.create_default_context() if url.startswith("https:") else None
        self._pool: httpcore.AsyncConnectionPool | None = None

    def sign_with(self, key: bytes) -> bool:
        """Sign with this key from the next try on. False: that is what it does already."""
        changed, self._key = key != self._key, key
        return changed

    async def post(self, id: str, body: bytes) -> Outcome:
        """Post an event. Returns within TIMEOUT_SECONDS. If this is cancelled, the receiver may or
        may not have it."""
        headers = {
            b"content-type": b"application/json",
            b"content-length": b"%d" % len(body),
            b"user-agent": f"devgate/{__version__}".encode(),
            **signed(self._key, id, int(time()), body),
        }
        try:
            with trio.fail_after(TIMEOUT_SECONDS):
                return await self._exchange(headers, body)
        except trio.TooSlowError:
            return Outcome("ill", f"no answer within {TIMEOUT_SECONDS:g} s")
        except (
            httpcore.TimeoutException,
            httpcore.NetworkError,
            httpcore.ProtocolError,
            ssl.SSLError,
            OSError,
        ) as err:
            return Outcome("ill", _sentence(err))

    async def _exchange(self, headers: dict[bytes, bytes], body: bytes) -> Outcome:
        pool = self._pool = self._pool or self._make()
        async with pool.stream(
            "POST",
            self._url,
            headers=list(headers.items()),
            content=Body(body),
            extensions={"timeout": {"connect": CONNECT_SECONDS}},
        ) as response:
            size = 0
            with trio.CancelScope() as enough:
                async for part in response.aiter_stream():
                    size += len(part)
                    if size > MAX_ANSWER_BYTES:
                        # The connection is closed instead. A break would leave httpcore's own
                        # generators to the garbage collector.
                        enough.cancel()
            return judged(response.status, _retry_after(response.headers))

    def _make(self) -> httpcore.AsyncConnectionPool:
        return httpcore.AsyncConnectionPool(
            ssl_context=self._tls,
            max_connections=self._max_connections,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=self._guard,
        )

    async def aclose(self) -> None:
        """Close the connections. The next post opens new ones."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.aclose()


def judged(status: int, wait: float) -> Outcome:
    """The meaning of an answer. Redirects are not followed: an event goes only to its URL."""
    text = f"it answered {status}"
    if 200 <= status < 300:
        return Outcome("delivered", text)
    if status == 410:
        return Outcome("gone", "it answered 410: it wants no more events")
    if 300 <= status < 400:
        return Outcome("refused", f"{text}: redirects are not followed, change the url", wait)
    return Outcome("ill" if status in ILL_STATUSES else "refused", text, wait)


def _retry_after(headers: list[tuple[bytes, bytes]]) -> float:
    """Seconds: Retry-After has them, or a date."""
    given = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    text = given.decode("ascii", "replace").strip()
    if text.isdigit() and len(text) < 10:
        return min(float(text), MAX_WAIT_SECONDS)
    try:
        until = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(until - time(), 0.0), MAX_WAIT_SECONDS)


def _sentence(err: BaseException | None) -> str:
    """One line about an error. If it has no text, the error that caused it is used."""
    kind = type(err).__name__
    while err is not None:
        if text := " ".join(str(err).split()):
            return text[:300]
        err = err.__cause__ or err.__context__
    return kind
