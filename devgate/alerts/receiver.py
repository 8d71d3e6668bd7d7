"""A receiver of alerts, as the database has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from devgate.alerts.scope import with_sites


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
    sites: frozenset[str] | None = None  # of who added it; None: he sees all
    owner: str = ""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Receiver:
        """The receiver in a row of the table."""
        return cls(**with_sites(row))
