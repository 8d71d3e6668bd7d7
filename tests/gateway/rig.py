"""Real parts of a gateway without sockets and threads, for tests under a clock that jumps.

Everything is the real thing but the two outermost edges: the wire to a device, which notes what
it was given, and the thread that commits, which is the loop itself (a thread would keep no time
with the clock). The database is a real one.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import trio
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import text

from devgate.build import Storage, commands
from devgate.config.settings import CommandSettings, ServiceSettings
from devgate.config.store import StoreSettings
from devgate.events.kinds import Event
from devgate.events.log import EventLog
from devgate.gateway.command import Command, Order
from devgate.gateway.commands.recovery import recover
from devgate.gateway.commands.transitions import Place, place_of
from devgate.gateway.completion import result_of
from devgate.gateway.known.directory import Directory
from devgate.gateway.storage import Records
from devgate.model import Imei
from devgate.protocol.session import Result
from devgate.store import history
from devgate.store.batch import Row
from devgate.store.device import Device
from devgate.store.engine import Database
from devgate.store.opening import open_database
from devgate.store.outage import outage
from devgate.store.writer import Writer
from tests.gateway.wires import FakeLink, Links
from tests.stores import with_tables

T = TypeVar("T")

X = Imei("123456787654321")
Y = Imei("999999999999999")
TIMES = Imei("000000000000005")  # counts times
OFF = Imei("000000000000001")  # disabled
NOBODY = Imei("000000000000009")


class Away(Exception):
    """The database cannot be written at the moment."""


def away(err: BaseException) -> str | None:
    return str(err) if isinstance(err, Away) else outage(err)


class InlineWriter(Writer[Row, list[tuple[Any, ...]]]):
    """Commits on the loop. `slow`: so long a commit takes; `away`: it fails, with these words.
    `on_commit` is called with the rows of each, and its events as they are on disk."""

    on_commit: Callable[[Sequence[Row], Sequence[tuple[Any, ...]]], None] | None = None
    slow = 0.0
    away = ""
    commits = 0

    async def _in_thread(self, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
        await trio.sleep(self.slow)
        if self.away:
            raise Away(self.away)
        self.commits += 1
        events = self._commit(rows)
        if self.on_commit is not None:
            self.on_commit(rows, events)
        return events


class InlineRecords(Records):
    """Reads on the loop."""

    async def blocking(self, function: Callable[[], T]) -> T:
        await trio.lowlevel.checkpoint()
        return function()


class NotingLog(EventLog):
    """Notes the events."""

    def __init__(self, *args: Any) -> None:
        self.published: list[Event] = []
        super().__init__(*args)

    def publish(self, rows: Sequence[Sequence[Any]]) -> None:
        self.published += [Event.of(row) for row in rows]
        super().publish(rows)


class InlineStorage(Storage):
    """Reads and writes on the loop."""

    make_writer = InlineWriter
    make_records = InlineRecords
    make_events = NotingLog
    outage = staticmethod(away)
    idle = math.inf


class Rig:
    """One run of a gateway over a database. A second one over the same is its next run."""

    def __init__(self, database: Database, **settings: Any) -> None:
        self.database = database
        self.settings = CommandSettings(**settings)
        self.links = Links()
        self.knows_keys = False  # otherwise each is looked up in the database
        self._build()
        self.directory.put(Device(X, 16))
        self.directory.put(Device(Y, 17))
        self.directory.put(Device(TIMES, 5, unit="times"))
        self.directory.put(Device(OFF, 1, enabled=False))

    def _build(self) -> None:
        service = ServiceSettings()
        self.directory = Directory(service.phone, service.qr)
        storage = InlineStorage(
            self.database, self.directory, StoreSettings(), on_well=self._store_well
        )
        self._store(storage)
        self.running, self.dispatcher, self.keys, self.orders = commands(
            self.storage, self.links, self.directory, self.settings
        )

    def _store(self, storage: Storage) -> None:
        assert isinstance(storage, InlineStorage)
        assert isinstance(storage.writer, InlineWriter)
        assert isinstance(storage.records, InlineRecords)
        assert isinstance(storage.events, NotingLog)
        self.storage, self.events = storage, storage.events
        self.published = storage.events.published
        self.journal, self.writer, self.records = storage.journal, storage.writer, storage.records

    def _store_well(self) -> None:
        self.dispatcher.store_well()

    async def caught_up(self) -> None:
        """Return when all that devices have sent up to now is read."""
        await trio.lowlevel.checkpoint()

    @contextlib.asynccontextmanager
    async def lives(self) -> AsyncIterator[trio.Nursery]:
        """From recovery to the end, which comes at once, as by a kill."""
        try:
            async with trio.open_nursery() as outer:
                outer.start_soon(self.writer.run)
                await recover(self.dispatcher, self.running, self.records)
                self.orders.ids.after(await self.records.read(history.newest_id))
                if self.knows_keys:
                    await self.keys.prepare()
                    await self.keys.load()
                await outer.start(self.dispatcher.serve, self.caught_up)
                yield outer
                outer.cancel_scope.cancel()
        finally:  # also where a test fails, or the next one would fail by it
            self.journal.close()

    # What the world does

    def online(self, imei: Imei = X) -> FakeLink:
        """The device registers; a connection that it has is taken over."""
        return self.connects(FakeLink(), imei)

    def connects(self, link: T, imei: Imei = X) -> T:
        """The device registers on this connection; one that it has is taken over."""
        assert isinstance(link, FakeLink)
        if (old := self.links.get(imei)) is not None:
            self.dispatcher.disconnected(imei, old)
        self.links[imei] = link
        self.dispatcher.online(imei)
        return link

    def offline(self, imei: Imei = X) -> None:
        self.dispatcher.disconnected(imei, self.links.pop(imei))

    def beats(self, imei: Imei = X) -> None:
        """Bytes come from the device."""
        self.links[imei].heard = trio.current_time()

    def says(self, command: str = "QD", status: str = "200", imei: Imei = X) -> bool:
        """The device reports a result. Whether a command claimed it."""
        result = Result(imei, command, status, imei)
        if (link := self.links.get(imei)) is not None:
            self.beats(imei)
        return self.dispatcher.settle(result, trio.current_time(), link) is not False

    async def order(self, type: str = "start", imei: Imei = X, **more: Any) -> Command:
        """Ask, and wait for the outcome."""
        wait = more.pop("wait", True)
        ordered = order(type, imei, **more)
        found: Command | Exception = await result_of(partial(self.orders.submit, ordered, wait))
        if isinstance(found, Exception):
            raise found
        return found

    # What can be seen afterwards

    def kinds(self, *prefixes: str) -> list[str]:
        """The types of the published events that begin with one of the prefixes."""
        return [e.type for e in self.published if e.type.startswith(prefixes or "")]

    def stored(self, id: str) -> history.Record:
        with self.database.read() as conn:
            found = history.by_id(conn, id)
        assert found is not None
        return found


def order(type: str = "start", imei: Imei = X, **more: Any) -> Order:
    if type == "start":
        more.setdefault("long", 500)
    return Order(imei, type, **more)


class Asked:
    """An order that another task gives."""

    def __init__(self, rig: Rig, nursery: trio.Nursery, type: str, imei: Imei, more: Any) -> None:
        self.command: Command | None = None
        self.error: Exception | None = None
        self.at = -1.0  # when its reply came
        # The id of the command of that reply, where its record stood, and its status.
        self.said: tuple[str, Place, str] | None = None
        nursery.start_soon(self._ask, rig, type, imei, more)

    async def _ask(self, rig: Rig, type: str, imei: Imei, more: dict[str, Any]) -> None:
        try:
            self.command = await rig.order(type, imei, **more)
        except Exception as err:
            self.error = err
        else:
            place = place_of(self.command.row())
            self.said = (self.command.id, place, self.command.status)
        self.at = trio.current_time()

    @property
    def status(self) -> str | None:
        return None if self.command is None else self.command.status


def ask(
    rig: Rig, nursery: trio.Nursery, type: str = "start", imei: Imei = X, **more: Any
) -> Asked:
    return Asked(rig, nursery, type, imei, more)


def quick(database: Database) -> Database:
    """The database without fsync: these tests do not cut the power."""

    @sqlalchemy_event.listens_for(database._engine, "connect")
    def set_up(connection: Any, record: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    database._engine.dispose()
    return database


def emptied(database: Database) -> None:
    """As it was when it was made."""
    with database.write() as conn:
        for table in (
            "command",
            "event",
            "presence",
            "device",
            "device_removed",
            "device_starts",
            "open_results",
            "unknown_device",
            "maintenance",
        ):
            conn.execute(text(f"DELETE FROM {table}"))


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Database]:
    database = quick(open_database(with_tables(f"sqlite:///{folder / 'devgate.db'}")))
    try:
        yield database
    finally:
        database.close()
