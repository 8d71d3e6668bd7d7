"""How a device's socket is closed: what is still sent, or a reset."""

from __future__ import annotations

import contextlib
import os
import socket
import struct

from devgate.net.link import Link

ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time at all


def set_abort(fd: int) -> None:
    """Let close() throw away what is unsent, and send a reset. Raises OSError."""
    sock = socket.socket(fileno=fd)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    finally:
        sock.detach()


def say_goodbye(link: Link, fd: int) -> None:
    """Give the kernel what still waits, if it takes it: nobody waits for that any more."""
    if link.broken or (not link.unsent and link.outbound is None):
        return
    rest = bytes(link.unsent) + (link.outbound.goodbye() if link.outbound is not None else b"")
    with contextlib.suppress(OSError):
        os.write(fd, rest)
