"""Accept connections: a few at a time, up to a limit, and errors end nothing."""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import trio

from devgate.net.accepting import BUDGET, NEWS_SECONDS, PAUSE_SECONDS, Accepting
from devgate.net.addresses import host_of, spelled
from devgate.net.limits import Crowds, capacity, raise_descriptor_limit

__all__ = ["BUDGET", "PAUSE_SECONDS", "Acceptor", "capacity", "raise_descriptor_limit"]

log = logging.getLogger("devgate.devices")


class Acceptor:
    """Accepts the connections of devices.

    `connections()` tells how many there are now. It may count one only when its task has begun:
    within a round the acceptor counts for itself.

    `crowds` counts them by address, and has the limit for one; whoever is given one tells it when
    the connection has ended, once. `max_connections` 0 is what the descriptor limit allows. Both
    limits may be changed at any time, by apply().

    `make_room(most)` ends some connections that have not registered, at most `most`, and returns
    how many. `strict(address)` says whether that address is to be kept to its share of them.

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
        connections: Callable[[], int],
        crowds: Crowds | None = None,
        *,
        max_connections: int = 0,
        make_room: Callable[[int], int] = lambda most: 0,
        strict: Callable[[str], bool] = lambda address: False,
        proxied: bool = False,
        keepalive_idle: float = 75,
        keepalive_interval: float = 25,
        keepalive_count: int = 5,
        user_timeout: float = 180,
        send_buffer: int = 65536,
        receive_buffer: int = 8192,
    ) -> None:
        self.crowds = crowds or Crowds()
        self.proxied = proxied
        self.accepted = 0  # handed to admit(), ever
        self.refused = 0  # closed at once for their address, ever
        self._max_connections = max_connections
        self._make_room = make_room
        self._strict = strict
        self._connections = connections
        self._accepting = Accepting(
            lambda: self.limit - connections(), self._full, self._take, log, inside=connections
        )
        self._admit: Callable[[int, str], None]  # of run()
        self._refused_quiet_until = -math.inf
        self._refused_said = 0
        self._tune = partial(
            _tune,
            idle=keepalive_idle,
            interval=keepalive_interval,
            count=keepalive_count,
            user_timeout=user_timeout,
            send_buffer=send_buffer,
            receive_buffer=receive_buffer,
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

    async def run(
        self,
        listeners: Sequence[socket.socket],
        admit: Callable[[int, str], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept on these sockets until cancelled. It owns them from now on, and closes them then.

        `admit(fd, address)` is called for each connection, at once and without awaiting; the
        descriptor is non-blocking and from then on the callee's.
        """
        self._admit = admit
        try:
            for listener in listeners:
                self._tune(listener)
            async with trio.open_nursery() as nursery:
                for listener in listeners:
                    nursery.start_soon(self._accepting.run, listener)
                task_status.started()
        finally:
            for listener in listeners:
                listener.close()

    def _full(self) -> str:
        """Why nobody more gets in. Nothing, where room was made: it is there in the next turn."""
        if self._make_room(BUDGET):
            return ""
        return f"all {self.limit} are in use; more: max_connections and the descriptor limit"

    def _take(self, sock: socket.socket, peer: Any) -> None:
        address = spelled(peer)
        if not self.proxied:
            if self._strict(address) and self.crowds.crowded(address):
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
            self.crowds.left(address)
            raise
        self.accepted += 1


def _tune(
    listener: socket.socket,
    *,
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
