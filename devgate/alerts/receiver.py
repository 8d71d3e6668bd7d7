"""Who is told, as the database has it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Receiver:
    """One receiver, in the columns of its table. `url` and `secret` are as they are stored."""

    name: str
    url: str
    secret: str
    shown: str
    language: str
    enabled: bool
    added_at: float
