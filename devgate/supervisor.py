"""`devgate serve --nodes N`: several nodes of a cluster on one machine, as processes of their own.

They listen at the same addresses (SO_REUSEPORT): the kernel gives each connection to one of them.
"""

from __future__ import annotations

import ctypes
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import trio

from devgate import logs
from devgate.beats import Beats
from devgate.config.settings import Settings
from devgate.errors import SetupError
from devgate.systemd import notify, report

RESTART_SECONDS = 1.0  # until a node that ended is started again, doubled each time it ends ...
MAX_RESTART_SECONDS = 30.0
STEADY_SECONDS = 60.0  # ... unless it has run that long
WRONG_SETTINGS = 2  # the exit code that no restart corrects
PR_SET_PDEATHSIG = 1
SYSTEMD = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")  # for the supervisor alone

log = logging.getLogger("devgate.nodes")


class Child(NamedTuple):
    """The name and the socket of one node."""

    name: str
    socket: str  # the path of its control socket


def children(settings: Settings, count: int) -> list[Child]:
    """The nodes NAME-1 to NAME-N. The first one has the configured control socket; the sockets of
    the others have their number in the name. Raises SetupError for what nodes cannot share."""
    if not settings.store.url.startswith("postgresql"):
        raise SetupError("--nodes: they share one PostgreSQL; set [store] url", status="400")
    for name, listen in (
        ("device", settings.device.listen),
        ("control", settings.control.listen),
        ("http", settings.http.listen),
    ):
        for address in listen:
            if address.endswith(":0"):
                raise SetupError(
                    f"--nodes: [{name}] listen: all nodes share its port: one expected, not 0",
                    status="400",
                )
    base = settings.cluster.node or re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())
    path = Path(settings.control.socket)
    return [
        Child(
            f"{base[:58]}-{number}",
            str(path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")),
        )
        for number in range(1, count + 1)
    ]


def environment(child: Child, watched: Mapping[str, str]) -> dict[str, str]:
    """The environment of this node; `watched` are the variables for its beats."""
    return {
        **{name: value for name, value in os.environ.items() if name not in SYSTEMD},
        **watched,
        "DEVGATE_CLUSTER__NODE": child.name,
        "DEVGATE_CLUSTER__SHARE_PORTS": "true",
        "DEVGATE_CONTROL__SOCKET": child.socket,
    }


def supervise(settings: Settings, count: int, command: Sequence[str]) -> int:
    """Run that many nodes by this command until SIGTERM or SIGINT, each started again when it
    ends. Returns the exit code. Raises SetupError for what they cannot share."""
    nodes = children(settings, count)
    logs.set_up(settings.log.level, settings.log.format)
    try:
        return trio.run(_Supervisor(nodes, command).run)
    finally:
        logs.close()


class _Supervisor:
    def __init__(self, nodes: Sequence[Child], command: Sequence[str]) -> None:
        self._nodes = nodes
        self._command = command
        self._beats = Beats(os.environ, len(nodes))
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._pids: dict[str, int] = {}
        self._stopping = False
        self._code = 0

    async def run(self) -> int:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._act_on, signals, nursery.cancel_scope)
                nursery.start_soon(self._beats.run, self._pids)
                nursery.start_soon(report, self._beats.status)
                async with trio.open_nursery() as nodes:
                    self._waits = nodes.cancel_scope
                    for node in self._nodes:
                        nodes.start_soon(self._keep, node)
                nursery.cancel_scope.cancel()
        return self._code

    async def _act_on(self, signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        async for number in signals:
            if number != signal.SIGHUP:
                self._stopping = True
                notify("STOPPING=1")
            for process in self._running.values():
                process.send_signal(signal.Signals(number))
            if self._stopping and not self._running:
                self._waits.cancel()  # ends the waits of nodes that are to be restarted

    async def _keep(self, node: Child) -> None:
        """Run one node, and restart it each time that it ends."""
        pause = RESTART_SECONDS
        while not self._stopping:
            began = trio.current_time()
            code = await self._once(node)
            if self._stopping:
                self._code = max(self._code, code)
                return
            if code == WRONG_SETTINGS:
                self._code, self._stopping = code, True
                for process in self._running.values():
                    process.terminate()
                return
            if trio.current_time() - began > STEADY_SECONDS:
                pause = RESTART_SECONDS
            log.warning("node ended node=%s code=%s again_in=%s", node.name, code, pause)
            await trio.sleep(pause)
            pause = min(2 * pause, MAX_RESTART_SECONDS)

    async def _once(self, node: Child) -> int:
        process = _started(self._command, environment(node, self._beats.environment()))
        self._running[node.name], self._pids[node.name] = process, process.pid
        log.info("node started node=%s pid=%s", node.name, process.pid)
        ended = os.pidfd_open(process.pid)
        try:
            await trio.lowlevel.wait_readable(ended)
            return process.wait()
        finally:
            os.close(ended)
            del self._running[node.name], self._pids[node.name]
            self._beats.ended(process.pid)


def _started(command: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    # Not by trio: the kernel signals the child when the thread that has started it ends, and trio
    # starts processes in threads that end.
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        # In a session of its own: it gets a Ctrl-C once, from the supervisor. A second one would
        # end it at once.
        start_new_session=True,
        preexec_fn=_end_with_parent,
    )


def _end_with_parent() -> None:
    """In the child: ask the kernel for a SIGTERM when the supervisor ends, for any reason."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))


def command_line(config: str | None) -> list[str]:
    """The command line of a node."""
    return [sys.executable, "-m", "devgate", *(["--config", config] if config else []), "serve"]
