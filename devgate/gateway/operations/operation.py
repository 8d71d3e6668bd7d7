"""An entry of the table of operations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from devgate.gateway.gateway import Gateway
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply, Stream

LIST = ("after", "limit")  # fields of operations that return one page at a time


@dataclass(frozen=True, slots=True)
class Operation:
    """`fields` are all fields that a request may have besides `type`. Any other is an error, for
    every way in. The HTTP calls and their document use these, too."""

    summary: str
    run: Callable[[Gateway, Args, str], Awaitable[Reply | Stream]]
    fields: tuple[str, ...] = ()
    whole: bool = False  # whether it gets its caller's address, besides what is recorded
