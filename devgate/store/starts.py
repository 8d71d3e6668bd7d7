"""The recent starts of each device: the table `device_starts`, for lists of devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

WEIGHT_DECAY = 0.98  # what is left of a start's weight after the next one
NEWEST_COMMANDS = 20_000  # commands that `mend` looks at: about ten milliseconds

RATE = "CASE WHEN asked > 0.01 THEN round(CAST(failed / asked AS numeric), 3) ELSE 0 END"
# Each index is written only where its column changes.
_COUNT = text(
    "UPDATE device_starts SET "
    "asked = CASE WHEN asked * :weight + :asked > 0 THEN asked * :weight + :asked ELSE 0 END, "
    "failed = CASE WHEN failed * :weight + :failed > 0 THEN failed * :weight + :failed ELSE 0 END "
    "WHERE imei = :imei"
)
_RATE = text(f"UPDATE device_starts SET rate = {RATE} WHERE imei = :imei AND rate <> {RATE}")
_HOUR = text(
    "UPDATE device_starts SET started_hour = :hour WHERE imei = :imei AND started_hour < :hour"
)
_CONFIRMED = text(
    "SELECT imei, max(at) FROM (SELECT imei, type, status, state, coalesce(late_at, ended_at) "
    "AS at FROM command ORDER BY id DESC LIMIT :newest) AS c "
    "WHERE type = 'start' AND state = 'ended' AND status = '200' GROUP BY imei ORDER BY imei"
)


class Starts(NamedTuple):
    """What some starts of a device add to its row."""

    imei: str
    weight: float  # factor for earlier starts: WEIGHT_DECAY to the power of the number of these
    asked: float  # sum of the weights of these starts
    failed: float  # the weights of those that failed; negative: some succeeded later
    hour: int  # of the last confirmed one, in hours since 1970; 0: none


def count(conn: Connection, rows: Sequence[Starts]) -> None:
    """Add these, one for each device. Unknown devices have no row, and get none.

    Rows are written in the order of IMEIs: so two nodes never wait for one another in a circle.
    """
    given = [row._asdict() for row in sorted(rows)]
    conn.execute(_COUNT, given)
    conn.execute(_RATE, given)
    if confirmed := [row for row in given if row["hour"]]:
        conn.execute(_HOUR, confirmed)


def mend(conn: Connection) -> None:
    """Set when each device was last started, after a gateway ended without writing it."""
    found = conn.execute(_CONFIRMED, {"newest": NEWEST_COMMANDS}).all()
    if rows := [{"imei": imei, "hour": int(at // 3600)} for imei, at in found]:
        conn.execute(_HOUR, rows)
