"""How an attacker keeps its connections busy: plain ones and those of TLS."""

from __future__ import annotations

import itertools
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from benchmark.hostile.tally import Count, Tally

# What one connection sends, in pieces. When there are no more, it only reads.
Text = Callable[[], Iterable[bytes]]
Attacker = Callable[[int, Tally], None]  # at this port, until it is killed

FIRST_SOURCE = 2  # the attackers are 127.0.0.2 and up: the honest device is 127.0.0.1
BIND_ADDRESS_NO_PORT = 24  # IP_BIND_ADDRESS_NO_PORT of Linux: ports in TIME_WAIT can be used
BETWEEN_TRIES = 0.05  # seconds, if no connection can be opened
WANTS = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)


def trusting() -> ssl.SSLContext:
    """For a client that believes any certificate and speaks HTTP/2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def client_hello() -> bytes:
    """How such a client begins."""
    out = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        trusting().wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    return out.read()


class Peer:
    """One connection of an attacker. Raises OSError, from any method, when it is over."""

    def __init__(self, port: int, source: str, text: Text, tls: ssl.SSLContext | None) -> None:
        self.sock = sock = socket.socket()
        self._shakes = tls is not None
        self._pieces: Iterator[bytes] = iter(text())
        self._rest = b""
        self.says = True
        try:
            sock.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source, 0))
            sock.setblocking(False)
            with suppress(BlockingIOError):
                sock.connect(("127.0.0.1", port))
            if tls is not None:
                self.sock = tls.wrap_socket(sock, do_handshake_on_connect=False)
        except OSError:
            sock.close()
            raise

    def writes(self) -> None:
        """Send one piece, or go on with the handshake."""
        if self._shakes:
            assert isinstance(self.sock, ssl.SSLSocket)
            with suppress(*WANTS):
                self.sock.do_handshake()
                self._shakes = False
            return
        if not self._rest:
            self._rest = next(self._pieces, b"")
            self.says = bool(self._rest)
        if self._rest:
            with suppress(*WANTS):
                self._rest = self._rest[self.sock.send(self._rest) :]

    def reads(self) -> None:
        if self._shakes:
            self.writes()
            return
        with suppress(*WANTS):
            while len(data := self.sock.recv(65536)) == 65536:
                pass
            if not data:
                raise ConnectionResetError


def flood(connections: int, text: Text, *, tls: bool = False, sources: int = 1) -> Attacker:
    """`connections` connections, each as fast as it can. One that is closed is opened again.

    They come from `sources` addresses in turn.
    """

    def run(port: int, tally: Tally) -> None:
        context = trusting() if tls else None
        addresses = itertools.cycle(f"127.0.0.{FIRST_SOURCE + n}" for n in range(sources))
        missing, patience = connections, 0.0
        with selectors.DefaultSelector() as selector:
            while True:
                while missing and time.monotonic() >= patience:
                    try:
                        peer = Peer(port, next(addresses), text, context)
                    except OSError:
                        patience = time.monotonic() + BETWEEN_TRIES
                    else:
                        missing -= 1
                        tally.add(Count.OPENED)
                        selector.register(peer.sock, both(peer), peer)
                for key, events in selector.select(BETWEEN_TRIES if missing else None):
                    peer = key.data
                    try:
                        if events & selectors.EVENT_WRITE:
                            peer.writes()
                        if events & selectors.EVENT_READ:
                            peer.reads()
                    except OSError:
                        selector.unregister(peer.sock)
                        peer.sock.close()
                        tally.add(Count.CLOSED)
                        missing += 1
                        continue
                    if both(peer) != key.events:
                        selector.modify(peer.sock, both(peer), peer)

    return run


def both(peer: Peer) -> int:
    """What to wait for."""
    return selectors.EVENT_READ | (selectors.EVENT_WRITE if peer.says else 0)


def hold(connections: int, first: bytes, *, sources: int = 1) -> Attacker:
    """`connections` connections that send this and then nothing. One that is closed is opened
    again."""
    return flood(connections, lambda: [first], sources=sources)


def churn(texts: Text) -> Attacker:
    """A connection for each text: said, then closed."""

    def run(port: int, tally: Tally) -> None:
        for text in texts():
            with socket.socket() as sock, suppress(OSError):
                sock.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
                sock.bind((f"127.0.0.{FIRST_SOURCE}", 0))
                sock.settimeout(1)
                sock.connect(("127.0.0.1", port))
                tally.add(Count.OPENED)
                sock.sendall(text)

    return run


def converse(texts: Text) -> Attacker:
    """One connection that sends a text, waits for what comes, and sends the next."""

    def run(port: int, tally: Tally) -> None:
        following = iter(texts())
        while True:
            with socket.socket() as sock, suppress(OSError):
                sock.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
                sock.bind((f"127.0.0.{FIRST_SOURCE}", 0))
                sock.settimeout(5)
                sock.connect(("127.0.0.1", port))
                tally.add(Count.OPENED)
                sock.sendall(next(following))
                while sock.recv(65536):
                    sock.sendall(next(following))
            tally.add(Count.CLOSED)

    return run
