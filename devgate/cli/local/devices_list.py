"""`devgate devices list`: the devices that fit, as the running gateway knows them.

Without a gateway they are read from the database, and nobody knows who is online.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from devgate.cli import describe
from devgate.cli.asking import given
from devgate.cli.local.stored import store
from devgate.cli.output import Where, common, emit, exit_code, fail, finish, print_error, say
from devgate.cli.params import SpanType
from devgate.control.client import NoAnswer, NoGateway, ask
from devgate.model import NO_GATEWAY, iso

if TYPE_CHECKING:
    from devgate.store.engine import Database

Items = list[dict[str, Any]]
ReadPage = Callable[[str | None, int], Mapping[str, Any]]  # after, limit: items, next, count, more

PAGE_SIZE = 500  # devices asked for at once
STORED_FIELDS = ("imei", "id", "name", "site", "enabled")
# Fields that only a running gateway knows, as `status` and `devices` of control.md name them.
LIVE_FIELDS = ("online", "since", "address", "heard", "running_until")


@click.command("list")
@click.option("--search", "q", metavar="WORDS", help="Only with these in IMEI, name or site.")
@click.option("--site", help="Only those of one site.")
@click.option("--online/--offline", default=None, help="Only those that are, or are not.")
@click.option("--running", is_flag=True, help="Only those that run after a start.")
@click.option("--enabled/--disabled", default=None, help="Only those that may register, or not.")
@click.option("--model", help="Only those of one model.")
@click.option("--tag", help="Only those with this tag.")
@click.option("--never-seen", is_flag=True, help="Only those that never were connected.")
@click.option("--offline-for", type=SpanType(), help="Only those that are offline for so long.")
@click.option("--not-started-for", type=SpanType(), help="Only those not started for so long.")
@click.option(
    "--failing",
    type=click.IntRange(0, 99),
    metavar="PERCENT",
    help="Only those of whose latest starts more went wrong.",
)
@click.option(
    "--sort",
    metavar="KEY",
    help="imei (the default), id, name, site, since or state; -since: the last first.",
)
@click.option("--count", is_flag=True, help="Only say how many they are, up to 10,000.")
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    help="At most this many; 0 for all.",
)
@click.option("--after", metavar="PLACE", help="Go on behind this place: `next` of a page.")
@common
def list_(
    where: Where,
    /,
    limit: int,
    after: str | None,
    count: bool,
    running: bool,
    never_seen: bool,
    **filters: Any,
) -> None:
    """List devices: all, or those that fit all that is given.

    Who is online the running gateway says; without one it is unknown.

    \b
    Examples:
      devgate devices list --offline --site north
      devgate devices list --offline-for 1d --sort since
      devgate devices list --failing 5 --count
      devgate devices list --limit 0 --json | jq -r '.items[].imei'
    """
    asked = given(running=running or None, seen=False if never_seen else None, **filters)

    def ask_page(after: str | None, limit: int) -> Mapping[str, Any]:
        place = given(limit=limit, after=after, count=count or None)
        reply = ask(where.socket(), {"type": "devices", **asked, **place})
        if exit_code(reply):
            finish(reply, where.as_json)
        return reply

    try:
        try:
            _print(where, ask_page, limit, after, count)
        except NoGateway as err:
            if not (err.absent and _answers(where)):
                raise
            _print(where, ask_page, limit, after, count)  # it has just been started
    except NoAnswer:
        raise
    except NoGateway as err:
        if asked.keys() & {"online", "offline_for"}:
            fail(f"who is online is unknown: {err}", NO_GATEWAY)
        with store(where, runs=False) as database:
            print_error(f"no gateway answers: read from {database.url_shown}, online is unknown")
            _print(where, _stored_pages(database, asked), limit, after, count)


def _answers(where: Where) -> bool:
    try:
        ask(where.socket(), {"type": "status"})
    except NoGateway:
        return False
    return True


def _stored_pages(database: Database, asked: Mapping[str, Any]) -> ReadPage:
    from devgate.gateway.operations import arguments
    from devgate.gateway.operations.device_list import ORDERS, wanted_of
    from devgate.store import device_pages

    filters = dict(asked)
    sort = arguments.choice(filters, "sort", ORDERS) or "imei"
    filters.pop("sort", None)

    def page(after: str | None, limit: int) -> Mapping[str, Any]:
        with database.read() as conn:
            found = device_pages.find(
                conn, wanted_of(filters), limit, sort=sort.removeprefix("-"),
                down=sort.startswith("-"), after=after, counted=True,
            )  # fmt: skip
        now = time.time()
        items: Items = []
        for row in found.rows:
            until = row.presence["running_until"]
            known = {
                name: getattr(row.device, name, None) for name in (*STORED_FIELDS, *LIVE_FIELDS)
            }
            items.append(known | {"running_until": iso(until if until and until > now else None)})
        count, more = found.counted or (0, False)
        return {"items": items, "next": found.next, "count": count, "more": more}

    return page


def _print(where: Where, page: ReadPage, limit: int, after: str | None, count: bool) -> None:
    if not count:
        return _print_pages(where, page, limit, after)
    reply = page(None, 1)
    if where.as_json:
        return emit({"status": "200", "count": reply["count"], "more": reply["more"]})
    return say(f"{reply['count']}{'+' if reply['more'] else ''}")


def _print_pages(where: Where, page: ReadPage, limit: int, after: str | None) -> None:
    remaining, header = limit or sys.maxsize, True
    while True:
        reply = page(after, min(remaining, PAGE_SIZE))
        items, after = reply["items"], reply["next"]
        remaining -= len(items)
        if where.as_json:
            emit({"status": "200", "items": items, "next": after})
        elif items or header:
            lines = describe.devices(items)
            say(lines if header else lines.partition("\n")[2])
        header = False
        if after is None:
            return
        if remaining <= 0:
            if not where.as_json:
                print_error(f"there are more: add --after {after}")
            return
