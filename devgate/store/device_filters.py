"""Filters of devices: conditions in SQL, and small sets of devices from indexes."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from devgate.store.device import MAX_ID
from devgate.store.site_devices import some

MAX_DEVICES = 10_000  # of a set that is looked at as a whole; also up to which devices are counted
SMALL_SET = 1000  # devices of a set that is looked at before all else
MAX_TERMS = 200  # terms of the words' index with the same first two letters; more are not searched
HOUR = 3600


class WantedDevices(NamedTuple):
    """The conditions of a search for devices: all that are given must hold."""

    text: str | None = None  # part of name, site or IMEI, or the number of the device
    site: str | None = None
    sites: frozenset[str] | None = None  # one of these
    enabled: bool | None = None
    online: bool | None = None
    running: bool | None = None
    seen: bool | None = None  # whether it was ever connected
    away_since: float | None = None  # offline since before that time (wall clock)
    idle_since: float | None = None  # no start of it was confirmed since that time
    failing: float | None = None  # a larger share of its starts than this (0 to 1) went wrong
    model: str | None = None
    tag: str | None = None  # one of its tags
    now: float = 0.0  # wall clock, for `running`
    # The devices that run, where the caller knows them and they are few.
    running_now: Collection[str] | None = None

    @property
    def filters(self) -> dict[str, Any]:
        """What is given."""
        given = self._asdict().items()
        return {n: v for n, v in given if v is not None and n not in ("now", "running_now")}


def conditions(wanted: WantedDevices, on_sqlite: bool) -> tuple[str, dict[str, Any]]:
    """The conditions in SQL, which begins with AND, over the tables d, p and u; and its values."""
    parts: list[str] = []
    values: dict[str, Any] = {}
    if wanted.text is not None:
        parts.append(_contains(wanted.text, on_sqlite, values))
    if wanted.site is not None:
        # Not by the index of sites: that would sort a large one as a whole.
        parts.append("d.site || '' = :site")
        values["site"] = wanted.site
    if wanted.sites is not None:
        named = {f"own{n}": site for n, site in enumerate(sorted(wanted.sites))}
        parts.append(f"d.site || '' IN ({', '.join(f':{name}' for name in named)})")
        values |= named
    for name, column in (("enabled", "d.enabled"), ("online", "p.online")):
        if (given := getattr(wanted, name)) is not None:
            parts.append(f"{column} = {'true' if given else 'false'}")
    if wanted.running is not None:
        values["now"] = wanted.now
        runs = "p.running_until > :now"
        parts.append(runs if wanted.running else f"(p.running_until IS NULL OR NOT {runs})")
    if wanted.seen is not None:
        parts.append(f"p.since IS {'NOT ' if wanted.seen else ''}NULL")
    if wanted.away_since is not None:
        parts.append("p.online = false AND p.since < :away_since")
        values["away_since"] = wanted.away_since
    if wanted.idle_since is not None:
        parts.append("u.started_hour < :idle_hour")
        values["idle_hour"] = int(wanted.idle_since // HOUR)
    if wanted.failing is not None:
        parts.append("u.rate > :failing")
        values["failing"] = wanted.failing
    if wanted.model is not None:
        parts.append("d.model || '' = :model")
        values["model"] = wanted.model
    if wanted.tag is not None:
        signs = str.maketrans({"%": "/%", "_": "/_", "/": "//"})
        parts.append("',' || d.tags || ',' LIKE :tag ESCAPE '/'")
        values["tag"] = f"%,{wanted.tag.translate(signs)},%"
    return "".join(f" AND {part}" for part in parts), values


def _contains(words: str, on_sqlite: bool, values: dict[str, Any]) -> str:
    """In SQLite, LIKE ignores the case of the letters a to z."""
    like = "LIKE" if on_sqlite else "ILIKE"
    signs = str.maketrans({"%": "/%", "_": "/_", "/": "//"})
    values["words"] = f"%{words.translate(signs)}%"
    found = [f"d.{column} {like} :words ESCAPE '/'" for column in ("name", "site")]
    if words.isascii() and words.isdigit():
        found.append("d.imei LIKE :words")
        if len(words) <= len(str(MAX_ID)) and (number := int(words)) <= MAX_ID:
            found.append("d.id = :number")
            values["number"] = number
    return f"({' OR '.join(found)})"


def few(conn: Connection, wanted: WantedDevices, limit: int) -> Sequence[str] | None:
    """At most `limit` devices that match one condition; so all devices that match all conditions
    are among them. None if no index gives so small a set."""
    best: Sequence[str] | None = None
    for one in _sets(conn, wanted, limit + 1):
        if one is not None and len(one) <= limit and (best is None or len(one) < len(best)):
            best = one
            if len(best) <= SMALL_SET:
                break
    return best


def alone(wanted: WantedDevices) -> bool:
    """Whether there is only one condition, and it has an index: then few() has counted it."""
    known = ("site", "sites", "model", "away_since", "idle_since", "failing", "online")
    if len(wanted.filters) != 1:
        return False
    name, value = next(iter(wanted.filters.items()))
    return name in known or (name in ("enabled", "seen") and value is False)


def _sets(conn: Connection, wanted: WantedDevices, limit: int) -> Iterator[Sequence[str] | None]:
    if wanted.running and wanted.running_now is not None:
        yield list(wanted.running_now)
    bound = {"limit": limit}
    if wanted.failing is not None:
        yield conn.scalars(_FAILING, {**bound, "failing": wanted.failing}).all()
    if wanted.seen is False:
        yield conn.scalars(_NEVER, bound).all()
    if wanted.enabled is False:
        yield conn.scalars(_DISABLED, bound).all()
    if wanted.site is not None:
        yield conn.scalars(_SITE, {**bound, "site": wanted.site}).all()
    if wanted.sites is not None:
        yield some(conn, wanted.sites, limit)
    if wanted.model is not None:
        yield conn.scalars(_MODEL, {**bound, "model": wanted.model}).all()
    # PostgreSQL reads all rows with the letters, even for a small limit.
    if wanted.text is not None and (conn.dialect.name == "sqlite" or limit > SMALL_SET + 1):
        yield _by_words(conn, wanted.text, limit)
    if wanted.away_since is not None:
        yield conn.scalars(_AWAY, {**bound, "at": wanted.away_since}).all()
    if wanted.idle_since is not None:
        hour = int(wanted.idle_since // HOUR)
        yield conn.scalars(_IDLE, {**bound, "hour": hour}).all()
    if wanted.online is not None:
        yield conn.scalars(_ONLINE if wanted.online else _OFFLINE, bound).all()


# Written as the indexes have it: otherwise SQLite does not use them.
_FAILING = text(
    "SELECT imei FROM device_starts WHERE rate > 0.01 AND rate > :failing LIMIT :limit"
)
_IDLE = text("SELECT imei FROM device_starts WHERE started_hour < :hour LIMIT :limit")
_DISABLED = text("SELECT imei FROM device WHERE NOT enabled LIMIT :limit")
_SITE = text("SELECT imei FROM device WHERE site = :site LIMIT :limit")
_MODEL = text("SELECT imei FROM device WHERE model IS NOT NULL AND model = :model LIMIT :limit")
_NEVER = text("SELECT imei FROM presence WHERE online = false AND since IS NULL LIMIT :limit")
_AWAY = text("SELECT imei FROM presence WHERE online = false AND since < :at LIMIT :limit")
_ONLINE = text("SELECT imei FROM presence WHERE online = true LIMIT :limit")
_OFFLINE = text("SELECT imei FROM presence WHERE online = false LIMIT :limit")
_MATCH = text(
    "SELECT substr('000000000000000' || rowid, -15) FROM device_words "
    "WHERE device_words MATCH :query LIMIT :limit"
)
_TERMS = text("SELECT term FROM device_terms WHERE term >= :first AND term < :end LIMIT :limit")
_GRAMS = text(
    "SELECT imei FROM device WHERE device_grams(name || chr(10) || site || chr(10) || imei) "
    "@> CAST(:grams AS text[]) LIMIT :limit"
)
_LOWER = text("SELECT lower(CAST(:words AS text))")  # as the index has them
_NUMBER = text("SELECT imei FROM device WHERE id = :number")


def _by_words(conn: Connection, words: str, limit: int) -> Sequence[str] | None:
    """Devices whose name, site or IMEI may have these words, and the one with that number."""
    if conn.dialect.name == "sqlite":
        found = _by_trigrams(conn, words.lower(), limit)
    elif len(words) > 1:
        lower = str(conn.scalar(_LOWER, {"words": words}))
        size = min(3, len(lower))
        grams = [lower[n : n + size] for n in range(len(lower) - size + 1)]
        found = conn.scalars(_GRAMS, {"grams": grams, "limit": limit}).all()
    else:
        found = None  # PostgreSQL has groups of two and three letters
    if found is not None and words.isascii() and words.isdigit() and int(words) <= MAX_ID:
        owner = conn.scalars(_NUMBER, {"number": int(words)}).all()
        found = [*found, *(imei for imei in owner if imei not in found)]
    return found


def _by_trigrams(conn: Connection, words: str, limit: int) -> Sequence[str] | None:
    """One or two letters are searched as the beginnings of three: in the index each name is
    followed by two more characters."""
    if len(words) >= 3:
        grams = dict.fromkeys(words[n : n + 3] for n in range(len(words) - 2))
        query = " AND ".join(map(_quoted, grams))
    else:
        span = {"first": words, "end": words + "\U0010ffff", "limit": MAX_TERMS + 1}
        terms = conn.scalars(_TERMS, span).all()
        if len(terms) > MAX_TERMS:
            return None
        query = " OR ".join(map(_quoted, terms))
    if not query:
        return []
    found = conn.scalars(_MATCH, {"query": query, "limit": limit})
    return list(dict.fromkeys(found))


def _quoted(term: str) -> str:
    return '"' + term.replace('"', '""') + '"'


def as_list(imeis: Sequence[str], on_sqlite: bool) -> tuple[str, Any]:
    """A table j of these IMEIs in SQL, and the value of its parameter `imeis`."""
    if on_sqlite:
        return "json_each(:imeis) j", json.dumps(list(imeis))
    return "unnest(CAST(:imeis AS text[])) AS j(value)", list(imeis)
