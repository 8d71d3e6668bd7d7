"""Operations on the audit: who changed what, and who logged in."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from devgate.errors import CallerError
from devgate.events.kinds import AUDIT, Event
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply, Stream
from devgate.model import Source
from devgate.store import audit as stored
from devgate.store.audit import WantedEvents

FILTERS = ("source", "events", "since", "until")
PAGE_EVENTS = 1000  # of an export, that one read returns
MAX_IMEIS = 20  # devices that an event of an operation names; it counts them all
ABOVE_ALL_EVENTS = 2**62  # higher than the number of any event
# Operations that change nothing, write an event themselves, or make a command.
WITH_OWN_EVENT = frozenset({
    "start", "stop", "test_start", "cancel", "resolve", "add", "edit", "remove", "approve",
    "import", "upload",
    "bulk_start", "bulk_stop", "bulk_edit", "refresh", "users", "tokens", "sessions",
    "user_add", "user_edit", "user_remove", "token_add", "token_edit", "token_remove", "password",
    "session_end", "webhook_add", "webhook_edit", "webhook_remove", "audit", "audit_export",
    "settings", "doctor",
})  # fmt: skip
# Fields of requests whose values an event may show: none of these is a secret.
SHOWN_FIELDS = frozenset({
    "name", "imei", "node", "enabled", "draining", "dismissed", "after", "site", "bulk", "id",
    "until", "reason",
})  # fmt: skip


async def audit(gateway: Gateway, args: Args, source: str) -> Reply:
    """A page of changes and logins, the newest first. It may be short and have a `next`."""
    wanted, limit = _wanted(args), arguments.limit(args)
    after = arguments.number(args, "after")
    await gateway.records.flushed()
    before = ABOVE_ALL_EVENTS if after is None else after
    rows, following = await gateway.records.read(stored.page, wanted, before, limit)
    items = [Event.of(row).line() for row in rows]
    return {"status": "200", "items": items, "next": following}


async def export(gateway: Gateway, args: Args, source: str) -> Stream:
    """All changes and logins that fit, one a line, the newest first."""
    wanted = _wanted(args)
    await gateway.records.flushed()
    # Before the stream begins: an error of it is the reply.
    first = await gateway.records.read(stored.page, wanted, ABOVE_ALL_EVENTS, PAGE_EVENTS)
    return Stream({"status": "200", "message": "all changes"}, _all(gateway, wanted, first))


async def _all(
    gateway: Gateway, wanted: WantedEvents, page: tuple[list[Any], int | None]
) -> AsyncGenerator[Reply, None]:
    while True:
        rows, following = page
        for row in rows:
            yield Event.of(row).line()
        if following is None:
            return
        page = await gateway.records.read(stored.page, wanted, following, PAGE_EVENTS)


def _wanted(args: Args) -> WantedEvents:
    types = arguments.types(args)
    if types and not types & set(AUDIT):
        raise CallerError("400", f"events: some of {', '.join(AUDIT)} expected")
    return WantedEvents(
        source=arguments.text(args, "source", arguments.MAX_SOURCE),
        types=types,
        since=arguments.moment(args, "since"),
        until=arguments.moment(args, "until"),
    )


def tell(gateway: Gateway, name: str, args: Args, who: Source) -> None:
    """Write the event of an operation that has changed something and writes no event itself."""
    given: dict[str, object] = {}
    for field, value in args.items():
        if field == "type" or value is None:
            continue
        plain = field in SHOWN_FIELDS and isinstance(value, str | int | float)
        given[field] = (value if not isinstance(value, str) else value[:200]) if plain else "given"
        if field == "imeis" and isinstance(value, list):
            given |= {"imeis": ", ".join(map(str, value[:MAX_IMEIS])), "count": len(value)}
    note(gateway, "operation.done", who, operation=name, given=given)


def note(gateway: Gateway, event: str, source: str, **detail: object) -> None:
    """The event of a change, with who made it and from where."""
    who = Source.of(source)
    gateway.records.event(event, None, source=who.plain, address=who.address or None, **detail)
