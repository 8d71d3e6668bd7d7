"""The queries of alert rules. None of them reads all devices."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from devgate.alerts.certificates import Certificates
from devgate.alerts.engine import Subject, Watch
from devgate.alerts.rule import KINDS
from devgate.gateway.storage import Records
from devgate.store import alert_looks

DAY_SECONDS = 86400.0
# Rows are on disk a little later than the time in them.
LATE_SECONDS = 120.0
# Chunks of `alert_looks.LOOK_ROWS` rows that one look of a rule reads. The next look goes on
# there.
MAX_CHUNKS = 100

MAX_HELD_MACHINES = 1000  # machines of a rule that were in maintenance when they went offline

Items = Sequence[Mapping[str, Any]]
Place = tuple[float, str]


class Looks:
    """Reads what rules are about, each time from where the last look of the rule ended."""

    def __init__(
        self,
        records: Records,
        certificates: Certificates,
        look: Callable[[], Awaitable[Items]],
        maintained: Callable[[str, str], bool],
    ) -> None:
        """`maintained`: whether this machine, or its site, is in maintenance."""
        self._records = records
        self._certificates = certificates
        self._look = look
        self._maintained = maintained
        self._places: dict[str, tuple[Watch, Place]] = {}  # by the rule
        # By the rule: machines that went offline while they were in maintenance.
        self._held: dict[str, dict[str, Subject]] = {}

    def forget(self) -> None:
        """Begin again with what has happened since each rule was added."""
        self._places.clear()
        self._held.clear()

    async def all(self, watches: Sequence[Watch], now: float) -> None:
        """Give these watches what was found. Raises StoreError."""
        kinds = {one.rule.kind for one in watches}
        items: Items = ()
        if any(not KINDS[kind].many and kind != "certificate" for kind in kinds):
            items = await self._look()
        for watch in watches:
            if watch.rule.kind == "offline":
                await self._away(watch, now)
            elif watch.rule.kind == "unknown_outcomes":
                await self._unresolved(watch, now)
            elif watch.rule.kind == "certificate":
                watch.state([one async for one in self._expiring(watch, now)], now)
            else:
                found = _of_attention(watch, items)
                watch.state(
                    [one for one in found if not (one.site and self._maintained("", one.site))],
                    now,
                )

    def at_store(self, watch: Watch, node: str, now: float) -> None:
        """Give a watch whether the database can be written, without asking the database."""
        state = self._records.state
        label = f"{node}: {state}" if node else state
        watch.state([] if state == "ok" else [Subject("store", label)], now)

    def _place(self, watch: Watch, now: float) -> Place:
        """Where the look goes on. What was already true when the rule was made is not reported.
        What became true while no gateway ran is, for a day."""
        known = self._places.get(watch.rule.name)
        if known is not None and known[0] is watch:
            return known[1]
        rule = watch.rule
        self._held[rule.name] = {}
        return max(rule.added_at, now - DAY_SECONDS) - 60 * rule.minutes, ""

    async def _away(self, watch: Watch, now: float) -> None:
        rule, place = watch.rule, self._place(watch, now)
        begin, until = place[0], now - 60 * watch.rule.minutes
        for _ in range(MAX_CHUNKS):
            passed = await self._records.read(alert_looks.away, place, until, rule.scope)
            watch.found(self._at_work(watch, passed.found), now)
            place = passed.place or (max(begin, until - LATE_SECONDS), "")
            if passed.place is None:
                break
        self._places[rule.name] = watch, place
        held = self._held[rule.name]
        over = [one for one in held.values() if not self._maintained(one.id, one.site)]
        fires = _fires(watch)
        ids = {*fires, *(one.id for one in over)}
        still = await self._records.read(alert_looks.still_away, ids)
        watch.clear([id for id in fires if id not in still], now)
        watch.found([held.pop(one.id) for one in over if one.id in still], now)
        for one in over:
            held.pop(one.id, None)

    def _at_work(self, watch: Watch, found: Sequence[alert_looks.Away]) -> Iterable[Subject]:
        """Those that are not in maintenance. The others are looked at again when that is over."""
        held = self._held[watch.rule.name]
        for one in found:
            subject = Subject(one.imei, one.name or one.imei, one.site, one.since)
            if not self._maintained(one.imei, one.site):
                yield subject
            elif len(held) < MAX_HELD_MACHINES:
                held[one.imei] = subject

    async def _unresolved(self, watch: Watch, now: float) -> None:
        rule, (begin, _) = watch.rule, self._place(watch, now)
        until = now - 60 * rule.minutes
        rows = await self._records.read(alert_looks.unresolved_between, begin, until, rule.scope)
        watch.found(
            (
                Subject(
                    row["id"], f"{row['key'] or row['id']} · {row['name'] or row['imei']}",
                    row["site"] or "", row["ended_at"],
                )
                for row in rows
            ),
            now,
        )  # fmt: skip
        end = (
            rows[-1]["ended_at"] if len(rows) == alert_looks.MAX_COMMANDS else until - LATE_SECONDS
        )
        self._places[rule.name] = watch, (max(begin, end), "")
        fires = _fires(watch)
        still = await self._records.read(alert_looks.unresolved, fires)
        watch.clear([id for id in fires if id not in still], now)

    async def _expiring(self, watch: Watch, now: float) -> Any:
        for one in await self._certificates.known():
            if one.expires < now + DAY_SECONDS * watch.rule.days:
                until = datetime.fromtimestamp(one.expires, UTC)
                yield Subject(one.door, f"[{one.door}] {one.file}: {until:%Y-%m-%d}")


def _fires(watch: Watch) -> list[str]:
    return [id for id, one in watch.firing.items() if one.cleared_at is None]


def _of_attention(watch: Watch, items: Items) -> Iterable[Subject]:
    for item in items:
        if item["kind"] != watch.rule.kind:
            continue
        name, since = str(item["name"] or ""), item["since"]
        at = datetime.fromisoformat(since).timestamp() if since else None
        if item["kind"] == "site_outage":
            if watch.rule.scope.has_site(name):
                yield Subject(name, f"{name} ({item['count']} / {item['of']})", name, at)
        elif item["kind"] == "webhook":
            yield Subject(name, f"{name}: {item['detail']}", since=at)
        else:
            part = f" / {item['of']}" if item["of"] else ""
            yield Subject(item["kind"], f"{item['count']}{part}")
