"""What is measured: the rows of the table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# One server's figures in one round; and those of all rounds.
Values = dict[str, float]
Rounds = Sequence[Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Figure:
    """One row. `drawn` rows are in the picture, too."""

    key: str
    title: str
    unit: str
    digits: int = 1
    more_is_better: bool = False
    drawn: bool = True


FIGURES = (
    Figure("tn_100", "TN, 100 connections", "us CPU"),
    Figure("tn_1000", "TN, 1,000 connections", "us CPU"),
    Figure("tn_8", "TN, 1,000 connections, 8 in a write", "us CPU", 2),
    Figure("heartbeat", "heartbeat, paced", "us CPU"),
    Figure("storm_cpu", "storm of registrations, until settled", "s CPU", 2),
    Figure("storm_wall", "storm of registrations, until the last answer", "s", 2, drawn=False),
    Figure("memory", "memory per idle device", "bytes", 0),
    Figure("start_p50", "start, one caller, 2,000 heartbeats/s: p50", "us", 0),
    Figure("start_p99", "start, one caller, 2,000 heartbeats/s: p99", "us", 0),
    Figure("starts", "starts, 32 callers", "1/s", 0, more_is_better=True),
    Figure("starts_cpu", "starts, 32 callers", "us CPU", 0, drawn=False),
    Figure("wave_p50", "start amid a wave of 10,000 heartbeats: p50", "us", 0, drawn=False),
    Figure("wave_p99", "start amid a wave of 10,000 heartbeats: p99", "us", 0),
    Figure("handover", "SIGTERM to all registered at the successor", "s", 2),
)


def medians(rounds: Rounds) -> Values:
    """The median of each figure over the rounds that have it."""
    keys = {key for values in rounds for key in values}
    return {key: statistics.median(v[key] for v in rounds if key in v) for key in keys}
