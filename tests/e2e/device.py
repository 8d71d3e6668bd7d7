"""A device's end of a connection, byte for byte."""

from __future__ import annotations

import contextlib
import socket
import struct

# How long anything may take that takes a moment, on a machine whose cores are busy. Only a failing
# test waits that long.
WAIT_SECONDS = 120.0

WHO = "006404"  # "I don't know who you are", or "I could not read that"


def frame(status: str, imei: str, command: str, data: str = "") -> str:
    """A good frame; `data` is ASCII."""
    return f"{23 + len(data):03}{status}{imei}{command}{data}"


class Device:
    """A device's end of a TCP connection: it sends bytes and sees exactly what comes back."""

    def __init__(self, to: tuple[str, int], *, receive_buffer: int = 0) -> None:
        family = socket.AF_INET6 if ":" in to[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(WAIT_SECONDS)
        self.socket.connect(to)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, wire: str | bytes) -> None:
        self.socket.sendall(wire.encode() if isinstance(wire, str) else wire)

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes, or fewer where the gateway closed."""
        got = b""
        while len(got) < count:
            try:
                part = self.socket.recv(count - len(got))
            except ConnectionResetError:
                break
            if not part:
                break
            got += part
        return got

    def expect(self, *wires: str | bytes) -> None:
        """These bytes come next."""
        wire = b"".join(w.encode() if isinstance(w, str) else w for w in wires)
        assert self.read(len(wire)) == wire

    def expect_nothing(self, imei: str) -> None:
        """Whatever was sent got no answer: what comes next answers this HT."""
        self.send(frame("000", imei, "HT"))
        self.expect(frame("200", imei, "HT"))

    def expect_end(self) -> None:
        """Nothing more comes, and the gateway closes or aborts the connection."""
        assert self.read(1) == b""

    def leave(self) -> bytes:
        """Send no more, and read all that still comes until the gateway closes."""
        return self.talk(b"")

    def talk(self, wire: bytes) -> bytes:
        """Send this and no more. Returns all that comes until the gateway closes."""
        with contextlib.suppress(OSError):  # it may close while this end still talks
            self.send(wire)
            self.socket.shutdown(socket.SHUT_WR)
        return self.read(1 << 30)

    def reset(self) -> None:
        """Close with an RST instead of a FIN, as a modem does that lost its power."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()
