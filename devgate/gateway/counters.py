"""Counters since the start, as plain integers: architecture.md section 7, rule 3.

Each part of the gateway counts for itself and does not know who reads it. Numbers only grow, and
only within one step of the loop, so readers between two steps see consistent numbers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping

from devgate.gateway.command import Command
from devgate.protocol.frames import HEADER_SIZE, Event, Frame, Heartbeat, ShortEcho
from devgate.protocol.session import SAYS

# A list of 256 counts for the hot path: an answer that needed no decoder is counted at the last
# letter of its COMMAND, and no frame ends in NUL.
BEAT, HT, TN, QR = 0, ord("T"), ord("N"), ord("R")

# Stands for all frames that the protocol does not have: their letters are any peer's choice.
OTHER_PAIR = ("other", "other")

# The bounds of histograms.
BUCKETS_SECONDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
BUCKETS_ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)

# Why a door refuses a peer. These series exist from the start: Prometheus does not see the first
# increase of a series that begins at 1.
REFUSAL_REASONS: Mapping[str, tuple[str, ...]] = {
    "device": (
        "address",
        "full",
        "unregistered",
        "unknown",
        "disabled",
        "bytes",
        "echo",
        "handshake",
    ),
    "control": ("token", "role", "address", "full"),
    "cluster": ("token", "address", "full"),
    "http": ("token", "role", "login", "rate", "share", "address", "full", "protocol"),
}

# A round of the poller that is faster is not observed one by one: that would cost a call.
FAST_SECONDS = BUCKETS_SECONDS[0]


class Histogram:
    """How often a value was at most each of `bounds`: a count for each, and one for all above."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value, in the unit of `bounds`."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class FrameCounts:
    """What devices sent and were sent, and how long the poller took for it."""

    __slots__ = (
        "arrivals", "beats", "busy", "echoes", "faults", "lag", "malformed", "progress", "quick",
        "received", "rounds", "seen", "sent", "slow",
    )  # fmt: skip

    def __init__(self) -> None:
        self.quick = [0] * 256  # by the last byte of the COMMAND; heartbeats at BEAT
        # Frames, by command and status; as the heartbeats, without those in `quick`.
        self.received = dict.fromkeys([*SAYS, OTHER_PAIR], 0)
        self.sent: defaultdict[tuple[bytes, bytes], int] = defaultdict(int)
        self.beats = 0
        self.echoes = 0  # 006404 alone: all other echoes are among `received`
        self.malformed = 0
        self.faults = 0  # connections that ended by an exception of the gateway
        self.rounds = 0
        self.arrivals = 0
        self.busy = 0.0  # seconds in all rounds
        self.slow = Histogram(BUCKETS_SECONDS)  # rounds that took longer than FAST_SECONDS
        self.lag = Histogram(BUCKETS_SECONDS)  # by how much the loop woke the sweep too late
        self.seen = 0  # the rounds at the last look
        self.progress = float("-inf")  # trio's clock: when the poller was last seen to keep up

    def look(self, now: float, pending: bool) -> None:
        """Once a second. `pending`: something is there for the poller at this moment."""
        if self.rounds != self.seen or not pending:
            self.progress = now
        self.seen = self.rounds

    def quickly(self, data: bytes) -> None:
        """A read with several requests was answered. The desk counts those with one itself."""
        ends = data[HEADER_SIZE - 1 :: HEADER_SIZE]
        if (tn := ends.count(TN)) == len(ends):
            self.quick[TN] += tn
            return
        for end in ends:
            self.quick[end] += 1

    def said(self, event: Event, reply: bytes) -> None:
        """One event of the decoder, and the one frame (or nothing) that answers it."""
        if isinstance(event, Frame):
            pair = event.command, event.status
            self.received[pair if pair in self.received else OTHER_PAIR] += 1
        elif isinstance(event, Heartbeat):
            self.beats += 1
        elif isinstance(event, ShortEcho):
            self.echoes += 1
        else:
            self.malformed += 1
        if reply:
            self.sent[reply[21:HEADER_SIZE], reply[3:6]] += 1


class CommandCounts:
    """Commands, by their outcome."""

    __slots__ = ("answering", "ended", "late", "sending", "sent")

    def __init__(self) -> None:
        self.sent: defaultdict[str, int] = defaultdict(int)  # by type: what went out
        self.ended: defaultdict[tuple[str, str], int] = defaultdict(int)  # by type and status
        self.late: defaultdict[tuple[str, str], int] = defaultdict(int)  # a 408 that was settled
        self.sending = Histogram(BUCKETS_SECONDS)  # from accepted to sent; not of deferred ones
        self.answering = Histogram(BUCKETS_SECONDS)  # from sent to the device's result

    def sends(self, command: Command, now: float) -> None:
        """The command was sent. `now` is wall clock: it may have been set back meanwhile."""
        self.sent[command.type] += 1
        if command.expires_at is None:  # it is not deferred
            self.sending.observe(max(0.0, now - command.accepted_at))


class StoreCounts:
    """Commits of the writer."""

    __slots__ = ("rows", "seconds")

    def __init__(self) -> None:
        self.seconds = Histogram(BUCKETS_SECONDS)
        self.rows = Histogram(BUCKETS_ROWS)

    def committed(self, seconds: float, rows: int) -> None:
        """A commit worked: how many seconds it took, and how many rows it wrote."""
        self.seconds.observe(seconds)
        self.rows.observe(rows)


class RequestCounts:
    """Operations that were asked for, by every way in."""

    __slots__ = ("asked",)

    def __init__(self) -> None:
        # By operation (or "unknown"), source as it is recorded ("socket", "tcp:NAME"), and how it
        # went: done, refused, failed, or its caller has left.
        self.asked: defaultdict[tuple[str, str, str], int] = defaultdict(int)

    def by_way(self) -> Mapping[tuple[str, str, str], int]:
        """The same by way in: "tcp:NAME" counts as "tcp"."""
        counts: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        for (operation, source, result), count in self.asked.items():
            counts[operation, source.partition(":")[0], result] += count
        return counts


class RefusedCounts:
    """Peers and requests that were refused before anything was done, by door and reason."""

    __slots__ = ("refused",)

    def __init__(self) -> None:
        # By door (the keys of REFUSAL_REASONS) and one of its reasons: never a text of a peer.
        self.refused: defaultdict[tuple[str, str], int] = defaultdict(int)
        for door, reasons in REFUSAL_REASONS.items():
            for why in reasons:
                self.refused[door, why] = 0

    def refuse(self, door: str, why: str) -> None:
        """Count one; `why` is one of REFUSAL_REASONS for that door."""
        self.refused[door, why] += 1
