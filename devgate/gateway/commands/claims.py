"""Which command a result settles: protocol.md section 4. No I/O."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

C = TypeVar("C")


class Meter(Protocol):
    """Counts the bytes to a device, for the marks of one connection."""

    needed: bool  # set to False: none of its marks is asked any longer


class Mark(Protocol):
    """A place in the stream of bytes to a device."""

    @property
    def meter(self) -> Meter:
        """What counts the bytes behind it."""

    def acknowledged(self) -> bool:
        """Whether the device's TCP has acknowledged all bytes up to it."""


class DeviceLink(Protocol):
    """A device's connection, as far as results depend on it."""

    @property
    def heard(self) -> float:
        """When bytes were last read from it: trio's clock, as all times here."""


@dataclass(slots=True, eq=False)
class Sent(Generic[C]):
    """A command that went out and has no result yet."""

    command: C
    kind: str  # QD or ST
    sequence: int = 0  # its place in the order of sending
    at: float = -math.inf  # when its first byte went out; -inf: before a restart
    unknown_since: float | None = None  # when it ended as 408
    yielded: bool = False  # a newer command went out, and no answer to this one was expected then
    link: DeviceLink | None = None  # the connection that it went out on, as long as that lasts
    mark: Mark | None = None  # None: nothing is known of acknowledgements
    seen: float | None = None  # when it was seen that its bytes had been acknowledged
    lost: bool = False  # its connection ended, and they had not been
    heard: float = 0.0  # when bytes were last read from its connection, once that has ended
    # The longest time between the registration on a later connection and bytes from there.
    later: float = 0.0

    def look(self, now: float) -> None:
        """See whether its bytes have been acknowledged by now."""
        if self.seen is None and self.mark is not None and self.mark.acknowledged():
            self.seen = now

    def disconnected(self, link: DeviceLink, registered: float, now: float) -> None:
        """A connection of the device ends; its socket is still open."""
        if self.link is link:
            self.look(now)
            self.lost = self.mark is not None and self.seen is None
            self.heard = link.heard
            self.link = self.mark = None
        elif self.link is None:
            self.later = max(self.later, link.heard - registered)

    def answer_expected(self, link: DeviceLink | None, registered: float, patience: float) -> bool:
        """Whether its answer may still come. `link` is the device's connection, `registered`
        when the device registered on it."""
        if self.lost:
            return False
        heard = self.heard if self.link is None else self.link.heard
        if self.seen is not None and heard > self.seen + patience:
            return False
        later = self.later
        if link is not None and link is not self.link:
            later = max(later, link.heard - registered)
        return later <= patience


@dataclass(slots=True, eq=False)
class HeldResult:
    """A held result: it waits for the other results of its group."""

    status: str
    at: float
    link: DeviceLink | None  # where it came, as long as that connection lasts
    mark: Mark | None = None  # behind our acknowledgement; None: nothing is known
    ack_sent: bool = False  # whether our acknowledgement was sent
    # Its connection ended before the device had our acknowledgement: the result may come again.
    may_repeat: bool = False

    def disconnected(self, link: DeviceLink) -> None:
        """The connection ends. If the result came on it, decides whether it may be repeated."""
        if self.link is link:
            self.may_repeat = not self.ack_sent or (
                self.mark is not None and not self.mark.acknowledged()
            )
            self.link = self.mark = None


@dataclass(slots=True, eq=False)
class Group(Generic[C]):
    """Commands of one kind whose answers cannot be told apart, in the order of sending."""

    members: list[Sent[C]]
    held: list[HeldResult] = field(default_factory=list)
    # Since when they are ambiguous: the newest one timed out, and answers were missing.
    since: float | None = None

    def pairs(self) -> list[tuple[Sent[C], HeldResult]]:
        """Which result belongs to which command. One that may not have arrived claims last."""
        return list(
            zip(sorted(self.members, key=lambda entry: entry.lost), self.held, strict=True)
        )


Settled = list[tuple[Sent[C], HeldResult]]
"""Commands with their results. Without any: the result is known already."""


class Claims(Generic[C]):
    """The commands of one device that a result may still settle, in the order of sending."""

    __slots__ = ("closed", "groups", "open")

    def __init__(self) -> None:
        self.open: list[Sent[C]] = []  # of one, nearly always: a deque would be 600 bytes
        self.groups: dict[str, Group[C]] = {}  # by kind, where there is more than one command
        # By kind: up to which sequence none is open any more, and since when.
        self.closed: dict[str, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self.open) + len(self.groups)

    def __iter__(self) -> Iterator[Sent[C]]:
        """Those that are open."""
        return iter(self.open)

    def reopen(self, entry: Sent[C]) -> None:
        """After a start of the gateway: its result may still come. The oldest first."""
        self.open.append(entry)

    def sent(
        self, entry: Sent[C], registered: float, patience: Callable[[C], float], late_window: float
    ) -> Sent[C]:
        """The first byte of a command goes out. Decides which of the 408s of its kind yield.

        `patience` is how long after an acknowledgement the answer to a command is expected.
        """
        if self.open or self.groups or self.closed:
            self.forget(entry.at, late_window)
            self._group(entry, registered, patience)
        self.open.append(entry)
        return entry

    def _group(self, new: Sent[C], registered: float, patience: Callable[[C], float]) -> None:
        members = []
        for entry in self.open:
            if entry.kind != new.kind:
                continue
            entry.look(new.at)
            if not entry.yielded:
                wait = patience(entry.command)
                entry.yielded = not entry.answer_expected(new.link, registered, wait)
            if not entry.yielded:
                members.append(entry)
        if members:
            self.groups[new.kind] = Group([*members, new])
        else:
            self.groups.pop(new.kind, None)

    def settle(
        self,
        kind: str,
        status: str,
        now: float,
        late_window: float,
        link: DeviceLink | None = None,
    ) -> Settled[C] | HeldResult | None:
        """A result has come. Returns what it settles, or that it is held and must be put on
        disk; None if nothing claims it."""
        self.forget(now, late_window)
        group = self.groups.get(kind)
        if group is not None:
            return self._of_group(kind, group, status, now, link)
        entry = self._claimant(kind)
        if entry is None:
            return None
        self.open.remove(entry)
        return [(entry, HeldResult(status, now, link))]

    def _of_group(
        self, kind: str, group: Group[C], status: str, now: float, link: DeviceLink | None
    ) -> Settled[C] | HeldResult:
        for held in group.held:
            if held.may_repeat and held.status == status:
                held.link, held.ack_sent, held.may_repeat = link, False, False
                return held
        held = HeldResult(status, now, link)
        group.held.append(held)
        if len(group.held) < len(group.members):
            return held
        del self.groups[kind]
        for entry in group.members:
            if entry in self.open:
                self.open.remove(entry)
        return group.pairs()

    def _claimant(self, kind: str) -> Sent[C] | None:
        """The oldest that has not yielded. All others have yielded to one in flight without a
        group. One that has yielded claims a result only if nothing newer is open."""
        some = [entry for entry in self.open if entry.kind == kind]
        for entry in some:
            if not entry.yielded:
                return entry
        return some[-1] if some else None

    def holds(self, kind: str) -> bool:
        """Whether results of this kind are held for a command in flight."""
        group = self.groups.get(kind)
        return group is not None and group.since is None and bool(group.held)

    def unanswered(self, entry: Sent[C], now: float) -> list[Sent[C]]:
        """The command in flight has timed out. Returns the commands that are ambiguous now.

        Without any it is a 408 like others, and may be settled late.
        """
        entry.unknown_since = now
        entry.look(now)
        group = self.groups.get(entry.kind)
        if group is None:
            return []
        if not group.held:
            del self.groups[entry.kind]
            return []
        group.since = now
        self.close(entry.kind, entry.sequence, now)
        return group.members

    def close(self, kind: str, sequence: int, since: float) -> None:
        """No command of this kind up to that sequence is open any more."""
        self.open[:] = [e for e in self.open if e.kind != kind or e.sequence > sequence]
        self.closed[kind] = sequence, since

    def withdraw(self, known: Callable[[C], bool]) -> Settled[C]:
        """The outcome of a 408 is known from elsewhere. Returns what results that are held mean
        now: the results of the other commands of its group may be complete."""
        self.open[:] = [entry for entry in self.open if not known(entry.command)]
        settled: Settled[C] = []
        for kind, group in list(self.groups.items()):
            remaining = [entry for entry in group.members if not known(entry.command)]
            if len(remaining) == len(group.members):
                continue
            group.members = remaining
            if not remaining or (len(remaining) == 1 and not group.held):
                del self.groups[kind]
            elif group.since is None and len(group.held) == len(remaining):
                del self.groups[kind]
                self.open[:] = [entry for entry in self.open if entry not in remaining]
                settled += group.pairs()
        return settled

    def disconnected(self, link: DeviceLink, registered: float, now: float) -> None:
        """A connection of the device ends. To be called before its socket is closed."""
        for entry in self.open:
            entry.disconnected(link, registered, now)
        for group in self.groups.values():
            for entry in group.members:
                if entry not in self.open:
                    entry.disconnected(link, registered, now)
            for held in group.held:
                held.disconnected(link)

    def forget(self, now: float, late_window: float) -> None:
        """Drop those whose 408 is longer ago than `late_window`. Groups keep their members."""
        if self.groups:
            for kind, group in list(self.groups.items()):
                if group.since is not None and now - group.since > late_window:
                    del self.groups[kind]
        if self.closed:
            for kind, (_, since) in list(self.closed.items()):
                if now - since > late_window:
                    del self.closed[kind]
        self.open[:] = [
            e for e in self.open if e.unknown_since is None or now - e.unknown_since <= late_window
        ]
