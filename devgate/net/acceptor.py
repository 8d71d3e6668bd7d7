"""Accept connections: so many at a time, so many in all, and never in a hurry to fail."""

from __future__ import annotations

import errno
import logging
import math
import os
import socket
from collections.abc import Callable, Sequence
from typing import NoReturn

import trio

from devgate.net.addresses import host_of, spelled
from devgate.net.limits import Crowds, capacity, raise_descriptor_limit

__all__ = ["Acceptor", "capacity", "raise_descriptor_limit"]

BUDGET = 64  # connections in one round: a storm of thousands lets other tasks have their turn
PAUSE = 0.1  # a full house looks again after this long
NEWS = 60.0  # at most one word about each kind of trouble in this many seconds

# Nothing is left to accept with. The connection stays in the kernel's queue meanwhile.
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
# Linux hands out the trouble of a connection that ended in the queue; the next may be sound.
_ITS_OWN_FAULT = {
    errno.ECONNABORTED, errno.ECONNRESET, errno.EPROTO, errno.ENOPROTOOPT, errno.EHOSTDOWN,
    errno.ENONET, errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETDOWN, errno.ENETUNREACH,
    errno.ETIMEDOUT, errno.EPERM, errno.EINTR,
}  # fmt: skip

log = logging.getLogger("devgate.devices")


class Acceptor:
    """Accepts for one or several listening sockets, which it owns from now on.

    `admit(fd, address)` is called for each connection, at once and without awaiting; the
    descriptor is non-blocking and from then on the callee's. Whoever took it calls
    left(link.address) when the connection has ended, once.

    `connections()` tells how many there are now. It may count one only when its task has begun:
    within a round the acceptor counts for itself.

    `max_connections` (0: what the descriptor limit allows) and `max_connections_per_address`
    (0: no limit) may be changed at any time.

    `proxied`: the connections come from load balancers, so that an address is counted when the
    PROXY header tells it: hand enter() to filters.plug().

    The times are seconds, made for mobile networks:
    `keepalive_idle` is more than the 55 s between two heartbeats, so that no device that beats
    is ever probed (a probe wakes a modem and costs its owner traffic); a silent one is probed
    each `keepalive_interval`, and given up after `keepalive_count` probes without an answer.
    `user_timeout` gives up a connection on which sent bytes stay unacknowledged; networks
    lose devices for a minute and find them again, so it should not be below `idle_timeout`.
    `send_buffer` (bytes; the kernel doubles it) bounds what the kernel keeps for a device that
    does not read, which would be megabytes.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        admit: Callable[[int, str], None],
        connections: Callable[[], int],
        *,
        max_connections: int = 0,
        max_connections_per_address: int = 0,
        proxied: bool = False,
        keepalive_idle: float = 75,
        keepalive_interval: float = 25,
        keepalive_count: int = 5,
        user_timeout: float = 180,
        send_buffer: int = 65536,
    ) -> None:
        self.listeners = list(listeners)
        self.max_connections = max_connections
        self.proxied = proxied
        self.accepted = 0  # handed to admit(), ever
        self.refused = 0  # closed at once for their address, ever
        self.paused = False  # whether the house is full at the moment
        self._admit = admit
        self._connections = connections
        self._crowds = Crowds(max_connections_per_address)
        self._quiet_until = -math.inf  # no more news of pauses before this time
        self._said = False  # that it is paused
        self._refused_quiet_until = -math.inf
        self._refused_said = 0
        for listener in self.listeners:
            _tune(
                listener,
                keepalive_idle,
                keepalive_interval,
                keepalive_count,
                user_timeout,
                send_buffer,
            )

    @property
    def max_connections_per_address(self) -> int:
        """The limit for one host; 0 is none. Those who are inside already stay."""
        return self._crowds.most

    @max_connections_per_address.setter
    def max_connections_per_address(self, most: int) -> None:
        self._crowds.most = most

    @property
    def limit(self) -> int:
        """How many connections there may be now."""
        most = capacity()
        return min(most, self.max_connections) if self.max_connections else most

    def enter(self, address: str) -> bool:
        """Count a connection from the host of `address`. False: that host has too many."""
        if self._crowds.enter(address):
            return True
        self.refused += 1
        now = trio.current_time()
        if now >= self._refused_quiet_until:
            log.warning(
                "connections refused address=%s limit=%d count=%d",
                host_of(address),
                self._crowds.most,
                self.refused - self._refused_said,
            )
            self._refused_quiet_until = now + NEWS
            self._refused_said = self.refused
        return False

    def left(self, address: str) -> None:
        """A connection from this address has ended."""
        self._crowds.left(address)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept until cancelled; then the doors are closed, too."""
        try:
            async with trio.open_nursery() as nursery:
                for listener in self.listeners:
                    nursery.start_soon(self._serve, listener)
                task_status.started()
        finally:
            self.close()

    def close(self) -> None:
        """Close the listening sockets; the second time does nothing."""
        for listener in self.listeners:
            listener.close()

    async def _serve(self, listener: socket.socket) -> NoReturn:
        while True:
            await trio.lowlevel.wait_readable(listener)
            while (why := self._round(listener)) is not None:
                self._pause(why)
                # Out of the poll set meanwhile: a full house costs ten looks a second.
                await trio.sleep(PAUSE)
            self._resume()

    def _round(self, listener: socket.socket) -> str | None:
        """Accept what is there, within the budget. Why not, if there is no room for more."""
        limit = self.limit
        room = limit - self._connections()
        if room <= 0:
            return f"all {limit} are in use; more: max_connections and the descriptor limit"
        for _ in range(min(BUDGET, room)):
            try:
                sock, peer = listener.accept()
            except BlockingIOError:
                return None
            except OSError as err:
                if err.errno in _ITS_OWN_FAULT:
                    continue
                # Anything else than exhaustion would be news to us. It must not end the door
                # nor make it spin, so that it is treated likewise.
                return (err.strerror or str(err)).lower()
            self._take(sock, spelled(peer))
        return None

    def _take(self, sock: socket.socket, address: str) -> None:
        if not self.proxied and not self.enter(address):
            sock.close()
            return
        sock.setblocking(False)
        fd = sock.detach()
        try:
            self._admit(fd, address)
        except BaseException:
            os.close(fd)
            self.left(address)
            raise
        self.accepted += 1

    def _pause(self, why: str) -> None:
        if self.paused:
            return
        self.paused = True
        now = trio.current_time()
        if now >= self._quiet_until:
            self._quiet_until = now + NEWS
            self._said = True
            log.warning("accepting paused connections=%d why=%r", self._connections(), why)

    def _resume(self) -> None:
        self.paused = False
        if self._said:
            self._said = False
            log.warning("accepting resumed connections=%d", self._connections())


def _tune(
    listener: socket.socket,
    idle: float,
    interval: float,
    count: int,
    user_timeout: float,
    send_buffer: int,
) -> None:
    """Set on the listening socket what accepted ones inherit on Linux: no call for each."""
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    tcp = socket.IPPROTO_TCP
    listener.setsockopt(tcp, socket.TCP_NODELAY, 1)
    listener.setsockopt(tcp, socket.TCP_KEEPIDLE, _seconds(idle))
    listener.setsockopt(tcp, socket.TCP_KEEPINTVL, _seconds(interval))
    listener.setsockopt(tcp, socket.TCP_KEEPCNT, count)
    listener.setsockopt(tcp, socket.TCP_USER_TIMEOUT, min(int(user_timeout * 1000), 2**31 - 1))


def _seconds(time: float) -> int:
    """Whole seconds as the kernel takes them: 1 to 32767."""
    return max(1, min(32767, round(time)))
