"""What systemd is told: that the service is ready, and that its loop still turns.

A process that is frozen keeps its sockets open, so its devices notice nothing. systemd's watchdog
(`WatchdogSec=`) ends such a process: the kernel then closes them. Without systemd nothing is said.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

import trio

BEATS = 3  # in the time after which systemd ends the process: one may be lost


def notify(state: str) -> None:
    """Tell the service manager, if there is one. Never blocks, and never fails."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    if path.startswith("@"):
        path = "\0" + path[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(state.encode(), path)


def pause(environment: Mapping[str, str], pid: int) -> float | None:
    """Seconds between two beats; None: nobody waits for those of this process."""
    limit = environment.get("WATCHDOG_USEC", "")
    if not limit.isdecimal() or environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(limit) / 1e6 / BEATS


async def watchdog() -> None:
    """Beat until cancelled, as long as the loop turns."""
    seconds = pause(os.environ, os.getpid())
    while seconds is not None:
        notify("WATCHDOG=1")
        await trio.sleep(seconds)
