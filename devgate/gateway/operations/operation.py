"""An entry of the table of operations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from devgate.gateway.gateway import Gateway
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply, Stream

LIST = ("after", "limit")  # fields of what answers a page at a time


@dataclass(frozen=True, slots=True)
class Operation:
    """`fields` are all fields that a request may have besides `type`; any other is an error, by
    every way in. The HTTP calls and their document take theirs from here."""

    summary: str
    run: Callable[[Gateway, Args, str], Awaitable[Reply | Stream]]
    fields: tuple[str, ...] = ()
    whole: bool = False  # whether it gets its caller's address, besides what is recorded
