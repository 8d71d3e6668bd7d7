"""One control connection: its requests run side by side, each gets its reply."""

from __future__ import annotations

import logging
import math
import socket
from collections import deque
from contextlib import suppress
from functools import partial

import trio

from devgate.control.caller import Caller
from devgate.control.door import Guest
from devgate.control.hangups import Hangups
from devgate.control.intake import Intake
from devgate.control.limits import Limits
from devgate.control.outbox import Outbox, PendingRequest, Reply, line, refusal
from devgate.control.requests import Args, RequestReader
from devgate.control.streams import Entry, Streams
from devgate.control.transport import Transport
from devgate.errors import CallerError, DevgateError
from devgate.model import shown
from devgate.net.moved import MovedCaller
from devgate.net.turns import Turns
from devgate.net.urgent import Urgent

log = logging.getLogger(__name__)

REQUESTS_A_TURN = 32  # of one read before other tasks have their turn: about two milliseconds
MAX_LAST_READS = 16  # of one connection when the gateway stops: a flood must not keep it


class Enough(Exception):
    """Nothing more is read of this connection."""


class Connection:
    """One connection from its first byte to its last. Its one task calls run()."""

    def __init__(
        self,
        transport: Transport,
        entry: Entry,
        hangups: Hangups,
        limits: Limits,
        urgent: Urgent | None = None,
        *,
        caller: Caller | None = None,
        guest: Guest | None = None,
        turns: Turns | None = None,
        begun: bytes = b"",
    ) -> None:
        """Without a `caller` everything is allowed, and the source is "socket".

        With `urgent`, requests are begun before all devices, without this connection's task.
        `turns` are shared by connections that have shown no token: one of them is read in each
        turn of the loop. `guest` is told when requests begin and end. `begun` are bytes of an
        incomplete request that have come already.
        """
        self._turns = turns
        self._caller = caller
        self._guest = guest
        self._transport = transport
        self._entry = entry
        self._hangups = hangups
        self._limits = limits
        self._max_outstanding = limits.outstanding
        self._reader = RequestReader()
        self._reader.feed(begun)
        self._intake = Intake(transport, self._reader, urgent, turns)
        self._begun: deque[PendingRequest] = deque()
        self._outstanding = 0
        self._fewer = trio.lowlevel.ParkingLot()  # wakes at the end of any request
        self._scope = trio.CancelScope()
        self._reading = trio.CancelScope()
        self._streams = Streams(caller)
        self._outbox: Outbox
        self._nursery: trio.Nursery

    @property
    def _unauthenticated(self) -> bool:
        return self._caller is not None and self._caller.unauthenticated

    async def run(self) -> None:
        """Serve it until both sides have ended. The socket stays open: the caller closes it.

        If the client disappears, its streams and its waiting end, but its commands go on.
        """
        if self._unauthenticated:
            self._reading.deadline = trio.current_time() + self._limits.login
        with self._scope:
            try:
                async with trio.open_nursery() as self._nursery:
                    self._outbox = Outbox(
                        self._transport,
                        self._nursery,
                        self._limits.patience,
                        self._lose,
                        self._limits.unsent,
                    )
                    await self._read()
                    self._hangups.watch(self._transport.sock, self._vanished)
                    while self._outstanding:
                        await self._fewer.park()
            finally:
                self._hangups.forget(self._transport.sock)
                self._outbox.close()
                if self._caller is not None:
                    self._caller.leave()
            if not self._intake.ended:
                with suppress(OSError):
                    await self._transport.finish(self._turns if self._unauthenticated else None)

    def drain(self) -> None:
        """Read no more and end the streams. Requests under way still get their replies."""
        self._streams.end()
        self._reading.cancel()

    def give(self) -> MovedCaller | None:
        """End here, between two requests, so that another process can continue: it gets a
        descriptor of its own. None: not now. A connection that can never be given is drained."""
        if not self._transport.plain or self._streams or self._streams.closing:
            self.drain()
            return None
        if self._outstanding or self._intake.ended or not self._outbox.empty:
            return None
        self._scope.cancel()
        tcp = self._transport.sock.family != socket.AF_UNIX
        return MovedCaller(
            "tcp" if tcp else "unix",
            self._transport.sock.dup(),
            self._reader.begun,
            not self._unauthenticated,
        )

    def recheck(self) -> None:
        """End the streams that their token does not allow any more."""
        if self._caller is not None:
            self._streams.recheck(self._caller, self._outbox)

    # Reading

    async def _read(self) -> None:
        """Begin each request, until the peer ends or breaks a rule, or this side drains."""
        try:
            with self._reading:
                while await self._intake.more(self._heard, unauthenticated=self._unauthenticated):
                    await self._ease()
                    begun = 0
                    while (request := self._reader.next_request()) is not None:
                        self._begin(request)
                        begun += 1
                        if begun % REQUESTS_A_TURN == 0:
                            await trio.lowlevel.checkpoint()
                        await self._ease()
                self._intake.ended = True
                self._reader.end()
            if self._streams.closing:
                self._read_last()
            elif self._reading.cancelled_caught:
                raise CallerError("401", "no request with a good token came in time")
        except CallerError as err:
            self._streams.end()
            self._outbox.say(line(refusal({}, err), {}))
        except Enough:
            self._streams.end()
        except OSError as err:
            self._lose(f"receive failed: {err}")

    def _heard(self) -> None:
        """Begin the requests that have come. The task is needed only if some cannot begin now."""
        try:
            data = self._transport.receive_now()
            if data is None:
                return
            self._reader.feed(data)
            self._intake.ended = not data
            for _ in range(REQUESTS_A_TURN):
                # As _busy(), without a call.
                if not data or self._outbox.full or self._outstanding >= self._max_outstanding:
                    break
                if (request := self._reader.next_request()) is None:
                    return
                self._begin(request)
                if self._reader.empty:
                    return
        except Exception as err:  # it ends this connection: the task raises it
            self._intake.hand_over(err)
        else:
            self._intake.hand_over()

    def _read_last(self) -> None:
        """Answer the requests that came before the gateway began to stop."""
        for _ in range(MAX_LAST_READS):
            while not self._busy() and (request := self._reader.next_request()) is not None:
                self._begin(request)
            if self._busy() or not (data := self._transport.receive_now()):
                return
            self._reader.feed(data)

    def _busy(self) -> bool:
        return self._outstanding >= self._limits.outstanding or self._outbox.full

    async def _ease(self) -> None:
        """Wait until more requests may be begun. Usually that is now, without a checkpoint."""
        while self._busy():
            if self._outbox.full:
                await self._outbox.room()
            else:
                await self._fewer.park()

    def _begin(self, request: dict[str, object]) -> None:
        """Begin one request that has arrived whole."""
        self._outstanding += 1
        if self._outstanding == 1 and self._guest is not None:
            self._guest.asks()
        try:
            asked = self._admitted(request)
            # Not before an earlier request whose task has not begun.
            begun = not self._begun and self._entry.begin(asked.args, asked.source, asked.reply)
        except Exception as err:
            self._refuse(request, err)
            if self._caller is not None and self._caller.hopeless:
                raise Enough from None
            return
        if not begun:
            self._begun.append(asked)
            self._nursery.start_soon(self._answer)

    def _admitted(self, request: dict[str, object]) -> PendingRequest:
        source = "socket"
        if self._caller is not None:
            source = self._caller.admit(request)
            if self._reading.deadline != math.inf:  # it was unauthenticated
                self._reading.deadline = math.inf
        args: Args = request
        if "id" in request or "token" in request:
            args = {k: v for k, v in request.items() if k not in ("id", "token")}
        return PendingRequest(request, args, source, partial(self._reply, request))

    # Answering

    async def _answer(self) -> None:
        # Trio runs new tasks in any order. The first to run takes the oldest request, so that a
        # stop that was sent after a start reaches the gateway after it.
        request, args, source, reply = self._begun.popleft()
        try:
            answer = await self._entry.dispatch(args, source)
            if isinstance(answer, dict):
                return reply(answer)
            await self._streams.follow(answer, request, source, self._outbox)
        except Exception as err:
            self._refuse(request, err)
        except BaseException:
            self._answered()
            raise
        else:
            self._answered()

    def _reply(self, request: Args, reply: Reply) -> None:
        try:
            text = line(reply, request)
        except (TypeError, ValueError) as err:
            self._refuse(request, err)
        else:
            self._outbox.say(text)
            self._answered()

    def _refuse(self, request: Args, err: Exception) -> None:
        if not isinstance(err, DevgateError):
            log.error("operation failed type=%s", shown(request.get("type")), exc_info=err)
            err = DevgateError("500", "the gateway failed: its log says how")
        self._outbox.say(line(refusal(request, err), request))
        self._answered()

    def _answered(self) -> None:
        self._outstanding -= 1
        if not self._outstanding and self._guest is not None:
            self._guest.rests()
        if self._fewer:
            self._fewer.unpark_all()

    # Ending

    def _vanished(self) -> None:
        self._lose("the client is gone")

    def _lose(self, why: str) -> None:
        log.debug("control connection lost reason=%s", why)
        self._scope.cancel()
