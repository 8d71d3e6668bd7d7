"""The result of one commit of a node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from devgate.store.node_rows import Fate
from devgate.store.numbering import Values

MOVED, KEY_SPENT, WRITTEN = "moved", "key", "id"  # why a row was refused


class Claim(NamedTuple):
    """The result of a registration's claim."""

    imei: str
    generation: int
    won: bool  # False: the device has registered at another node later
    # This node has had the device last: what it knows of its commands is right.
    current: bool = True
    other: int | None = None  # the incarnation of the living node that had it online
    commands: Sequence[dict[str, Any]] = ()  # its open commands, and 408s of the late window
    held: Sequence[tuple[str, str]] = ()  # its rows of open_results
    running_until: float | None = None


@dataclass(slots=True)
class Committed:
    """What one commit has done."""

    events: list[Values] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # the reasons, by id of the command
    claims: list[Claim] = field(default_factory=list)
    moved: list[tuple[str, int]] = field(default_factory=list)  # devices that are another node's
    # Commands that another node has changed, by id, with what was handed over with the row.
    foreign: dict[str, Any] = field(default_factory=dict)
    fates: list[tuple[Fate, str]] = field(default_factory=list)  # of the refused rows, and why
    draining: bool = False
    lost: str | None = None  # the rows that the database lost, until an operator confirms
    # Rows that the database had lost were written again: all devices must be claimed again.
    rewritten: bool = False
