"""The watchdog of `serve --nodes N`: nodes send beats to the supervisor, which sends its own to
systemd."""

from __future__ import annotations

import logging
import os
import signal
import socket
import struct
from collections.abc import Mapping

import trio

from devgate.systemd import BEATS, limit_of, notify

CREDENTIALS = struct.Struct("3i")  # of SCM_CREDENTIALS: pid, uid, gid
MAX_BEAT_BYTES = 4096  # bytes of a message that counts

log = logging.getLogger("devgate.nodes")


class Beats:
    """Receives beats of nodes, as systemd does from a service. `limit` in seconds; None: no
    watchdog.

    A ready node that sends no beat for `limit` is killed: the kernel closes its connections, and
    it is started again.
    """

    def __init__(self, environment: Mapping[str, str], nodes: int) -> None:
        self.limit = limit_of(environment, os.getpid())
        self._notifies = "NOTIFY_SOCKET" in environment
        self._nodes = nodes
        self._ready: dict[int, float] = {}  # processes that are ready, and when each beat last
        self._said = False
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._sock.setblocking(False)
        self._sock.bind("")  # the kernel gives it a name
        # Any process of this machine may send there: the kernel adds the sender's id.
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

    def environment(self) -> dict[str, str]:
        """Variables for the environment of a node."""
        if self.limit is None and not self._notifies:
            return {}
        name: bytes = self._sock.getsockname()
        given = {"NOTIFY_SOCKET": "@" + name[1:].decode()}
        if self.limit is not None:
            given["WATCHDOG_USEC"] = str(int(self.limit * 1e6))
        return given

    def status(self) -> str:
        """For `systemctl status`, in a line."""
        return f"{len(self._ready)} of {self._nodes} nodes are ready"

    def ended(self, pid: int) -> None:
        """Note that this node has ended."""
        self._ready.pop(pid, None)

    async def run(self, pids: Mapping[str, int]) -> None:
        """Receive beats and kill silent nodes, until cancelled. `pids` are the current nodes."""
        sock = trio.socket.from_stdlib_socket(self._sock)
        async with trio.open_nursery() as nursery:
            if self.limit is not None:
                nursery.start_soon(self._watch, pids, self.limit)
            while True:
                data, more, _, _ = await sock.recvmsg(
                    MAX_BEAT_BYTES, socket.CMSG_SPACE(CREDENTIALS.size)
                )
                sender = next(
                    (CREDENTIALS.unpack(value)[0] for _, kind, value in more
                     if kind == socket.SCM_CREDENTIALS),
                    0,
                )  # fmt: skip
                if sender in pids.values():
                    self._heard(sender, data.split(b"\n"))

    def _heard(self, pid: int, words: list[bytes]) -> None:
        if b"READY=1" in words or (b"WATCHDOG=1" in words and pid in self._ready):
            self._ready[pid] = trio.current_time()
        if len(self._ready) == self._nodes and not self._said:
            self._said = True
            notify(f"READY=1\nSTATUS={self.status()}")

    async def _watch(self, pids: Mapping[str, int], limit: float) -> None:
        while True:
            await trio.sleep(limit / BEATS)
            now = trio.current_time()
            for name, pid in pids.items():
                if now - self._ready.get(pid, now) > limit:
                    log.error("node does not beat, it is killed node=%s pid=%s", name, pid)
                    self.ended(pid)
                    os.kill(pid, signal.SIGKILL)
