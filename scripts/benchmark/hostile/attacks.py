"""One attacker, in a process of its own: `python -m benchmark.hostile.attacks NAME PORTS...`.

It runs until it is killed. All it does is on loopback, from 127.0.0.2.
"""

from __future__ import annotations

import contextlib
import itertools
import selectors
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SOURCE = "127.0.0.2"  # not the address of the honest device
KNOWN = b"860000000000001"  # an IMEI that the gateway knows
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
WINDOW_UPDATE = b"\0\0\4\x08\0\0\0\0\0\0\0\0\1"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
PRIORITY = b"\0\0\5\2\0\0\0\0\1\0\0\0\0\x10"
POST = b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"


@dataclass(frozen=True, slots=True)
class Attack:
    """What one attacker does, and at which door: "device", "http" or "control"."""

    door: str
    words: str
    run: Callable[[int], None]


def flood(connections: int, first: bytes, again: bytes) -> Callable[[int], None]:
    """So many connections, each as fast as it goes; one that is closed comes again."""

    def run(port: int) -> None:
        with selectors.DefaultSelector() as selector:
            for _ in range(connections):
                with contextlib.suppress(OSError):
                    _open(selector, port)
            while True:
                for key, _ in selector.select():
                    sock = key.fileobj
                    assert isinstance(sock, socket.socket), "no other is registered"
                    _push(selector, sock, port, first if key.data else again)

    return run


def _open(selector: selectors.BaseSelector, port: int) -> None:
    sock = socket.socket()
    sock.bind((SOURCE, 0))
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.connect(("127.0.0.1", port))
    selector.register(sock, selectors.EVENT_WRITE, True)


def _push(selector: selectors.BaseSelector, sock: socket.socket, port: int, data: bytes) -> None:
    try:
        if data:
            sock.send(data)
        with contextlib.suppress(BlockingIOError):
            if not sock.recv(65536):
                raise ConnectionResetError
        selector.modify(sock, selectors.EVENT_WRITE if data else selectors.EVENT_READ, False)
    except BlockingIOError:
        return
    except OSError:
        selector.unregister(sock)
        sock.close()
        with contextlib.suppress(OSError):
            _open(selector, port)


def hold(connections: int, first: bytes) -> Callable[[int], None]:
    """So many connections that say this and then nothing; one that is closed comes again."""
    return flood(connections, first, b"")


def churn(texts: Callable[[], Iterator[bytes]]) -> Callable[[int], None]:
    """A connection for each text: said, then closed."""

    def run(port: int) -> None:
        for text in texts():
            with socket.socket() as sock:
                sock.bind((SOURCE, 0))
                with contextlib.suppress(OSError):
                    sock.settimeout(1)
                    sock.connect(("127.0.0.1", port))
                    sock.sendall(text)

    return run


def guess(port: int) -> None:
    """500 IMEIs in a write, again and again; the connection comes again when it is closed."""
    numbers = itertools.count(1)
    while True:
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind((SOURCE, 0))
            sock.settimeout(5)
            sock.connect(("127.0.0.1", port))
            while True:
                sock.sendall(b"".join(b"023000%015dHT" % next(numbers) for _ in range(500)))
                if not sock.recv(65536):
                    break


def _unknown() -> Iterator[bytes]:
    return (b"023000%015dHT" % number for number in itertools.count(1))


RESULTS = b"".join(b"023%s%sQD" % (status, KNOWN) for status in (b"200", b"201", b"202"))

ATTACKS: dict[str, Attack] = {
    "none": Attack("device", "nobody", lambda port: selectors.DefaultSelector().close()),
    "guess": Attack("device", "IMEIs tried, 500 a write", guess),
    "unknown": Attack("device", "HT of an unknown IMEI, a connection each", churn(_unknown)),
    "garbage": Attack(
        "device", "garbage, a connection each", churn(lambda: itertools.repeat(b"hello world"))
    ),
    "echo": Attack(
        "device", "an echo, a connection each",
        churn(lambda: itertools.repeat(b"023200123456787654321HT")),
    ),
    "known": Attack(
        "device", "HT of one known IMEI and close",
        churn(lambda: itertools.repeat(b"023000" + KNOWN + b"HT")),
    ),
    "results": Attack(
        "device", "HT of one known IMEI, results that nobody asked for, close",
        churn(lambda: itertools.repeat(b"023000" + KNOWN + b"HT" + RESULTS)),
    ),
    "digits": Attack("device", "50 floods of digits", flood(50, b"", b"1" * 4096)),
    "heartbeats": Attack("device", "50 floods of heartbeats", flood(50, b"", b"AT" * 2048)),
    "frames": Attack(
        "device", "1,000 floods of HT frames", flood(1000, b"", b"023000999999999999999HT" * 40)
    ),
    "silent": Attack("device", "3,000 silent connections", hold(3000, b"1")),
    "window": Attack(
        "http", "300 of HTTP/2 WINDOW_UPDATE", flood(300, PREFACE, WINDOW_UPDATE * 600)
    ),
    "settings": Attack("http", "24 of HTTP/2 SETTINGS", flood(24, PREFACE, SETTINGS * 800)),
    "priority": Attack("http", "24 of HTTP/2 PRIORITY", flood(24, PREFACE, PRIORITY * 500)),
    "form": Attack(
        "http", "30 forms of `&` without end",
        flood(30, POST + b"Content-Length: 400000000000\r\n\r\n", b"&" * 16384),
    ),
    "half": Attack(
        "http", "1,030 half forms", hold(1030, POST + b"Content-Length: 1000\r\n\r\na=b")
    ),
    "requests": Attack(
        "http", "100 of requests", flood(100, b"", b"GET /login HTTP/1.1\r\nHost: a\r\n\r\n")
    ),
    "tokens": Attack(
        "control", "1,000 with wrong tokens",
        flood(1000, b"", b'command{"type":"status","token":"dg_wrong"}' * 20),
    ),
    "deep": Attack(
        "control", "100 with arrays 64 deep",
        flood(100, b"", (b'command{"type":"status","token":' + b"[" * 63 + b"]" * 63 + b"}") * 20),
    ),
    "words": Attack("control", "1,030 that say `comm`", hold(1030, b"comm")),
}  # fmt: skip


if __name__ == "__main__":
    ATTACKS[sys.argv[1]].run(int(sys.argv[2]))
