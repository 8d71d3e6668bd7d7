"""PROXY and TLS put into a link, so that the desk sees the device's own bytes and address."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from devgate.net.limits import Crowd
from devgate.net.link import Inbound, Link
from devgate.net.proxy import BadHeader, Preamble
from devgate.net.tls import Tls

MAX_HANDSHAKES = 2000  # of TLS that are under way at once


def plug(
    link: Link,
    *,
    proxy: bool = False,
    believed: bool = True,
    enter: Callable[[str], Crowd | None] | None = None,
    tls: ssl.SSLContext | None = None,
    handshakes: Handshakes | None = None,
) -> None:
    """Put the filters into a new link, before the poller gets it. Without any it stays plain.

    `believed`: whether a PROXY header of this peer counts. `enter` is asked for the address in the
    header, and may refuse it (Acceptor.enter). The desk limits how long header and handshake may
    take: it gets no bytes of the device before both are complete.
    """
    secure = None if tls is None else Secure(tls, handshakes or Handshakes())
    link.outbound = secure
    link.inbound = Proxied(enter, secure, believed=believed) if proxy else secure


class Proxied:
    """Takes the PROXY header off the stream, then takes itself out of the link."""

    __slots__ = ("_believed", "_enter", "_next", "_preamble", "ended", "opening")

    def __init__(
        self,
        enter: Callable[[str], Crowd | None] | None,
        inner: Inbound | None,
        *,
        believed: bool = True,
    ) -> None:
        self._believed = believed
        self._preamble = Preamble()
        self._enter = enter
        self._next = inner
        self.ended = False
        self.opening = True

    @property
    def held(self) -> bytes:
        """The bytes of the header that have come."""
        return self._preamble.held

    def go_on(self, held: bytes) -> None:
        """Continue with the bytes of the header that came to another process before."""
        self._preamble.feed(held)

    def receive(self, link: Link, data: bytes) -> bytes | None:
        """As Link.receive()."""
        if not data:
            return link.end("closed before its PROXY header")
        if not self._believed:
            return link.end("its address is not in [device] proxy_from")
        got = self._preamble.feed(data)
        if got is None:
            return None
        if isinstance(got, BadHeader):
            return link.end(got.why)
        if got.address:
            # One that is turned away keeps the socket's address: it was never counted under
            # the other.
            if self._enter is not None:
                link.crowd = self._enter(got.address)
                if link.crowd is None:
                    return link.end(f"too many connections from its address {got.address}")
            link.address = got.address
        link.inbound = self._next
        return link.receive(got.first_bytes) if got.first_bytes else None


class Handshakes:
    """Counts the TLS handshakes under way. An incomplete one takes 66 kB of memory."""

    def __init__(self, limit: int = MAX_HANDSHAKES) -> None:
        self.limit = limit
        self.under_way = 0


class Secure:
    """TLS, both ways. It takes no memory before the first byte comes."""

    __slots__ = ("_context", "_counted", "_handshakes", "_tls", "ended")

    def __init__(self, context: ssl.SSLContext, handshakes: Handshakes) -> None:
        self._context = context
        self._handshakes = handshakes
        self._counted = False
        self._tls: Tls | None = None
        self.ended = False

    @property
    def opening(self) -> bool:
        """As Inbound.opening: whether the handshake is still to be made."""
        return self._tls is None or not self._tls.open

    def receive(self, link: Link, data: bytes) -> bytes | None:
        """As Link.receive()."""
        if self._tls is None:
            if self._handshakes.under_way >= self._handshakes.limit:
                return link.end("too many TLS handshakes are under way")
            self._tls = Tls(self._context)
            self._handshakes.under_way += 1
            self._counted = True
        turn = self._tls.receive(data)
        if self._tls.open or turn.closed:
            self.over()
        if turn.wire:
            link.send_as_it_is(turn.wire)
        if turn.closed:
            self.ended = True
            if self._tls.why:
                link.end(self._tls.why)
        return turn.plain if turn.plain or turn.closed else None

    def seal(self, plain: bytes) -> bytes:
        """As Outbound.seal()."""
        return b"" if self._tls is None else self._tls.send(plain)

    def goodbye(self) -> bytes:
        """As Outbound.goodbye()."""
        return b"" if self._tls is None else self._tls.close()

    def over(self) -> None:
        """As Outbound.over()."""
        if self._counted:
            self._counted = False
            self._handshakes.under_way -= 1
