"""The wall clock, and whether it can be trusted: it decides what is deleted.

Compared with the newest stored event and with a clock that nobody sets (CLOCK_BOOTTIME, which
also counts while the machine sleeps). Where they differ by a day or more, either the wall clock
is wrong or the gateway was off for long; nobody can tell, so nothing is deleted then.

What is written is the wall clock's time, unless that is a day or more behind, or too far ahead: a
month at the start and in the first hour, in which time servers answer, and a day later on. Then
the time goes on with the clock that nobody sets. The times of events never decrease: after an
event that is years ahead, all events of these years would have its time.
"""

from __future__ import annotations

import math
import time as system
from collections.abc import Callable

DAY_SECONDS = 86400.0
HOUR_SECONDS = 3600.0
EARLIEST_TIME = 1_577_836_800.0  # 2020: a clock that is behind this was never set
# A gateway that finds its clock ahead of all records may have been off for so long.
MAX_OFF_SECONDS = 30 * DAY_SECONDS
# The difference between two looks that is no step of the clock: NTP corrects 0.03 s a minute.
SLACK_SECONDS = 60.0


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
        if abs(offset - self._offset) > SLACK_SECONDS:
            self._steady_since = boot
        elif boot - self._steady_since >= DAY_SECONDS:
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
        max_ahead = (
            MAX_OFF_SECONDS
            if not self._followed or boot - self._began < HOUR_SECONDS
            else DAY_SECONDS
        )
        if self._written + boot < EARLIEST_TIME:
            max_ahead = math.inf
        if -DAY_SECONDS < away < max_ahead or abs(wall - boot - self._written) < DAY_SECONDS:
            self._written, self._lag, self._followed = wall - boot, 0.0, True
        else:
            self._lag = self._written + boot - wall
        written = wall + self._lag
        self._floor, self._ceiling = written - DAY_SECONDS, written + DAY_SECONDS
        if abs(away) < DAY_SECONDS:
            self.state = "ok"
            return
        where = "ahead of" if away > 0 else "behind"
        self.state = (
            f"the clock is {abs(away) / DAY_SECONDS:.0f} d {where} the newest record: nothing is "
            "deleted until it has run so for a day, or until you say `devgate trim`"
        )


shared = Clock()  # the gateway's: all of its parts mean the same time
time = shared.now  # what is put on disk
