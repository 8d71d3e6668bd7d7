"""Accept connections: so many at a time, so many in all, and never in a hurry to fail."""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

import trio

from devgate.net.accepting import BUDGET, NEWS_SECONDS, PAUSE_SECONDS, Accepting
from devgate.net.addresses import host_of, spelled
from devgate.net.limits import Crowds, capacity, raise_descriptor_limit

__all__ = ["BUDGET", "PAUSE_SECONDS", "Acceptor", "capacity", "raise_descriptor_limit"]

log = logging.getLogger("devgate.devices")


class Acceptor:
    """Accepts for one or several listening sockets, which it owns from now on.

    `admit(fd, address)` is called for each connection, at once and without awaiting; the
    descriptor is non-blocking and from then on the callee's. Whoever took it calls
    left(link.address) when the connection has ended, once.

    `connections()` tells how many there are now. It may count one only when its task has begun:
    within a round the acceptor counts for itself.

    `max_connections` (0: what the descriptor limit allows) and `max_connections_per_address`
    (0: no limit) may be changed at any time, by apply().

    `proxied`: the connections come from load balancers, so that an address is counted when the
    PROXY header tells it: hand enter() to filters.plug().

    The times are seconds, made for mobile networks:
    `keepalive_idle` is more than the 55 s between two heartbeats, so that no device that beats
    is ever probed (a probe wakes a modem and costs its owner traffic); a silent one is probed
    each `keepalive_interval`, and given up after `keepalive_count` probes without an answer.
    `user_timeout` gives up a connection on which sent bytes stay unacknowledged; networks
    lose devices for a minute and find them again, so it should not be below `idle_timeout`.
    `send_buffer` and `receive_buffer` (bytes; the kernel doubles them) bound what the kernel keeps
    of a device that does not read, or that is not read, which would be megabytes.
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
        receive_buffer: int = 8192,
    ) -> None:
        self.listeners = list(listeners)
        self._max_connections = max_connections
        self.proxied = proxied
        self.accepted = 0  # handed to admit(), ever
        self.refused = 0  # closed at once for their address, ever
        # Ends some connections that have not registered, so many at the most; how many.
        self.make_room: Callable[[int], int] = lambda most: 0
        # Whether this address is to be kept to its share of connections that have not registered.
        self.strict: Callable[[str], bool] = lambda address: False
        self._admit = admit
        self._connections = connections
        self.crowds = Crowds(max_connections_per_address)
        self._accepting = Accepting(
            lambda: self.limit - connections(), self._full, self._take, log, inside=connections
        )
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
                receive_buffer,
            )

    def apply(self, max_connections: int, max_connections_per_address: int) -> None:
        """Accept within these limits from now on. Those who are inside already stay."""
        self._max_connections = max_connections
        self.crowds.most = max_connections_per_address

    @property
    def paused(self) -> bool:
        """Whether no more can be accepted at the moment."""
        return self._accepting.paused

    @property
    def crowded(self) -> bool:
        """Whether more than half of the places are taken."""
        return self._connections() * 2 > self.limit

    @property
    def limit(self) -> int:
        """How many connections there may be now."""
        most = capacity()
        return min(most, self._max_connections) if self._max_connections else most

    def enter(self, address: str) -> bool:
        """Count a connection from the host of `address`. False: that host has too many."""
        if self.crowds.enter(address):
            return True
        self.refused += 1
        now = trio.current_time()
        if now >= self._refused_quiet_until:
            log.warning(
                "connections refused address=%s limit=%d count=%d",
                host_of(address),
                self.crowds.most,
                self.refused - self._refused_said,
            )
            self._refused_quiet_until = now + NEWS_SECONDS
            self._refused_said = self.refused
        return False

    def left(self, address: str, *, registered: bool = False) -> None:
        """A connection from this address has ended."""
        self.crowds.left(address, registered=registered)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept until cancelled; then the doors are closed, too."""
        try:
            async with trio.open_nursery() as nursery:
                for listener in self.listeners:
                    nursery.start_soon(self._accepting.run, listener)
                task_status.started()
        finally:
            self.close()

    def close(self) -> None:
        """Close the listening sockets; the second time does nothing."""
        for listener in self.listeners:
            listener.close()

    def _full(self) -> str:
        """Why nobody more gets in. Nothing, where room was made: it is there in the next turn."""
        if self.make_room(BUDGET):
            return ""
        return f"all {self.limit} are in use; more: max_connections and the descriptor limit"

    def _take(self, sock: socket.socket, peer: Any) -> None:
        address = spelled(peer)
        if not self.proxied:
            if self.strict(address) and self.crowds.crowded(address):
                self.refused += 1
                sock.close()
                return
            if not self.enter(address):
                sock.close()
                return
        fd = sock.detach()
        try:
            self._admit(fd, address)
        except BaseException:
            os.close(fd)
            self.left(address)
            raise
        self.accepted += 1


def _tune(
    listener: socket.socket,
    idle: float,
    interval: float,
    count: int,
    user_timeout: float,
    send_buffer: int,
    receive_buffer: int,
) -> None:
    """Set on the listening socket what accepted ones inherit on Linux: no call for each."""
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    tcp = socket.IPPROTO_TCP
    listener.setsockopt(tcp, socket.TCP_NODELAY, 1)
    listener.setsockopt(tcp, socket.TCP_KEEPIDLE, _seconds(idle))
    listener.setsockopt(tcp, socket.TCP_KEEPINTVL, _seconds(interval))
    listener.setsockopt(tcp, socket.TCP_KEEPCNT, count)
    listener.setsockopt(tcp, socket.TCP_USER_TIMEOUT, min(int(user_timeout * 1000), 2**31 - 1))


def _seconds(time: float) -> int:
    """Whole seconds as the kernel takes them: 1 to 32767."""
    return max(1, min(32767, round(time)))
