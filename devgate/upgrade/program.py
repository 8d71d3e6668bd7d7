"""The program that takes over: which one it is, how it is started, and when it ends."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Mapping

import trio

from devgate.errors import CallerError

# Names the descriptor by which a gateway that was started so reaches the one that runs.
VARIABLE = "_DEVGATE_SUCCEEDS"
# Meant for one process alone. systemd's watchdog takes beats of the main process, which the new
# one becomes; without the number each process takes itself for the one that is meant.
OWN = ("WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
OTHERS = stat.S_IWGRP | stat.S_IWOTH


def must_be_trusted(path: str) -> None:
    """Raises CallerError (400) for a program that others than root and this user could change."""
    if not os.path.isabs(path):
        raise CallerError("400", "program: the whole path of a devgate expected")
    real = os.path.realpath(path)
    for place in (real, os.path.dirname(real)):
        try:
            found = os.stat(place)
        except OSError as err:
            raise CallerError("400", f"program: {place}: {err.strerror}") from None
        if found.st_uid not in (0, os.geteuid()) or (
            found.st_mode & OTHERS and not found.st_mode & stat.S_ISVTX
        ):
            raise CallerError(
                "400",
                f"program: {place} can be changed by others than root and the gateway's own user",
            )
    if not os.access(real, os.X_OK):
        raise CallerError("400", f"program: {path} cannot be executed")


def command(program: str | None) -> list[str]:
    """How it is run: as this process was, by the same interpreter or by `program`."""
    if program is not None:
        return [program, *sys.argv[1:]]
    return [sys.executable, *sys.orig_argv[1:]]


def environment(fd: int, of: Mapping[str, str]) -> dict[str, str]:
    """Its environment: that of this process, and where the other end of the channel is."""
    return {**{name: of[name] for name in of if name not in OWN}, VARIABLE: str(fd)}


class Program:
    """A program that was started to take over."""

    def __init__(self, process: subprocess.Popen[bytes], sock: socket.socket) -> None:
        self.sock = sock  # this end of the channel
        self.pid = process.pid
        self._process = process

    async def ended(self) -> int:
        """Wait for its end. Returns its exit code."""
        if (code := self._process.poll()) is not None:
            return code
        handle = os.pidfd_open(self.pid)
        try:
            await trio.lowlevel.wait_readable(handle)
        finally:
            os.close(handle)
        return self._process.wait()

    async def kill(self) -> None:
        """End it, whatever it does; returns once it has ended."""
        self._process.send_signal(signal.SIGKILL)  # nobody, if it has ended
        with trio.CancelScope(shield=True):
            await self.ended()


async def start(program: str | None) -> Program:
    """Start it. Raises CallerError (400) if it cannot be started."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with there:
        try:
            process = await trio.to_thread.run_sync(_run, program, there.fileno())
        except OSError as err:
            here.close()
            raise CallerError("400", f"{command(program)[0]} cannot be run: {err}") from None
    return Program(process, here)


def _run(program: str | None, fd: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(program), env=environment(fd, os.environ), pass_fds=[fd], close_fds=True
    )


def inherited(of: dict[str, str] | os._Environ[str]) -> socket.socket | None:
    """The other end, in the program that was started. Its own children do not find it."""
    text = of.pop(VARIABLE, "")
    if not text.isdecimal():
        return None
    os.set_inheritable(int(text), False)
    return socket.socket(fileno=int(text))
