"""The parts that every route uses."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import trio

from devgate.access.secret_file import secret_of
from devgate.access.tokens import Tokens
from devgate.access.users import Users
from devgate.config.settings import HttpSettings
from devgate.events.log import EventLog
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply, Stream
from devgate.http.boards import Boards
from devgate.http.login_limit import LoginEvents
from devgate.http.serving.quota import Quota
from devgate.http.sessions import Sessions
from devgate.store.shared_secret import derived

if TYPE_CHECKING:
    from devgate.http.oidc.login import Oidc

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
    secret_file: str  # "": the secret is in the database
    oidc: Oidc | None = None  # logins through a provider, if there is one
    sessions: Sessions = field(init=False)
    stopping: trio.Event = field(default_factory=trio.Event)  # the gateway stops: streams end
    quota: Quota = field(default_factory=Quota)
    boards: Boards = field(init=False)  # its task is the server's
    login_events: LoginEvents = field(default_factory=LoginEvents)
    # When reading the database failed last (trio's clock), and why: other pages need not try.
    unread: tuple[float, str] = (-math.inf, "")

    def __post_init__(self) -> None:
        self.sessions = Sessions(
            self.secret,
            self.users,
            self.tokens,
            secure=self.secure,
            ended_file=f"{self.secret_file}.ended" if self.secret_file else "",
            is_ended=lambda id: id in self.gateway.accounts.ended,
        )
        self.boards = Boards(self.events, self.stopping, state=self._state)

    async def renew(self) -> None:
        """Read the secret of sessions again. If its file was changed, all sessions end. Raises
        SetupError if it cannot be used; then the one before stays."""
        if self.secret_file:
            read = partial(secret_of, self.secret_file, ours=not self.settings.secret)
            found = await trio.to_thread.run_sync(read)
            if found != self.secret:
                self.secret = found
                self.sessions.sign_with(found)
                if self.oidc is not None:
                    self.oidc.sign_with(found)
                log.info("secret of sessions renewed, all sessions have ended")

    def _state(self) -> str:
        """Why starts are refused; "ok": they are not."""
        state = self.gateway.records.state
        return "quarantine" if state == "ok" and self.gateway.quarantine.held else state

    @property
    def provider(self) -> str:
        """What people call the provider of logins; "": there is none."""
        return self.settings.oidc.called if self.oidc is not None else ""

    @property
    def secure(self) -> bool:
        """Whether browsers come by TLS, to us or to the proxy in front of us."""
        return self.settings.tls is not None or self.settings.public.startswith("https:")


def opened(gateway: Gateway, dispatch: Dispatch, tokens: Tokens | None) -> Web:
    """The web of a gateway, by its settings.

    The secret of sessions is that of a file, which is made if it is missing, or the database's.
    Raises SetupError if it is not usable.
    """
    settings, file = gateway.settings.http, gateway.settings.session_file
    if file:
        secret = secret_of(file, ours=not settings.secret)
    else:  # a session is good at every node, and at the next gateway
        secret = derived(gateway.accounts.shared_secret, "http sessions")
    oidc = None
    if settings.oidc.issuer:
        # Imported here: a gateway without a provider need not load these libraries.
        from devgate.http.oidc.login import Oidc

        oidc = Oidc(settings.oidc, settings.public, secret)
    users = gateway.accounts.users
    return Web(gateway, dispatch, gateway.events, tokens, users, settings, secret, file, oidc)
