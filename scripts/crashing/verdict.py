"""What devices saw, what callers were told and what the journal says, compared."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from crashing.callers import SENT, UNSENT, Book, Order
from crashing.processes import Json
from devgate.gateway.commands.transitions import (
    START,
    Place,
    Places,
    after_event,
    ended_as,
    place_of,
    reaches,
)

NOT_YET = "not on disk yet"  # in an answer: a kill may still take it back
ONLINE = {"device.online": True, "device.offline": False}


@dataclass
class Verdict:
    """Sentences, each about one violation."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.other)


def judge(
    book: Book, seen: Sequence[tuple[str, int]], records: Iterable[Json], events: Sequence[Json]
) -> Verdict:
    """`events` are those that a watcher collected, across every crash."""
    verdict = Verdict(other=list(book.odd))
    by_id = {record["command"]: record for record in records}
    by_key: dict[str, list[Json]] = defaultdict(list)
    for record in by_id.values():
        by_key[str(record["key"])].append(record)
    starts_of(verdict, book, Counter(seen), by_key)
    answers_of(verdict, book, by_id)
    events_of(verdict, events)
    mine = [record for order in book.orders for record in by_key[order.key]]
    for record in mine:
        if record["state"] != "ended":
            verdict.other.append(f"{record['command']} has not ended: {record}")
    told = Counter(a["status"] for order in book.orders for a in order.answers)
    verdict.figures = {
        "orders": len(book.orders),
        "starts that devices saw": len(seen),
        "records": len(mine),
        "answers": ", ".join(f"{told[s]} x {s}" for s in sorted(told)),
        "requests that a crash left without an answer": book.crashes,
        "unknown at the end (408)": sum(r["status"] == "408" for r in mine),
        "settled late": sum(r["late"] for r in mine),
        "events": len(events),
    }
    return verdict


class Ordered(Protocol):
    """Who knows all orders and their answers."""

    @property
    def orders(self) -> Sequence[Order]: ...


def starts_of(
    verdict: Verdict,
    book: Ordered,
    seen: Mapping[tuple[str, int], int],
    by_key: Mapping[str, list[Json]],
) -> None:
    """No start twice, and every one that a device saw is on record as sent."""
    orders = {(order.imei, order.long): order for order in book.orders}
    for start, times in seen.items():
        order = orders.get(start)
        if order is None:
            verdict.other.append(f"a device saw {start}, which nobody ordered")
        elif times > 1:
            verdict.doubled.append(f"{order.key} reached its device {times} times")
    for start, order in orders.items():
        sent = [record for record in by_key[order.key] if record["status"] in SENT]
        if len(sent) > 1:
            verdict.doubled.append(f"{order.key} has {len(sent)} records that say sent")
        if start in seen and not sent:
            verdict.lost.append(f"{order.key} reached its device and no record says so")


def answers_of(verdict: Verdict, book: Ordered, by_id: Mapping[str, Json]) -> None:
    """What was answered is still so, or has become what it may.

    A database that is away may keep another reason than the one told why nothing was sent.
    """
    for order in book.orders:
        ids = {a["command"] for a in order.answers if a["status"] in SENT}
        if len(ids) > 1:
            verdict.doubled.append(f"{order.key} was answered with several commands: {ids}")
        for answer in order.answers:
            status, record = answer["status"], by_id.get(answer["command"])
            if record is None:
                if status not in UNSENT:  # of those, a database that is away may keep none
                    verdict.lost.append(f"{order.key} was answered {status}: there is no record")
            elif status in UNSENT:
                if place_of(record) is not Place.UNSENT or record["sent_at"]:
                    words = f"{status} ({answer['message']}), and now: {record}"
                    verdict.other.append(f"{order.key} was answered {words}")
            elif status in SENT and not may_be_now(answer, record):
                verdict.lost.append(f"{order.key} was answered {status}, and now: {record}")


def may_be_now(answer: Json, record: Json) -> bool:
    """Whether a command that was answered so may have this record now."""
    status, now = answer["status"], place_of(record)
    told = Place.LATE if answer.get("late") else ended_as(status)
    if told is now:
        return bool(status == record["status"])
    if reaches(told, now):
        return True
    # An outcome that was not on disk yet may be lost with its gateway: the command is still in
    # flight then. The next one calls it unknown, or hears the answer in time.
    lost = reaches(Place.UNKNOWN, now) or (told is Place.UNKNOWN and now is Place.ANSWERED)
    return NOT_YET in answer["message"] and lost


def events_of(verdict: Verdict, events: Sequence[Json]) -> None:
    """Numbers without gap or repeat; online and offline alternate; commands' events are legal."""
    presence: dict[str, Json] = {}  # the last event of each device
    places: dict[str, Places] = {}  # where each command may stand
    last: int | None = None
    for event in events:
        number = event.get("event")
        if not isinstance(number, int):
            verdict.other.append(f"the watcher missed events: {event}")
            continue
        if last is not None and number != last + 1:
            verdict.other.append(f"event {number} came behind event {last}")
        last = number
        if (now := ONLINE.get(event["type"])) is not None:
            before = presence.get(event["imei"])
            if (before is not None and ONLINE[before["type"]]) is now:
                verdict.other.append(f"{event} tells what was so already, since {before}")
            presence[event["imei"]] = event
        elif event["type"].startswith("command."):
            before_it = places.get(event["command"], START)
            after_it = after_event(before_it, event["type"], event.get("status"))
            places[event["command"]] = after_it
            if before_it and not after_it:
                words = ", ".join(sorted(before_it))
                verdict.other.append(f"{event} is told of a command that is {words}")
