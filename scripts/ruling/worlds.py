"""What goes wrong in which world. All times are a tenth of those in the field."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

ACK_TIMEOUT, LATE_WINDOW, BEAT = 1.0, 6.0, 5.5  # seconds
QUIET_SECONDS = 11.0  # no device is silent longer than this, and none is called late beyond it


@dataclass(frozen=True, slots=True)
class World:
    """How often what happens, as parts of one."""

    name: str
    silent: float = 0.0  # no answer; half of these starts run nevertheless
    slow: float = 0.0  # the answer takes 1.2 to 4 s
    stall: float = 0.0  # nothing of the device arrives for 0.5 to 6 s
    dead: float = 0.0  # the start goes into a dead connection; back after 0.3 to 9 s
    again: float = 0.5  # the customer presses again soon after a 408
    always_slow: bool = False


ALL = World("all of it", silent=0.05, slow=0.02, stall=0.03, dead=0.03)
WORLDS = (
    World("5 % silent", silent=0.05),
    World("5 % silent, all press again", silent=0.05, again=1.0),
    World("2 % slow answers", slow=0.02),
    World("3 % stalled links", stall=0.03),
    World("3 % dead connections", dead=0.03),
    ALL,
    replace(ALL, name="all, press again", again=1.0),
    World("device always takes 1.2 to 4 s", always_slow=True, again=1.0),
)


def pause(world: World, status: str, rng: random.Random) -> float:
    """Seconds from one outcome to the next order."""
    if status == "408" and rng.random() < world.again:
        return rng.uniform(0.2, 4.0)
    # Longer pauses are cut: behind LATE_WINDOW and a heartbeat nothing carries over.
    return rng.uniform(3.0, 12.0) if rng.random() < 0.5 else rng.uniform(12.0, 14.0)
