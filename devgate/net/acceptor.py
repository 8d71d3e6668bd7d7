"""Accepts devices' connections: a few at a time, up to a limit; no error ends it."""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import trio

from devgate.net.accepting import NEWS_SECONDS, ROUND_CONNECTIONS, Accepting
from devgate.net.addresses import host_of, spelled
from devgate.net.limits import Crowd, Crowds, capacity
from devgate.net.tuning import Tuning
from devgate.pauses import Pauses

# Takes a connection: its descriptor, its address, and the crowd that it is counted in.
Admit = Callable[[int, str, Crowd | None], None]

log = logging.getLogger("devgate.devices")


class Acceptor:
    """Accepts the connections of devices.

    `connections()` is how many there are now. It may count a connection only when its task has
    begun: within a round the acceptor counts by itself.

    `crowds` counts them by network, and has the limit for each network. Whoever gets a Crowd calls
    Crowds.leave() once when the connection has ended. `max_connections` 0: as many as the
    descriptor limit allows. Both limits may be changed at any time, by apply().

    `make_room(count)` ends at most `count` connections that have not registered, and returns how
    many it has ended. `strict(address)`: whether that address may have only its share of them.

    `proxied`: the connections come from load balancers, so an address is counted when the PROXY
    header has come: give enter() to filters.plug().

    `user_timeout` (seconds) ends a connection on which sent bytes stay unacknowledged. Mobile
    networks lose devices for a minute and find them again, so it should not be below
    `idle_timeout`.
    """

    def __init__(
        self,
        connections: Callable[[], int],
        crowds: Crowds | None = None,
        *,
        max_connections: int = 0,
        make_room: Callable[[int], int] = lambda count: 0,
        strict: Callable[[str], bool] = lambda address: False,
        proxied: bool = False,
        user_timeout: float = 180,
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
            lambda: self.limit - connections(), self._full, self._accepted, log, inside=connections
        )
        self._admit: Admit  # of run()
        self._refused_quiet_until = -math.inf
        self._refused_said = 0
        # For mobile networks. A device that sends a heartbeat every 55 s is never probed: a probe
        # wakes the modem and costs traffic. The buffers bound what the kernel keeps for a device
        # that does not read, or is not read: without them, megabytes.
        self._tuning = Tuning(
            idle=75, interval=25, count=5, user_timeout=user_timeout,
            send_buffer=65536, receive_buffer=8192,
        )  # fmt: skip

    def apply(self, max_connections: int, max_connections_per_address: int) -> None:
        """Accept within these limits from now on. Existing connections stay."""
        self._max_connections = max_connections
        self.crowds.limit = max_connections_per_address

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
        limit = capacity()
        return min(limit, self._max_connections) if self._max_connections else limit

    def enter(self, address: str) -> Crowd | None:
        """Count a connection from `address`. None: there are too many from its network."""
        crowd = self.crowds.enter(address)
        if crowd is not None:
            return crowd
        self.refused += 1
        now = trio.current_time()
        if now >= self._refused_quiet_until:
            log.warning(
                "connections refused address=%s limit=%d count=%d",
                host_of(address),
                self.crowds.limit,
                self.refused - self._refused_said,
            )
            self._refused_quiet_until = now + NEWS_SECONDS
            self._refused_said = self.refused
        return None

    async def run(
        self,
        listeners: Sequence[socket.socket],
        admit: Admit,
        pauses: Pauses | None = None,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept on these sockets until cancelled. It owns them from now on, and closes them then.

        `admit(fd, address, crowd)` is called for each connection, at once and without awaiting;
        the descriptor is non-blocking and from then on the callee's. `crowd` is None where the
        address is counted later (`proxied`). Nobody is accepted while `pauses` are on.
        """
        self._admit = admit
        pauses = pauses or Pauses()
        try:
            for listener in listeners:
                listener.setblocking(False)
                self._tuning.set(listener)
            async with trio.open_nursery() as nursery:
                for listener in listeners:
                    nursery.start_soon(pauses.run, partial(self._accepting.run, listener))
                task_status.started()
        finally:
            for listener in listeners:
                listener.close()

    def _full(self) -> str:
        """Why no more are accepted. Empty if room was made, which is there in the next turn."""
        if self._make_room(ROUND_CONNECTIONS):
            return ""
        return f"all {self.limit} are in use; more: max_connections and the descriptor limit"

    def _accepted(self, fd: int, peer: Any) -> None:
        crowd = None
        try:
            address = spelled(peer)
            if not self.proxied:
                crowd = self.enter(address)
                if crowd is None:
                    os.close(fd)
                    return
                if crowd.crowded(less=1) and self._strict(address):
                    self.crowds.leave(crowd)
                    self.refused += 1
                    os.close(fd)
                    return
            self._admit(fd, address, crowd)
        except BaseException:
            os.close(fd)
            if crowd is not None:
                self.crowds.leave(crowd)
            raise
        self.accepted += 1
