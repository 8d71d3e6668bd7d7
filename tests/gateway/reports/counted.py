"""A database of starts and presences, and the time, for tests of what is counted of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ulid import ULID

from devgate.config.report import ReportSettings
from devgate.config.settings import Settings
from devgate.config.store import StoreSettings
from devgate.gateway.background import Background
from devgate.gateway.clock import Clock
from devgate.gateway.known.directory import Directory
from devgate.gateway.reports.days import as_date
from devgate.gateway.reports.usage import Usage
from devgate.store import usage_report
from devgate.store.batch import Row
from devgate.store.engine import Database
from devgate.store.journal import Journal
from devgate.store.journals import Writes
from devgate.store.usage_report import AskedReport, Sums
from tests.gateway.rig import InlineRecords, InlineStorage
from tests.store.commands import command_row
from tests.store.plain import A

SHANGHAI = "Asia/Shanghai"
TODAY = "2026-11-24"
DAY = 86400.0


def at(text: str, zone: str = SHANGHAI) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@dataclass
class World:
    """A database, its journal, and the time; a new Usage each turn: as after a restart."""

    database: Database
    now: float = at(f"{TODAY} 12:00")
    zone: str = SHANGHAI
    keep: float = 1000 * DAY
    made: int = 0
    journal: Journal = field(init=False)
    journal_of_storage: Writes = field(init=False)
    records: InlineRecords = field(init=False)

    def __post_init__(self) -> None:
        self.journal = Journal(self.database)
        storage = InlineStorage(
            self.database, Directory("", ""), StoreSettings(), on_well=lambda: None
        )
        assert isinstance(storage.records, InlineRecords)
        self.records, self.journal_of_storage = storage.records, storage.journal

    def usage(self) -> Usage:
        settings = Settings(
            report=ReportSettings(zone=self.zone, keep=self.keep),
            store=StoreSettings(keep_commands=400 * DAY),
        )
        return Usage(self.records, settings, Background(), Clock(lambda: self.now))

    async def turn(self) -> None:
        """Until nothing is left."""
        while True:
            counting = self.usage()
            await counting.turn()
            if not counting._more:
                return

    def start(self, when: float, imei: str = A, tell: str = "ended", **changed: Any) -> str:
        """A start and its event, as the gateway writes them."""
        self.made += 1
        id = str(ULID.from_timestamp(when))[:10] + f"{self.made:016}"
        ended = {"accepted_at": when, "ended_at": when + 1, "imei": imei, **changed}
        self.journal.commit([command_row(id, **ended), self.event(tell, when + 1, imei, id)])
        return id

    @staticmethod
    def event(tell: str, when: float, imei: str, id: str) -> Row:
        return Row("event", (when, f"command.{tell}", imei, id, "{}"))

    def presence(self, online: bool, when: float, imei: str = A) -> None:
        type = "device.online" if online else "device.offline"
        self.journal.commit([Row("event", (when, type, imei, None, "{}"))])

    def report(self, by: str = "day", **asked: Any) -> dict[str, Sums]:
        """By the date, site or IMEI."""
        whole = AskedReport(by, 0, 40_000, **asked)
        with self.database.read() as conn:
            total, lines = usage_report.lines(conn, whole, None, 1000, 0, summed=False)
            sums = usage_report.lines(conn, whole, None, 1000, 0, summed=True)
            assert sums == (total, lines), "the sums of sites tell the same"
        assert total.lines == len(lines)
        for name in usage_report.COUNTS:
            assert getattr(total, name) == sum(getattr(one, name) for one in lines)
        return {
            as_date(int(str(one.key))).isoformat() if by == "day" else str(one.key): one
            for one in lines
        }


def counts(one: Sums) -> tuple[int, ...]:
    """Starts, done, failed, unknown, refused, open."""
    return one[2:8]
