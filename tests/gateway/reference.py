"""What must be true of commands, told in the simplest way: lists of what went out and came in."""

from __future__ import annotations

from dataclasses import dataclass

from devgate.model import Imei

LATE_WINDOW = 60.0


@dataclass
class Out:
    """One command that went out, or (after a crash) may have gone out."""

    id: str
    imei: Imei
    kind: str
    key: str | None
    sent: float  # trio's clock
    unknown: float  # without a result by then, it is a 408
    result: str | None = None

    def claims(self, now: float) -> bool:
        return self.result is None and now - self.unknown <= LATE_WINDOW


class Reference:
    """The commands that went out, of all runs, in the order in which they did."""

    def __init__(self) -> None:
        self.out: list[Out] = []

    def sent(self, out: Out) -> None:
        for other in self.out:
            assert other.id != out.id, "a command went out twice"
            assert other.key != out.key or out.key is None, "a key caused a second command"
            if other.imei == out.imei:
                over = other.result is not None or out.sent >= other.unknown
                assert over, "two commands of one device are in flight"
        self.out.append(out)

    def says(self, imei: Imei, kind: str, status: str, now: float) -> bool:
        """A device's result settles the oldest of its kind. Whether there is one."""
        for out in self.out:
            if (out.imei, out.kind) == (imei, kind) and out.claims(now):
                out.result = status
                return True
        return False
