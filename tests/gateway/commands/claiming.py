"""A device whose commands are sent, answered and given up, with nothing but its claims."""

from __future__ import annotations

from dataclasses import dataclass, field

from devgate.gateway.commands.claims import Claims, HeldResult, Sent
from tests.gateway.wires import FakeMeter

LATE = 60.0


T = 10.0  # how long after an acknowledgement an answer is expected


@dataclass(eq=False)
class Link:
    """A connection. `acknowledges`: the device's TCP does, what was sent and what will be."""

    heard: float = 0.0
    acknowledges: bool = True
    meter: FakeMeter = field(default_factory=FakeMeter)

    def acknowledged(self) -> bool:
        return self.acknowledges


class Device:
    """A device whose commands are sent, answered and given up, at given times."""

    def __init__(self, relayed: bool = False) -> None:
        self.claims: Claims[str] = Claims()
        self.link = Link()
        self.registered = 0.0
        self.relayed = relayed
        self.number = 0

    def sends(self, name: str, at: float, kind: str = "QD") -> Sent[str]:
        self.number += 1
        mark = None if self.relayed else self.link
        entry = Sent(name, kind, self.number, at, link=self.link, mark=mark)
        return self.claims.sent(entry, self.registered, lambda name: T, LATE)

    def says(self, at: float, status: str = "200", kind: str = "QD") -> str:
        """What the result settles: "a=200 b=201"; "held"; "-" if nobody claims it."""
        self.link.heard = at
        found = self.claims.settle(kind, status, at, LATE, self.link)
        if found is None:
            return "-"
        if isinstance(found, HeldResult):
            found.ack_sent, found.mark = True, None if self.relayed else self.link
            return "held"
        return " ".join(f"{entry.command}={held.status}" for entry, held in found)

    def unknown(self, entry: Sent[str], at: float) -> str:
        """The command's time is up. Returns those that are ambiguous."""
        return " ".join(one.command for one in self.claims.unanswered(entry, at))

    def reconnects(self, at: float) -> None:
        self.claims.disconnected(self.link, self.registered, at)
        self.link, self.registered = Link(at), at
