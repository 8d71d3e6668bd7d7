"""Operations on events and frames: a page of events, and streams with a line for each."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from typing import Self

from devgate.errors import CallerError, no_device
from devgate.events.kinds import KINDS, PRIVATE, Event
from devgate.gateway.devices.desk import Desk
from devgate.gateway.devices.taps import Tap
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply, Stream
from devgate.model import Imei, Source
from devgate.store import history


async def events(gateway: Gateway, args: Args, source: str) -> Reply:
    """A page of what happened, oldest first. With `events` a page may hold fewer than `limit`.

    `last` is where the next page starts, whether there is one yet or not.
    """
    imei, types = arguments.maybe_device(args), _types(args, source)
    limit = arguments.limit(args)
    after = arguments.number(args, "after") or 0
    await gateway.records.flushed()
    size = arguments.MAX_LIMIT if types else limit
    rows = await gateway.records.read(history.events_after, after, size, imei)
    read = [Event.of(row) for row in rows]
    found = [event for event in read if event.matches(types)]
    more, last = len(rows) == size, read[-1].n if read else after
    if len(found) > limit:
        more, last = True, found[limit - 1].n
        found = found[:limit]
    await gateway.knowledge.learn({event.imei for event in found if event.imei is not None})
    lines = [_line(gateway, event) for event in found]
    reply: Reply = {"status": "200", "items": lines}
    if imei is None and read and read[0].n > after + 1:
        reply["missed"] = read[0].n - after - 1  # no longer kept
    return {**reply, "next": last if more else None, "last": last}


async def watch(gateway: Gateway, args: Args, source: str) -> Stream:
    """Follow events after the number `after`, or from now on; of one device or some types."""
    imei, types = arguments.maybe_device(args), _types(args, source)
    after, message = arguments.number(args, "after"), "watching"
    position = gateway.events.last if after is None else after
    if position > gateway.events.last:
        # Another node of the cluster may be ahead; else it is of another log: from now on.
        newest = max(await gateway.records.read(history.newest_event), gateway.events.last)
        if position > newest:
            message = (
                f"no event has the number {position} yet, the newest is {newest}; "
                "watching from now on"
            )
            position = newest
    reply: Reply = {"status": "200", "message": message, "after": position}
    return Stream(reply, _events(gateway, imei, types, position))


def _types(args: Args, source: str) -> frozenset[str]:
    """The types that are asked for, of those that the caller may see; an empty set means all."""
    types = arguments.types(args)
    if Source.of(source).role == "admin":
        return types
    if types and types <= PRIVATE:
        raise CallerError("401", "events: these are for the role admin; nothing was done")
    return (types or frozenset(KINDS)) - PRIVATE


async def _events(
    gateway: Gateway, imei: Imei | None, types: frozenset[str], after: int
) -> AsyncGenerator[Reply, None]:
    expected = after + 1
    async with aclosing(gateway.events.follow(after)) as events:
        async for event in events:
            if event.n > expected:  # events were deleted before this reader got to them
                yield {"missed": event.n - expected}
            expected = event.n + 1
            if imei is not None and event.imei != imei:
                continue
            if event.matches(types):
                yield _line(gateway, event)


def _line(gateway: Gateway, event: Event) -> Reply:
    """An event with the name of its device: the name of then, if the event has it, otherwise that
    of now. A node adds it only for devices in its memory: a stream waits for no look-up."""
    line = event.line()
    if event.imei is not None and "name" not in line:
        called = gateway.directory.called(Imei(event.imei))
        if called is not None:
            line["name"], line["site"] = called.name, called.site
    return line


async def tap(gateway: Gateway, args: Args, source: str) -> Stream:
    """Follow the frames of one device, or those of all that have not registered."""
    unregistered = arguments.yes(args, "unregistered", False)
    imei = None if unregistered else arguments.device(args)
    if imei is not None:
        await gateway.knowledge.learn([imei])
    if imei is not None and gateway.directory.admits(imei) is None:
        raise no_device(imei)
    reply: Reply = {"status": "200", "message": "tapping", "imei": imei}
    return Stream(reply, _Frames(gateway.desk, imei))


class _Frames:
    """The frames of a device from now on. The tap is attached before the reply is sent."""

    def __init__(self, desk: Desk, imei: Imei | None) -> None:
        with ExitStack() as attached:
            tap, reader = attached.enter_context(desk.taps.reading(imei))
            desk.attach(imei, tap)
            attached.callback(_detach, desk, imei, tap)
            self._attached = attached.pop_all()
        self._lines = reader.lines()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Reply:
        return await anext(self._lines)

    async def aclose(self) -> None:
        self._attached.close()
        await self._lines.aclose()


def _detach(desk: Desk, imei: Imei | None, tap: Tap) -> None:
    if not tap.readers[1:]:
        desk.attach(imei, None)
