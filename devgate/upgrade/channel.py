"""Messages between the two programs: JSON over a socket pair, with descriptors.

A message is an object with its `type`. It goes in pieces, as packets of SOCK_SEQPACKET, which
keep the descriptors of a message with its first piece. So neither side needs more memory in the
kernel than it has by default.
"""

from __future__ import annotations

import array
import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import trio

MAX_FDS = 250  # the kernel takes 253 with one packet
PIECE_BYTES = 65536  # bytes of a packet, without its first
LAST, MORE = b".", b"+"  # how a packet begins: whether the message ends with it
FD_SIZE = array.array("i").itemsize
MAX_MESSAGE = 64 * 1024 * 1024  # bytes; the largest is the list of commands, in parts


class Message(NamedTuple):
    """A message that was received."""

    content: Mapping[str, Any]
    fds: Sequence[int]  # the receiver's to close

    @property
    def type(self) -> str:
        """Which message it is."""
        return str(self.content.get("type"))


class Broken(Exception):
    """The other program has ended, or sent something that cannot be read."""


class Channel:
    """One end. Each direction is used by one task at a time."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = trio.socket.from_stdlib_socket(sock)

    async def send(self, type: str, fds: Sequence[int] = (), /, **content: Any) -> None:
        """Send one message. The descriptors stay the caller's. Raises Broken."""
        data = json.dumps({"type": type, **content}, separators=(",", ":")).encode()
        pieces = [data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES)]
        more: list[tuple[int, int, bytes]] = []
        if fds:
            assert len(fds) <= MAX_FDS, "the caller counts"
            more = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds).tobytes())]
        try:
            for number, piece in enumerate(pieces, 1):
                head = LAST if number == len(pieces) else MORE
                await self._sock.sendmsg([head, piece], more)
                more = []
        except OSError as err:
            raise Broken(f"the other program has ended ({err.strerror})") from None

    async def receive(self) -> Message:
        """The next message. Raises Broken."""
        data, fds = bytearray(), list[int]()
        try:
            while True:
                piece, more, flags, _ = await self._sock.recvmsg(
                    PIECE_BYTES + 1,
                    socket.CMSG_SPACE(MAX_FDS * FD_SIZE),
                    socket.MSG_CMSG_CLOEXEC,
                )
                for _, kind, value in more:
                    if kind == socket.SCM_RIGHTS:
                        fds += array.array("i", value[: len(value) - len(value) % FD_SIZE])
                if not piece:
                    raise Broken("the other program has ended")
                if flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC):
                    raise Broken("not all descriptors arrived: is the limit of open files lower?")
                data += piece[1:]
                if len(data) > MAX_MESSAGE:
                    raise Broken("the other program says too much at once")
                if piece[:1] == LAST:
                    content = json.loads(data)
                    if not isinstance(content, dict):
                        raise Broken("the other program says what is no object")
                    return Message(content, fds)
        except OSError as err:
            close_all(fds)
            raise Broken(f"the other program has ended ({err.strerror})") from None
        except ValueError as err:
            close_all(fds)
            raise Broken(f"the other program cannot be understood: {err}") from None
        except BaseException:
            close_all(fds)
            raise

    def close(self) -> None:
        """Close this end. The other side sees that."""
        self._sock.close()


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors that nobody uses."""
    for fd in fds:
        os.close(fd)


def text(data: bytes | bytearray) -> str:
    """Any bytes as a text that JSON takes."""
    return data.decode("latin-1")


def raw(text: str) -> bytes:
    """The bytes of text()."""
    return text.encode("latin-1")
