"""The kernel's timers of a connection, from /proc/net/tcp."""

from __future__ import annotations

import os
import socket
from pathlib import Path

KEEPALIVE = "02"


def probed_after(client: socket.socket) -> float:
    """The seconds after which the far end of this IPv4 connection asks whether we still are."""
    there, here = (
        f"{int.from_bytes(socket.inet_aton(host), 'little'):08X}:{port:04X}"
        for host, port in (client.getpeername(), client.getsockname())
    )
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, _, timer, *_ = row.split()
        if (local, remote) == (there, here):
            kind, _, ticks = timer.partition(":")
            assert kind == KEEPALIVE, f"its timer is {timer}"
            return int(ticks, 16) / os.sysconf("SC_CLK_TCK")
    raise AssertionError("the kernel has no such connection")
