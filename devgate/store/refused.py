"""Writes the entries of a refused batch one by one, to find those that the database refuses."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from devgate.errors import Fenced
from devgate.store.batches import Entry, PendingBatch

Row = TypeVar("Row")

log = logging.getLogger("devgate.store")


class OneByOne(Generic[Row]):
    """Finds the rows that are refused, so that the others can be written.

    `commit` writes all of some rows or raises; `outage` and `disposable` are the writer's.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Row]], Awaitable[None]],
        outage: Callable[[BaseException], str | None],
        disposable: Callable[[Row], bool],
    ) -> None:
        self.lost = 0  # rows given up since the start
        self._commit = commit
        self._outage = outage
        self._disposable = disposable

    async def write(
        self, batch: PendingBatch[Row], entries: Sequence[Entry[Row]], err: Exception
    ) -> str | None:
        """Write the entries of the batch, which was refused as a whole with `err`.

        An urgent entry that is refused fails its waiter. A posted one stays, and with it, in
        their order, all behind it: the store takes nothing until it takes that one. Returns why
        that one cannot be written, or None if nothing is left to write.
        """
        log.warning("commit refused, writing its rows one by one error=%s", err)
        places = {entry.number: place for place, entry in enumerate(batch.urgent)}
        keys = {entry.number: key for key, entry in batch.posted.items()}
        for index, entry in enumerate(entries):
            try:
                await self._commit(entry.rows)
            except Exception as error:
                if entry.number in places:
                    batch.errors[places[entry.number]] = error
                    sentence = self._outage(error)
                else:
                    sentence = await self._without_disposable(entry, error)
                if isinstance(error, Fenced) or sentence is not None:
                    for unwritten in entries[index:]:
                        if unwritten.number in places:
                            batch.errors[places[unwritten.number]] = error
                    return sentence or str(error)
            batch.posted.pop(keys.get(entry.number), None)
        return None

    async def _without_disposable(self, entry: Entry[Row], error: Exception) -> str | None:
        """Give up the rows of this entry that may be, if those are refused. Otherwise, why it
        cannot be written."""
        if (sentence := self._outage(error)) is not None:
            return sentence
        needed = [row for row in entry.rows if not self._disposable(row)]
        if len(needed) == len(entry.rows):
            return f"the store refuses rows: {' '.join(str(error).split())[:300]}"
        if needed:
            try:
                await self._commit(needed)
            except Exception as err:
                return self._outage(err) or f"the store refuses rows: {err}"
        self.lost += len(entry.rows) - len(needed)
        log.error("row given up rows=%s error=%s", entry.rows, error)
        return None
