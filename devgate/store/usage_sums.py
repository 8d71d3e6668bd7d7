"""Sums of `usage_day` by day and site. Triggers update them. Rows that are older than the triggers
are summed up here, some at a time."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, text, update

from devgate.store.usage_tables import SUMMED, usage_site, usage_summing

_NAMES = ", ".join(SUMMED)
_NEXT = """SELECT * FROM usage_day u WHERE (u.day, u.imei) > (:day, :imei)
           ORDER BY u.day, u.imei LIMIT :limit"""
_ADD = text(f"""
    INSERT INTO usage_site (day, site, machines, {_NAMES})
    SELECT day, site, count(*), {", ".join(f"coalesce(sum({name}), 0)" for name in SUMMED)}
    FROM ({_NEXT}) AS next WHERE true GROUP BY day, site ORDER BY day, site
    ON CONFLICT (day, site) DO UPDATE SET machines = usage_site.machines + excluded.machines,
    {", ".join(f"{name} = usage_site.{name} + excluded.{name}" for name in SUMMED)}
""")
_LAST = text(f"SELECT day, imei FROM ({_NEXT}) AS next ORDER BY day DESC, imei DESC LIMIT 1")


def whole(conn: Connection) -> bool:
    """Whether all days are summed up."""
    return conn.execute(select(usage_summing.c.day)).first() is None


def sum_up(conn: Connection, limit: int) -> bool:
    """Add the next `limit` rows of `usage_day`. False: all of them are in the sums."""
    # Locked: another process, which is about to end or to stop leading, may do the same.
    place = conn.execute(
        select(usage_summing.c.day, usage_summing.c.imei).with_for_update()
    ).first()
    if place is None:
        return False
    values = {"day": place.day, "imei": place.imei, "limit": limit}
    last = conn.execute(_LAST, values).first()
    if last is None:
        conn.execute(delete(usage_summing))
        return False
    conn.execute(_ADD, values)
    conn.execute(update(usage_summing).values(day=last.day, imei=last.imei))
    return True


def hold(conn: Connection) -> None:
    """Stop other processes from summing up while this transaction changes `usage_day`: they would
    pass rows that they do not see yet, and triggers count only rows that have been passed."""
    conn.execute(select(usage_summing.c.day).with_for_update(read=True)).all()


def anew(conn: Connection) -> None:
    """Sum up everything again, from the beginning."""
    conn.execute(delete(usage_site))
    conn.execute(delete(usage_summing))
    conn.execute(insert(usage_summing).values(day=-1, imei=""))


def forget(conn: Connection, before: int, limit: int) -> None:
    """Delete some sums of days before that one, which have no machine any more."""
    some = (
        select(usage_site.c.day, usage_site.c.site)
        .where(usage_site.c.day < before, usage_site.c.machines == 0)
        .limit(limit)
    )
    for row in conn.execute(some).all():
        here = (usage_site.c.day == row.day) & (usage_site.c.site == row.site)
        conn.execute(delete(usage_site).where(here))
