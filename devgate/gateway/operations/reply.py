"""The types that an operation returns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

Reply = dict[str, object]


class Lines(Protocol):
    """Lines as they come, until `aclose`. An async generator is one."""

    def __aiter__(self) -> AsyncIterator[Reply]: ...

    async def __anext__(self) -> Reply: ...

    async def aclose(self) -> None:
        """End it. Called once, also if no line was asked for."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A reply, and then a line an event until the reader leaves.

    The lines have everything that happens from now on, also before the first of them is asked for.
    Whoever has the stream closes them (contextlib.aclosing), also if the reply could not be sent.
    """

    reply: Reply
    lines: Lines
