"""A disk that can be away, and a writer that commits to it on the loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio

from devgate.store.writer import Writer


class Away(Exception):
    """The disk cannot be written at the moment."""


class Disk:
    """What has been committed, and an outage that can be turned on; `bad` rows never go."""

    def __init__(self) -> None:
        self.commits: list[list[str]] = []
        self.published: list[list[str]] = []
        self.away = ""
        self.tries: list[float] = []
        self.bad: set[str] = set()

    def commit(self, rows: Sequence[str]) -> list[str]:
        if self.away:
            raise Away(self.away)
        if bad := self.bad & set(rows):
            raise ValueError(f"no such column: {min(bad)}")
        self.commits.append(list(rows))
        return list(rows)

    @property
    def rows(self) -> list[str]:
        return [row for commit in self.commits for row in commit]


def outage(err: BaseException) -> str | None:
    return str(err) if isinstance(err, Away) else None


class Inline(Writer[str, list[str]]):
    """Commits on the loop itself: a thread and a clock that jumps do not go together."""

    async def _in_thread(self, rows: Sequence[str]) -> list[str]:
        await trio.lowlevel.checkpoint()
        return self._commit(rows)


@asynccontextmanager
async def running(writer: Writer[str, list[str]]) -> AsyncIterator[trio.Nursery]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        yield nursery
        nursery.cancel_scope.cancel()
