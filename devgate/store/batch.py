"""Rows of one commit, the numbers of its events, and the statements that write them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Table

from devgate.store import unknown
from devgate.store.event_tables import event
from devgate.store.numbering import NEAR_SECONDS, Values, id_prefix
from devgate.store.schema import command, open_results, presence, unknown_device
from devgate.store.verdicts import VERDICT, Verdict
from devgate.store.webhook_tables import webhook_target

# The numbers of rows that statements write: every small number, which is the usual case, and some
# large ones. 256 rows of the widest table are 4,608 values; SQLite takes 32,766, PostgreSQL
# 65,535.
SMALL_BATCH = 16  # rows: up to here each number has its statement
SIZES = (*range(1, SMALL_BATCH + 1), 24, 32, 48, 64, 128, 256)


class RowKind(NamedTuple):
    """One kind of row: its table and columns, and what happens to an existing row."""

    table: Table
    columns: tuple[str, ...]
    key: str | None  # its other columns are replaced where this one is equal; None: never equal
    # Columns that never change. SQLite updates the index of each column that is named in an
    # update.
    fixed: Container[str] = ()
    added: Container[str] = ()  # columns to which the new value is added


ORDERED = ("imei", "type", "long", "key", "source", "accepted_at", "expires_at", "timeout")
# Without the column that only nodes of a cluster write, and those of a person's verdict.
BESIDE = (
    "incarnation", "verdict", "note", "resolved_by", "resolved_at", "resolved_status",
)  # fmt: skip
COMMAND = tuple(c.name for c in command.columns if c.name not in BESIDE)
KEY, SPENT = COMMAND.index("key"), COMMAND.index("spent")

KINDS: Mapping[str, RowKind] = {
    "command": RowKind(command, COMMAND, "id", (*ORDERED, "spent")),
    # A command of which nothing was sent: it releases its key. Only this kind updates `spent`,
    # because that makes SQLite update an index.
    "refused": RowKind(command, COMMAND, "id", ORDERED),
    "presence": RowKind(
        presence, ("imei", "online", "since", "heard", "address", "generation"), "imei"
    ),
    "offline": RowKind(presence, ("imei", "online", "since"), "imei"),
    "running": RowKind(presence, ("imei", "running_until"), "imei"),
    "open_results": RowKind(open_results, ("id", "detail"), "id"),
    "unknown": RowKind(unknown_device, unknown.WRITTEN, "imei", ("first_at",), ("count",)),
    "target": RowKind(webhook_target, tuple(c.name for c in webhook_target.columns), "name"),
    "event": RowKind(event, ("at", "type", "imei", "command", "detail", "n", "by_device"), None),
}
# Statements after the rows of a kind, by dialect, that keep its table within its bound.
AFTER: Mapping[str, Callable[[str], str]] = {"unknown": unknown.trim}
# The columns of an event that readers get.
EVENT_COLUMNS = tuple(event.c[name] for name in KINDS["event"].columns[:-1])


# Kinds of rows that may be given up if the database refuses them: their values are in memory, and
# are written again soon.
DISPOSABLE = frozenset({"presence", "offline", "running", "target", "unknown"})


class Row(NamedTuple):
    """One row to write; `values` are its kind's columns in their order.

    command   a command as it stands now: replaces what was written of it before
    presence  whether a device is online, and from where: replaces the device's last
    offline   that a device is offline, when no more is known of it
    running   until when a device runs
    open_results  which results are held, and for which commands; "" if there are none
    target    how far a webhook has come
    unknown   attempts of a device that was refused: they are added to those that are there
    verdict   what a person says of some commands: the one value is a Verdict
    event     without its last columns: they come when it is written
    """

    kind: str
    values: tuple[Any, ...]


def disposable(row: Row) -> bool:
    """Whether the row may be given up if the database refuses it alone (DISPOSABLE)."""
    return row.kind in DISPOSABLE


class Batch(NamedTuple):
    """What one commit writes."""

    events: list[Values]  # events, without their last columns
    by_kind: dict[str, dict[Any, Values]]  # the others, by kind and by their first column
    verdicts: Sequence[Verdict] = ()  # each under its condition

    def written(self, events: list[Values]) -> list[tuple[str, Sequence[Values]]]:
        """The rows by kind, for statements; each kind has at least one. `events` are those of the
        batch, numbered."""
        found: list[tuple[str, Sequence[Values]]] = []
        commands = self.by_kind.get("command", {})
        for kind, rows in self.by_kind.items():
            if kind == VERDICT:
                continue  # by a statement of its own
            if kind == "command":
                refused = [v for v in rows.values() if v[SPENT] is None and v[KEY] is not None]
                if refused:
                    gone = {values[0] for values in refused}
                    found.append(("refused", refused))
                    others = [values for values in rows.values() if values[0] not in gone]
                    if others:
                        found.append((kind, others))
                    continue
            found.append((kind, list(rows.values())))
        if events:
            by_device = found_by_device(events, commands)
            numbered = [(*values, by) for values, by in zip(events, by_device, strict=True)]
            found.append(("event", numbered))
        return found


def make_batch(rows: Iterable[Row]) -> Batch:
    """The batch of these rows. Of two rows with one key only the later one is written: a statement
    must not write a row twice."""
    events: list[Values] = []
    by_kind: dict[str, dict[Any, Values]] = {}
    verdicts: list[Verdict] = []
    for kind, values in rows:
        if kind == "event":
            events.append(values)
        elif kind == VERDICT:
            verdicts.append(values[0])
        else:
            by_kind.setdefault(kind, {})[values[0]] = values
    return Batch(events, by_kind, verdicts)


class Numbering:
    """Numbers events after the newest one on disk. Their times never decrease."""

    def __init__(self) -> None:
        # Events whose time was changed: as written, and as given. A failed commit may have been
        # carried out: then its events are found on disk, and must be recognised.
        self._moved: dict[Values, Values] = {}

    def number(
        self, given: Sequence[Values], newest: Values | None, found: Sequence[Values] = ()
    ) -> list[Values]:
        """Those of `given` that are not among `found`, with their numbers and times.

        `newest` is the newest event that is known to be on disk: its time comes first, its number
        last; None: there never was one. `found` are events on disk behind it that were not known
        of; the numbers go on from them.
        """
        last, at = (0, 0.0) if newest is None else (newest[-1], newest[0])
        if self._moved:  # those up to `last` are known to be on disk
            self._moved = {now: was for now, was in self._moved.items() if now[-1] > last}
        if found:
            last, at = found[-1][-1], max(at, found[-1][0])
            there = {self._moved.get(event, event[:-1]) for event in found}
            given = [values for values in given if values not in there]
        events: list[Values] = []
        for number, values in enumerate(given, last + 1):
            if values[0] >= at:
                at = values[0]
                events.append((*values, number))
            else:
                event = (at, *values[1:], number)
                self._moved[event] = values
                events.append(event)
        return events


def statement(mark: str, kind: str, rows: int) -> str:
    """The statement for that many rows of a kind; `mark` stands for a value."""
    table, columns = KINDS[kind].table, KINDS[kind].columns
    one = "(" + ", ".join([mark] * len(columns)) + ")"
    values = ", ".join([one] * rows)
    return f"INSERT INTO {table.name} ({names(columns)}) VALUES {values}{on_conflict(kind)}"


def names(columns: Iterable[str]) -> str:
    """These columns, for a statement."""
    return ", ".join(f'"{name}"' for name in columns)


def on_conflict(kind: str) -> str:
    """The end of the statement for rows of a kind, which says what happens to existing rows."""
    table, columns, key, fixed, added = KINDS[kind]
    if key is None:
        return ""
    changing = [name for name in columns if name != key and name not in fixed]
    old = {name: f'{table.name}."{name}" + ' for name in changing if name in added}
    replaced = ", ".join(f'"{n}" = {old.get(n, "")}excluded."{n}"' for n in changing)
    return f' ON CONFLICT ("{key}") DO UPDATE SET {replaced}'


class Statements:
    """The statements that write rows, of one dialect."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        mark = "?" if dialect == "sqlite" else "%s"
        self._one = lru_cache(maxsize=128)(partial(statement, mark))

    def of(self, written: Iterable[tuple[str, Sequence[Values]]]) -> list[tuple[str, Values]]:
        """Those for the rows of each kind, with their values. `written`: of a Batch."""
        found: list[tuple[str, Values]] = []
        for kind, rows in written:
            slices = [rows] if len(rows) <= SMALL_BATCH else in_slices(rows)
            found += [(self._one(kind, len(s)), tuple(chain.from_iterable(s))) for s in slices]
            if kind in AFTER:
                found.append((AFTER[kind](self._dialect), ()))
        return found


def in_slices(rows: Sequence[Any]) -> list[Sequence[Any]]:
    """The rows in slices of SIZES, the longest first."""
    slices: list[Sequence[Any]] = []
    start = 0
    while remaining := len(rows) - start:
        size = SIZES[bisect_right(SIZES, remaining) - 1]
        slices.append(rows[start : start + size])
        start += size
    return slices


def found_by_device(events: Sequence[Values], commands: Container[str]) -> list[bool]:
    """The column `by_device` of each; `commands` are the ids whose rows the same commit writes."""
    if not events:
        return []
    first, end = (
        id_prefix(int(events[-1][0]) + 1 - NEAR_SECONDS),
        id_prefix(int(events[0][0]) + NEAR_SECONDS),
    )
    return [
        (id := event[3]) is None or not (first <= id < end and id in commands) for event in events
    ]
