"""A TCP connection whose packets get lost on the way to us: real loss, without any privilege.

A socket filter that accepts nothing makes the kernel drop what arrives before TCP sees it: nothing
is acknowledged, and the other side transmits again until the filter is gone.
"""

from __future__ import annotations

import ctypes
import socket
import struct

from trio.socket import SocketType

SO_ATTACH_FILTER = 26
SO_DETACH_FILTER = 27
ACCEPT_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)  # BPF_RET | BPF_K, 0 bytes


def cut(connection: SocketType) -> None:
    """Lose all packets that arrive. What the caller sends would still go out: it must not."""
    program = ctypes.create_string_buffer(ACCEPT_NOTHING, len(ACCEPT_NOTHING))
    told = struct.pack("HL", 1, ctypes.addressof(program))
    connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, told)


def mend(connection: SocketType) -> None:
    connection.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
