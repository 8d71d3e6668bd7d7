"""What an operation gives back."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

Reply = dict[str, object]


@dataclass(frozen=True, slots=True)
class Stream:
    """A reply, and then a line an event until the reader leaves (under contextlib.aclosing)."""

    reply: Reply
    lines: AsyncGenerator[Reply, None]
