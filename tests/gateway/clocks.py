"""The wall clock of all parts goes with trio's."""

from __future__ import annotations

import pytest
import trio

EPOCH = 1_700_000_000.0  # wall clock at the start of trio's


def follow_trios_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the wall clock of all parts go with trio's."""
    set_clock(monkeypatch, EPOCH)


def set_clock(monkeypatch: pytest.MonkeyPatch, start: float) -> None:
    """Set the wall clock, so that it shows `start` at trio's zero."""

    def now() -> float:
        return start + trio.current_time()

    for name in (
        "commands.ids", "commands.orders", "commands.outcomes", "commands.recovery",
        "commands.running", "commands.sending", "details", "devices.presence", "devices.taps",
        "known.maintenance", "known.sync", "operations.bulk", "operations.maintenance", "storage",
        "trimming",
    ):  # fmt: skip
        monkeypatch.setattr(f"devgate.gateway.{name}.time", now)
