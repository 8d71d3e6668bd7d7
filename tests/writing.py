"""A writer's callbacks for tests that wait."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import trio

from devgate.gateway.completion import result_of
from devgate.store.writer import Writer


async def written(writer: Writer[Any, Any], rows: Sequence[Any]) -> None:
    """Return when the rows are on disk. Raises what the writer calls back with."""
    error = await result_of(partial(writer.write, rows))
    if error is not None:
        raise error


async def flushed(writer: Writer[Any, Any]) -> None:
    """Return when all that was posted before is on disk: never, if the writer has ended."""
    while not await result_of(writer.flush):
        if writer.ended:
            await trio.sleep_forever()
