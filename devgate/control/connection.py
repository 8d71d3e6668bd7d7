"""One control connection: its requests run side by side, each gets its reply."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import trio

from devgate.control.hangups import Hangups
from devgate.control.outbox import Outbox
from devgate.control.replies import Args, line, refusal
from devgate.control.requests import Reader
from devgate.control.streams import Dispatch, follow
from devgate.control.wires import Wire
from devgate.errors import CallerError, DevgateError
from devgate.model import shown

log = logging.getLogger(__name__)

# Whether this request may be asked here, and by whom: the source that is recorded.
# Raises CallerError (401).
Admit = Callable[[Args], str]

LAST_READS = 16  # of one connection when the gateway stops: a flood must not keep it


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one control connection."""

    outstanding: int = 1024  # requests under way; then no more are read
    patience: float = 30.0  # seconds that a client may leave its replies unread
    login: float = 30.0  # seconds until a stranger must have shown a token


class Connection:
    """From the first byte to the closed socket. `run` is its one task's work."""

    def __init__(
        self,
        wire: Wire,
        dispatch: Dispatch,
        admit: Admit,
        hangups: Hangups,
        limits: Limits,
        *,
        stranger: bool = False,
    ) -> None:
        self._wire = wire
        self._dispatch = dispatch
        self._admit = admit
        self._hangups = hangups
        self._limits = limits
        self._reader = Reader()
        self._begun: deque[dict[str, object]] = deque()
        self._outstanding = 0
        self._less = trio.lowlevel.ParkingLot()  # wakes at the end of any request
        self._scope = trio.CancelScope()
        self._reading = trio.CancelScope()
        self._following: set[trio.CancelScope] = set()
        self._stranger = stranger
        self._ended = False  # the peer has ended its side
        self._closing = False  # no more streams
        self._outbox: Outbox
        self._nursery: trio.Nursery

    async def run(self) -> None:
        """Serve it until both sides have nothing more to say. The socket stays open.

        A client that disappears ends its streams and its waiting, not its commands: those
        are the gateway's. Whoever runs this closes the socket.
        """
        if self._stranger:
            self._reading.deadline = trio.current_time() + self._limits.login
        with self._scope:
            try:
                async with trio.open_nursery() as self._nursery:
                    self._outbox = Outbox(
                        self._wire, self._nursery, self._limits.patience, self._lose
                    )
                    await self._read()
                    self._hangups.watch(self._wire.sock, self._vanished)
            finally:
                self._hangups.forget(self._wire.sock)
            if not self._ended:
                with suppress(OSError):
                    await self._wire.finish()

    def drain(self) -> None:
        """Read no more, end the streams; what is under way still gets its reply."""
        self._end_streams()
        self._reading.cancel()

    # Reading

    async def _read(self) -> None:
        """Begin every request, until the peer ends or breaks the rules or we are draining."""
        try:
            with self._reading:
                while data := await self._wire.receive():
                    self._reader.feed(data)
                    await self._ease()
                    while self._begin():
                        await self._ease()
                self._ended = True
                self._reader.end()
            if self._closing:
                self._read_last()
            elif self._reading.cancelled_caught:
                raise CallerError("401", "no request with a good token came in time")
        except CallerError as err:
            self._end_streams()
            self._outbox.say(line(refusal({}, err), {}))
        except OSError as err:
            self._lose(f"receive failed: {err}")

    def _read_last(self) -> None:
        """What came before the gateway began to stop is still answered."""
        for _ in range(LAST_READS):
            while not self._busy() and self._begin():
                pass
            if self._busy() or not (data := self._wire.receive_now()):
                return
            self._reader.feed(data)

    def _busy(self) -> bool:
        return self._outstanding >= self._limits.outstanding or self._outbox.full

    async def _ease(self) -> None:
        """Wait until more work may be begun. Usually that is now, and costs no checkpoint."""
        while self._busy():
            if self._outbox.full:
                await self._outbox.room()
            else:
                await self._less.park()

    def _begin(self) -> bool:
        """Begin one request that has arrived whole. False if there is none."""
        request = self._reader.next_request()
        if request is None:
            return False
        self._outstanding += 1
        self._begun.append(request)
        self._nursery.start_soon(self._answer)
        return True

    # Answering

    async def _answer(self) -> None:
        # Trio runs new tasks in any order. Whichever is first takes the oldest request, so that
        # a stop that was sent behind a start reaches the gateway behind it.
        request = self._begun.popleft()
        try:
            source = self._admit(request)
            if self._stranger:
                self._stranger = False
                self._reading.deadline = math.inf
            args: Args = request
            if "id" in request or "token" in request:
                args = {k: v for k, v in request.items() if k not in ("id", "token")}
            answer = await self._dispatch(args, source)
            if isinstance(answer, dict):
                self._outbox.say(line(answer, request))
            else:
                with trio.CancelScope() as scope:
                    if self._closing:
                        scope.cancel()
                    self._following.add(scope)
                    try:
                        await follow(answer, request, self._outbox)
                    finally:
                        self._following.discard(scope)
        except DevgateError as err:
            self._outbox.say(line(refusal(request, err), request))
        except Exception as err:
            log.exception("operation failed type=%s", shown(request.get("type")))
            failed = DevgateError("500", f"the gateway failed: {type(err).__name__}: {err}")
            self._outbox.say(line(refusal(request, failed), request))
        finally:
            self._outstanding -= 1
            if self._less:
                self._less.unpark_all()

    # Ending

    def _end_streams(self) -> None:
        self._closing = True
        for scope in self._following:
            scope.cancel()

    def _vanished(self) -> None:
        self._lose("the client is gone")

    def _lose(self, why: str) -> None:
        log.debug("control connection lost reason=%s", why)
        self._scope.cancel()
