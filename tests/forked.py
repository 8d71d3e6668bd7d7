"""`devgate` as a process of its own, without the second that its imports take.

Each worker of pytest has one process that has imported devgate. It forks where a command is to
run: the child is `python -m devgate ARGUMENTS` from there on, with its own descriptors, folder,
environment and end. Tests of how a process begins start a new interpreter instead.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
REQUEST_SIZE = 100_000  # the environment is the most of it
WORD_SIZE = 12  # a number of a process, or its exit code, filled with blanks
IMPORTED = (
    "alembic.command",
    "devgate.build_node",
    "devgate.cli.local.db",
    "devgate.cli.local.devices",
    "devgate.cli.local.serve",
    "devgate.http.application",
    "devgate.http.server",
    "devgate.joined",
    "devgate.process",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "tests.hashing",
)


class Forked:
    """A process of devgate; what tests use of `subprocess.Popen`."""

    def __init__(
        self, arguments: Sequence[str], cwd: Path, env: Mapping[str, str], fds: Sequence[int]
    ) -> None:
        """`env` is all of the environment. `fds` become 0 to 2, and stay the caller's, too."""
        self.args = ["devgate", *arguments]
        self.returncode: int | None = None
        self._told, tells = os.pipe()
        request = {"arguments": arguments, "cwd": str(cwd), "env": dict(env)}
        try:
            forker = _forker(env.get("LD_PRELOAD", ""))
            socket.send_fds(forker, [json.dumps(request).encode()], [*fds, tells])
        finally:
            os.close(tells)
        self.pid = int(os.read(self._told, WORD_SIZE))

    def poll(self) -> int | None:
        return self._within(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._within(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def _within(self, seconds: float | None) -> int | None:
        if self.returncode is None:
            told = select.poll()  # select.select() takes no number above 1023
            told.register(self._told, select.POLLIN)
            if told.poll(None if seconds is None else seconds * 1000):
                self.returncode = int(os.read(self._told, WORD_SIZE))
                os.close(self._told)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def run(
    arguments: Sequence[str], cwd: Path, env: Mapping[str, str], text: str | None, timeout: float
) -> subprocess.CompletedProcess[str]:
    """`devgate ARGUMENTS` until it ends. Without `text` its input is that of the tests."""
    with contextlib.ExitStack() as stack:
        given, out, err = (
            stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for _ in range(3)
        )
        given.write(text or "")
        given.seek(0)
        stdin = 0 if text is None else given.fileno()
        process = Forked(arguments, cwd, env, [stdin, out.fileno(), err.fileno()])
        try:
            code = process.wait(timeout)
        except BaseException:
            process.kill()
            process.wait()
            raise
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(process.args, code, out.read(), err.read())


@functools.cache
def _forker(preload: str) -> socket.socket:
    """The other end is that of a process which ends with this one. `preload`: as LD_PRELOAD."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with there:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(there.fileno())],
            cwd=ROOT, pass_fds=[there.fileno()], stdin=subprocess.DEVNULL,
            env={
                **{name: os.environ[name] for name in os.environ if name[:8] != "DEVGATE_"},
                "LD_PRELOAD": preload,
            },
        )  # fmt: skip

    @atexit.register
    def end() -> None:
        here.close()
        process.wait()

    return here


def _fork_on_request(door: socket.socket) -> None:
    """Returns in the children; ends the process once nobody can ask any more."""
    running: dict[int, tuple[int, int]] = {}  # by the descriptor of a process: number, who is told
    while True:
        for ready in select.select([door.fileno(), *running], [], [])[0]:
            if ready != door.fileno():
                pid, tells = running.pop(ready)
                os.close(ready)
                _tell(tells, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                os.close(tells)
                continue
            message, fds, *_ = socket.recv_fds(door, REQUEST_SIZE, 4)
            if not message:
                os._exit(0)
            pid = os.fork()
            if pid == 0:
                door.detach()  # its number is closed and may be another's
                _become(fds, **json.loads(message))
                return
            running[os.pidfd_open(pid)] = pid, fds[3]
            _tell(fds[3], pid)
            for fd in fds[:3]:
                os.close(fd)


def _tell(fd: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
        os.write(fd, str(number).encode().ljust(WORD_SIZE))


def _become(fds: Sequence[int], arguments: list[str], cwd: str, env: dict[str, str]) -> None:
    """What a new interpreter would have found."""
    for number, fd in enumerate(fds[:3]):
        os.dup2(fd, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    if "FAULTS_CONTROL" in env:  # tests/faults/preload looks for it when it is loaded
        ctypes.CDLL(env["LD_PRELOAD"]).faults_begin()
    sys.argv = [str(ROOT / "devgate" / "__main__.py"), *arguments]
    sys.orig_argv = [sys.executable, "-m", "devgate", *arguments]
    for number, name, errors in ((1, "stdout", "strict"), (2, "stderr", "backslashreplace")):
        raw = open(number, "wb", buffering=0, closefd=False)  # noqa: SIM115
        setattr(sys, name, io.TextIOWrapper(raw, "utf-8", errors, write_through=True))
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115


def _main() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # what is not looked through need not be copied
    _fork_on_request(socket.socket(fileno=int(sys.argv[1])))
    try:
        runpy.run_module("devgate", run_name="__main__", alter_sys=True)
    except SystemExit as err:
        _end(err.code if isinstance(err.code, int) else int(err.code is not None))


def _end(code: int) -> None:
    """End as an interpreter does, but for taking all modules apart, which takes 0.1 s."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    _main()
