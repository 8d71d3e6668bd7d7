"""The orders that devices are listed in: their keys, their indexes, and places in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from devgate.errors import CallerError
from devgate.model import IMEI
from devgate.store.device import MAX_ID
from devgate.store.device_filters import WantedDevices

SORTS = ("imei", "id", "name", "site", "since", "state")
MAX_CURSOR = 240  # characters

Key = tuple[Any, ...]  # by what a row is sorted; the IMEI is its last part


class Walk(NamedTuple):
    """An index in whose order devices can be looked at: its table, its columns, what it holds."""

    table: str  # d: device, p: presence
    columns: tuple[str, ...]
    where: str = ""


# Never seen, seen and offline, online: by the index `presence_list`, each in the order of `since`.
NEVER = Walk("p", ("p.imei",), "p.online = false AND p.since IS NULL")
SEEN = Walk("p", ("p.since", "p.imei"), "p.online = false AND p.since IS NOT NULL")
THERE = Walk("p", ("p.since", "p.imei"), "p.online = true AND p.since IS NOT NULL")
WALKS = {
    "imei": Walk("d", ("d.imei",)),
    "id": Walk("d", ("d.id", "d.imei")),
    "name": Walk("d", ("d.name", "d.imei")),
    "site": Walk("d", ("d.site", "d.imei")),
}
# What a set is sorted by, where it is looked at as a whole.
KEYS = {name: walk.columns for name, walk in WALKS.items()} | {
    "since": ("coalesce(p.since, 0)", "d.imei")
}
RANKS = 5  # of the order by state: running, idle, offline, never seen, disabled


def walk_of(sort: str, wanted: WantedDevices) -> Walk:
    """The index for an order of one index. The devices of one site lie together."""
    walk = WALKS[sort]
    if wanted.site is not None and sort in ("imei", "site"):
        return walk._replace(where="d.site = :site")
    return walk


def ranked(wanted: WantedDevices, rank: int) -> tuple[WantedDevices | None, tuple[Walk, ...]]:
    """Those of a rank of the order by state, if it can have any, and the indexes that have
    them."""
    implied: dict[str, Any] = {"enabled": rank != 4}
    if rank != 4:
        implied["running"] = rank == 0
    if rank in (1, 2, 3):
        implied["online"] = rank == 1
    if rank in (2, 3):
        implied["seen"] = rank == 2
    if any(getattr(wanted, name) not in (None, value) for name, value in implied.items()):
        return None, ()
    walks = {1: (THERE,), 2: (SEEN,), 3: (NEVER,)}
    return wanted._replace(**implied), walks.get(rank, (NEVER, SEEN, THERE))


def of_time(wanted: WantedDevices, walks: Sequence[Walk]) -> list[Walk]:
    """Those of the indexes by time that can have matching devices."""
    away = wanted.away_since is not None
    return [
        walk
        for walk in walks
        if wanted.online in (None, walk is THERE)
        and wanted.seen in (None, walk is not NEVER)
        and (walk is SEEN or not away)
    ]


def cursor(key: Key) -> str:
    """The place of a row, as `after` and `before` take it."""
    *parts, imei = key
    return ":".join([imei, *map(str, parts)])


def place(sort: str, given: str | None, name: str) -> Key | None:
    """The key that a cursor stands for. Raises CallerError (400) for one of another order."""
    if given is None:
        return None
    imei, colon, key = given.partition(":")
    try:
        if not IMEI.fullmatch(imei) or bool(colon) != (sort != "imei"):
            raise ValueError
        return (*_parts(sort, key), imei)
    except ValueError:
        raise CallerError(
            "400", f"{name}: a `next` or `prev` of a page of the same sort expected"
        ) from None


def _parts(sort: str, text: str) -> tuple[Any, ...]:
    if sort == "imei":
        return ()
    if sort == "id":
        if not 0 <= (number := int(text)) <= MAX_ID:
            raise ValueError
        return (number,)
    if sort == "since":
        return (float(text),)
    if sort == "state":
        rank, _, since = text.partition(":")
        return int(rank), float(since)
    return (text,)
