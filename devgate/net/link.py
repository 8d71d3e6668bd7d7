"""One device's socket: bytes that could not be sent at once wait here, within a limit.

Marks tell whether its TCP has acknowledged what was sent: by SIOCOUTQ and the bytes written.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import termios
from typing import Final, Protocol

from devgate.net.limits import Crowd

# About sixty of the longest frames. A device that leaves more than that unread reads nothing.
MAX_UNSENT = 65536
SIOCOUTQ: Final = termios.TIOCOUTQ  # one number in Linux: bytes that were not acknowledged yet
UNKNOWN: Final = 1 << 62  # bytes; more than any real number: it cannot be known any more
_INT = struct.Struct("i")


class Inbound(Protocol):
    """A filter between the socket and the desk: a PROXY header that is to come, or TLS.

    `ended`: the device has said, within the stream, that nothing more will come.
    """

    ended: bool
    """The device has said, within the stream, that nothing more will come."""

    @property
    def opening(self) -> bool:
        """A header or a handshake must come before the desk gets bytes of the device."""

    def receive(self, link: Link, data: bytes) -> bytes | None:
        """The bytes for the desk of `data` (empty: the end): see Link.receive."""


class Outbound(Protocol):
    """A filter between the desk and the socket: TLS."""

    def seal(self, plain: bytes) -> bytes:
        """The bytes for the socket. Empty: nothing can be sent any more."""

    def goodbye(self) -> bytes:
        """The bytes, if any, that close the stream properly."""

    def over(self) -> None:
        """The link is closed. The second time does nothing."""


class Link:
    """A non-blocking socket. Nothing here awaits, and nothing here raises.

    The owner of the connection closes it, by Poller.close() and nowhere else: a
    descriptor that is closed early may already belong to another socket. If send() returns False,
    the caller must end the connection: the poller may not report it.

    `address` is the device's ("1.2.3.4:5678"), also behind a load balancer, once its PROXY
    header is here. `crowd` is what it is counted in, if it is counted (`Crowds`). `why` says why
    the link itself came to an end, if it knows. `registered`: the poller reads it ahead of the
    others; the owner sets it once the device has registered.
    """

    __slots__ = (
        "address", "broken", "crowd", "fd", "inbound", "max_unsent", "outbound", "registered",
        "unsent", "why",
    )  # fmt: skip

    def __init__(
        self,
        fd: int,
        address: str = "",
        crowd: Crowd | None = None,
        *,
        max_unsent: int = MAX_UNSENT,
        registered: bool = True,
    ) -> None:
        self.fd = fd  # -1 once it is closed
        self.address = address
        self.crowd = crowd
        self.max_unsent = max_unsent
        self.registered = registered
        # Bytes only while it is empty: an empty bytearray each would cost 56 bytes a device.
        self.unsent: bytes | bytearray = b""
        self.broken = False
        self.why = ""
        self.inbound: Inbound | None = None
        self.outbound: Outbound | None = None

    @property
    def opening(self) -> bool:
        """Whether a PROXY header or a TLS handshake is still to come, or to be ended."""
        return self.inbound is not None and self.inbound.opening

    def send(self, wire: bytes) -> bool:
        """Send what the kernel takes now and keep the rest. False: the link is broken.

        After an error of the kernel, or if more than `max_unsent` bytes would wait, nothing is
        sent any more: the device may have half a frame, and would read later bytes as its rest.
        """
        if self.broken:
            return False
        if self.outbound is not None:
            if not wire:
                return True
            wire = self.outbound.seal(wire)
            if not wire:
                return self._break("it could not be sent")
        return self.send_as_it_is(wire)

    def send_as_it_is(self, wire: bytes) -> bool:
        """send() without the outbound filter: for bytes of that filter itself."""
        if not self.unsent:
            try:
                sent = os.write(self.fd, wire)
            except BlockingIOError:
                sent = 0
            except OSError as err:
                return self._break(reason(err))
            if sent == len(wire):
                return True
            wire = wire[sent:]
        if len(self.unsent) + len(wire) > self.max_unsent:
            return self._break("it does not read")
        if self.unsent:
            self.unsent += wire
        else:
            self.unsent = bytearray(wire)
        return True

    def mark(self) -> Mark:
        """The place behind the last byte that was sent. Bytes are counted while its meter is
        `needed`."""
        meter = self.outbound
        if isinstance(meter, Meter):
            meter.needed = True
        else:
            meter = self.outbound = Meter(self, meter)
        return Mark(meter)

    def mark_at(self, place: int, written: int) -> Mark:
        """A mark that another process had of this socket, when it had written `written` bytes."""
        meter = self.outbound
        if not isinstance(meter, Meter):
            meter = self.outbound = Meter(self, meter)
            meter.written = written
        return Mark(meter, place)

    def flush(self) -> bool:
        """Send what waits, as far as the kernel takes it. False: the link is broken."""
        if self.broken:
            return False
        if self.unsent:
            try:
                sent = os.write(self.fd, self.unsent)
            except BlockingIOError:
                return True
            except OSError as err:
                return self._break(reason(err))
            self.unsent = self.unsent[sent:] or b""
        return True

    def receive(self, data: bytes) -> bytes | None:
        """The bytes for the desk of the socket's bytes. Empty: the end. None: nothing yet."""
        return data if self.inbound is None else self.inbound.receive(self, data)

    def end(self, why: str) -> bytes:
        """Note why the link itself ends (the first reason counts). Returns empty bytes."""
        self.why = self.why or why
        return b""

    def _break(self, why: str) -> bool:
        self.broken = True
        self.unsent = b""
        self.end(why)
        return False


def reason(err: OSError) -> str:
    """Why a connection failed, as the log and the device's history say it."""
    if err.errno in (errno.ECONNRESET, errno.EPIPE):
        return "reset by the device"
    if err.errno == errno.ETIMEDOUT:
        return "the network lost it"  # keepalive or TCP_USER_TIMEOUT
    return (err.strerror or "the socket failed").lower()


class Meter:
    """Counts the bytes that go into a link, around its own outbound filter.

    A link has one only while marks are needed: other links have no cost. Once it is not `needed`,
    the next bytes are the last that it counts: its marks must not be used any more.
    """

    __slots__ = ("inner", "link", "needed", "written")

    def __init__(self, link: Link, inner: Outbound | None) -> None:
        self.link = link
        self.inner = inner
        self.written = 0
        self.needed = True

    def seal(self, plain: bytes) -> bytes:
        """As Outbound.seal()."""
        wire = plain if self.inner is None else self.inner.seal(plain)
        self.written += len(wire)
        if not self.needed:
            self.link.outbound = self.inner
        return wire

    def over(self) -> None:
        """As Outbound.over()."""
        if self.inner is not None:
            self.inner.over()

    def goodbye(self) -> bytes:
        """As Outbound.goodbye()."""
        return b"" if self.inner is None else self.inner.goodbye()


class Mark:
    """The place behind the last byte that had been written to a link."""

    __slots__ = ("meter", "place")

    def __init__(self, meter: Meter, place: int | None = None) -> None:
        self.meter = meter
        self.place = meter.written if place is None else place

    def acknowledged(self) -> bool:
        """Whether the peer's TCP has acknowledged all bytes before it. Call it while the socket is
        open, also if it has failed. Later bytes make no difference."""
        return unacknowledged(self.meter.link) <= self.meter.written - self.place


def unacknowledged(link: Link) -> int:
    """How many bytes the peer has not acknowledged, with those that wait in the link itself."""
    if link.fd < 0:
        return UNKNOWN
    try:
        found = fcntl.ioctl(link.fd, SIOCOUTQ, bytes(_INT.size))
    except OSError:
        return UNKNOWN
    return int(_INT.unpack(found)[0]) + len(link.unsent)
