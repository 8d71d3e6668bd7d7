"""Searches of commands, and the index of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from devgate.errors import OUTCOMES
from devgate.store.numbering import floor_id
from devgate.store.site_devices import are_more

MANY_DEVICES = 10_000  # of a site: beyond it each command's device is looked up
LAST_ID = "Z" * 27  # behind every id

ENDED = {
    outcome: tuple(status for status, name in OUTCOMES.items() if name == outcome)
    for outcome in ("done", "failed", "unknown")
} | {"refused": ("300", "401", "404", "409", "410", "423", "429", "503")}
OPEN = ("waiting", "sent")
PEOPLE = "web:"  # what the sources of people at the dashboard begin with
# In the form of the indexes: otherwise SQLite does not use them.
NO_SUCCESS = "c.state = 'ended' AND c.status <> '200'"
IS_PERSON = f"substr(c.source, 1, 4) = '{PEOPLE}'"
# Open commands are few, so they are found by their own index and sorted. The first expression
# stops the planner from using the index of all commands; the second makes it use that of open
# ones.
NO_ORDER = "(c.id || '')"
IS_OPEN = " AND c.state <> 'ended' AND c.imei > ''"


class WantedCommands(NamedTuple):
    """The conditions of a search for commands: all that are given must hold."""

    imei: str | None = None
    key: str | None = None
    state: str | None = None
    outcomes: frozenset[str] = frozenset()  # any of these; none: whatever the outcome
    kind: str | None = None  # start, stop
    site: str | None = None  # where their device stands now
    sites: frozenset[str] | None = None  # one of these, where it stands now
    source: str | None = None
    since: float | None = None  # taken at that time or later (wall clock)
    until: float | None = None  # taken before that time


class CommandStream(NamedTuple):
    """Commands from one index: the expression that orders them, and the condition."""

    id: str
    condition: str
    by: str = ""  # the index, named for SQLite, which would choose one that reads far more


class CommandSearch(NamedTuple):
    """A prepared search: `filters` are the conditions to check in each command of the streams."""

    streams: Sequence[CommandStream]
    filters: str
    values: dict[str, Any]


def prepared(conn: Connection, wanted: WantedCommands) -> CommandSearch:
    """Choose the indexes of a search, and the conditions to check in each row."""
    values: dict[str, Any] = {"first": "", "last": LAST_ID}
    if wanted.since is not None:
        values["first"] = floor_id(wanted.since)
    if wanted.until is not None:
        values["last"] = floor_id(wanted.until)
    stream, filters = CommandStream("c.id", ""), ""
    for name, column in (("imei", "imei"), ("state", "state"), ("kind", "type")):
        if (given := getattr(wanted, name)) is not None:
            values[name] = given
            if name == "imei":
                stream = CommandStream("c.id", " AND c.imei = :imei", "command_device")
            elif name == "state" and given in OPEN and wanted.imei is None:
                stream = CommandStream(NO_ORDER, f"{IS_OPEN} AND c.state = :state")
            else:
                filters += f" AND c.{column} = :{name}"
    if wanted.source is not None:
        values["source"] = wanted.source
        by_index = wanted == WantedCommands(
            source=wanted.source, since=wanted.since, until=wanted.until
        )
        if wanted.source.startswith(PEOPLE) and by_index:
            stream = CommandStream(
                "c.id", f" AND {IS_PERSON} AND c.source = :source", "command_person"
            )
        else:
            filters += " AND c.source = :source"
    streams = [stream]
    if wanted.outcomes:
        streams, more = _by_outcome(wanted, stream, conn.dialect.name)
        filters += more
    if wanted.site is not None:
        values["site"] = wanted.site
        filters += (
            f" AND {_AT_LARGE_SITE if are_more(conn, [wanted.site], MANY_DEVICES) else _AT_SITE}"
        )
    if wanted.sites is not None:
        named = {f"own{n}": site for n, site in enumerate(sorted(wanted.sites))}
        values |= named
        among = f"IN ({', '.join(f':{name}' for name in named)})"
        if are_more(conn, wanted.sites, MANY_DEVICES):
            filters += f" AND (SELECT d.site FROM device d WHERE d.imei = c.imei) {among}"
        else:
            filters += f" AND c.imei IN (SELECT d.imei FROM device d WHERE d.site {among})"
    return CommandSearch(streams, filters, values)


_AT_SITE = "c.imei IN (SELECT d.imei FROM device d WHERE d.site = :site)"
_AT_LARGE_SITE = "(SELECT d.site FROM device d WHERE d.imei = c.imei) = :site"


def _by_outcome(
    wanted: WantedCommands, stream: CommandStream, dialect: str
) -> tuple[list[CommandStream], str]:
    """Commands that did not succeed are few, and have an index by their status."""
    # SQLite uses the index only if the condition has the same words. PostgreSQL finds it by the
    # status; with each further condition it expects fewer rows, and then reads and sorts all.
    ended = NO_SUCCESS if dialect == "sqlite" else "c.state = 'ended'"
    statuses = [s for name, those in ENDED.items() if name in wanted.outcomes for s in those]
    is_open = "pending" in wanted.outcomes
    if "200" not in statuses and wanted.imei is None and wanted.state not in OPEN:
        found = [
            CommandStream("c.id", f" AND {ended} AND c.status = '{one}'", "command_failed")
            for one in statuses
        ]
        return found + ([CommandStream(NO_ORDER, IS_OPEN)] if is_open else []), ""
    quoted = ", ".join(f"'{one}'" for one in statuses)
    either = [f"(c.state = 'ended' AND c.status IN ({quoted}))"] if statuses else []
    either += ["c.state <> 'ended'"] if is_open else []
    return [stream], f" AND ({' OR '.join(either)})"
