"""One control connection: its requests run side by side, each gets its reply."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import trio

from devgate.control.hangups import Hangups
from devgate.control.outbox import MAX_UNSENT, Outbox
from devgate.control.replies import Args, Reply, line, refusal
from devgate.control.requests import Reader
from devgate.control.shares import Shares
from devgate.control.streams import Begin, Dispatch, Stream, follow
from devgate.control.transport import Wire
from devgate.errors import CallerError, DevgateError, TokenRefused
from devgate.model import shown
from devgate.net.turns import Turns

log = logging.getLogger(__name__)

# Whether this request may be asked here, and by whom: the source that is recorded.
# Raises CallerError (401).
Admit = Callable[[Args], str]

STRANGER_BYTES = 2048  # read at once of who has shown no token yet
# Requests with a wrong token or none, in a row; then the connection is closed.
MAX_WRONG_TOKENS = 3
MAX_WRONG_LATER = 20  # ... once it has shown a good one: the token may have been changed
REQUESTS_A_TURN = 32  # of one read before other tasks have their turn: about two milliseconds
LAST_READS = 16  # of one connection when the gateway stops: a flood must not keep it


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one control connection."""

    outstanding: int = 1024  # requests under way; then no more are read
    patience: float = 30.0  # seconds that a client may leave its replies unread
    login: float = 10.0  # seconds until a stranger must have shown a token
    unsent: int = MAX_UNSENT  # bytes that may wait for a client that does not read


class Ears(Protocol):
    """Who calls back when there is something to be read: cheaper than a task that waits for it."""

    def add(self, fd: int, call: Callable[[], None]) -> None: ...

    def forget(self, fd: int) -> None: ...


class Busy(Protocol):
    """Who keeps the places of a door."""

    def asks(self) -> None:
        """A request is under way."""

    def rests(self) -> None:
        """There is none now."""


class Enough(Exception):
    """Nothing more is read of this connection."""


class Asked(NamedTuple):
    """One request, on its way to its reply."""

    request: Args
    args: Args  # without its `id` and `token`
    source: str
    reply: Callable[[Reply], None]


class Connection:
    """From the first byte to the closed socket. `run` is its one task's work."""

    def __init__(
        self,
        wire: Wire,
        dispatch: Dispatch,
        begin: Begin,
        admit: Admit | None,
        hangups: Hangups,
        limits: Limits,
        ears: Ears | None = None,
        *,
        stranger: bool = False,
        turns: Turns | None = None,
        shares: Shares | None = None,
        busy: Busy | None = None,
    ) -> None:
        """Without `admit` all is allowed, and the source is "socket".

        `turns` are shared by those that have shown no token: one of them is read in each turn
        of the loop. `shares` bound what a token has; without them all is allowed.
        """
        self._turns = turns
        self._shares = shares
        self._busy_guest = busy
        self._known = ""  # the source, once its share of connections has been counted
        self._wrong = 0  # tokens
        self._wire = wire
        self._dispatch = dispatch
        self._begin_now = begin
        self._admit = admit
        self._hangups = hangups
        self._limits = limits
        self._most = limits.outstanding
        self._ears = ears
        self._fd = wire.sock.fileno()
        self._handed = trio.Event()  # what has come is for the reading task
        self._trouble: Exception | None = None
        self._reader = Reader()
        self._begun: deque[Asked] = deque()
        self._outstanding = 0
        self._less = trio.lowlevel.ParkingLot()  # wakes at the end of any request
        self._scope = trio.CancelScope()
        self._reading = trio.CancelScope()
        self._following: dict[trio.CancelScope, Args] = {}
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
                        self._wire,
                        self._nursery,
                        self._limits.patience,
                        self._lose,
                        self._limits.unsent,
                    )
                    await self._read()
                    self._hangups.watch(self._wire.sock, self._vanished)
                    while self._outstanding:
                        await self._less.park()
            finally:
                self._hangups.forget(self._wire.sock)
                self._outbox.close()
                if self._known and self._shares is not None:
                    self._shares.give("connections", self._known)
            if not self._ended:
                with suppress(OSError):
                    await self._wire.finish(self._turns if self._stranger else None)

    def drain(self) -> None:
        """Read no more, end the streams; what is under way still gets its reply."""
        self._end_streams()
        self._reading.cancel()

    def recheck(self) -> None:
        """End the streams of a token that may not have them any longer."""
        if self._admit is None:
            return
        for scope, request in list(self._following.items()):
            try:
                self._admit(request)
            except CallerError as err:
                self._outbox.say(line(refusal(request, err), request))
                scope.cancel()

    # Reading

    async def _read(self) -> None:
        """Begin every request, until the peer ends or breaks the rules or we are draining."""
        try:
            with self._reading:
                while await self._feed():
                    await self._ease()
                    begun = 0
                    while (request := self._reader.next_request()) is not None:
                        self._begin(request)
                        begun += 1
                        if begun % REQUESTS_A_TURN == 0:
                            await trio.lowlevel.checkpoint()
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
        except Enough:
            self._end_streams()
        except OSError as err:
            self._lose(f"receive failed: {err}")

    async def _feed(self) -> bool:
        """Wait for bytes that this task has to look at. False: the peer has ended its side."""
        if self._stranger and self._turns is not None:
            return await self._feed_stranger(self._turns)
        if self._ears is None or not self._wire.plain:
            data = await self._wire.receive()
            self._reader.feed(data)
            return bool(data)
        self._handed = trio.Event()
        self._ears.add(self._fd, self._heard)
        try:
            await self._handed.wait()
        finally:
            self._ears.forget(self._fd)
        trouble, self._trouble = self._trouble, None
        if trouble is not None:
            raise trouble
        return not self._ended

    async def _feed_stranger(self, turns: Turns) -> bool:
        """The same for one that has shown no token: a little, when it is its turn."""
        data: bytes | None = None
        while data is None:
            if self._wire.plain:
                await turns.readable(self._fd)
                data = self._wire.receive_now(STRANGER_BYTES)
            else:
                data = await self._wire.receive()
                await turns.take()
        self._reader.feed(data)
        return bool(data)

    def _heard(self) -> None:
        """Begin what has come, without the task where all of it can be begun at once."""
        try:
            data = self._wire.receive_now()
            if data is None:
                return
            self._reader.feed(data)
            self._ended = not data
            for _ in range(REQUESTS_A_TURN):
                # As _busy(), without a call.
                if self._ended or self._outbox.full or self._outstanding >= self._most:
                    break
                if (request := self._reader.next_request()) is None:
                    return
                self._begin(request)
                if self._reader.empty:
                    return
        except Exception as err:  # it ends this connection, and is told where that is awaited
            self._trouble = err
        self._handed.set()

    def _read_last(self) -> None:
        """What came before the gateway began to stop is still answered."""
        for _ in range(LAST_READS):
            while not self._busy() and (request := self._reader.next_request()) is not None:
                self._begin(request)
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

    def _begin(self, request: dict[str, object]) -> None:
        """Begin one request that has arrived whole."""
        self._outstanding += 1
        if self._outstanding == 1 and self._busy_guest is not None:
            self._busy_guest.asks()
        try:
            asked = self._admitted(request)
            # Not ahead of a request that has a task which has not begun.
            begun = not self._begun and self._begin_now(asked.args, asked.source, asked.reply)
        except Exception as err:
            self._refuse(request, err)
            if isinstance(err, TokenRefused) and err.why == "token":
                self._wrong += 1
                if self._wrong >= (MAX_WRONG_TOKENS if self._stranger else MAX_WRONG_LATER):
                    raise Enough from None
            return
        if not begun:
            self._begun.append(asked)
            self._nursery.start_soon(self._answer)

    def _admitted(self, request: dict[str, object]) -> Asked:
        source = "socket" if self._admit is None else self._admit(request)
        self._wrong = 0
        if self._shares is not None and source != self._known:
            self._shares.take("connections", source)
            if self._known:
                self._shares.give("connections", self._known)
            self._known = source
        if self._stranger:
            self._stranger = False
            self._reading.deadline = math.inf
        args: Args = request
        if "id" in request or "token" in request:
            args = {k: v for k, v in request.items() if k not in ("id", "token")}
        return Asked(request, args, source, partial(self._reply, request))

    # Answering

    async def _answer(self) -> None:
        # Trio runs new tasks in any order. Whichever is first takes the oldest request, so that
        # a stop that was sent behind a start reaches the gateway behind it.
        request, args, source, reply = self._begun.popleft()
        try:
            answer = await self._dispatch(args, source)
            if isinstance(answer, dict):
                return reply(answer)
            await self._follow(answer, request, source)
        except Exception as err:
            self._refuse(request, err)
        except BaseException:
            self._answered()
            raise
        else:
            self._answered()

    async def _follow(self, stream: Stream, request: Args, source: str) -> None:
        try:
            if self._shares is not None:
                self._shares.take("streams", source)
        except CallerError:
            await stream.lines.aclose()
            raise
        with trio.CancelScope() as scope:
            if self._closing:
                scope.cancel()
            self._following[scope] = request
            try:
                await follow(stream, request, self._outbox)
            finally:
                del self._following[scope]
                if self._shares is not None:
                    self._shares.give("streams", source)

    def _reply(self, request: Args, reply: Reply) -> None:
        try:
            wire = line(reply, request)
        except (TypeError, ValueError) as err:
            self._refuse(request, err)
        else:
            self._outbox.say(wire)
            self._answered()

    def _refuse(self, request: Args, err: Exception) -> None:
        if not isinstance(err, DevgateError):
            log.error("operation failed type=%s", shown(request.get("type")), exc_info=err)
            err = DevgateError("500", "the gateway failed: its log says how")
        self._outbox.say(line(refusal(request, err), request))
        self._answered()

    def _answered(self) -> None:
        self._outstanding -= 1
        if not self._outstanding and self._busy_guest is not None:
            self._busy_guest.rests()
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
