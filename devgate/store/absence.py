"""Which devices are offline, and for how long. Disabled ones count nowhere."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, Function, case, func, select

from devgate.store.schema import device, presence

HOUR, DAY, WEEK = 3600.0, 86400.0, 7 * 86400.0  # seconds
WORST = 10  # sites


class SiteAbsence(NamedTuple):
    """A site with devices that are offline."""

    site: str
    devices: int  # that are enabled
    offline: int  # for more than an hour, or never seen


class Absence(NamedTuple):
    """Devices that are enabled and offline."""

    disabled: int  # these are in none of the others
    hour: int  # offline for more than an hour, and seen before
    day: int
    week: int
    never: int  # never seen
    sites: list[SiteAbsence]  # the WORST, by how many are offline there


def absence(conn: Connection, now: float) -> Absence:
    """Goes through all devices: a second of a thread, where there are a million."""
    d, p = device.c, presence.c
    disabled = conn.scalar(select(func.count()).select_from(device).where(~d.enabled)) or 0

    def longer(seconds: float) -> Function[int]:
        return func.sum(case(((~p.online) & (p.since < now - seconds), 1), else_=0))

    query = (
        select(
            d.site, func.count(), longer(HOUR), longer(DAY), longer(WEEK),
            func.sum(case((p.imei.is_(None), 1), else_=0)),
        )
        .select_from(device.outerjoin(presence, p.imei == d.imei))
        .where(d.enabled)
        .group_by(d.site)
    )  # fmt: skip
    hour = day = week = never = 0
    found: list[SiteAbsence] = []
    for site, devices, over_hour, over_day, over_week, unseen in conn.execute(query):
        hour, day, week = hour + over_hour, day + over_day, week + over_week
        never += unseen
        if site and over_hour + unseen:
            found.append(SiteAbsence(site, devices, over_hour + unseen))
    found.sort(key=lambda one: (-one.offline, one.devices, one.site))
    return Absence(disabled, hour, day, week, never, found[:WORST])
