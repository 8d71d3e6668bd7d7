"""The caller of one connection of control TCP: the tokens it shows, and what each may do."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from typing import NamedTuple, Protocol

from devgate.control.requests import Args
from devgate.control.shares import Shares
from devgate.errors import TokenRefused
from devgate.gateway.refusals import Refusals
from devgate.model import Source, limits

# Requests with a wrong token or none, in a row; then the connection is closed.
MAX_WRONG_TOKENS = 3
MAX_WRONG_LATER = 20  # ... after a good one: the token may have been changed meanwhile


class Holder(Protocol):
    """The holder of a token. `access.tokens.Token` is one."""

    @property
    def name(self) -> str:
        """The name of the token."""

    @property
    def role(self) -> str:
        """Its role."""

    @property
    def sites(self) -> frozenset[str] | None:
        """The sites that it is limited to; None: to none."""

    def may(self, operation: object) -> bool:
        """True if this one may ask for that `type`."""


class Access(Protocol):
    """Knows the callers of a door by their tokens. `access.tokens.Tokens` is one."""

    def check(self, secret: object) -> Holder | None:
        """Whose token this is, or None. Takes the same time whichever token matches."""


class SocketGroup(NamedTuple):
    """What may be asked by those who can open the Unix socket, and are neither root nor the
    gateway's own user."""

    role: Callable[[], str]  # at the moment: a reload may change it
    may: Callable[[str, object], bool]  # whether that role suffices for a `type`
    # User ids that may ask for everything.
    trusted_users: frozenset[int] = frozenset({0, os.geteuid()})


class Caller:
    """Checks the token of each request. Without `tokens` everything is allowed, and `way` is
    recorded as the source."""

    def __init__(
        self,
        address: str,
        tokens: Access | None,
        shares: Shares,
        refusals: Refusals,
        *,
        door: str = "control",
        way: str = "tcp",
        authenticated: bool = False,
    ) -> None:
        """`address` is the peer's, without its port. `shares` bound what each token has.
        `authenticated`: a good token was shown to the process that had the connection before.

        `door` is the word of `counters.REFUSAL_REASONS` that refusals are counted under, `way`
        what sources begin with.
        """
        self._door = door
        self._way = way
        self.unauthenticated = (
            tokens is not None and not authenticated
        )  # no good token was shown yet
        self._address = address
        self._tokens = tokens
        self._shares = shares
        self._refusals = refusals
        self._wrong = 0  # tokens in a row
        self._source = ""  # the source in whose share this connection counts; "": in none

    @property
    def hopeless(self) -> bool:
        """Whether it has shown too many wrong tokens: it is closed."""
        return self._wrong >= (MAX_WRONG_TOKENS if self.unauthenticated else MAX_WRONG_LATER)

    def admit(self, request: Args) -> Source:
        """Let it ask this request. Returns its source.

        Raises CallerError: 401 as check(), and 429 if that token has enough connections.
        """
        try:
            source = self.check(request)
        except TokenRefused as err:
            self._wrong += err.why == "token"
            raise
        self._wrong = 0
        if self._tokens is not None and source != self._source:
            self._shares.reserve("connections", source)
            self.leave()
            self._source = source
        self.unauthenticated = False
        return source

    def check(self, request: Args) -> Source:
        """Whether the token of this request is good for it now. Returns its source.

        Raises TokenRefused (401), which is counted and logged.
        """
        if self._tokens is None:
            return Source(self._way, address=self._address)
        token = self._tokens.check(request.get("token"))
        if token is None:
            given = "a wrong token" if "token" in request else "no token"
            err = TokenRefused(f"{given}; nothing was done", "token")
        elif not token.may(request.get("type")):
            err = TokenRefused(
                f"the token {token.name} may {limits(token.role, token.sites)} only; nothing was "
                "done",
                "role",
                f"{self._way}:{token.name}",
            )
        else:
            return Source(
                f"{self._way}:{token.name}",
                token.sites,
                address=self._address,
                role=token.role,
            )
        self._refusals.refuse(self._door, err.why, self._address, source=err.source)
        raise err

    def begin_stream(self, source: str) -> None:
        """One more stream of this source. Raises CallerError (429) if it has enough."""
        if self._tokens is not None:
            self._shares.reserve("streams", source)

    def end_stream(self, source: str) -> None:
        """Count one stream less of this source."""
        if self._tokens is not None:
            self._shares.release("streams", source)

    def leave(self) -> None:
        """The connection does not count in a token's share any more."""
        if self._source:
            self._shares.release("connections", self._source)
            self._source = ""


class GroupMember(Caller):
    """A caller on the Unix socket. It needs no token, and its source is "socket"."""

    def __init__(self, group: SocketGroup, refusals: Refusals) -> None:
        super().__init__("", None, Shares(), refusals, way="socket")
        self._group = group

    def check(self, request: Args) -> Source:
        """As Caller.check(): the group's role is in the place of a token's."""
        role, operation = self._group.role(), request.get("type")
        if not self._group.may(role, operation):
            self._refusals.refuse(self._door, "role", "", source=self._way)
            raise TokenRefused(
                f"the control socket's group may {role} only ([control] role); ask as root or as "
                "the gateway's own user; nothing was done",
                "role",
                self._way,
            )
        return Source(self._way, role=role)


def user_of(sock: socket.socket) -> int:
    """The user who has connected to a Unix socket, as the kernel says. Raises OSError."""
    peer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    uid: int = _PEER.unpack(peer)[1]
    return uid


_PEER = struct.Struct("iII")  # struct ucred: pid, uid, gid
