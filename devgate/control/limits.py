"""The limits of a connection of the control channel."""

from __future__ import annotations

from dataclasses import dataclass

from devgate.control.outbox import MAX_UNSENT


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one control connection."""

    outstanding: int = 1024  # requests under way; then no more are read
    patience: float = 30.0  # seconds that a client may leave its replies unread
    login: float = 10.0  # seconds until a peer must have shown a token
    unsent: int = MAX_UNSENT  # bytes that may wait for a client that does not read
