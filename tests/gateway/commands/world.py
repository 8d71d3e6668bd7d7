"""Devices and callers around a real gateway over a real database, beside the reference."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import trio
from sqlalchemy import text

from devgate.errors import DevgateError
from devgate.gateway.commands.transitions import (
    START,
    Place,
    Places,
    after_event,
    at,
    place_of,
    reaches,
)
from devgate.model import Imei
from devgate.store.batch import KINDS, Row
from devgate.store.engine import Database
from tests.gateway.clocks import EPOCH
from tests.gateway.commands.noted_link import NotedLink
from tests.gateway.commands.reference import ACK_TIMEOUT, Answer, Out, Reference, Together
from tests.gateway.rig import Asked, Rig, ask
from tests.writing import flushed


class World:
    """Devices and callers around one gateway, which crashes from time to time."""

    def __init__(self, database: Database, knows_keys: bool) -> None:
        self.database = database
        self.reference = Reference()
        self.knows_keys = knows_keys
        self.places: dict[str, Places] = {}  # where each command's events have led its record
        self.rig = self.new_rig()
        self.asked: list[Asked] = []
        self.longs = 0
        self.killed = False  # what the parts do while they are torn down does not happen

    def new_rig(self) -> Rig:
        rig = Rig(self.database)
        rig.knows_keys = self.knows_keys
        rig.writer.on_commit = self.committed
        return rig

    # What the gateway does

    def committed(self, rows: Sequence[Row], events: Sequence[tuple[Any, ...]]) -> None:
        """Each commit takes records by legal transitions, and writes the events of these."""
        for _, kind, _, id, detail, _ in events:
            if id is not None:
                before = self.places.get(id, START)
                self.places[id] = after_event(before, kind, json.loads(detail).get("status"))
                assert self.places[id], f"{kind} of a command that is {set(before)}"
        for id, place in {
            row.values[0]: place_of(dict(zip(KINDS["command"].columns, row.values, strict=True)))
            for row in rows
            if row.kind in ("command", "refused")
        }.items():
            assert place in self.places[id], f"it is {place}, and not {set(self.places[id])}"
            self.places[id] = at(place)

    def goes_out(self, to: NotedLink, wire: bytes) -> None:
        now, imei = trio.current_time(), to.imei
        command = self.rig.dispatcher._devices[imei].current
        assert command is not None
        assert wire == command.frame()
        row = self.rig.stored(command.id)
        assert row["state"] == "sent", "on disk before its first byte"
        patience = command.timeout or self.rig.settings.ack_timeout
        out = Out(command.id, imei, command.kind, command.key, now, now + patience, 0.0, to.conn)
        out.patience = max(ACK_TIMEOUT, command.timeout or 0.0)
        out.acked = now if to.acknowledges else None
        self.reference.sent(out)

    def acknowledged(self, to: NotedLink, wire: bytes) -> None:
        """A result that is held has its acknowledgement."""
        place = to.imei, wire[21:23].decode()
        if (group := self.reference.groups.get(place)) is None:
            return  # all of them are here meanwhile
        answer = next(one for one in group.answers if one.conn is to.conn and not one.ack_sent)
        answer.ack_sent, answer.acked = True, to.acknowledges
        if self.rig.writer.state == "ok":
            assert self.on_disk(*place)["held"], "on disk, then told"

    # What happens to it

    async def live(self, program: list[tuple[Any, ...]]) -> None:
        remaining = list(program)
        while True:
            async with self.rig.lives() as nursery:
                while remaining and remaining[0][0] != "crash":
                    await self.step(nursery, *remaining.pop(0))
                if self.rig.writer.state != "ok" or self.rig.writer.away:
                    # What was answered meanwhile is not on disk yet, and cannot be.
                    self.rig.writer.away = ""
                    await flushed(self.rig.writer)
                if not remaining:
                    await trio.sleep(1000)
                    await flushed(self.rig.writer)
                self.check_errors()
                self.killed = True
            self.check_numbers()
            if not remaining:
                break
            _, down = remaining.pop(0)
            self.forget_callers()
            await trio.sleep(down)
            self.killed = False
            self.rig = self.new_rig()
            self.remember()
        self.check()

    async def step(self, nursery: trio.Nursery, kind: str, *args: Any) -> None:
        rig = self.rig
        match kind, args:
            case "order", (type, imei, key, expires, patience, flag):
                self.longs += 1
                more: dict[str, Any] = {"key": key, "timeout": patience, "wait": flag}
                if type == "start":
                    more |= {"expires": expires, "long": 1 if key else self.longs}
                else:
                    more |= {"cancel": not flag}
                self.asked.append(ask(rig, nursery, type, imei, **more))
            case "result", (imei, command, status):
                now = trio.current_time()
                link = rig.links.get(imei)
                conn = link.conn if isinstance(link, NotedLink) else None
                if conn is not None:
                    conn.heard = now
                expected = self.reference.says(imei, command, status, conn, now)
                assert rig.says(command, status, imei) is expected
            case "nap", (seconds,):
                await trio.sleep(seconds)
            case "tick", ():
                await trio.lowlevel.checkpoint()
            case "online", (imei, relayed):
                if (link := rig.links.get(imei)) is not None:  # it is taken over
                    assert isinstance(link, NotedLink)
                    self.reference.ends(link.conn, trio.current_time())
                rig.connects(NotedLink(self, imei, relayed), imei)
            case "beat", (imei,):
                if (link := rig.links.get(imei)) is not None:
                    rig.beats(imei)
                    assert isinstance(link, NotedLink)
                    link.conn.heard = trio.current_time()
            case "acks", (imei, flag):
                if (link := rig.links.get(imei)) is not None:
                    assert isinstance(link, NotedLink)
                    link.acknowledges = flag
                    if flag:
                        link.acknowledged = link.written
                        self.reference.acknowledges(link.conn, trio.current_time())
            case "offline", (imei,):
                self.ends(imei)
            case "breaks", (imei,):
                if link := rig.links.get(imei):
                    link.whole = False
            case "cancel", (number,):
                waiting = list(rig.dispatcher.live.values())
                if number < len(waiting):
                    rig.dispatcher.cancel(waiting[number], "on request")
            case "slow", (seconds,):
                rig.writer.slow = seconds
            case "away", (flag,):
                rig.writer.away = "locked" if flag else ""
            case _:
                raise AssertionError(kind)

    def ends(self, imei: Imei) -> None:
        """The device's connection ends, if it has one."""
        if (link := self.rig.links.get(imei)) is not None:
            assert isinstance(link, NotedLink)
            self.reference.ends(link.conn, trio.current_time())
            self.rig.offline(imei)

    # A crash

    def forget_callers(self) -> None:
        """Who was answered goes on knowing it; the others hear nothing more."""
        self.asked = [one for one in self.asked if one.said]

    def remember(self) -> None:
        """What a new run can know: what is on disk. A result that is not is lost."""
        now = trio.current_time()
        rows = self.rows()
        known = {out.id: out for out in self.reference.out}
        for id, row in rows.items():
            out = known.get(id)
            if out is None and row["state"] == "sent":
                # Journalled, and the end came before its first byte: nobody can know that.
                kind = "QD" if row["type"] == "start" else "ST"
                sent = row["sent_at"] - EPOCH
                patience = max(ACK_TIMEOUT, row["timeout"] or 0.0)
                out = Out(id, Imei(row["imei"]), kind, row["key"], sent, now, patience)
                self.reference.out.append(out)
            if out is None:
                continue
            out.ambiguous = row["ambiguous"]
            if row["state"] == "sent":
                out.result, out.unknown = None, now
            elif row["status"] == "408":
                # Not behind this moment: a number of the wall clock is coarser.
                out.result, out.unknown = None, min(now, row["ended_at"] - EPOCH)
            else:
                assert row["status"] == out.result
        assert set(known) <= set(rows), "what went out is on record"
        self.reference.out.sort(key=lambda out: rows[out.id]["sequence"])
        self.remember_results(rows, now)
        self.check_answers()

    def remember_results(self, rows: dict[str, Any], now: float) -> None:
        """The same of results that were held and of commands that had yielded."""
        reference = self.reference
        for conn in reference.conns:
            conn.over = conn.forgotten = True
        for out in reference.out:
            out.conn = out.seen = out.acked = None
            out.yielded = out.lost = False
        known = {out.id: out for out in reference.out}
        before, reference.groups = reference.groups, {}
        for imei, kind, detail in self.open_results():
            for id in detail["yielded"]:
                known[id].yielded = True
            closed = detail["closed"] or 0
            for out in reference.out:
                if (out.imei, out.kind) == (imei, kind):
                    out.closed = out.closed or rows[out.id]["sequence"] <= closed
            outs = [known[id] for id in detail["group"]]
            if not detail["held"] or any(out.result is not None for out in outs):
                continue
            group = Together(outs, [Answer(status, None, True) for status in detail["held"]])
            if (old := before.get((imei, kind))) is not None and old.outs == outs:
                held = [answer.status for answer in old.answers]
                assert held[: len(detail["held"])] == detail["held"], "what was held is kept"
            for id in detail["last"]:
                known[id].lost = True
            reference.groups[imei, kind] = group
            if detail["ambiguous"]:
                group.ambiguous_since = outs[-1].unknown
            else:
                reference.is_ambiguous((imei, kind), group, now)

    # What must be true

    def rows(self) -> dict[str, Any]:
        with self.database.read() as conn:
            return {row.id: row._asdict() for row in conn.execute(text("SELECT * FROM command"))}

    def open_results(self) -> list[tuple[Imei, str, dict[str, Any]]]:
        with self.database.read() as conn:
            found = conn.execute(text("SELECT id, detail FROM open_results WHERE detail <> ''"))
            return [(Imei(row.id[:15]), row.id[16:], json.loads(row.detail)) for row in found]

    def on_disk(self, imei: Imei, kind: str) -> dict[str, Any]:
        return next(detail for *place, detail in self.open_results() if place == [imei, kind])

    def check_numbers(self) -> None:
        with self.database.read() as conn:
            numbers = list(conn.scalars(text("SELECT n FROM event ORDER BY n")))
        assert numbers == list(range(1, len(numbers) + 1)), "no gap and no repeat"

    def check_errors(self) -> None:
        for one in self.asked:
            assert one.error is None or isinstance(one.error, DevgateError), one.error

    def check_answers(self) -> None:
        """Nothing that was answered is ever forgotten, or becomes less true."""
        rows = self.rows()
        for one in self.asked:
            if one.said is None:
                continue
            id, reported, status = one.said
            now = place_of(rows[id])
            if reported is Place.AMBIGUOUS:  # that it is may be on disk a moment later
                reported = Place.UNKNOWN
            if reported is Place.UNKNOWN and now is Place.SENT:
                continue  # recovery will end it as a 408
            assert reaches(reported, now)
            assert reported is not now or reported is Place.SENT or status == rows[id]["status"]

    def check(self) -> None:
        self.reference.pass_time(trio.current_time())
        self.check_answers()
        rows = self.rows()
        assert all(row["state"] == "ended" for row in rows.values())
        known = {out.id: out for out in self.reference.out}
        for id, row in rows.items():
            if id in known:
                assert row["status"] == (known[id].result or "408")
                assert row["ambiguous"] == known[id].ambiguous
            else:
                assert row["status"] not in ("200", "201", "202", "408"), "nothing was sent"
                assert row["spent"] is None
        with self.database.read() as conn:
            ends = text("SELECT command FROM event WHERE type = 'command.ended'")
            ended = list(conn.scalars(ends))
        assert sorted(ended) == sorted(rows), "one end each"
