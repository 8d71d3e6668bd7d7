"""Watch and tap: a reply, and then a line for each event until the client closes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import NamedTuple, Protocol

import trio

from devgate.control.caller import Caller
from devgate.control.outbox import Outbox, Reply, line, refusal
from devgate.control.requests import Args
from devgate.errors import CallerError
from devgate.gateway.operations.reply import Stream
from devgate.model import Source

Dispatch = Callable[[Args, str], Awaitable[Reply | Stream]]
# The same without a task: it calls back with the reply. False: this request needs dispatch().
Begin = Callable[[Args, str, Callable[[Reply], None]], bool]


class Entry(Protocol):
    """Carries out requests."""

    @property
    def dispatch(self) -> Dispatch:
        """Carries out each request that begin() has not taken."""

    @property
    def begin(self) -> Begin:
        """Is asked first. It may change while requests are held: read it for each request."""


class Functions(NamedTuple):
    """An Entry that is always open."""

    dispatch: Dispatch
    begin: Begin


class Streams:
    """The streams of one connection."""

    def __init__(self, caller: Caller | None) -> None:
        self.closing = False  # no stream may begin any more
        self._caller = caller
        self._running: dict[trio.CancelScope, tuple[Args, Source]] = {}

    async def follow(self, stream: Stream, request: Args, source: str, outbox: Outbox) -> None:
        """Send the reply and all lines. Closes the stream, however this ends.

        A client that reads too slowly delays only its own stream, which counts and reports what
        was missed. Raises CallerError (429) if its token has too many streams.
        """
        async with aclosing(stream.lines) as lines:
            if self._caller is not None:
                self._caller.begin_stream(source)
            with trio.CancelScope() as scope:
                if self.closing:
                    scope.cancel()
                self._running[scope] = request, Source.of(source)
                try:
                    outbox.say(line(stream.reply, request))
                    async for event in lines:
                        outbox.say(line(event, request))
                        if outbox.full:
                            await outbox.room()
                finally:
                    del self._running[scope]
                    if self._caller is not None:
                        self._caller.end_stream(source)

    def __len__(self) -> int:
        return len(self._running)

    def end(self) -> None:
        """End all streams, and each that begins from now on."""
        self.closing = True
        for scope in self._running:
            scope.cancel()

    def recheck(self, caller: Caller, outbox: Outbox) -> None:
        """End the streams that their token does not allow any more."""
        for scope, (request, source) in list(self._running.items()):
            try:
                if caller.check(request).sites != source.sites:
                    raise CallerError("401", "you are limited to other sites by now; ask again")
            except CallerError as err:
                outbox.say(line(refusal(request, err), request))
                scope.cancel()
