"""Messages to systemd: that the service is ready, and that it still reads its devices.

A process that is frozen keeps its sockets open, so its devices notice nothing. systemd's watchdog
(`WatchdogSec=`) ends such a process: then the kernel closes them. It also ends one whose loop runs
without reading the devices. Without systemd nothing is sent.
"""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from devgate.gateway.gateway import Gateway

STATUS_SECONDS = 10.0
BEATS = 3  # within the limit of systemd's watchdog: one may be lost
MUST_HEAR_SECONDS = 1.0  # to wait for room in systemd's queue, for a message that must arrive
RECHECK_SECONDS = 0.25  # between two looks at a poller that does not keep up
LOOKS_SECONDS = 2.5  # the progress of the poller is noted once a second: two notes and a margin


def notify(state: str, patience: float = 0.0) -> None:
    """Tell the service manager, if there is one. Never fails. It blocks for `patience` seconds at
    most, for the place in the manager's queue that there may not be at once."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    if path.startswith("@"):
        path = "\0" + path[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(patience)
        sock.connect(path)
        sock.send(state.encode())


def starting(status: str, seconds: float) -> None:
    """Report what the start waits for, and ask for `seconds` more time."""
    notify(f"STATUS={status}\nEXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")


def limit_of(environment: Mapping[str, str], pid: int) -> float | None:
    """Seconds without a beat after which this process is ended; None: nobody waits for one."""
    limit = environment.get("WATCHDOG_USEC", "")
    if not limit.isdecimal() or environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(limit) / 1e6


def pause(environment: Mapping[str, str], pid: int) -> float | None:
    """Seconds between two beats; None: nobody waits for those of this process."""
    limit = limit_of(environment, pid)
    return None if limit is None else limit / BEATS


async def report(
    status: Callable[[], str], keeps_up: Callable[[float], bool] = lambda patience: True
) -> None:
    """Send beats until cancelled, as long as the loop runs, and report the state of the gateway.

    `status` gives the line that `systemctl status` shows; it is called every STATUS_SECONDS.
    `keeps_up(seconds)` says whether devices were read within the last `seconds`, which is half of
    systemd's limit: no beat is sent while it returns False.
    Returns at once without a service manager.
    """
    if "NOTIFY_SOCKET" not in os.environ:
        return
    limit, beat = limit_of(os.environ, os.getpid()), pause(os.environ, os.getpid())
    reported = -math.inf
    while True:
        sleeps = min(beat or STATUS_SECONDS, STATUS_SECONDS)
        if beat is not None and limit is not None:
            if keeps_up(limit / 2):
                notify("WATCHDOG=1")
            else:
                sleeps = min(sleeps, RECHECK_SECONDS)
        if trio.current_time() - reported >= STATUS_SECONDS:
            reported = trio.current_time()
            notify(f"STATUS={status()}")
        await trio.sleep(sleeps)


def status(gateway: Gateway, *, ready: bool) -> str:
    """How a gateway is, in the line that `systemctl status` shows."""
    state = "ready" if ready else "starting"
    if gateway.records.state != "ok":
        state = f"no start is accepted: {gateway.records.state}"
    return (
        f"{state}; {len(gateway.presence)} of {len(gateway.directory)} devices connected, "
        f"{gateway.dispatcher.in_flight} commands in flight"
    )


def keeps_up(gateway: Gateway, patience: float) -> bool:
    """Whether the poller has read within the last `patience` seconds, or LOOKS_SECONDS if that is
    longer. Always true during a pause, in which it does not run."""
    if gateway.pauses.paused:
        return True
    behind = trio.current_time() - gateway.desk.counts.progress
    return behind < max(patience, LOOKS_SECONDS)
