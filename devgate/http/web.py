"""What every route works with."""

from __future__ import annotations

import logging
import math
import os
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from devgate.access.tokens import Tokens
from devgate.access.users import Users
from devgate.config.settings import HttpSettings
from devgate.errors import SetupError
from devgate.events.log import EventLog
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply, Stream
from devgate.http.boards import Boards
from devgate.http.login_limit import Told
from devgate.http.serving.quota import Quota
from devgate.http.sessions import Sessions

SECRET = 32  # bytes: what signs sessions

Dispatch = Callable[[Args, str], Awaitable[Reply | Stream]]


log = logging.getLogger("devgate.http")


@dataclass(slots=True)
class Web:
    """One gateway, as the web sees it."""

    gateway: Gateway
    dispatch: Dispatch
    events: EventLog
    tokens: Tokens | None
    users: Users | None
    settings: HttpSettings
    secret: bytes
    sessions: Sessions = field(init=False)
    stopping: trio.Event = field(default_factory=trio.Event)  # streams end: the gateway stops
    quota: Quota = field(default_factory=Quota)
    boards: Boards = field(init=False)  # its task is the server's
    told: Told = field(default_factory=Told)  # which refused logins are told in events
    # When a page could last not read the database (trio's clock), and why: others need not try.
    unread: tuple[float, str] = (-math.inf, "")

    def __post_init__(self) -> None:
        settings = self.settings
        self.sessions = Sessions(
            self.secret,
            self.users,
            self.tokens,
            secure=self.secure,
            ended_file=f"{settings.secret}.ended" if settings.secret else "",
            is_ended=lambda id: id in self.gateway.accounts.ended,
        )
        self.boards = Boards(self.events, self.stopping, state=self._state)

    async def renew(self) -> None:
        """Take up a secret of sessions that was changed in its file: all sessions end. Raises
        SetupError if it cannot be used; then the one before stays."""
        if self.settings.secret:
            found = await trio.to_thread.run_sync(secret_of, self.settings.secret)
            if found != self.secret:
                self.secret = found
                self.sessions.sign_with(found)
                log.info("secret of sessions renewed, all sessions have ended")

    def _state(self) -> str:
        """Why starts are refused; "ok": they are not."""
        state = self.gateway.records.state
        return "quarantine" if state == "ok" and self.gateway.quarantine.held else state

    @property
    def secure(self) -> bool:
        """Whether browsers come by TLS, to us or to the proxy in front of us."""
        return self.settings.tls is not None or self.settings.public.startswith("https:")


def opened(gateway: Gateway, dispatch: Dispatch, tokens: Tokens | None) -> Web:
    """The web of a gateway, by its settings.

    Reads the file of the secret, which is made if it is missing. Raises
    SetupError if one of them is of no use.
    """
    settings = gateway.settings.http
    if settings.secret:
        secret = secret_of(settings.secret)
    elif gateway.cluster is not None:  # a session of one node is one of all
        secret = gateway.cluster.derived("http sessions")
    else:
        secret = secrets.token_bytes(SECRET)
    users = gateway.accounts.users
    return Web(gateway, dispatch, gateway.events, tokens, users, settings, secret)


def secret_of(path: str) -> bytes:
    """The bytes in this file. A missing one is made, for its owner alone. Raises SetupError."""
    try:
        try:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            with open(path, "rb") as file:
                secret = file.read(4096).strip()
        else:
            secret = secrets.token_hex(SECRET).encode()
            with os.fdopen(fd, "wb") as file:
                file.write(secret + b"\n")
    except OSError as err:
        raise SetupError(
            f"the file {path} cannot be used: {err.strerror};"
            " let the gateway's user read it, or set another [http] secret"
        ) from None
    if len(secret) < SECRET:
        raise SetupError(
            f"the file {path} holds no secret of at least {SECRET} bytes;"
            " remove it, and the gateway makes one, or set another [http] secret"
        )
    return secret
