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
# As the indexes have it: otherwise SQLite does not use them.
NO_SUCCESS = "c.state = 'ended' AND c.status <> '200'"
IS_PERSON = f"substr(c.source, 1, 4) = '{PEOPLE}'"
# Open commands are few and sorted, not looked for in the order of all: the second makes their own
# index the best, and the first makes that of all useless.
NO_ORDER = "(c.id || '')"
IS_OPEN = " AND c.state <> 'ended' AND c.imei > ''"


class Wanted(NamedTuple):
    """Which commands are looked for: all that is given has to be so."""

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


class Stream(NamedTuple):
    """Commands that an index gives: by which expression in order, and those of which condition."""

    id: str
    condition: str
    by: str = ""  # SQLite is told which: it would read all of a time rather than what is rare


class Look(NamedTuple):
    """A search, prepared: `rest` is what has to be looked at in each command of the streams."""

    streams: Sequence[Stream]
    rest: str
    values: dict[str, Any]


def prepared(conn: Connection, wanted: Wanted) -> Look:
    """By which indexes these are looked for, and what has to be looked at in each."""
    values: dict[str, Any] = {"first": "", "last": LAST_ID}
    if wanted.since is not None:
        values["first"] = floor_id(wanted.since)
    if wanted.until is not None:
        values["last"] = floor_id(wanted.until)
    stream, rest = Stream("c.id", ""), ""
    for name, column in (("imei", "imei"), ("state", "state"), ("kind", "type")):
        if (given := getattr(wanted, name)) is not None:
            values[name] = given
            if name == "imei":
                stream = Stream("c.id", " AND c.imei = :imei", "command_device")
            elif name == "state" and given in OPEN and wanted.imei is None:
                stream = Stream(NO_ORDER, f"{IS_OPEN} AND c.state = :state")
            else:
                rest += f" AND c.{column} = :{name}"
    if wanted.source is not None:
        values["source"] = wanted.source
        by_index = wanted == Wanted(source=wanted.source, since=wanted.since, until=wanted.until)
        if wanted.source.startswith(PEOPLE) and by_index:
            stream = Stream("c.id", f" AND {IS_PERSON} AND c.source = :source", "command_person")
        else:
            rest += " AND c.source = :source"
    streams = [stream]
    if wanted.outcomes:
        streams, more = _by_outcome(wanted, stream, conn.dialect.name)
        rest += more
    if wanted.site is not None:
        values["site"] = wanted.site
        rest += (
            f" AND {_AT_LARGE_SITE if are_more(conn, [wanted.site], MANY_DEVICES) else _AT_SITE}"
        )
    if wanted.sites is not None:
        named = {f"own{n}": site for n, site in enumerate(sorted(wanted.sites))}
        values |= named
        among = f"IN ({', '.join(f':{name}' for name in named)})"
        if are_more(conn, wanted.sites, MANY_DEVICES):
            rest += f" AND (SELECT d.site FROM device d WHERE d.imei = c.imei) {among}"
        else:
            rest += f" AND c.imei IN (SELECT d.imei FROM device d WHERE d.site {among})"
    return Look(streams, rest, values)


_AT_SITE = "c.imei IN (SELECT d.imei FROM device d WHERE d.site = :site)"
_AT_LARGE_SITE = "(SELECT d.site FROM device d WHERE d.imei = c.imei) = :site"


def _by_outcome(wanted: Wanted, stream: Stream, dialect: str) -> tuple[list[Stream], str]:
    """Those that did not succeed are few, and in an index by their status."""
    # SQLite takes the index only for its own words. PostgreSQL knows it by the status, and takes
    # each condition more for a reason why they are fewer: it read and sorted all.
    ended = NO_SUCCESS if dialect == "sqlite" else "c.state = 'ended'"
    statuses = [s for name, those in ENDED.items() if name in wanted.outcomes for s in those]
    is_open = "pending" in wanted.outcomes
    if "200" not in statuses and wanted.imei is None and wanted.state not in OPEN:
        found = [
            Stream("c.id", f" AND {ended} AND c.status = '{one}'", "command_failed")
            for one in statuses
        ]
        return found + ([Stream(NO_ORDER, IS_OPEN)] if is_open else []), ""
    quoted = ", ".join(f"'{one}'" for one in statuses)
    either = [f"(c.state = 'ended' AND c.status IN ({quoted}))"] if statuses else []
    either += ["c.state <> 'ended'"] if is_open else []
    return [stream], f" AND ({' OR '.join(either)})"
