"""One task, one thread, one commit for all that waited."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Generic, NamedTuple, TypeVar

import trio

from devgate.errors import Fenced, StoreError

Row = TypeVar("Row")
Done = TypeVar("Done")

# Rows that nobody waits for, while the database is away: about 100 MB of them at the most.
MOST_KEPT = 200_000
PAUSE = 0.1  # seconds before a failed commit is tried again, doubled up to PAUSE_MOST
PAUSE_MOST = 2.0
TURN = 64  # callbacks after a commit before other tasks have their turn: about two milliseconds

STOPPED = StoreError("the gateway stops")

log = logging.getLogger("devgate.store")


class Entry(NamedTuple, Generic[Row]):
    """Rows that belong together. Entries are written in the order in which they came."""

    number: int
    rows: Sequence[Row]


@dataclass(slots=True, eq=False)
class Batch(Generic[Row]):
    """What one commit will write."""

    urgent: list[Entry[Row]] = field(default_factory=list)
    kept: dict[Hashable, Entry[Row]] = field(default_factory=dict)
    done: trio.Event = field(default_factory=trio.Event)
    then: list[Callable[[], None]] = field(default_factory=list)  # called after `done`, in order
    error: Exception | None = None  # of the whole batch
    again: bool = False  # kept rows of it are not on disk, and went back into the line
    errors: dict[int, Exception] = field(default_factory=dict)  # of one urgent entry, by its place

    def told(self) -> list[Callable[[], None]]:
        """Whom to call back, once. They hold the batch, and shall not be held by it in turn: what
        waits for the garbage collector waits long, and makes it stop the loop for long."""
        then, self.then = self.then, []
        return then

    @property
    def kept_all(self) -> bool:
        """Whether all that was posted is on disk, once it is done."""
        return self.error is None and not self.again


class Writer(Generic[Row, Done]):
    """Commits rows in groups: while one commit runs, the next group gathers.

    `commit` is blocking, runs in a thread, and writes all of its rows or none. What it
    returns is handed to `committed`, in the order of the commits, before anybody who
    waits hears of it. `outage` tells a database that is away, locked or full (a
    sentence) from rows that cannot be written at all (None). `commit` raises Fenced once another
    gateway owns the database: that is final, and nothing is committed after it.

    After `idle` seconds without rows an empty commit finds out whether they could be written.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Row]], Done],
        committed: Callable[[Done], None],
        outage: Callable[[BaseException], str | None],
        *,
        idle: float = math.inf,
    ) -> None:
        self._commit = commit
        self._committed = committed
        self._outage = outage
        self._batch: Batch[Row] = Batch()
        self._wake = trio.Event()
        self._limiter = trio.CapacityLimiter(1)
        self._busy: Batch[Row] | None = None  # what is being written
        self._number = 0
        self._pause = 0.0
        self._idle = idle
        self.state = "ok"  # or a sentence that says why nothing can be written
        self.fenced: Fenced | None = None  # why nothing will be written any more
        self.on_fenced: Callable[[], None] = lambda: None  # called once, when that is so
        self.lost = 0  # rows given up since the database went away
        # Told of every commit that worked: its seconds, and how many rows it wrote.
        self.measured: Callable[[float, int], None] = lambda seconds, rows: None

    @property
    def backlog(self) -> int:
        """How much waits for a commit, or is in the one that runs: writes and posts."""
        batches = [self._batch, self._busy] if self._busy else [self._batch]
        return sum(len(batch.urgent) + len(batch.kept) for batch in batches)

    async def write(self, rows: Sequence[Row]) -> None:
        """Return when the rows are on disk. Raises what the commit raised; then none of them is,
        and none of them will be. Cancelled, they are written all the same."""
        batch, place = self._join(rows)
        await batch.done.wait()
        error = batch.error or batch.errors.get(place)
        if error is not None:
            raise error

    def write_then(self, rows: Sequence[Row], then: Callable[[Exception | None], None]) -> None:
        """write() for those who have no task: calls back with what it would raise, or None.

        Callbacks come in the order of the calls, never from within this one while the writer
        lives, and must not raise.
        """
        batch, place = self._join(rows)
        _tell(batch, lambda: then(batch.error or batch.errors.get(place)))

    def _join(self, rows: Sequence[Row]) -> tuple[Batch[Row], int]:
        batch = self._batch
        batch.urgent.append(self._entry(rows))
        self._wake.set()
        return batch, len(batch.urgent) - 1

    async def kept(self) -> bool:
        """Wait for the commit that holds what was posted last. False: it failed, and goes on."""
        batch = self._latest()
        if batch is None:
            return True
        await batch.done.wait()
        return batch.kept_all

    def kept_then(self, then: Callable[[bool], None]) -> None:
        """kept() for those who have no task. Calls at once where there is nothing to wait for."""
        batch = self._latest()
        if batch is None:
            then(True)
        else:
            _tell(batch, lambda: then(batch.kept_all))

    def _latest(self) -> Batch[Row] | None:
        """The batch that the newest of all rows is in; None if all are written."""
        return self._batch if self._batch.urgent or self._batch.kept else self._busy

    def post(self, rows: Sequence[Row], key: Hashable = None) -> None:
        """Write the rows when it can be done, however long that takes; nobody waits for it.

        Rows of an equal key replace those that have not been written yet. Without a
        key they are given up, and counted, when too many wait.
        """
        if key is None:
            if len(self._batch.kept) >= MOST_KEPT:
                self.lost += 1
                return
            key = self._number
        self._batch.kept[key] = self._entry(rows)
        self._wake.set()

    def _entry(self, rows: Sequence[Row]) -> Entry[Row]:
        self._number += 1
        return Entry(self._number, rows)

    async def flush(self) -> None:
        """Return when all that was posted before is on disk: never, while the database is away."""
        while not await self.kept():
            if self._batch.error is not None:  # the writer has ended
                await trio.sleep_forever()

    async def run(self) -> None:
        """Commit until another gateway owns the database, or for ever. Ends otherwise only by
        cancellation, or by a fault in `committed`."""
        try:
            while self.fenced is None:
                with trio.move_on_after(self._idle if self.state == "ok" else PAUSE_MOST):
                    await self._wake.wait()
                await self.once()
        finally:
            # Who waits, perhaps shielded from cancellation, must not wait for nobody.
            self.state = str(self.fenced or STOPPED)
            self._batch.error = self.fenced or STOPPED
            self._done(self._batch)
        self.on_fenced()

    async def once(self) -> None:
        """Write what waits, as one transaction, and tell those who wait for it."""
        if self._pause and not self._batch.urgent:
            await self._rest()
        self._wake = trio.Event()
        batch, self._batch = self._batch, Batch()
        self._busy = batch
        batch.error = STOPPED  # of who waits, should this be cancelled before it is written
        try:
            await self._write(batch)
        except BaseException:
            self._done(batch)
            raise
        self._busy = None
        batch.done.set()
        with trio.CancelScope(shield=True):  # none of them is left out
            for count, then in enumerate(batch.told(), 1):
                then()
                if not count % TURN:
                    await trio.lowlevel.checkpoint()

    def _done(self, batch: Batch[Row]) -> None:
        """The writer ends: nobody shall wait for it."""
        self._busy = None
        batch.done.set()
        for then in batch.told():
            then()

    async def _write(self, batch: Batch[Row]) -> None:
        entries = sorted([*batch.urgent, *batch.kept.values()], key=attrgetter("number"))
        rows = [row for entry in entries for row in entry.rows]
        began = trio.current_time()
        try:
            done = await self._in_thread(rows)
        except Fenced as err:
            self.fenced = batch.error = err
            self._ill(str(err))
            self._again(batch)
        except Exception as err:
            sentence = self._outage(err)
            if sentence is None:
                await self._one_by_one(batch, err)
                batch.error = None
            else:
                batch.error = err
                self._ill(sentence)
                self._again(batch)
        else:
            batch.error = None
            self._well()
            self.measured(trio.current_time() - began, len(rows))
            self._committed(done)

    async def _in_thread(self, rows: Sequence[Row]) -> Done:
        return await trio.to_thread.run_sync(self._commit, rows, limiter=self._limiter)

    async def _rest(self) -> None:
        """Give a database that is away some time: until the next try, or a row that is urgent."""
        with trio.move_on_after(self._pause):
            while not self._batch.urgent:
                self._wake = trio.Event()
                await self._wake.wait()

    async def _one_by_one(self, batch: Batch[Row], err: Exception) -> None:
        """A row of this batch can never be written: the others shall not suffer for it."""
        log.warning("commit refused, writing its rows one by one error=%s", err)
        for place, entry in enumerate(batch.urgent):
            try:
                self._committed(await self._in_thread(entry.rows))
            except Exception as error:
                batch.errors[place] = error
        for key, entry in list(batch.kept.items()):
            try:
                self._committed(await self._in_thread(entry.rows))
            except Exception as error:
                if (sentence := self._outage(error)) is not None:
                    self._ill(sentence)
                    self._again(batch)
                    return
                self.lost += 1
                log.exception("row given up rows=%s", entry.rows)
            del batch.kept[key]
        self._well()

    def _again(self, batch: Batch[Row]) -> None:
        """Back into the line, in front, but for what has been replaced meanwhile."""
        batch.again = bool(batch.kept)
        self._batch.kept = {**batch.kept, **self._batch.kept}
        if self._batch.kept:
            self._wake.set()

    def _ill(self, sentence: str) -> None:
        if self.state == "ok":
            log.error("database cannot be written reason=%s", sentence)
        self.state = sentence
        self._pause = min(max(self._pause * 2, PAUSE), PAUSE_MOST)

    def _well(self) -> None:
        if self.state != "ok":
            log.warning("database can be written again lost=%s", self.lost)
        self.state = "ok"
        self._pause = 0.0


def _tell(batch: Batch[Row], call: Callable[[], None]) -> None:
    if batch.done.is_set():  # of a writer that has ended: no other is ever found done
        call()
    else:
        batch.then.append(call)
