"""Watch and tap: a reply, and then a line an event until the client closes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Protocol

from devgate.control.outbox import Outbox
from devgate.control.replies import Args, Reply, line


class Lines(Protocol):
    """Lines as they come, until `aclose`."""

    def __aiter__(self) -> AsyncIterator[Reply]: ...

    async def __anext__(self) -> Reply: ...

    async def aclose(self) -> None: ...


class Stream(Protocol):
    """What an operation returns that does not end with its reply."""

    @property
    def reply(self) -> Reply:
        """The first line."""

    @property
    def lines(self) -> Lines:
        """One line an event. Whoever has the stream closes it, too."""


Dispatch = Callable[[Args, str], Awaitable[Reply | Stream]]
# The same without a task, calling back with the reply. False: not this request, dispatch it.
Begin = Callable[[Args, str, Callable[[Reply], None]], bool]


async def follow(stream: Stream, request: Args, outbox: Outbox) -> None:
    """Send the reply and all lines. Closes the stream, however this ends.

    A client that reads too slowly holds up its own stream alone: what is missed is the
    stream's to count and to tell.
    """
    async with aclosing(stream.lines) as lines:
        outbox.say(line(stream.reply, request))
        async for event in lines:
            outbox.say(line(event, request))
            if outbox.full:
                await outbox.room()
