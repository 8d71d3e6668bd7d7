"""Holds what devices noted, callers were told, records and events against one another.

`judge` finds each breach of what a cluster promises in a history, and nothing else: it asks no
gateway. The rules of one gateway's records and replies are those of crashing.verdict.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from crashing.callers import SENT
from crashing.processes import Json
from crashing.verdict import Verdict, answers_of, events_of, starts_of
from faulting.followers import posted_as_due, watched_as_on_disk
from faulting.judge import HELD_UP, MAX_MISMATCHED_SHARE, OPEN_FOR, Event, Noted

from devgate.events.kinds import NAMED
from devgate.gateway.commands.transitions import EVENT_TYPES, after_events, place_of
from jepsen_lab.history import History

# Seconds: starts that were sent apart and reach their device at once were held up by the link.
APART, AT_ONCE = 0.5, 0.05
TIMES = ("accepted_at", "sent_at", "ended_at", "late_at")
DISORDER = 2.0  # seconds by which two nodes may differ that have written a record's times
CUT_SECONDS = 0.25  # that a frame may be on its way when a link is cut
LATE_START = 1.5  # seconds from the end of a record until a start that reaches its device is late


def judge(history: History) -> Verdict:
    """All breaches, and figures."""
    verdict = Verdict(other=list(history.odd))
    if odd := [record for record in history.records if not is_legal(record)]:
        # No rule says what may become of these.
        verdict.other += [f"no record may be so: {record}" for record in odd]
        legal = [record for record in history.records if record not in odd]
        history = replace(history, records=legal)
    by_id = {str(record["command"]): record for record in history.records}
    by_key: dict[str, list[Json]] = defaultdict(list)
    for record in history.records:
        by_key[str(record["key"])].append(record)
    starts = history.devices.starts
    came = Counter({start: len(noted.came) for start, noted in starts.items() if noted.came})
    starts_of(verdict, history, came, by_key)
    answers_of(verdict, history, by_id)
    events_of(verdict, history.watched)
    _ids(verdict, history, by_id)
    _ended(verdict, history.records)
    _steps(verdict, history.events, by_id)
    _flights(verdict, history.events, by_id)
    _presence(verdict, history.events)
    watched_as_on_disk(verdict, history.events, history.watched)
    _posted(verdict, history)
    _refused(verdict, history)
    _times(verdict, history.records)
    _late_starts(verdict, history, by_key)
    _matches(verdict, history)
    _count(verdict, history, came.total())
    return verdict


def is_legal(record: Json) -> bool:
    """Whether the table of transitions knows a place for it."""
    try:
        place_of(record)
    except ValueError:
        return False
    return True


def _ids(verdict: Verdict, history: History, by_id: Mapping[str, Json]) -> None:
    """One record is one order's."""
    of: dict[str, str] = {}
    for order in history.orders:
        for attempt in history.attempts.get(order, ()):
            id = attempt.reply.get("command") if attempt.reply else None
            if id is None:
                continue
            if of.setdefault(str(id), order.key) != order.key:
                verdict.doubled.append(f"{order.key} and {of[str(id)]} were both told {id}")
            record = by_id.get(str(id))
            if record is not None and record["key"] != order.key:
                verdict.other.append(f"{order.key} was told of a record of {record['key']}")


def _ended(verdict: Verdict, records: Iterable[Json]) -> None:
    for record in records:
        if record["state"] != "ended":
            verdict.other.append(f"{record['command']} has not ended: {record}")


def _times(verdict: Verdict, records: Iterable[Json]) -> None:
    """A command's times are in order, whatever the clocks of its nodes said meanwhile."""
    for record in records:
        times = [at for column in TIMES if (at := record[column]) is not None]
        if any(then < before - DISORDER for before, then in pairwise(times)):
            verdict.other.append(f"times of {record['key']} are out of order: {record}")


def _steps(verdict: Verdict, events: Sequence[Event], by_id: Mapping[str, Json]) -> None:
    """Numbers without a gap; the events of each command are legal, and lead to where its record
    stands."""
    told: dict[str, list[Event]] = defaultdict(list)
    last = 0
    for event in events:
        if event.n != last + 1:
            verdict.other.append(f"gap: event {event.n} comes behind event {last}")
        last = event.n
        if event.command is not None and event.type in EVENT_TYPES:
            told[event.command].append(event)
    for command, steps in told.items():
        statuses = [json.loads(step.detail).get("status") for step in steps]
        names = [f"{step.n} {step.type}" for step in steps]
        places = after_events(zip((step.type for step in steps), statuses, strict=True))
        record = by_id.get(command)
        known = [status for status in statuses if status is not None][-1:]
        if not places:
            verdict.other.append(f"illegal events of {command}: {names} with {statuses}")
        elif record is None:
            verdict.lost.append(f"{command} has events and no record")
        elif place_of(record) not in places or (known and known != [record["status"]]):
            verdict.other.append(f"{command}: its events say {names} {known}, not {record}")
    for command, record in by_id.items():
        if command not in told:
            verdict.lost.append(f"{command} has a record and no events: {record}")


def _flights(verdict: Verdict, events: Iterable[Event], by_id: Mapping[str, Json]) -> None:
    """One start in flight for each device. A deferred one may have gone back to wait, which has
    no event; so may one that met another in flight, which came with the device's claim: nothing
    of it was sent, if its record says so."""
    flying: dict[str, str] = {}
    for event in events:
        record = by_id.get(event.command or "")
        if record is None or record["type"] != "start" or record["expires_at"] is not None:
            continue
        imei, command = str(event.imei), str(event.command)
        if event.type == "command.sent":
            if record["state"] == "ended" and record["sent_at"] is None:
                continue
            if flying.get(imei, command) != command:
                verdict.other.append(
                    f"two in flight: {command} was sent to {imei} (event {event.n}) while "
                    f"{flying[imei]} was"
                )
            flying[imei] = command
        elif event.type == "command.ended" and flying.get(imei) == command:
            del flying[imei]


def _presence(verdict: Verdict, events: Iterable[Event]) -> None:
    """Online and offline alternate on disk."""
    online: dict[str, Event] = {}
    for event in events:
        if event.type not in ("device.online", "device.offline", "device.taken_over"):
            continue
        imei = str(event.imei)
        before = online.get(imei)
        was = before is not None and before.type != "device.offline"
        if was is (event.type == "device.online"):
            verdict.other.append(f"presence: {event} comes behind {before}")
        online[imei] = event


def _posted(verdict: Verdict, history: History) -> None:
    due = [
        {"event": event.n, "imei": event.imei}
        for event in history.events
        if event.n <= history.posted and event.type not in NAMED
    ]
    posted_as_due(verdict, due, history.received)


def _refused(verdict: Verdict, history: History) -> None:
    """Who was told that nothing was sent for the order was told the truth."""
    by_order = {(order.imei, order.long): order for order in history.orders}
    for start, noted in history.devices.starts.items():
        order = by_order.get(start)
        if order is None or order.type != "start":
            continue
        attempts = history.attempts.get(order, ())
        for at in noted.came:
            for attempt in attempts:
                if attempt.refused and attempt.began > at:
                    verdict.lost.append(
                        f"{order.key} had reached its device {attempt.began - at:.1f} s before, "
                        f"and its caller was told that nothing was sent: {attempt.reply}"
                    )
            if not any(
                one.began <= at and not (one.refused and one.ended < at) for one in attempts
            ):
                verdict.lost.append(
                    f"{order.key} reached its device after all its callers had been told that "
                    f"nothing was sent: {[one.reply for one in attempts]}"
                )


def _late_starts(verdict: Verdict, history: History, by_key: Mapping[str, Sequence[Json]]) -> None:
    """No start reaches its device long after its record has ended, but for those that a link held
    up, of the device or behind a load balancer, and those of a node that stood still between its
    look at the lease and the first byte."""
    arrivals: dict[str, list[tuple[float, float]]] = defaultdict(list)  # came at, was sent at
    for order in history.orders:
        noted = history.devices.starts.get((order.imei, order.long))
        for record in by_key.get(order.key, ()):
            if noted is not None and record["sent_at"] is not None:
                arrivals[order.imei] += [(at, record["sent_at"]) for at in noted.came]
    for order in history.orders:
        noted = history.devices.starts.get((order.imei, order.long))
        if noted is None:
            continue
        for record in by_key.get(order.key, ()):
            if record["status"] not in SENT or record["ended_at"] is None:
                continue
            ended = record["ended_at"] - history.wall
            for at in noted.came:
                if at <= ended + LATE_START:
                    continue
                links = history.devices.lost_links.get(order.imei, ())
                if any(0 < at - lost < HELD_UP for lost in links) or any(
                    begin - 1 < at < end + 2 for begin, end in history.frozen
                ):
                    continue
                if record["sent_at"] is not None and any(
                    begin - CUT_SECONDS < record["sent_at"] - history.wall < end
                    and at < end + HELD_UP
                    for begin, end in history.cut_off
                ):
                    continue
                if record["sent_at"] is not None and any(
                    abs(at - came) < AT_ONCE and sent - record["sent_at"] > APART
                    for came, sent in arrivals[order.imei]
                ):
                    continue
                verdict.other.append(
                    f"late start: {order.key} reached {order.imei} {at - ended:.1f} s after its "
                    f"record had ended: {record}"
                )


def _matches(verdict: Verdict, history: History) -> None:
    """Each result on record is what the device answered to that start. Where other starts of the
    device were open as well, it may be the answer to one of them (protocol.md section 4)."""
    by_device: dict[str, list[Json]] = defaultdict(list)
    for record in history.records:
        if record["type"] == "start" and record["sent_at"] is not None:
            by_device[record["imei"]].append(record)
    results = mismatched = unanswered = wrongly = 0
    starts = history.devices.starts
    for records in by_device.values():
        for record in records:
            if record["status"] not in SENT:
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
            if not any(
                other is not record and _overlap(record, other) for other in records
            ) and not _repeats(history, record):
                verdict.lost.append(
                    f"{record['command']} is {record['status']}, its device answered "
                    f"{sorted(said)}, and no other start of {record['imei']} was open: {record}"
                )
    if mismatched > 20 and mismatched > MAX_MISMATCHED_SHARE * results:
        verdict.other.append("more results are credited to another start than 0.1 %")
    verdict.figures |= {
        "results on record": results,
        "of them not the answer to that start": mismatched,
        "unknown (408)": unanswered,
        "of them answered": wrongly,
    }


def _overlap(one: Json, other: Json) -> bool:
    return bool(one["sent_at"] < _closed(other) and other["sent_at"] < _closed(one))


def _closed(record: Json) -> float:
    """Until when a start was open."""
    ended = max(record["ended_at"] or 0.0, record["late_at"] or 0.0)
    return ended + OPEN_FOR if record["status"] == "408" or record["late"] else ended + 1.0


def _repeats(history: History, record: Json) -> bool:
    """Did this device send an answer again in that time, or just before?"""
    begin, end = record["sent_at"] - history.wall, _closed(record) - history.wall
    return any(
        begin - OPEN_FOR < at < end + 1
        for (imei, _), noted in history.devices.starts.items()
        if imei == record["imei"] and len(noted.answered) > 1
        for at, _ in noted.answered[1:]
    )


def _count(verdict: Verdict, history: History, came: int) -> None:
    told = Counter(
        str(attempt.reply["status"]) if attempt.reply else "none"
        for attempts in history.attempts.values()
        for attempt in attempts
    )
    statuses = Counter(r["status"] for r in history.records if r["type"] == "start")
    took = sorted(
        attempt.ended - attempt.began
        for attempts in history.attempts.values()
        for attempt in attempts
        if attempt.reply is not None and attempt.reply["status"] in ("200", "201", "202")
    )
    verdict.figures |= {
        "orders": len(history.orders),
        "starts that devices saw": came,
        "answers to callers": dict(sorted(told.items())),
        "records of starts": dict(sorted(statuses.items())),
        "settled late": sum(bool(record["late"]) for record in history.records),
        "ambiguous": sum(bool(record["ambiguous"]) for record in history.records),
        "events": len(history.events),
        "webhook deliveries": len(history.received),
        "a start took, ms": {
            share: round(1000 * took[int(len(took) * share / 100)], 1)
            for share in (50, 99)
            if took
        },
        "faults of devices and links": dict(sorted(history.devices.faults.items())),
    }
