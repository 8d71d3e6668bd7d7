"""Operations on what became of commands: a page of them, or all of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from devgate.gateway.command_record import record
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply, Stream
from devgate.model import Imei
from devgate.store import command_pages
from devgate.store.command_looks import ENDED, WantedCommands
from devgate.store.command_pages import CommandPage
from devgate.store.device import MAX_NAME
from devgate.store.history import Reading

PAGE_COMMANDS = 1000  # of an export, that one read returns
OUTCOMES = ("pending", *ENDED)
KINDS = ("start", "stop")
STATES = ("waiting", "sent", "ended")
FILTERS = (
    "imei", "key", "state", "outcome", "kind", "site", "source", "since", "until",
)  # fmt: skip


async def history(gateway: Gateway, args: Args, source: str) -> Reply:
    """A page of records of commands, the newest first; with `count`, how many there are."""
    wanted, limit = wanted_of(args), arguments.limit(args)
    after, before = (arguments.text(args, name) for name in ("after", "before"))
    counted = arguments.yes(args, "count", False)
    await gateway.records.flushed()
    page, total = await gateway.records.read(_page, wanted, limit, after, before, counted)
    await gateway.knowledge.learn(Imei(row["imei"]) for row in page.rows)
    return {
        "status": "200",
        "items": [named(gateway, row) for row in page.rows],
        "next": page.next,
        "prev": page.prev,
        **({} if total is None else {"count": total[0], "more": total[1]}),
    }


def _page(
    conn: Reading,
    wanted: WantedCommands,
    limit: int,
    after: str | None,
    before: str | None,
    counted: bool,
) -> tuple[CommandPage, tuple[int, bool] | None]:
    found = command_pages.find(conn, wanted, limit, after, before)
    return found, command_pages.count(conn, wanted) if counted else None


async def export(gateway: Gateway, args: Args, source: str) -> Stream:
    """All commands that fit, one a line, the newest first."""
    wanted = wanted_of(args)
    await gateway.records.flushed()
    # An error here is a reply.
    first = await gateway.records.read(command_pages.find, wanted, PAGE_COMMANDS)
    return Stream({"status": "200", "message": "all commands"}, _all(gateway, wanted, first))


async def _all(
    gateway: Gateway, wanted: WantedCommands, page: CommandPage
) -> AsyncGenerator[Reply, None]:
    """Read page by page: who reads slowly keeps no transaction open."""
    while True:
        await gateway.knowledge.learn(Imei(row["imei"]) for row in page.rows)
        for row in page.rows:
            yield named(gateway, row)
        if page.next is None:
            return
        page = await gateway.records.read(command_pages.find, wanted, PAGE_COMMANDS, page.next)


def named(gateway: Gateway, row: Mapping[str, Any]) -> Reply:
    """A command's record, with what its device is called now."""
    called = gateway.records.called(Imei(row["imei"]))
    return {
        **record(row),
        "name": called.name if called else "",
        "site": called.site if called else "",
    }


def wanted_of(args: Args) -> WantedCommands:
    """The filters of a request. Raises CallerError (400), which names the field."""
    outcomes = arguments.names(args, "outcome") or frozenset()
    if wrong := sorted(outcomes - set(OUTCOMES)):
        raise arguments.expected("outcome", f"some of {', '.join(OUTCOMES)}", wrong[0])
    since, until = arguments.moment(args, "since"), arguments.moment(args, "until")
    return WantedCommands(
        imei=arguments.maybe_device(args),
        key=arguments.key(args),
        state=arguments.choice(args, "state", STATES),
        outcomes=outcomes,
        kind=arguments.choice(args, "kind", KINDS),
        site=arguments.text(args, "site", MAX_NAME),
        sites=arguments.own_sites(args),
        source=arguments.text(args, "source", arguments.MAX_SOURCE),
        since=since,
        until=until,
    )
