"""How a device's socket is closed: what is still sent, or a reset."""

from __future__ import annotations

import contextlib
import os
import socket
import struct

from devgate.net.link import Link

ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: on, for 0 seconds


def set_abort(fd: int) -> None:
    """Make close() discard unsent bytes and send a reset. Raises OSError."""
    sock = socket.socket(fileno=fd)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    finally:
        sock.detach()


def say_goodbye(link: Link, fd: int) -> None:
    """Send the bytes that still wait, as far as the kernel takes them at once."""
    if link.broken or (not link.unsent and link.outbound is None):
        return
    goodbye = link.outbound.goodbye() if link.outbound is not None else b""
    with contextlib.suppress(OSError):
        os.write(fd, bytes(link.unsent) + goodbye)
