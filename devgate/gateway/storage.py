"""Reads and writes of the gateway: all its access to the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import trio

from devgate.errors import StoreError
from devgate.gateway.clock import time
from devgate.gateway.command import Command
from devgate.gateway.completion import result_of
from devgate.gateway.details import command_front, event_row, resolved
from devgate.model import Called, Imei
from devgate.store.batch import Row
from devgate.store.engine import Database
from devgate.store.history import Reading
from devgate.store.outage import outage
from devgate.store.ownership import confirm_loss
from devgate.store.verdicts import VERDICT, Verdict
from devgate.store.writer import Writer

P = ParamSpec("P")
T = TypeVar("T")

# How long a reply waits until its record is on disk.
RECORD_SECONDS = 5.0
RECORD_SECONDS_AWAY = 1.0  # ... if the database is known to be away


# Makes a command's event: from the command, its `command_front`, and the wall clock's time.
CommandEvent = Callable[[Command, str, float], Row]
OnDone = Callable[[Exception | None], None]  # with None once it is on disk, or with an error
OnDisk = Callable[[bool], None]  # with whether it is

# Events that devices can cause any number of times, and that may be left out.
NOISE = frozenset({
    "device.flapping", "device.mismatch", "device.echoing", "device.unknown", "result.unsolicited",
})  # fmt: skip


class Names(Protocol):
    """The names of devices. `Directory` implements it."""

    def called(self, imei: Imei) -> Called | None:
        """Its id, name and site; None if it is not known."""

    def entry(self, imei: Imei, /) -> object:
        """An object that stands for the device; another one as soon as its name changes."""


class Records:
    """All access to the database. Nothing here blocks the loop."""

    claims = False  # a device takes commands only once its row is on disk: at a node of a cluster

    def __init__(
        self,
        database: Database,
        writer: Writer[Row, Any],
        names: Names,
        on_well: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_well` is called when orders are taken again: `state` is "ok" from then on."""
        self._names = names
        self._database = database
        self._writer = writer
        self.callbacks = writer.callbacks
        self._told_lost = 0
        self.quiet = False  # the database exceeds [store] max_size: NOISE is not written
        self.full = ""  # it does so by far: the sentence with which orders are refused
        self._on_well = on_well

    def called(self, imei: Imei) -> Called | None:
        """The device's id, name and site for events; None if it is not known."""
        return self._names.called(imei)

    def here(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """A command's row as it was read, with its times by this process's clock."""
        return row

    def _front(self, command: Command) -> str:
        """The common part of its events (`details.command_front`). It is encoded once, and again
        when the device's name changes."""
        entry = self._names.entry(command.imei)
        front = command.front
        if front is None or front[0] is not entry:
            front = command.front = (entry, command_front(command, self.called(command.imei)))
        return front[1]

    def bound(self, *, quiet: bool, full: str) -> None:
        """From now on: `quiet`, NOISE is not written; `full`, why no order is taken, or ""."""
        self.quiet, self.full = quiet, full

    @property
    def state(self) -> str:
        """`ok`, or why no order is taken: nothing can be written, or the database lost rows."""
        state = self._writer.state
        return state if state != "ok" else self._database.loss or self.full or state

    @property
    def stuck(self) -> bool:
        """The database does not answer: a read may not come back for a long time."""
        return self._writer.stuck

    async def confirm_loss(self) -> str | None:
        """An operator confirms that the database lost rows. Returns what was lost, if anything."""
        lost = await self.change(confirm_loss)
        self._database.loss = None
        # An empty commit now, so that the next start does not wait for the writer's next try. If
        # it fails, `state` says why.
        with trio.move_on_after(RECORD_SECONDS), suppress(Exception):
            await result_of(partial(self._writer.write, []))
        self.well()
        return lost

    def well(self) -> None:
        """The writer can write again."""
        if self.state == "ok":
            self._on_well()

    @property
    def database(self) -> str:
        """The database's URL, without its password."""
        return self._database.url_shown

    @property
    def backlog(self) -> int:
        """How many writes and posts wait to be on disk."""
        return self._writer.backlog

    @property
    def lost(self) -> int:
        """Rows that were given up, since the start."""
        return self._writer.lost

    def write(
        self, command: Command, events: Sequence[CommandEvent], at: float, on_done: OnDone
    ) -> None:
        """Write the command and these events of it, with the time `at` (wall clock), in one
        transaction. Calls back with None once they are on disk, or with an error: then they never
        will be."""
        if self._database.loss:
            # A lost row may say that this command was sent already.
            return on_done(StoreError(self._database.loss))
        front = self._front(command)
        rows = [event(command, front, at) for event in events]
        return self._writer.write([Row("command", command.values()), *rows], on_done)

    def post(self, command: Command, *events: Row) -> None:
        """Write the command as it is now and the events in one transaction, when possible."""
        rows = [Row("command", command.values()), *events]
        # With events it is an entry of its own, which a later post() must not replace.
        self._writer.post(rows, None if events else ("command", command.id))

    def post_event(
        self,
        command: Command,
        event: CommandEvent,
        at: float,
        on_disk: OnDisk | None = None,
        more: Sequence[Row] = (),
    ) -> None:
        """post() with one of the command's own events, and `more`. `on_disk`: as by flush()."""
        writer, row = self._writer, event(command, self._front(command), at)
        writer.post([Row("command", command.values()), row, *more])
        if on_disk is not None:  # as flush(), without a call
            writer.flush(on_disk) if writer.state == "ok" else on_disk(False)

    def resolve(
        self,
        commands: Mapping[str, Command],
        given: str,
        note: str | None,
        by: str,
        on_done: OnDone,
        address: str = "",
    ) -> Verdict:
        """Write a person's verdict on these commands. Calls back with None once it is on disk,
        with an event for each command for which it counts; or with an error. `resolved` of the
        returned Verdict has these commands then."""
        fronts = {id: (Imei(one.imei), self._front(one)) for id, one in commands.items()}
        at, said = time(), {"verdict": given, "note": note, "by": by}
        if address:  # where who says so is
            said["address"] = address

        def tell(id: str, status: str) -> tuple[Any, ...]:
            return resolved(id, *fronts[id], at, status, said).values

        verdict = Verdict(sorted(commands), given, note, by, at, tell)
        self._writer.write([Row(VERDICT, (verdict,))], on_done)
        return verdict

    def event(
        self, type: str, imei: Imei | None, command: str | None = None, /, **detail: object
    ) -> None:
        """Post an event of now: of a device, of a command, or of neither.

        NOISE is left out while the database is too large. If rows were given up, the event
        log.lost is written before it.
        """
        lost = self._writer.lost
        if lost > self._told_lost and self._writer.state == "ok":
            self._writer.post([event_row("log.lost", None, count=lost - self._told_lost)])
            self._told_lost = lost
        if self.quiet and type in NOISE:
            return
        row = event_row(type, imei, command, **detail)
        self._writer.post([row], droppable=not type.startswith("command."))

    def presence(self, values: tuple[Any, ...], *events: Row) -> None:
        """The newest presence of a device (the columns of its kind), and its events."""
        rows = [Row("presence", values), *events]
        if not events or not self._writer.post(rows, droppable=True):
            self._writer.post(rows[:1], ("presence", values[0]))

    def offline(self, imei: Imei, reason: str | None) -> None:
        """Mark a device as offline that an earlier run left online. Without a reason there is no
        event: it was written already."""
        row = Row("offline", (imei, False, time()))
        self._writer.post([row], ("offline", imei))
        if reason is not None:
            self.event("device.offline", imei, reason=reason)

    def open_results(self, imei: Imei, kind: str, detail: str) -> None:
        """What results of this kind (QD, ST) depend on besides the commands; "": nothing."""
        id = f"{imei}:{kind}"
        self._writer.post([Row("open_results", (id, detail))], ("open_results", id))

    def unknown_devices(self, rows: Sequence[tuple[Any, ...]], on_done: OnDone) -> None:
        """Attempts of devices that were refused, in the columns of `store.unknown.WRITTEN`. Calls
        back with None once they are on disk, or with why they never will be."""
        self._writer.write([Row("unknown", values) for values in rows], on_done)

    def target(self, values: tuple[Any, ...]) -> None:
        """How far a webhook has come, in the columns of its table."""
        self._writer.post([Row("target", values)], ("target", values[0]))

    def flush(self, on_done: OnDisk) -> None:
        """Call back with True once what was posted is on disk; at once with False while the
        database is away. flushed() waits for it."""
        if self._writer.state == "ok":
            self._writer.flush(on_done)
        else:
            on_done(False)

    async def flushed(self, patience: float = RECORD_SECONDS) -> bool:
        """Wait until what was posted is on disk; False if that took longer than `patience`."""
        if await result_of(self.flush):
            return True  # nearly always, without the cost of a cancel scope
        if self._writer.state != "ok":
            patience = min(patience, RECORD_SECONDS_AWAY)
        with trio.move_on_after(patience):
            while not await result_of(self._writer.flush):
                if self._writer.ended:
                    await trio.sleep_forever()
            return True
        return False

    async def read(
        self, function: Callable[Concatenate[Reading, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What `function` reads from the database. Raises StoreError (503) if it is away."""

        def in_thread() -> T:
            with self._database.read() as conn:
                return function(conn, *args, **kwargs)

        return await self.blocking(in_thread)

    async def change(
        self, function: Callable[Concatenate[Reading, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What `function` returns, run in a transaction of its own that may write."""

        def in_thread() -> T:
            with self._database.write() as conn:
                return function(conn, *args, **kwargs)

        return await self.blocking(in_thread)

    async def whole(
        self, function: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What `function` returns. It makes transactions of its own: an import."""
        return await self.blocking(lambda: function(self._database, *args, **kwargs))

    async def blocking(self, function: Callable[[], T]) -> T:
        """What `function` returns, which talks to the database in its own way. Raises StoreError
        (503) if it is away."""
        try:
            return await trio.to_thread.run_sync(function)
        except Exception as err:
            if (sentence := outage(err)) is None:
                raise
            raise StoreError(f"the database cannot be read: {sentence}") from err
