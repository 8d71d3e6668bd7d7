"""The options of a simulated fleet. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from devgate.errors import SetupError
from devgate.model import Imei, shown

FIRST_IMEI = Imei("860000000000001")
LAST_NUMBER = 10**15 - 1  # the highest number that 15 digits can say


@dataclass(frozen=True, slots=True)
class Habits:
    """How a device behaves. Times are seconds; shares and chances are 0 to 1."""

    heartbeat: float = 55.0
    ask: float = 3600.0  # between two looks at the telephone number and the QR text
    fail: float = 0.0  # chance that a command fails: 201
    silent: float = 0.0  # chance that a command gets no answer, whether it was done or not
    delay: tuple[float, float] = (0.1, 0.5)  # from a command to its answer: least, most
    churn: float = 0.0  # lost connections, per device and hour, on average
    greet: float = 0.1  # share of connections that begin with a heartbeat instead of HT


@dataclass(frozen=True, slots=True)
class Options:
    """A fleet: `count` devices with the IMEIs from `first` on."""

    count: int = 20
    first: Imei = FIRST_IMEI
    habits: Habits = field(default_factory=Habits)
    times: int = 0  # how many of them, the last ones, count times instead of seconds
    ramp: float = 1000.0  # connections made in a second, at most
    backoff: tuple[float, float] = (1.0, 60.0)  # wait after the first failure; longest wait
    seed: int | None = None
    record: Path | None = None  # a file that gets one line for every start that a device saw
    ends: int = 1  # descriptors per device here: 2 where the gateway is in the same process


def imeis(count: int, first: Imei = FIRST_IMEI) -> list[Imei]:
    """The IMEIs of a fleet, always the same for the same arguments.

    Raises SetupError if they would pass 15 digits.
    """
    start = int(first)
    if start + count - 1 > LAST_NUMBER:
        raise SetupError(
            f"{count} devices from {shown(first)} on would need IMEIs of more than 15 digits; "
            "choose a lower first one"
        )
    return [Imei(f"{number:015}") for number in range(start, start + count)]
