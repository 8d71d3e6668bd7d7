"""Compares what devices noted, what callers were told, the records, the events, and who got them.

The rules of the records and replies are those of crashing.verdict. Beyond these: events on disk
are those that `watch` told and the webhook receiver took; those of a command are legal by
devgate.gateway.commands.transitions; every 200 is the device's answer to that very start.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from crashing.callers import SENT
from crashing.processes import Json
from crashing.verdict import NOT_YET, Verdict, answers_of, events_of, starts_of

from devgate.gateway.commands.transitions import EVENT_TYPES, Places, after_events, place_of
from devgate.gateway.commands.transitions import SENT as SENT_EVENT
from faulting.followers import posted_as_due, watched_as_on_disk

if TYPE_CHECKING:
    from faulting.storm import Storm

OPEN_FOR = 20.0  # seconds that a 408 counts as open here: late_window, and what a fault adds
HELD_UP = 20.0  # seconds from the loss of packets until TCP has sent all of them again
MAX_MISMATCHED_SHARE = 0.001  # of all starts that are on record with a result


class Event(NamedTuple):
    n: int
    type: str
    imei: str | None
    command: str | None
    detail: str


@dataclass
class Noted:
    """What one device noted of one start."""

    came: list[float] = field(default_factory=list)
    answered: list[tuple[float, str]] = field(default_factory=list)


class Judge:
    def __init__(self, storm: Storm) -> None:
        self.storm = storm
        self.seen = 0
        self.figures: dict[str, object] = {}
        self._lost_links: dict[str, list[float]] = {}  # when a device's packets began to be lost
        self._said: set[str] = set()  # breaches are told once

    def look(self) -> None:
        """Compare everything. Nothing may be under way. Tells the storm of each new breach."""
        storm, world = self.storm, self.storm.world
        starts, faults = self.device_log()
        records = list(world.history())
        # Devices come and go meanwhile: what was told is read first, and must be on disk.
        watched = list(storm.watcher.events)
        on_disk = events_on_disk(storm)
        verdict = Verdict(other=list(storm.book.odd))
        by_id = {record["command"]: record for record in records}
        by_key: dict[str, list[Json]] = defaultdict(list)
        for record in records:
            by_key[str(record["key"])].append(record)
        came = Counter({start: len(noted.came) for start, noted in starts.items() if noted.came})
        self.seen = came.total()
        starts_of(verdict, storm.book, came, by_key)
        answers_of(verdict, storm.book, by_id)
        events_of(verdict, watched)
        for record in records:
            if record["state"] != "ended":
                verdict.other.append(f"{record['command']} has not ended: {record}")
        self._steps(verdict, on_disk, by_id)
        watched_as_on_disk(verdict, on_disk, watched)
        self._posted(verdict, watched, storm.rested)
        self._closed(verdict, starts)
        self._matches(verdict, starts, records, on_disk)
        told = Counter(a["status"] for order in storm.book.orders for a in order.answers)
        not_yet = sum(
            NOT_YET in a["message"] for order in storm.book.orders for a in order.answers
        )
        statuses = Counter(record["status"] for record in records if record["type"] == "start")
        self.figures |= {
            "orders": len(storm.book.orders),
            "starts that devices saw": self.seen,
            "answers to callers": ", ".join(f"{told[s]} x {s}" for s in sorted(told)),
            "of them not on disk yet": not_yet,
            "requests without an answer": storm.book.crashes,
            "callers that hung up": storm.book.hung_up,
            "records of starts": ", ".join(f"{statuses[s]} x {s}" for s in sorted(statuses)),
            "settled late": sum(record["late"] for record in records),
            "ambiguous": sum(bool(record.get("ambiguous")) for record in records),
            "events": len(on_disk),
            "lives of the gateway": world.lives,
            "faults of devices and links": ", ".join(
                f"{count} {name}" for name, count in sorted(faults.items())
            ),
        }
        for name in ("doubled", "lost", "other"):
            for sentence in getattr(verdict, name):
                if sentence not in self._said:
                    self._said.add(sentence)
                    storm.breach(f"{name}: {sentence}")

    def device_log(self) -> tuple[dict[tuple[str, int], Noted], Counter[str]]:
        starts: dict[tuple[str, int], Noted] = defaultdict(Noted)
        self._lost_links = defaultdict(list)
        faults: Counter[str] = Counter()
        with self.storm.world.record.open() as lines:
            for line in lines:
                if not line.endswith("\n"):
                    break
                at, imei, _, what, *more = line.split()
                if what == "in" and more[0] == "QD":
                    starts[imei, int(more[1])].came.append(float(at))
                elif what == "out" and more[0] == "QD":
                    starts[imei, int(more[1])].answered.append((float(at), more[2]))
                elif what == "fault":
                    if more[0] in ("stalled", "half-open"):
                        self._lost_links[imei].append(float(at))
                    faults[more[0]] += 1
                elif what == "mute":
                    faults["unanswered"] += 1
                elif what == "odd":
                    faults["odd frames"] += 1
        return starts, faults

    def _steps(self, verdict: Verdict, events: Sequence[Event], by_id: Mapping[str, Json]) -> None:
        """The events of each command are legal, and lead to where its record stands."""
        told: dict[str, list[Event]] = defaultdict(list)
        last = 0
        again = 0
        for event in events:
            if event.n != last + 1:
                verdict.other.append(f"on disk event {event.n} comes behind event {last}")
            last = event.n
            if event.command is not None and event.type in EVENT_TYPES:
                told[event.command].append(event)
        for command, steps in told.items():
            names = [step.type for step in steps]
            again += max(names.count(SENT_EVENT) - 1, 0)  # its device left: sent again later
            statuses = [json.loads(step.detail).get("status") for step in steps]
            places = after_events(zip(names, statuses, strict=True))
            if not places:
                verdict.other.append(f"the events of {command} are {names} with {statuses}")
                continue
            record = by_id.get(command)
            if record is None:
                verdict.lost.append(f"{command} has events and no record")
                continue
            known = [status for status in statuses if status is not None][-1:]
            if not _stands(record, places, known):  # a late result came since they were read
                record = self.storm.world.ask({"type": "command", "command": command})
            if not _stands(record, places, known):
                verdict.other.append(
                    f"{command}: its events say {names} {known}, and now: {record}"
                )
        self.figures["commands that were journalled as sent again"] = again

    def _posted(self, verdict: Verdict, watched: Sequence[Json], last: int) -> None:
        lines = self.storm.world.received.read_text("ascii").splitlines()
        numbered = [event for event in watched if event.get("event", last + 1) <= last]
        posted_as_due(verdict, numbered, [line.split() for line in lines])
        self.figures["webhook deliveries"] = len(lines)

    def _closed(self, verdict: Verdict, starts: Mapping[tuple[str, int], Noted]) -> None:
        """No start reaches a device while the store cannot be trusted, but for those that a
        link held up which lost its packets before."""
        for begin, end, why in self.storm.closed:
            for (imei, long), noted in starts.items():
                for at in noted.came:
                    held_up = any(0 < at - lost < HELD_UP for lost in self._lost_links[imei])
                    if begin < at < end and not held_up:
                        verdict.other.append(f"{imei} was started for {long} while {why}")

    def _matches(
        self,
        verdict: Verdict,
        starts: Mapping[tuple[str, int], Noted],
        records: Sequence[Json],
        events: Sequence[Event],
    ) -> None:
        """Each result on record is what the device answered to that start."""
        spans = self._spans(events)
        by_device: dict[str, list[str]] = defaultdict(list)
        for record in records:
            if record["type"] == "start" and record["command"] in spans:
                by_device[record["imei"]].append(record["command"])
        results = mismatched = unanswered = wrongly = repeated = 0
        for record in records:
            if record["type"] != "start" or record["status"] not in SENT:
                continue
            noted = starts.get((record["imei"], record["long"]), Noted())
            said = {status for _, status in noted.answered}
            if record["status"] == "408":
                unanswered += 1
                wrongly += bool(said)
                continue
            results += 1
            if record["status"] in said:
                continue
            mismatched += 1
            if record["command"] not in spans:
                verdict.other.append(f"{record['command']} has no event that says sent: {record}")
                continue
            begin, end = spans[record["command"]]
            others = [
                other
                for other in by_device[record["imei"]]
                if other != record["command"] and spans[other][0] < end and spans[other][1] > begin
            ]
            if others:
                continue
            if self._repeats(starts, record["imei"], begin, end):
                repeated += 1
                continue
            verdict.other.append(
                f"{record['command']} is {record['status']}, its device answered {sorted(said)}, "
                f"and no other start of {record['imei']} was open: {record}"
            )
        self.figures |= {
            "results on record": results,
            "of them not the answer to that start": f"{mismatched}, "
            f"{mismatched / max(results, 1):.3%}: {repeated} by an answer that was repeated, "
            "the others while several were open",
            "unknown (408)": f"{unanswered}, of them {wrongly} were answered",
        }
        if mismatched > 20 and mismatched > MAX_MISMATCHED_SHARE * results:
            verdict.other.append("more results are credited to another start than 0.1 %")

    def _spans(self, events: Sequence[Event]) -> dict[str, tuple[float, float]]:
        """For each command: from when to when it was open, by the time at which `watch` told."""
        at = self.storm.watcher.at
        spans: dict[str, tuple[float, float]] = {}
        for event in events:
            when = at.get(event.n)
            if event.command is None or when is None:
                continue
            if event.type == "command.sent":
                spans[event.command] = (when, when + OPEN_FOR)
            elif event.command in spans and event.type in ("command.ended", "command.late"):
                begin = spans[event.command][0]
                unknown = json.loads(event.detail).get("status") == "408"
                spans[event.command] = (begin, when + OPEN_FOR if unknown else when)
        return spans

    @staticmethod
    def _repeats(
        starts: Mapping[tuple[str, int], Noted], imei: str, begin: float, end: float
    ) -> bool:
        """Did this device send an answer again in that time, or just before?"""
        for (device, _), noted in starts.items():
            if device == imei and len(noted.answered) > 1:
                for at, _ in noted.answered[1:]:
                    if begin - OPEN_FOR < at < end + 1:
                        return True
        return False


def _stands(record: Json, places: Places, known: Sequence[str]) -> bool:
    """Whether the record stands where its events led it, and says the same status."""
    return place_of(record) in places and (not known or known == [record["status"]])


def events_on_disk(storm: Storm) -> list[Event]:
    """All events of the database, by their numbers."""
    query = "SELECT n, type, imei, command, detail FROM event ORDER BY n"
    return [Event(*row) for row in rows(storm, query)]


def rows(storm: Storm, query: str) -> Iterator[tuple[Any, ...]]:
    if storm.server is not None:
        with psycopg.connect(storm.world.url) as conn:
            yield from conn.execute(query)
        return
    with contextlib.closing(sqlite3.connect(storm.world.database, timeout=10)) as conn:
        yield from conn.execute(query)
