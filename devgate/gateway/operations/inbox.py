"""The inbox of unknown outcomes: those that a person has to resolve, and their verdicts."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from devgate.errors import CallerError, StoreError
from devgate.gateway.clock import time
from devgate.gateway.command import Command
from devgate.gateway.command_record import record
from devgate.gateway.completion import result_of
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.gateway.resolution import resolution
from devgate.model import Source, alternatives, iso
from devgate.store import inbox
from devgate.store.device import MAX_NAME
from devgate.store.history import Reading, Record
from devgate.store.outage import outage

STATES = ("unresolved", "contradicted", "resolved")
VERDICTS = ("ran", "did_not_run", "refunded", "other")
LIST_FIELDS = (
    "state", "imei", "site", "person", "older", "newer", "stops", "old", "after", "limit",
)  # fmt: skip
RESOLVE_FIELDS = ("commands", "verdict", "note", "by", "together")
MAX_COMMANDS = 200  # commands of one request
MAX_NOTE_LENGTH = 500  # characters
MAX_PERSON_LENGTH = 64  # characters
MAX_AGE_SECONDS = 10 * 366 * 86400.0

log = logging.getLogger("devgate.commands")


async def unknown(gateway: Gateway, args: Args, source: str) -> Reply:
    """A page of the inbox, the newest first, and how many there are in all, up to 10,000."""
    looked, limit = _looked(args), arguments.limit(args)
    after = arguments.text(args, "after")
    await gateway.records.flushed()
    count, page = await gateway.records.read(_read, looked, after, limit)
    return {
        "status": "200",
        "items": [{**record(row), "name": row["name"], "site": row["site"]} for row in page.rows],
        "next": page.next,
        "count": count.n,
        "more": count.more,
    }


def _read(
    conn: Reading, looked: inbox.InboxFilter, after: str | None, limit: int
) -> tuple[inbox.InboxCount, inbox.InboxPage]:
    return inbox.count(conn, looked), inbox.page(conn, looked, after=after, limit=limit)


def _looked(args: Args) -> inbox.InboxFilter:
    now = time()
    state = arguments.choice(args, "state", STATES)
    older, newer = (arguments.seconds(args, name, MAX_AGE_SECONDS) for name in ("older", "newer"))
    return inbox.InboxFilter(
        state=state or "unresolved",  # type: ignore[arg-type]
        stops=arguments.yes(args, "stops", False),
        old=arguments.yes(args, "old", False),
        imei=arguments.maybe_device(args),
        site=arguments.text(args, "site", MAX_NAME),
        sites=arguments.own_sites(args),
        before=None if older is None else now - older,
        since=None if newer is None else now - newer,
        person=arguments.text(args, "person", MAX_PERSON_LENGTH),
    )


async def resolve(gateway: Gateway, args: Args, source: str) -> Reply:
    """Say what became of these commands. The first verdict counts.

    Raises CallerError: 400; and 409 if not all of them are resolved by it, with those that are.
    """
    ids, verdict = _ids(args), arguments.choice(args, "verdict", VERDICTS)
    if verdict is None:
        raise CallerError("400", f"verdict: {alternatives(VERDICTS)} expected, not nothing")
    note, by = (
        arguments.text(args, "note", MAX_NOTE_LENGTH),
        arguments.text(args, "by", MAX_PERSON_LENGTH),
    )
    who = Source.of(source)
    by = who.plain if by is None else f"{who.plain}:{by}"
    together = arguments.yes(args, "together", False)
    await gateway.records.flushed()
    rows = await gateway.records.read(_rows, ids, together)
    for id in ids:
        if id not in rows:
            raise CallerError("400", f"commands: no command has the id {id}; none was resolved")
    commands = {id: Command.of(row) for id, row in rows.items()}
    begun = []

    def begin(on_done: Any) -> None:
        begun.append(gateway.records.resolve(commands, verdict, note, by, on_done, who.address))

    if (error := await result_of(begin)) is not None:
        raise _away(error)
    gateway.inbox.changed()
    done = set(begun[0].resolved)
    if done:
        log.info(
            "commands resolved count=%s first=%s verdict=%s by=%s",
            len(done), min(done), verdict, by,
        )  # fmt: skip
    said = {"verdict": verdict, "note": note, "resolved_by": by}
    if unresolved := [id for id in rows if id not in done]:
        there = await gateway.records.read(inbox.by_ids, unresolved)
        # A caller who got no answer and asks again has resolved these himself.
        done |= {id for id, row in there.items() if said.items() <= row.items()}
        if conflicts := [_conflict(row) for id, row in there.items() if id not in done]:
            raise _conflicting(conflicts, sorted(done))
    return {
        "status": "200",
        "message": f"resolved {len(done)}, as {verdict}",
        "verdict": verdict,
        "by": by,
        "resolved": sorted(done),
        "conflicts": [],
    }


def _ids(args: Args) -> Sequence[str]:
    given = args.get("commands")
    if isinstance(given, str):
        given = [part.strip() for part in given.split(",")]
    if not isinstance(given, list) or not given:
        raise arguments.expected("commands", "ids of commands", given)
    if len(given) > MAX_COMMANDS:
        raise CallerError(
            "400", f"commands: at most {MAX_COMMANDS} at once expected, not {len(given)}"
        )
    for one in given:
        if not arguments.is_command_id(one):
            raise arguments.expected("commands", "an id of a command", one)
    return [*dict.fromkeys(given)]


def _rows(conn: Reading, ids: Sequence[str], together: bool) -> Mapping[str, Record]:
    return inbox.by_ids(conn, inbox.group_of(conn, ids) if together else ids)


def _conflict(row: Record) -> dict[str, object]:
    """Why a verdict does not count for this command."""
    name = f"{row['type']} {row['id'] if row['key'] is None else row['key']}"
    what = resolution(row)
    if what in ("resolved", "contradicted"):
        text = (
            f"{name} was resolved by {row['resolved_by']} at {iso(row['resolved_at'])} "
            f"as {row['verdict']}"
        )
    elif row["state"] != "ended":
        text = f"{name} is under way, it has no outcome yet"
    else:
        text = f"the outcome of {name} is known, it is {row['status']}"
    return {
        "command": row["id"],
        "key": row["key"],
        "message": text,
        "verdict": row["verdict"],
        "by": row["resolved_by"],
        "at": iso(row["resolved_at"]),
    }


def _conflicting(conflicts: Sequence[Reply], done: Sequence[str]) -> CallerError:
    text = str(conflicts[0]["message"])
    if len(conflicts) > 1:
        text += f"; and {len(conflicts) - 1} more were not resolved"
    text += f"; {len(done)} were resolved" if done else "; nothing was changed"
    return CallerError("409", text, more={"resolved": done, "conflicts": conflicts})


def _away(error: Exception) -> Exception:
    if isinstance(error, StoreError):
        return error
    if (sentence := outage(error)) is None:
        return error
    return StoreError(
        f"the database cannot be written: {sentence}; whether it was resolved is not known, "
        "ask again"
    )
