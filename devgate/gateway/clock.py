"""The wall clock, and how far it can be trusted: it decides what is deleted.

Compared with the newest stored event and with a clock that nobody sets (CLOCK_BOOTTIME, which
also counts while the machine sleeps). Where they differ by a day or more, either the wall clock
is wrong or the gateway was off for long; nobody can tell, so nothing is deleted then.

What is written is the wall clock's time, unless that is a day or more behind, or ahead by what
cannot be right: by a month at the start and in the hour in which time servers answer, by a day
later on. Then the time goes on with the clock that nobody sets. No event is before the one ahead
of it: one that is written years ahead takes the time from all events of these years.
"""

from __future__ import annotations

import math
import time as system
from collections.abc import Callable

DAY = 86400.0
HOUR = 3600.0
UNSET = 1_577_836_800.0  # 2020: a clock that is behind this has not been set
OFF = 30 * DAY  # how long a gateway may have been off that finds its clock ahead of all records
SLACK = 60.0  # seconds between two looks that are no step: NTP corrects 0.03 a minute at most


def _boot_time() -> float:
    return system.clock_gettime(system.CLOCK_BOOTTIME)


class Clock:
    """The wall clock beside where it should be: the newest stored time plus what passed since.

    Once it has run for a day without a step, or an operator has confirmed it, it is right by
    definition, and what is expected of it begins again.
    """

    def __init__(
        self,
        wall: Callable[[], float] = system.time,
        boot: Callable[[], float] = _boot_time,
    ) -> None:
        self._wall, self._boot = wall, boot
        self.state = "ok"  # or a sentence: nothing is deleted, and why
        self.away = 0.0  # seconds from where it should be, at the last look
        self.begin(None)

    def begin(self, newest: float | None) -> None:
        """`newest`: the time of the newest stored event, if there is one."""
        boot, wall = self._boot(), self._wall()
        self._base = (wall if newest is None else newest) - boot
        self._steady_since = boot
        self._offset = wall - boot
        self._began = boot
        self._followed = False  # the wall clock's time has been written
        self._written = self._base  # what is written, less the boot time
        self._judge(wall, boot)

    def follow(self, now: float) -> None:
        """From now on the wall clock's time is `now` and what passes from here on.

        A node of a cluster does that with the database's: its times are compared with those of
        others, and a command in memory would have times of two clocks if its own was set.
        """
        ahead = now - self._boot()
        self._wall = lambda: ahead + self._boot()

    def look(self) -> None:
        """See whether the clock has been set. To be called once a minute, at least."""
        boot, wall = self._boot(), self._wall()
        offset = wall - boot
        if abs(offset - self._offset) > SLACK:
            self._steady_since = boot
        elif boot - self._steady_since >= DAY:
            self._base = offset
        self._offset = offset
        self._judge(wall, boot)

    def expected(self) -> float:
        """The newest trusted time, and what has passed since."""
        return self._base + self._boot()

    def confirm(self) -> None:
        """An operator says that it is right."""
        self._base = self._wall() - self._boot()
        self.look()

    def trusted(self) -> float | None:
        """A time that is certainly not ahead of the true one. None while that is in doubt."""
        self.look()
        if self.state != "ok":
            return None
        return min(self._wall(), self._base + self._boot())

    def now(self) -> float:
        """The time to put on disk: the wall clock's, or the one that it should have."""
        wall = self._wall()
        if self._lag or not self._floor < wall < self._ceiling:
            self.look()
            wall = self._wall()
        return wall + self._lag

    def _judge(self, wall: float, boot: float) -> None:
        self.away = away = wall - (self._base + boot)
        most = OFF if not self._followed or boot - self._began < HOUR else DAY
        if self._written + boot < UNSET:
            most = math.inf
        if -DAY < away < most or abs(wall - boot - self._written) < DAY:
            self._written, self._lag, self._followed = wall - boot, 0.0, True
        else:
            self._lag = self._written + boot - wall
        written = wall + self._lag
        self._floor, self._ceiling = written - DAY, written + DAY
        if abs(away) < DAY:
            self.state = "ok"
            return
        where = "ahead of" if away > 0 else "behind"
        self.state = (
            f"the clock is {abs(away) / DAY:.0f} d {where} the newest record: nothing is deleted "
            "until it has run so for a day, or until you say `devgate trim`"
        )


shared = Clock()  # the gateway's: all of its parts mean the same time
time = shared.now  # what is put on disk
