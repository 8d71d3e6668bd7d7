"""Whether a peer's TCP has acknowledged what was sent: SIOCOUTQ, beside what was written."""

from __future__ import annotations

import fcntl
import struct
import termios
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from devgate.net.link import Link, Outbound

SIOCOUTQ: Final = termios.TIOCOUTQ  # one number in Linux: bytes that were not acknowledged yet
UNKNOWN: Final = 1 << 62  # bytes: more than any, for nobody can know any more
_INT = struct.Struct("i")


class Meter:
    """Counts the bytes that go into a link, in front of its own outbound filter.

    A link has one only as long as somebody needs its marks: all others pay nothing for it.
    """

    __slots__ = ("inner", "written")

    def __init__(self, inner: Outbound | None) -> None:
        self.inner = inner
        self.written = 0

    def seal(self, plain: bytes) -> bytes:
        """As Outbound.seal()."""
        wire = plain if self.inner is None else self.inner.seal(plain)
        self.written += len(wire)
        return wire

    def over(self) -> None:
        """As Outbound.over()."""
        if self.inner is not None:
            self.inner.over()

    def goodbye(self) -> bytes:
        """As Outbound.goodbye()."""
        return b"" if self.inner is None else self.inner.goodbye()


class Mark:
    """The place behind the last byte that a link had been given."""

    __slots__ = ("_link", "_meter", "_place")

    def __init__(self, link: Link, meter: Meter) -> None:
        self._link = link
        self._meter = meter
        self._place = meter.written

    def acknowledged(self) -> bool:
        """Whether the peer's TCP has acknowledged all bytes before it. To be asked while the
        socket is open, also if it has failed. Later bytes make no difference."""
        return unacknowledged(self._link) <= self._meter.written - self._place


def unacknowledged(link: Link) -> int:
    """How many bytes the peer has not acknowledged, with those that wait in the link itself."""
    if link.fd < 0:
        return UNKNOWN
    try:
        found = fcntl.ioctl(link.fd, SIOCOUTQ, bytes(_INT.size))
    except OSError:
        return UNKNOWN
    return int(_INT.unpack(found)[0]) + len(link.unsent)
