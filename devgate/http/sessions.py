"""Who is looking: sessions in signed cookies, one-time logins, and the tokens of forms.

A session is stored in its cookie alone, so it outlives a restart. It ends after a time, at a
logout, and at once when its user or token is removed or gets another password.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, Literal

import trio
from itsdangerous import BadData, URLSafeTimedSerializer

from devgate.access.tokens import Token, Tokens
from devgate.access.users import Busy, Users
from devgate.http.logged_out import EndedSessions
from devgate.http.login_limit import LoginLimit

log = logging.getLogger("devgate.http")

SESSION_COOKIE = "devgate_session"
# If browsers come by TLS: no other host, not even one of the same domain, can set such a cookie.
HOST_PREFIX = "__Host-"
SESSION_SECONDS = 12 * 3600  # seconds: a working day, then people have to log in again
CODE_SECONDS = 300  # seconds for the code of a second factor, once the password was right
MAX_SLOWED = 64  # logins that are delayed at the same time, because their accounts are tried often
INVITATION_SECONDS = 3600.0  # seconds in which a one-time login can be used

Kind = Literal["user", "token", "guest"]


@dataclass(frozen=True, slots=True)
class WebSession:
    """Somebody who has logged in. `who` has the name, the role and the sites, as a token has."""

    who: Token
    kind: Kind
    id: str

    @property
    def name(self) -> str:
        """The name of the user or token."""
        return self.who.name

    @property
    def role(self) -> str:
        """The role of the user or token."""
        return self.who.role


class Sessions:
    """Makes sessions and knows them again."""

    def __init__(
        self,
        secret: bytes,
        users: Users | None,
        tokens: Tokens | None,
        *,
        secure: bool = False,
        ended_file: str = "",
        is_ended: Callable[[str], bool] = lambda id: False,
    ) -> None:
        """`secure`: browsers come by TLS. `ended_file` stores logouts over a restart, if given.
        `is_ended`: whether the session of that id was ended, here or at another node."""
        self.prefix = HOST_PREFIX if secure else ""
        self.cookie = self.prefix + SESSION_COOKIE
        self._slowed = 0
        self._is_ended = is_ended
        self._ended = EndedSessions(ended_file, SESSION_SECONDS)
        self.sign_with(secret)
        self._users = users
        self._tokens = tokens
        self._run = secrets.token_hex(8)  # a guest's session ends with the process
        self.login_limit = LoginLimit()
        self._invitations: dict[str, tuple[float, str]] = {}

    def sign_with(self, secret: bytes) -> None:
        """Sign from now on with this secret. Sessions that were signed with another are over."""
        self._signer = URLSafeTimedSerializer(
            secret, salt="devgate session", signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._second = URLSafeTimedSerializer(
            secret, salt="devgate second factor", signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._key = hmac.digest(secret, b"devgate forms", "sha256")

    async def by_password(self, name: str, password: str, address: str = "") -> str | None:
        """The cookie of a new session, or None if name or password is wrong.

        Raises Busy if too many passwords are being looked at.
        """
        users = self._users
        user = None if users is None else await users.check(name, password, address)
        return None if user is None else self._begin("user", user.name, user.role, user.hash)

    def by_token(self, secret: str) -> str | None:
        """A session for the secret of a token, or None."""
        token = None if self._tokens is None else self._tokens.check(secret)
        return token and self._begin("token", token.name, token.role, token.digest)

    @contextmanager
    def slowed(self, delay: float) -> Iterator[None]:
        """Count an attempt while it is delayed. Raises Busy if too many are."""
        if delay and self._slowed >= MAX_SLOWED:
            raise Busy
        self._slowed += delay > 0
        try:
            yield
        finally:
            self._slowed -= delay > 0

    def is_user(self, name: str) -> bool:
        """Whether there is a user of that name. Any other text may be a password: do not log
        it."""
        return self._users is not None and self._users.get(name) is not None

    def invite(self, role: str = "admin") -> str:
        """A word that logs in once, within an hour. For the URL that a demo prints."""
        word = secrets.token_urlsafe(18)
        self._invitations[_hash(word)] = (monotonic() + INVITATION_SECONDS, role)
        return word

    def by_invitation(self, word: str) -> str | None:
        """The cookie of a new session for a word of invite(), which is good once; or None."""
        until, role = self._invitations.pop(_hash(word), (0.0, ""))
        return self._begin("guest", "guest", role, self._run) if until > monotonic() else None

    def pending(self, session: WebSession) -> str:
        """A text that proves for some minutes that the password was right: the code is missing."""
        _, proof, _ = self._standing(session.kind, session.name, session.role)
        return str(self._second.dumps({"n": session.name, "p": _hash(proof)}))

    def of_pending(self, text: str) -> str | None:
        """Whose password was right; None if that is too long ago, or it was changed since."""
        try:
            says: dict[str, Any] = self._second.loads(text[:2000], max_age=CODE_SECONDS)
        except BadData:
            return None
        _, proof, _ = self._standing("user", says["n"], "")
        fits = proof and hmac.compare_digest(_hash(proof), says["p"])
        return str(says["n"]) if fits else None

    def by_name(self, name: str) -> str | None:
        """The cookie of a new session of a user who was identified otherwise; or None."""
        user = None if self._users is None else self._users.get(name)
        return None if user is None else self._begin("user", user.name, user.role, user.hash)

    def _begin(self, kind: Kind, name: str, role: str, proof: str) -> str:
        says = {
            "k": kind, "n": name, "r": role, "p": _hash(proof), "i": secrets.token_hex(8)
        }  # fmt: skip
        return str(self._signer.dumps(says))

    def of(self, cookies: Mapping[str, str]) -> WebSession | None:
        """The session in the cookies of a request, if it has not ended."""
        text = cookies.get(self.cookie)
        if not text or len(text) > 2000:
            return None
        try:
            says: dict[str, Any] = self._signer.loads(text, max_age=SESSION_SECONDS)
        except BadData:
            return None
        if says["i"] in self._ended or self._is_ended(says["i"]):
            return None
        role, proof, sites = self._standing(says["k"], says["n"], says["r"])
        if role is None or not hmac.compare_digest(_hash(proof), says["p"]):
            return None
        return WebSession(Token(says["n"], role, "", "", sites), says["k"], says["i"])

    async def end(self, session: WebSession) -> None:
        """Log out: from now on no copy of the session's cookie is of any use."""
        self._ended.add(session.id)
        try:
            await trio.to_thread.run_sync(self._ended.write, session.id)
        except OSError as err:
            log.error(
                "logout not written, it ends with the gateway file=%s reason=%s",
                self._ended.path, err.strerror,
            )  # fmt: skip

    def _standing(
        self, kind: Kind, name: str, role: str
    ) -> tuple[str | None, str, frozenset[str] | None]:
        """The role, the proof and the sites that a user or token has now. The proof changes with
        the password or secret."""
        if kind == "guest":
            return role, self._run, None
        if kind == "user":
            user = None if self._users is None else self._users.get(name)
            return (user.role, user.hash, user.sites) if user else (None, "", None)
        token = None if self._tokens is None else self._tokens.named(name)
        return (token.role, token.digest, token.sites) if token else (None, "", None)

    def form_token(self, session: WebSession | None, visitor: str) -> str:
        """What a form of this page has to contain: no other site can know it."""
        name = f"{session.id if session else ''} {visitor}"
        return hmac.new(self._key, name.encode(), "sha256").hexdigest()

    def is_own_form(self, session: WebSession | None, visitor: str, given: str) -> bool:
        """Whether a form carries what form_token() gave this session or visitor."""
        expected = self.form_token(session, visitor)
        return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
