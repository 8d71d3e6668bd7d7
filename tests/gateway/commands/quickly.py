"""Programs of starts, results, reconnects and restarts for one device, without a database.

The dispatcher, its results and the recovery are the real ones; rows are kept in memory, and time
passes when the program says so. A program is a text. Its words:

    start  start:2.3  stop    an order, with its `timeout`; they are numbered from 1
    200  201  202  ST200      a result of a start; of a stop
    +9.7                      seconds pass
    beat                      bytes come from the device
    deaf  hears               the device's TCP acknowledges nothing from now on; all again
    online  relayed  offline  the device registers again; behind a load balancer; it leaves
    own:25                    its own ack_timeout, in seconds; own: removes it
    prune                     what happens once a minute
    restart  restart:7        a kill, and a new run 7 seconds later
    drain                     a stop in good order, and a new run
    1=200  1=200late  1=408?  how command 1 ended, as on record; ?: it is ambiguous
    1=sent  1=waiting         it has not ended
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import trio
from trio.testing import MockClock

from devgate.config.settings import CommandSettings
from devgate.gateway.command import Command, Order
from devgate.gateway.commands.dispatcher import Dispatcher
from devgate.gateway.commands.recovery import recover
from devgate.gateway.commands.running import Running
from devgate.gateway.known.directory import Directory
from devgate.gateway.storage import CommandEvent, OnDisk, Records
from devgate.protocol.session import Result
from devgate.store import history
from devgate.store.batch import Row
from devgate.store.device import Device
from tests.gateway.clocks import EPOCH
from tests.gateway.commands.reference import ACK_TIMEOUT, LATE_WINDOW, Out, Reference
from tests.gateway.rig import X
from tests.gateway.wires import FakeLink, Links


class Memory(Records):
    """Rows by their ids, on "disk" as soon as commit() is called."""

    def __init__(self) -> None:
        self._names = Directory()
        self.rows: dict[str, dict[str, Any]] = {}
        self.results: dict[str, str] = {}
        self.ambiguous: list[list[str]] = []  # the commands of each such event
        self._posted: list[Callable[[], None]] = []

    @property
    def state(self) -> str:
        return "ok"

    def commit(self) -> None:
        while self._posted:
            posted, self._posted = self._posted, []
            for write in posted:
                write()

    def write(
        self,
        command: Command,
        events: Sequence[CommandEvent],
        at: float,
        on_done: Callable[[Exception | None], None],
    ) -> None:
        self.post(command)
        self._posted.append(lambda: on_done(None))

    def post(self, command: Command, *events: Row) -> None:
        row = command.row()
        self._posted.append(lambda: self.rows.update({row["id"]: row}))
        for event in events:
            if event.values[1] == "command.ambiguous":
                named = json.loads(event.values[4])["commands"]
                self.ambiguous.append([one["command"] for one in named])

    def post_event(
        self,
        command: Command,
        event: CommandEvent,
        at: float,
        on_disk: OnDisk | None = None,
        more: Sequence[Row] = (),
    ) -> None:
        self.post(command)
        if on_disk is not None:
            self.flush(on_disk)

    def event(self, *args: object, **detail: object) -> None: ...

    def open_results(self, imei: str, kind: str, detail: str) -> None:
        self._posted.append(lambda: self.results.update({f"{imei}:{kind}": detail}))

    def flush(self, on_done: Callable[[bool], None]) -> None:
        self._posted.append(lambda: on_done(True))

    async def read(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        rows = self.rows.values()
        if function is history.unknown_since:
            return [row for row in rows if row["status"] == "408" and row["ended_at"] >= args[0]]
        if function is history.unfinished:
            return [row for row in rows if row["state"] != "ended"]
        if function is history.by_id:
            return self.rows.get(args[0])
        return {} if function is history.running else []

    async def change(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        assert function is history.pop_open_results
        self.results = {id: detail for id, detail in self.results.items() if detail}
        return list(self.results.items())


class Link(FakeLink):
    """Tells the world what goes out."""

    def __init__(self, world: World, relayed: bool) -> None:
        super().__init__()
        self.world, self.relayed = world, relayed
        self.conn = world.reference.connects(X, relayed, self.heard)

    def transmit(self, wire: bytes, why: str | None = None) -> bool:
        super().transmit(wire)
        if wire[3:6] == b"200":
            self.world.acknowledged(self, wire[21:23].decode())
        else:
            self.world.goes_out(self, wire)
        return True


class World:
    """One device and its callers around a gateway that is restarted from time to time."""

    def __init__(self) -> None:
        self.disk = Memory()
        self.reference = Reference()
        self.commands: list[str] = []  # ids, in the order in which they were given
        self.device_timeout: float | None = None
        self.links = Links()

    async def boot(self) -> None:
        self.directory = Directory("", "")
        self.owns(self.device_timeout)
        running = Running(self.directory)
        settings = CommandSettings(ack_timeout=ACK_TIMEOUT, late_window=LATE_WINDOW)
        self.dispatcher = Dispatcher(self.links, self.directory, self.disk, running, settings)
        await recover(self.dispatcher, running, self.disk)
        self.dispatcher._serving = True
        for device in list(self.dispatcher._devices.values()):
            self.dispatcher._next(device)
        self.disk.commit()

    def owns(self, ack_timeout: float | None) -> None:
        self.device_timeout = ack_timeout
        self.reference.ack_timeout = ACK_TIMEOUT if ack_timeout is None else ack_timeout
        self.directory.put(Device(X, 16, ack_timeout=ack_timeout))

    # What the gateway does

    def goes_out(self, to: Link, wire: bytes) -> None:
        now = trio.current_time()
        command = next(one for one in self.dispatcher.live.values() if one.frame() == wire)
        assert self.disk.rows[command.id]["state"] == "sent", "on disk before its first byte"
        out = Out(command.id, X, command.kind, None, now, now, command.timeout or 0.0, to.conn)
        out.unknown = now + (command.timeout or self.reference.ack_timeout)
        out.acked = now if to.acknowledges else None
        self.reference.sent(out)

    def acknowledged(self, to: Link, kind: str) -> None:
        """A result that is held has its acknowledgement."""
        if (group := self.reference.groups.get((X, kind))) is None:
            return  # all of them are here meanwhile
        answer = next(one for one in group.answers if one.conn is to.conn and not one.ack_sent)
        answer.ack_sent, answer.acked = True, to.acknowledges
        assert json.loads(self.disk.results[f"{X}:{kind}"])["held"], "on disk, then told"

    # What happens to it

    async def live(self, program: Iterable[str]) -> None:
        await self.boot()
        self.connects(False)
        for word in program:
            await self.step(word)
            self.disk.commit()
            self.check()

    async def step(self, word: str) -> None:
        verb, _, value = word.partition(":")
        link = self.links.get(X)
        now = trio.current_time()
        match verb:
            case "start" | "stop":
                self.orders(verb, float(value) if value else None)
            case "beat" if isinstance(link, Link):
                link.heard = link.conn.heard = now
            case "deaf" | "hears" if isinstance(link, Link):
                link.acknowledges = verb == "hears"
                if link.acknowledges:
                    link.acknowledged = link.written
                    self.reference.acknowledges(link.conn, now)
            case "online" | "relayed":
                self.connects(verb == "relayed")
            case "offline":
                self.ends()
            case "own":
                self.owns(float(value) if value else None)
            case "prune":
                self.dispatcher._prune(now)
            case "restart" | "drain":
                await self.restarts(verb == "drain", float(value or 0.171))
            case _ if verb[0] == "+":
                self.passes(float(verb))
            case _ if "=" in verb:
                self.expect(*verb.split("="))
            case _ if verb[-3:].isdigit():
                self.says(verb[:-3] or "QD", verb[-3:])
            case _:
                assert verb in ("beat", "deaf", "hears"), f"no such word: {word}"

    def orders(self, type: str, timeout: float | None) -> None:
        number = len(self.commands) + 1
        order = Order(X, type, number if type == "start" else None, timeout=timeout)
        command = Command(f"{number:026}", order, EPOCH + trio.current_time())
        self.commands.append(command.id)
        self.dispatcher.push(command, None)

    def says(self, kind: str, status: str) -> None:
        now, link = trio.current_time(), self.links.get(X)
        if not isinstance(link, Link):
            return  # nobody is there who could say it
        link.heard = link.conn.heard = now
        expected = self.reference.says(X, kind, status, link.conn, now)
        held = bool(self.reference.holds(X, kind)) if expected else False
        found = self.dispatcher.settle(Result(X, kind, status, X), now, link)
        assert found is (None if held else expected), f"{kind}{status}: {found}"

    def connects(self, relayed: bool) -> None:
        if X in self.links:  # it is taken over
            self.ends()
        self.links[X] = Link(self, relayed)
        self.dispatcher.online(X)

    def ends(self) -> None:
        link = self.links.get(X)
        if isinstance(link, Link):
            self.reference.ends(link.conn, trio.current_time())
            self.dispatcher.disconnected(X, link)
            del self.links[X]

    def passes(self, seconds: float) -> None:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, MockClock)
        until = trio.current_time() + seconds
        while (due := self.dispatcher._deadlines.next()) <= until:
            clock.jump(max(0.0, due - trio.current_time()))
            for command in self.dispatcher._deadlines.due(trio.current_time()):
                self.dispatcher._judge(command, trio.current_time())
            self.disk.commit()
        clock.jump(max(0.0, until - trio.current_time()))

    async def restarts(self, drains: bool, down: float) -> None:
        ended = trio.current_time()
        self.reference.pass_time(ended)
        if drains:
            self.reference.gives_up(ended)
            self.dispatcher.close()
            self.dispatcher.give_up()
            self.disk.commit()
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, MockClock)
        clock.jump(down)
        online = self.links.pop(X, None) is not None
        self.reference.restarts(ended, trio.current_time())
        await self.boot()
        self.check()
        if online:
            self.connects(False)

    # What must be true

    def expect(self, number: str, said: str) -> None:
        command = self.dispatcher.live.get(self.commands[int(number) - 1])
        if command is not None:
            assert command.state == said, f"command {number} is {command.state}"
            return
        row = self.disk.rows[self.commands[int(number) - 1]]
        found = row["status"] + "late" * row["late"] + "?" * row["ambiguous"]
        assert found == said, f"command {number} is {found}"

    def check(self) -> None:
        """What is on record is what the reference says."""
        now = trio.current_time()
        self.reference.pass_time(now)
        known = {out.id: out for out in self.reference.out}
        for id, row in self.disk.rows.items():
            if (out := known.get(id)) is None:
                assert row["status"] in ("000", "404", "410", "503"), "nothing was sent"
                continue
            status = out.result or ("000" if now < out.unknown else "408")
            assert (row["status"], row["late"], row["ambiguous"]) == (
                status, out.late, out.ambiguous,
            ), f"command {int(id)}"  # fmt: skip
        assert self.disk.ambiguous == self.reference.published, "events"
