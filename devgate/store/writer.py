"""Group commit: one task and one thread commit the rows that wait."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Generic, TypeVar

import trio

from devgate.errors import Fenced, StoreError
from devgate.store.batches import FLUSH, Callbacks, Entry, PendingBatch
from devgate.store.commit_thread import CommitThread
from devgate.store.condition import MAX_RETRY_SECONDS, Condition
from devgate.store.gathering import Gathering
from devgate.store.refused import OneByOne

Row = TypeVar("Row")
Done = TypeVar("Done")

# Entries that wait while the database is away, before those that may be given up are: about
# 100 MB. The others come from commands, and no new ones are taken meanwhile.
MAX_POSTED = 200_000
SLOW_SECONDS = 3.0  # that a commit may take before nothing new is taken on
LOOK_SECONDS = 0.5  # between two looks at that
CALLBACKS_A_TURN = 64  # after a commit before other tasks have their turn: about 2 ms

STOPPED = StoreError("the gateway stops")

log = logging.getLogger("devgate.store")


class Writer(Generic[Row, Done]):
    """Commits rows in groups: while one commit runs, the next group gathers.

    `commit` blocks, runs in a thread, and writes all of its rows or none. `committed` is called
    with what it returns, in the order of the commits, before the callbacks of those who wait.
    `commit` raises Fenced once another gateway owns the database: after that nothing is committed.

    Posted rows stay until they are written, whatever the error. `outage` returns a sentence for a
    database that is away, locked or full, and None for one that refuses rows: then rows that are
    refused alone, and for which `disposable` is true, are given up, so that the others can be
    written.

    After `idle` seconds without rows, an empty commit tests whether rows could be written.

    `on_well` is called when it can write again, and `measured` after every successful commit, with
    its seconds and how many rows it wrote.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Row]], Done],
        committed: Callable[[Done], None],
        outage: Callable[[BaseException], str | None],
        *,
        disposable: Callable[[Row], bool] = lambda row: False,
        idle: float = math.inf,
        on_well: Callable[[], None] = lambda: None,
        measured: Callable[[float, int], None] = lambda seconds, rows: None,
    ) -> None:
        self._commit = commit
        self._committed = committed
        self._outage = outage
        # Filled by any task of the loop (write, post, flush); run() swaps it for an empty one.
        self._batch: PendingBatch[Row] = PendingBatch()
        self._wake = trio.Event()  # set by whoever fills the batch; made anew by run()
        self.thread: CommitThread[Done] = CommitThread()
        # What is being written: set by run(). The guard's thread reads it too (`unwritten`), once
        # the loop hangs and the process is about to end.
        self._busy: PendingBatch[Row] | None = None
        self._number = 0  # of the last entry: counted by any task of the loop
        self.callbacks = Callbacks()  # changed by run() alone
        self._gathering = Gathering()  # run() pauses by it; any task cuts the pause short
        # From here on changed by run() alone, and read by any task.
        self.state = "ok"  # or a sentence: why nothing can be written
        self._condition = Condition()
        self._idle = idle
        self.fenced: Fenced | None = None  # why nothing will be written any more
        self._dropped = 0  # rows that were not taken since the start; counted by any task
        self._one_by_one = OneByOne(self._commit_in_thread, outage, disposable)
        self._on_well = on_well
        self._measured = measured

    @property
    def stuck(self) -> bool:
        """The commit that is under way takes so long that reads may not come back either."""
        return time.monotonic() - self._condition.since > SLOW_SECONDS

    @property
    def unwritten(self) -> list[Row]:
        """The rows that were posted and are not known to be on disk, in their order: those of the
        commit that is under way are among them."""
        batches = [self._batch, self._busy] if self._busy else [self._batch]
        posted = [entry for batch in batches for entry in batch.posted.values()]
        entries = sorted(posted, key=attrgetter("number"))
        return [row for entry in entries for row in entry.rows]

    @property
    def ended(self) -> bool:
        """Whether it has stopped writing for good."""
        return self._batch.done

    @property
    def lost(self) -> int:
        """Rows given up since the start."""
        return self._dropped + self._one_by_one.lost

    @property
    def backlog(self) -> int:
        """How much waits for a commit, or is in the one that runs: writes and posts."""
        batches = [self._batch, self._busy] if self._busy else [self._batch]
        return sum(len(batch.urgent) + len(batch.posted) for batch in batches)

    def write(self, rows: Sequence[Row], on_done: Callable[[Exception | None], None]) -> None:
        """Call back with None once the rows are on disk, or with the error of the commit: then
        none of them is on disk, or ever will be.

        Callbacks come in the order of the calls, never from within this one while the writer
        lives, and must not raise.
        """
        batch = self._batch
        self._call(batch, len(batch.urgent), on_done)
        self._number += 1
        batch.urgent.append(Entry(self._number, rows))
        self._wake.set()

    def flush(self, on_done: Callable[[bool], None]) -> None:
        """Call back with True once all that was posted before is on disk: at once if it is there
        already. With False if the commit fails and is tried again, or takes too long."""
        # The batch that the newest of all rows is in.
        batch = self._batch if self._batch.urgent or self._batch.posted else self._busy
        if batch is None:
            on_done(True)
        else:
            self._call(batch, FLUSH, on_done)

    def _call(self, batch: PendingBatch[Row], place: int, on_done: Callable[[Any], None]) -> None:
        if batch.done:  # of a writer that has ended: no other is ever found done
            on_done(batch.result(place))
        else:
            batch.calls.append((place, on_done))
            if (cut_short := self._gathering.cut_short) is not None:
                cut_short.set()

    def post(self, rows: Sequence[Row], key: Hashable = None, *, droppable: bool = False) -> bool:
        """Write the rows, in one transaction, as soon as possible, however long that takes.

        Rows of an equal key replace those that have not been written yet. Droppable ones are
        given up, counted, and False is returned, when too many wait.
        """
        if key is None:
            if droppable and len(self._batch.posted) >= MAX_POSTED:
                self._dropped += 1
                return False
            key = self._number
        self._number += 1
        self._batch.posted[key] = Entry(self._number, rows)
        self._wake.set()
        return True

    async def run(
        self,
        scope: trio.CancelScope | None = None,
        on_fenced: Callable[[], None] = lambda: None,
    ) -> None:
        """Commit until cancelled, as a task or by `scope`, which may be a shielded one; or until
        another gateway owns the database (`fenced`): then `on_fenced` is called."""
        with scope or trio.CancelScope():
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch)
                    while self.fenced is None:
                        idle = MAX_RETRY_SECONDS if self._condition.outage else self._idle
                        with trio.move_on_after(idle):
                            await self._wake.wait()
                        await self.once()
                    nursery.cancel_scope.cancel()
            finally:
                # Callers may be shielded from cancellation: they must not wait for ever.
                self._condition.outage = self.state = str(self.fenced or STOPPED)
                self._batch.error = self.fenced or STOPPED
                self._done(self._batch)
                self.thread.stop()
            on_fenced()

    async def _watch(self) -> None:
        """Call back the waiters of a commit that hangs."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            slow = time.monotonic() - self._condition.since
            if slow > SLOW_SECONDS and not self._condition.outage:
                self.state = f"a commit has been under way for {slow:.0f} s"
            if self._busy is not None and self.state != "ok":
                self._busy.end_flushes()
                self._batch.end_flushes()

    async def once(self) -> None:
        """Write the rows that wait, in one transaction, and call back those who wait for them."""
        if self._condition.pause and not self._batch.urgent:
            await self._pause()
        elif not self._batch.calls:
            await self._gathering.pause()
        self._wake = trio.Event()
        batch, self._batch = self._batch, PendingBatch()
        self._gathering.posted = len(batch.posted)
        self._busy = batch
        batch.error = STOPPED  # of who waits, should this be cancelled before it is written
        entries = sorted([*batch.urgent, *batch.posted.values()], key=attrgetter("number"))
        try:
            try:
                await self._commit_in_thread([row for entry in entries for row in entry.rows])
            except Exception as err:
                await self._not_written(batch, entries, err)
            else:
                batch.error = None
                if self._condition.outage:
                    self._well()
        except BaseException:
            self._done(batch)
            raise
        self._busy, batch.done = None, True
        calls, batch.calls = batch.calls, []  # they hold the batch, which must not hold them
        on_disk = batch.error is None and not batch.put_back
        with trio.CancelScope(shield=True):  # none of them is left out
            for count, (place, on_done) in enumerate(calls, 1):
                on_done(on_disk if place == FLUSH else batch.error or batch.errors.get(place))
                if not count % CALLBACKS_A_TURN:
                    await self.callbacks.pause()
        if self.callbacks.under_way is not None:
            self.callbacks.end()

    def _done(self, batch: PendingBatch[Row]) -> None:
        """The writer ends: call back all waiters."""
        self._busy, batch.done = None, True
        calls, batch.calls = batch.calls, []
        for place, on_done in calls:
            on_done(batch.result(place))

    async def _not_written(
        self, batch: PendingBatch[Row], entries: Sequence[Entry[Row]], err: Exception
    ) -> None:
        sentence = str(err) if isinstance(err, Fenced) else self._outage(err)
        if sentence is not None:
            batch.error = err
            self._put_back(batch, sentence)
            return
        batch.error = None
        refused = await self._one_by_one.write(batch, entries, err)
        if refused is None:
            self._well()
        else:
            self._put_back(batch, refused)

    async def _commit_in_thread(self, rows: Sequence[Row]) -> None:
        began = trio.current_time()
        self._condition.since = time.monotonic()
        try:
            done = await self._in_thread(rows)
        except Fenced as err:
            self.fenced = err
            raise
        finally:
            self._condition.since = math.inf
            self.state = self._condition.outage or "ok"
        try:
            self._measured(trio.current_time() - began, len(rows))
            self._committed(done)
        except Exception:
            # The rows are on disk: if they were written again, events would be there twice.
            log.exception("committed rows could not be published rows=%s", len(rows))

    def _in_thread(self, rows: Sequence[Row]) -> Awaitable[Done]:
        return self.thread.run(partial(self._commit, rows))

    async def _pause(self) -> None:
        """Wait before the next try, if the database is away; an urgent row ends the wait."""
        with trio.move_on_after(self._condition.pause):
            while not self._batch.urgent:
                self._wake = trio.Event()
                await self._wake.wait()

    def _put_back(self, batch: PendingBatch[Row], sentence: str) -> None:
        """Put posted rows back to the front of the queue, except those replaced meanwhile."""
        self._condition.fails(sentence)
        self.state = sentence
        batch.put_back = bool(batch.posted)
        self._batch.posted = {**batch.posted, **self._batch.posted}
        if self._batch.posted:
            self._wake.set()

    def _well(self) -> None:
        was_away = self._condition.works(self.lost)
        self.state = "ok"
        if was_away:
            self._on_well()
