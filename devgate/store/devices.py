"""Statements on devices."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ARRAY, Connection, bindparam, delete, func, insert, select, update

from devgate.errors import CallerError
from devgate.model import Imei
from devgate.store import schema
from devgate.store.device import COLUMNS, MAX_ID, MEMORY_COLUMNS, Device, checked
from devgate.store.machine_record import tagged
from devgate.store.schema import device as t

T = TypeVar("T")

IN_VALUES = 500  # values in one IN (...): more would work in both databases, and save nothing


@dataclass(frozen=True, slots=True)
class DeviceChanges:
    """The changes of devices up to `revision`: the last state of each, without its record."""

    revision: int
    changed: list[Device]
    added: frozenset[Imei]  # those of them that are new
    removed: list[Imei]
    more: bool  # there are further changes: ask again from `revision`


ALL = select(*(t.c[name] for name in COLUMNS))  # rows that Device is made from
_IN_MEMORY = select(*(t.c[name] for name in MEMORY_COLUMNS))
_CHANGED = _IN_MEMORY.add_columns(t.c.added)
_ADD = insert(t)
# PostgreSQL: each column is an array, so that many rows are one statement. A statement for each
# row takes ten times as long, mostly because triggers run once for each statement.
_ADD_ARRAYS = insert(t).from_select(
    COLUMNS,
    select(*(func.unnest(bindparam(c.name, type_=ARRAY(c.type))) for c in ALL.selected_columns)),
)
_EDIT = (
    update(t)
    .where(t.c.imei == bindparam("imei_"))
    .values({name: bindparam(name) for name in COLUMNS[1:]})
)


def in_chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values, as many at a time as go into one IN (...)."""
    for start in range(0, len(values), IN_VALUES):
        yield values[start : start + IN_VALUES]


def get(conn: Connection, imei: Imei) -> Device | None:
    """The device with this IMEI; None if it is not known."""
    row = conn.execute(ALL.where(t.c.imei == imei)).one_or_none()
    return Device._make(row) if row else None


def among(conn: Connection, imeis: Collection[str]) -> Iterator[Device]:
    """The devices with these IMEIs, as far as they exist, in no order."""
    for some in in_chunks(list(imeis)):
        yield from map(Device._make, conn.execute(ALL.where(t.c.imei.in_(some))))


def by_record(conn: Connection, words: str, limit: int) -> list[Device]:
    """At most `limit` devices with just this serial number or ICCID: reads indexes."""
    found: dict[str, Device] = {}
    for column in (t.c.serial, t.c.iccid):
        # In the form of the indexes: otherwise SQLite does not use them.
        query = ALL.where(column.is_not(None), column == words).limit(limit)
        found |= {row.imei: Device._make(row) for row in conn.execute(query)}
    return list(found.values())[:limit]


def owners(conn: Connection, ids: Collection[int]) -> dict[int, Imei]:
    """Which devices have these numbers."""
    found: dict[int, Imei] = {}
    for some in in_chunks(list(ids)):
        for row in conn.execute(select(t.c.id, t.c.imei).where(t.c.id.in_(some))):
            found[row.id] = Imei(row.imei)
    return found


def add(conn: Connection, device: Device) -> Device:
    """Add one device. Returns it as it was stored.

    Raises CallerError: 400 if it cannot be stored, 409 if its IMEI or id is taken.
    """
    device = checked(device)
    claim(conn)
    if get(conn, device.imei):
        raise CallerError("409", f"imei: the device {device.imei} is there already")
    _check_id(conn, device)
    insert_all(conn, [device])
    return device


def edit(conn: Connection, imei: Imei, changes: Mapping[str, Any]) -> Device:
    """Change some fields of a device, by name. Returns it as it is now.

    Raises CallerError: 300 if it is not there, 400 if it cannot be stored so, 409 if the id is
    taken.
    """
    return edit_all(conn, [imei], changes)[0]


def edit_all(
    conn: Connection,
    imeis: Sequence[Imei],
    changes: Mapping[str, Any],
    old: dict[Imei, Device] | None = None,
) -> list[Device]:
    """Change the same fields of some devices, all or none. Returns them as they are now; `old`
    gets them as they were. `tag` and `untag` among the fields add and remove some of the tags.

    Raises CallerError as edit().
    """
    claim(conn)
    there = {device.imei: device for device in among(conn, imeis)}
    if missing := set(imeis) - set(there):
        raise unknown(min(missing))
    found = [_edited(there[imei], changes) for imei in imeis]
    changed = [device for device in found if device != there[device.imei]]
    if "id" in changes:
        for device in changed:
            _check_id(conn, device)
    update_all(conn, changed)
    if old is not None:
        old.update(there)
    return found


def _edited(device: Device, changes: Mapping[str, Any]) -> Device:
    fields = dict(changes)
    more, less = fields.pop("tag", None), fields.pop("untag", None)
    device = device._replace(**fields)
    if more is not None or less is not None:
        device = device._replace(tags=tagged(device.tags, more, less))
    return checked(device)


def remove(conn: Connection, imeis: Collection[Imei]) -> None:
    """Remove devices, all or none. Raises CallerError (300) that names one that is not there.

    Their commands and events stay: they are history.
    """
    claim(conn)
    wanted = set(imeis)
    missing = wanted - {device.imei for device in among(conn, wanted)}
    if missing:
        raise unknown(min(missing))
    some = delete(t).where(t.c.imei == bindparam("imei_"))
    if wanted:
        conn.execute(some, [{"imei_": imei} for imei in sorted(wanted)])


def unknown(imei: str) -> CallerError:
    """The error (300) for a device that is not in the store."""
    return CallerError("300", f"there is no device {imei} in the store")


def _check_id(conn: Connection, device: Device) -> None:
    owner = owners(conn, [device.id]).get(device.id, device.imei)
    if owner != device.imei:
        raise CallerError("409", f"id: {device.id} is the device {owner}'s")


def claim(conn: Connection) -> None:
    """Lock out other changes of devices until this transaction ends.

    Devices that are read after it stay as they are. SQLite has only one writer at a time; in
    PostgreSQL this is the lock that the triggers take at every change.
    """
    conn.execute(select(schema.revision.c.n).with_for_update())


def next_id(conn: Connection) -> int:
    """The highest number + 1, which stays free as long as the caller holds the claim().

    Raises CallerError (409) if there is none.
    """
    highest = conn.scalar(select(func.max(t.c.id)))
    number = 1 if highest is None else highest + 1
    if number > MAX_ID:
        raise CallerError("409", f"id: none is left behind {MAX_ID}; give one")
    return number


def insert_all(conn: Connection, devices: Iterable[Device]) -> None:
    """Insert checked devices, whose IMEIs and ids are free."""
    rows = list(devices)
    if not rows:
        return
    if conn.dialect.name == "postgresql":
        arrays = map(list, zip(*rows, strict=True))
        conn.execute(_ADD_ARRAYS, dict(zip(COLUMNS, arrays, strict=True)))
    else:
        conn.execute(_ADD, [dict(zip(COLUMNS, row, strict=True)) for row in rows])


def update_all(conn: Connection, devices: Iterable[Device]) -> None:
    """Overwrite existing devices with checked ones. New ids must be free."""
    names = ("imei_", *COLUMNS[1:])
    rows = [dict(zip(names, device, strict=True)) for device in devices]
    if rows:
        conn.execute(_EDIT, rows)


def revision(conn: Connection) -> int:
    """The number of the latest change of any device."""
    return conn.scalar(select(schema.revision.c.n)) or 0


def count(conn: Connection) -> int:
    """How many devices there are: reads an index."""
    return conn.scalar(select(func.count()).select_from(t)) or 0


def all_devices(conn: Connection, *, ordered: bool = True) -> Iterator[Device]:
    """All devices, in bounded memory: ordered by IMEI; or unordered, which is faster, and without
    their records."""
    query = ALL.order_by(t.c.imei) if ordered else _IN_MEMORY
    rows = conn.execute(query, execution_options={"yield_per": 2000})
    return (Device(*row) for row in rows)


def page(
    conn: Connection, after: str | None, limit: int, sites: Collection[str] | None = None
) -> list[Device]:
    """At most `limit` of all devices, or of those at these sites, by IMEI, behind that one."""
    query = ALL if after is None else ALL.where(t.c.imei > after)
    if sites is not None:
        query = query.where(t.c.site.in_(sorted(sites)))
    return list(map(Device._make, conn.execute(query.order_by(t.c.imei).limit(limit))))


def changed(conn: Connection, since: int, limit: int = 10_000) -> DeviceChanges:
    """The changes after the revision `since`; reads only those.

    Stops after about `limit` devices, with `more` set, but never in the middle of a revision: in
    PostgreSQL all changes of one transaction have the same number.
    """
    now = revision(conn)
    upto = now
    for table in (t, schema.device_removed):
        number = table.c.revision
        beyond = select(number).where(number > since).order_by(number).offset(limit).limit(1)
        cut = conn.scalar(beyond)
        if cut is not None:
            upto = min(upto, cut)
    span = (since, upto)
    rows = conn.execute(_CHANGED.where(t.c.revision > span[0], t.c.revision <= span[1])).all()
    gone = schema.device_removed.c
    back = select(t.c.imei).where(t.c.imei == gone.imei).exists()
    removed = select(gone.imei).where(gone.revision > span[0], gone.revision <= span[1], ~back)
    return DeviceChanges(
        revision=upto,
        changed=[Device(*row[:-1]) for row in rows],
        added=frozenset(Imei(row.imei) for row in rows if row.added > since),
        removed=[Imei(imei) for imei in conn.scalars(removed)],
        more=upto < now,
    )
