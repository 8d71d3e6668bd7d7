"""Sockets that listen already when the gateway starts: systemd has opened them (LISTEN_FDS), or
the gateway that this one takes over from."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from devgate.errors import SetupError
from devgate.net.addresses import parse, shown

FIRST_FD = 3  # the first descriptor that systemd gives
DOORS = ("device", "control", "http", "unix")  # unix is the control channel's own socket


class Open(NamedTuple):
    """A socket that listens."""

    door: str  # one of DOORS; "": the door is known by the address alone
    sock: socket.socket
    # It stands for all that is configured for the door: who opened it has the say, and its file.
    instead: bool


Wanted = Callable[[Open], bool]


class Given:
    """The open sockets that no door has taken yet."""

    def __init__(self, opened: Sequence[Open] = (), *, must_be_used: bool = False) -> None:
        """`must_be_used`: a socket that no door takes is an error."""
        self._open = list(opened)
        self._instead = {one.sock for one in opened if one.instead}
        self._must_be_used = must_be_used

    def of(self, door: str, listen: Sequence[str]) -> list[str | socket.socket]:
        """The addresses of a door; a socket replaces each address that is open already."""
        if instead := self._pop(lambda one: one.instead and one.door == door):
            return [one.sock for one in instead]
        if not self._open:
            return list(listen)
        places: list[str | socket.socket] = []
        for text in listen:
            wanted = _addresses(text)
            found = self._pop(partial(_is_of, door, wanted))
            places += [one.sock for one in found] or [text]
        return places

    def unix(self, path: str) -> Open | None:
        """The socket of the control channel, if it is open: at this path, or instead of it."""
        for one in self._pop(
            lambda one: (
                one.sock.family == socket.AF_UNIX
                and (one.instead or _same_file(one.sock.getsockname(), path))
            )
        ):
            return one
        return None

    def is_instead(self, sock: socket.socket) -> bool:
        """Whether it replaced all configured addresses of its door."""
        return sock in self._instead

    def end(self) -> None:
        """Call it when all doors are open. Closes sockets of the former gateway whose addresses
        are not configured any more. Raises SetupError for a socket of systemd that no door has
        taken."""
        if self._must_be_used and self._open:
            sock = self._open[0].sock
            place = sock.getsockname() if sock.family == socket.AF_UNIX else shown(sock)
            raise SetupError(
                f"LISTEN_FDS: nothing is configured for {place}: add it to a `listen`, or give "
                f"its socket unit FileDescriptorName= one of {', '.join(DOORS)}",
                status="400",
            )
        for one in self._open:
            if one.sock.family == socket.AF_UNIX and not one.instead:
                with suppress(OSError):
                    os.unlink(one.sock.getsockname())
            one.sock.close()
        self._open.clear()

    def _pop(self, wanted: Wanted) -> list[Open]:
        found = [one for one in self._open if wanted(one)]
        self._open = [one for one in self._open if one not in found]
        return found


def activated(env: Mapping[str, str], pid: int) -> list[Open]:
    """The sockets that systemd has opened for this process (sd_listen_fds). Raises SetupError for
    descriptors that do not listen."""
    count = env.get("LISTEN_FDS", "")
    if not count.isdecimal() or env.get("LISTEN_PID") != str(pid):
        return []
    names = env.get("LISTEN_FDNAMES", "").split(":")
    found = []
    for number in range(int(count)):
        fd = FIRST_FD + number
        name = names[number] if number < len(names) else ""
        os.set_inheritable(fd, False)
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            raise SetupError(f"LISTEN_FDS: descriptor {fd} is no socket", status="400")
        sock = socket.socket(fileno=fd)
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise SetupError(
                f"LISTEN_FDS: descriptor {fd} does not listen: Accept=no and ListenStream= are "
                "wanted in its socket unit",
                status="400",
            )
        sock.setblocking(False)
        # Without FileDescriptorName= systemd gives the unit's name.
        door = name if name in DOORS else ""
        if sock.family == socket.AF_UNIX:
            door = "unix"
        found.append(Open(door, sock, bool(door)))
    return found


def _addresses(text: str) -> set[tuple[str, int]]:
    host, port = parse(text)
    with suppress(OSError, UnicodeError):
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
        return {(str(address[0]), int(address[1])) for *_, address in found}
    return set()


def _is_of(door: str, wanted: set[tuple[str, int]], one: Open) -> bool:
    return one.door in ("", door) and _is_one(one.sock, wanted)


def _is_one(sock: socket.socket, wanted: set[tuple[str, int]]) -> bool:
    if sock.family == socket.AF_UNIX:
        return False
    host, port = sock.getsockname()[:2]
    return (host, port) in wanted or (host, 0) in wanted


def _same_file(one: object, other: str) -> bool:
    with suppress(OSError, TypeError, ValueError):
        return os.path.samefile(str(one), other)
    return False
