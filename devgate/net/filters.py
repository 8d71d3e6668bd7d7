"""PROXY and TLS put into a link, so that the desk sees the device's own bytes and address."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from devgate.net.link import Inbound, Link
from devgate.net.proxy import Preamble, Refused
from devgate.net.tls import Tls


def plug(
    link: Link,
    *,
    proxy: bool = False,
    believed: bool = True,
    enter: Callable[[str], bool] | None = None,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Put the filters into a new link, before the poller gets it. Without any it stays plain.

    `believed`: whether a PROXY header of this peer counts. `enter` is asked with each address that
    one tells, and may turn it away (Acceptor.enter). How long header and handshake may take is the
    desk's to judge: it hears nothing of the device before they are done.
    """
    secure = None if tls is None else Secure(tls)
    link.outbound = secure
    link.inbound = Proxied(enter, secure, believed=believed) if proxy else secure


class Proxied:
    """Takes the PROXY header off the stream, then takes itself out of the link."""

    __slots__ = ("_believed", "_enter", "_next", "_preamble", "ended", "opening")

    def __init__(
        self, enter: Callable[[str], bool] | None, then: Inbound | None, *, believed: bool = True
    ) -> None:
        self._believed = believed
        self._preamble = Preamble()
        self._enter = enter
        self._next = then
        self.ended = False
        self.opening = True

    def receive(self, link: Link, data: bytes) -> bytes | None:
        """As Link.receive()."""
        if not data:
            return link.end("closed before its PROXY header")
        if not self._believed:
            return link.end("its address is not in [device] proxy_from")
        got = self._preamble.feed(data)
        if got is None:
            return None
        if isinstance(got, Refused):
            return link.end(got.why)
        if got.address:
            # One that is turned away keeps the socket's address: it was never counted under
            # the other.
            if self._enter is not None and not self._enter(got.address):
                return link.end(f"too many connections from its address {got.address}")
            link.address = got.address
        link.inbound = self._next
        return link.receive(got.rest) if got.rest else None


class Secure:
    """TLS, both ways."""

    __slots__ = ("_tls", "ended")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._tls = Tls(context)
        self.ended = False

    @property
    def opening(self) -> bool:
        return not self._tls.open

    def receive(self, link: Link, data: bytes) -> bytes | None:
        """As Link.receive()."""
        turn = self._tls.receive(data)
        if turn.wire:
            link.send_as_it_is(turn.wire)
        if turn.closed:
            self.ended = True
            if self._tls.why:
                link.end(self._tls.why)
        return turn.plain if turn.plain or turn.closed else None

    def seal(self, plain: bytes) -> bytes:
        """As Outbound.seal()."""
        return self._tls.send(plain)

    def goodbye(self) -> bytes:
        """As Outbound.goodbye()."""
        return self._tls.close()
