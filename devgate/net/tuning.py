"""Socket options of a door's connections: keepalive, timeouts and buffers."""

from __future__ import annotations

import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tuning:
    """Options of sockets. The times are seconds; the kernel doubles the buffers' bytes.

    A silent peer is probed after `idle` and each `interval` from then on, and given up after
    `count` probes without an answer: a host that lost its power never says so. As it stands here
    it is asked after a minute, and given up after two.
    `user_timeout` gives up a connection on which sent bytes stay unacknowledged.
    """

    idle: float = 60
    interval: float = 20
    count: int = 3
    user_timeout: float | None = None
    send_buffer: int | None = None
    receive_buffer: int | None = None

    def set(self, listener: socket.socket) -> None:
        """Set them on the socket that listens. Accepted ones inherit them: no call for each."""
        tcp = socket.IPPROTO_TCP
        listener.setsockopt(tcp, socket.TCP_NODELAY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.setsockopt(tcp, socket.TCP_KEEPIDLE, _seconds(self.idle))
        listener.setsockopt(tcp, socket.TCP_KEEPINTVL, _seconds(self.interval))
        listener.setsockopt(tcp, socket.TCP_KEEPCNT, self.count)
        if self.user_timeout is not None:
            milliseconds = min(int(self.user_timeout * 1000), 2**31 - 1)
            listener.setsockopt(tcp, socket.TCP_USER_TIMEOUT, milliseconds)
        if self.send_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.send_buffer)
        if self.receive_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)


def _seconds(time: float) -> int:
    """Whole seconds as the kernel takes them: 1 to 32767."""
    return max(1, min(32767, round(time)))
