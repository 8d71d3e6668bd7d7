"""The program that takes over: which one it is, how it is started, and when it ends."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import trio

from devgate.errors import CallerError

# The environment variable with the descriptor of the channel to the running gateway.
CHANNEL_VARIABLE = "_DEVGATE_SUCCEEDS"
# Variables for one process alone: they hold its process id. Without the one for the watchdog the
# new process beats too: it becomes the main process, whose beats systemd expects.
PROCESS_VARIABLES = ("WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
MAX_LINKS = 40  # as many as the kernel follows


def must_be_trusted(path: str) -> None:
    """Raises CallerError (400) for a program that others than root and this user could change."""
    if not os.path.isabs(path):
        raise CallerError("400", "program: the whole path of a devgate expected")
    for place in _led_through(path):
        try:
            found = os.lstat(place)
        except OSError as err:
            raise CallerError("400", f"program: {place}: {err.strerror}") from None
        # In a folder with the sticky bit, such as /tmp, others cannot replace a file. A link has
        # no mode.
        shared = found.st_mode & WRITABLE_BY_OTHERS and not (
            stat.S_ISLNK(found.st_mode)
            or (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX)
        )
        if found.st_uid not in (0, os.geteuid()) or shared:
            raise CallerError(
                "400",
                f"program: {place} can be changed by others than root and the gateway's own user",
            )
    if not os.access(path, os.X_OK):
        raise CallerError("400", f"program: {path} cannot be executed")


def _led_through(path: str) -> Iterator[str]:
    """The program, each symbolic link that leads to it, and the folders of these: whoever can
    write to one of them can replace the program."""
    for _ in range(MAX_LINKS):
        folder = Path(os.path.realpath(os.path.dirname(path)))
        path = str(folder / os.path.basename(path))
        yield from map(str, (*reversed(folder.parents), folder, path))
        if not os.path.islink(path):
            return
        path = os.path.join(folder, os.readlink(path))
    raise CallerError("400", f"program: {path}: {os.strerror(errno.ELOOP)}")


def command(program: str | None) -> list[str]:
    """How it is run: as this process was, by the same interpreter or by `program`."""
    if program is not None:
        return [program, *sys.argv[1:]]
    return [sys.executable, *sys.orig_argv[1:]]


def environment(fd: int, of: Mapping[str, str]) -> dict[str, str]:
    """Its environment: that of this process, and where the other end of the channel is."""
    return {
        **{name: of[name] for name in of if name not in PROCESS_VARIABLES},
        CHANNEL_VARIABLE: str(fd),
    }


# Runs in a Python process of its own. Its arguments are a descriptor and the command. It starts
# the command, writes its process id to the descriptor, and ends. An error of exec is written as a
# negative number, which may come first.
_LAUNCHER = """
import os, signal, sys
pipe = int(sys.argv[1])
pid = os.fork()
if pid:
    os.write(pipe, b"%d;" % pid)
    os._exit(0)
os.set_inheritable(pipe, False)
for number in (signal.SIGPIPE, signal.SIGXFSZ):
    signal.signal(number, signal.SIG_DFL)
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as err:
    os.write(pipe, b"-%d;" % err.errno)
os._exit(127)
"""


class Program:
    """A program that was started to take over."""

    def __init__(self, pid: int, sock: socket.socket) -> None:
        self.sock = sock  # this end of the channel
        self.pid = pid
        self._handle: int | None = None  # None: it has ended
        with suppress(ProcessLookupError):
            self._handle = os.pidfd_open(pid)

    async def kill(self) -> None:
        """Kill it, and wait until it has ended. The channel to it is closed."""
        self.sock.close()
        handle, self._handle = self._handle, None
        if handle is None:
            return
        try:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            with trio.CancelScope(shield=True):
                await trio.lowlevel.wait_readable(handle)
        finally:
            os.close(handle)


async def start(program: str | None) -> Program:
    """Start it. Raises CallerError (400) if it cannot be started.

    It is not a child of this process but of the one that adopts orphans, which is systemd. If the
    main process of a service is the child of another one, `systemctl stop` kills it at once.
    """
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with there:
        try:
            pid = await trio.to_thread.run_sync(_run, program, there.fileno())
        except OSError as err:
            here.close()
            raise CallerError("400", f"{command(program)[0]} cannot be run: {err}") from None
    return Program(pid, here)


def _run(program: str | None, fd: int) -> int:
    """Returns its process id. Raises OSError."""
    read, pipe = os.pipe()
    with open(read, "rb") as answer:
        try:
            subprocess.run(
                [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(pipe), *command(program)],
                env=environment(fd, os.environ), pass_fds=[fd, pipe], check=True,
            )  # fmt: skip
        except subprocess.CalledProcessError as err:
            raise OSError(errno.EAGAIN, f"no process can be started ({err})") from None
        finally:
            os.close(pipe)
        said = [int(number) for number in answer.read().split(b";")[:-1]]
    if (error := min(said)) < 0:
        raise OSError(-error, os.strerror(-error))
    return said[0]


def inherited(of: dict[str, str] | os._Environ[str]) -> socket.socket | None:
    """The other end of the channel, in the program that was started. Its children do not get
    it."""
    text = of.pop(CHANNEL_VARIABLE, "")
    if not text.isdecimal():
        return None
    os.set_inheritable(int(text), False)
    return socket.socket(fileno=int(text))
