"""Operations that go on: a reply, and then a line an event."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from devgate.errors import CallerError
from devgate.events.kinds import KINDS
from devgate.gateway import fields
from devgate.gateway.fields import Args
from devgate.gateway.gateway import Gateway
from devgate.gateway.replies import Reply, Stream
from devgate.model import Imei


async def watch(gateway: Gateway, args: Args, source: str) -> Stream:
    imei, kinds = fields.maybe_device(args), fields.names(args, "events")
    after = fields.number(args, "after")
    for kind in sorted(kinds or ()):
        if kind not in KINDS and kind not in GROUPS:
            expected = ", ".join((*sorted(GROUPS), *KINDS))
            raise CallerError("400", f"events: no event is called {kind!r}; there are {expected}")
    if after is not None and after > gateway.events.last:
        after = gateway.events.last  # of another log, or of the future: from now on
    position = gateway.events.last if after is None else after
    reply: Reply = {"status": "200", "message": "watching", "after": position}
    return Stream(reply, _events(gateway, imei, kinds, position))


# `device` stands for all events of devices.
GROUPS = frozenset(kind.partition(".")[0] for kind in KINDS)


async def _events(
    gateway: Gateway, imei: Imei | None, kinds: frozenset[str] | None, after: int
) -> AsyncGenerator[Reply, None]:
    expected = after + 1
    async with aclosing(gateway.events.follow(after)) as events:
        async for event in events:
            if event.n > expected:  # trimmed from the database before this reader came to it
                yield {"missed": event.n - expected}
            expected = event.n + 1
            if imei is not None and event.imei != imei:
                continue
            if kinds is None or event.type in kinds or event.type.partition(".")[0] in kinds:
                yield event.line()


async def tap(gateway: Gateway, args: Args, source: str) -> Stream:
    unregistered = fields.yes(args, "unregistered", False)
    imei = None if unregistered else fields.device(args)
    if imei is not None and gateway.directory.admits(imei) is None:
        raise CallerError("300", f"no device with the IMEI {imei} is known")
    reply: Reply = {"status": "200", "message": "tapping", "imei": imei}
    return Stream(reply, _frames(gateway, imei))


async def _frames(gateway: Gateway, imei: Imei | None) -> AsyncGenerator[Reply, None]:
    desk = gateway.desk
    with desk.taps.reading(imei) as (tap, reader):
        desk.hang(imei, tap)
        try:
            async with aclosing(reader.lines()) as lines:
                async for line in lines:
                    yield line
        finally:
            if not tap.readers[1:]:
                desk.hang(imei, None)
