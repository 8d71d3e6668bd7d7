"""Many connections from one process: descriptors, source addresses, pace."""

from __future__ import annotations

import errno
import os
import resource
import socket

import trio

from devgate.errors import SetupError

SPARE_FILES = 64  # descriptors for everything that is not a device
DEVICES_PER_SOURCE = 4000  # the port range has 28,000, and closed ports cannot be used for a while
CONNECT_SECONDS = 20.0  # seconds; TCP itself would try for two minutes
IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h; in the socket module only from Python 3.12 on

Address = tuple[socket.AddressFamily, tuple[str, int]]


def make_room(descriptors: int) -> None:
    """Raise the soft limit so that this many more descriptors fit.

    Raises SetupError if the hard limit does not allow it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return
    room = hard - len(os.listdir("/proc/self/fd")) - SPARE_FILES
    if descriptors > room:
        raise SetupError(
            f"{descriptors} descriptors are needed for the simulated devices, and the limit of "
            f"{hard} (ulimit -Hn) leaves {max(room, 0)}; simulate fewer devices or raise the limit"
        )


async def resolve(host: str, port: int) -> list[Address]:
    """Where to connect to, IPv4 first. Raises SetupError if the name has no address."""
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as err:
        raise SetupError(
            f"{host}: no address of that name is known ({err}); give a host and a port"
        ) from None
    addresses = [(family, (str(to[0]), int(to[1]))) for family, _, _, _, to in found]
    return sorted(addresses, key=lambda address: address[0] != socket.AF_INET)


def source(address: Address, number: int, count: int) -> str | None:
    """The local address for one device of `count`; None leaves it to the kernel.

    All of 127/8 is this machine, so a fleet on loopback need not share one address's ports.
    """
    family, (host, _) = address
    if family != socket.AF_INET or not host.startswith("127."):
        return None
    sources = min(-(-count // DEVICES_PER_SOURCE), 250)
    return f"127.0.0.{1 + number % sources}"


async def connect(address: Address, local: str | None) -> socket.socket:
    """A connected, non-blocking socket, to be closed by the caller. Raises OSError."""
    family, to = address
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if local is not None:
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((local, 0))
        code = sock.connect_ex(to)
        if code == errno.EINPROGRESS:
            code = errno.ETIMEDOUT
            with trio.move_on_after(CONNECT_SECONDS):
                await trio.lowlevel.wait_writable(sock)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock


class RateLimit:
    """Lets some callers through in each second, in the order of their calls."""

    def __init__(self, rate: float) -> None:
        self._gap = 1 / rate
        self._next = 0.0

    async def turn(self) -> None:
        """Wait for the caller's turn."""
        mine = max(self._next, trio.current_time())
        self._next = mine + self._gap
        await trio.sleep_until(mine)
