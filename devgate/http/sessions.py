"""Who is looking: sessions in signed cookies, one-time logins, and the tokens of forms.

Nothing is kept of a session but what its cookie says, so it outlives a restart. It ends
after a time, and at once when its user or token is removed or gets another password.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Literal

from itsdangerous import BadData, URLSafeTimedSerializer

from devgate.gateway.access import Token, Tokens
from devgate.http.pace import Pace
from devgate.http.users import Users

COOKIE = "devgate_session"
LASTS = 12 * 3600  # seconds: a working day, and then one has to show again who one is
INVITED = 3600.0  # seconds that a one-time login waits to be used

Kind = Literal["user", "token", "guest"]


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who has logged in. `who` is known by the same table of roles as a token."""

    who: Token
    kind: Kind
    id: str

    @property
    def name(self) -> str:
        return self.who.name

    @property
    def role(self) -> str:
        return self.who.role

    def may(self, operation: object) -> bool:
        return self.who.may(operation)


class Sessions:
    """Makes sessions and knows them again."""

    def __init__(self, secret: bytes, users: Users | None, tokens: Tokens | None) -> None:
        self._signer = URLSafeTimedSerializer(secret, salt="devgate session")
        self._key = hmac.digest(secret, b"devgate forms", "sha256")
        self._users = users
        self._tokens = tokens
        self._run = secrets.token_hex(8)  # a guest's session ends with the process
        self.pace = Pace()
        self._invitations: dict[str, tuple[float, str]] = {}

    async def by_password(self, name: str, password: str) -> str | None:
        """The cookie of a new session, or None if name or password is wrong."""
        user = None if self._users is None else await self._users.check(name, password)
        return None if user is None else self._begin("user", user.name, user.role, user.hash)

    def by_token(self, secret: str) -> str | None:
        """Likewise, for the secret of a token."""
        token = None if self._tokens is None else self._tokens.check(secret)
        return token and self._begin("token", token.name, token.role, token.digest)

    def invite(self, role: str = "admin") -> str:
        """A word that logs in once, within an hour. For the URL that a demo prints."""
        word = secrets.token_urlsafe(18)
        self._invitations[_hash(word)] = (monotonic() + INVITED, role)
        return word

    def by_invitation(self, word: str) -> str | None:
        """Likewise; the word is spent."""
        until, role = self._invitations.pop(_hash(word), (0.0, ""))
        return self._begin("guest", "guest", role, self._run) if until > monotonic() else None

    def _begin(self, kind: Kind, name: str, role: str, proof: str) -> str:
        says = {
            "k": kind, "n": name, "r": role, "p": _hash(proof), "i": secrets.token_hex(8)
        }  # fmt: skip
        return str(self._signer.dumps(says))

    def of(self, cookies: Mapping[str, str]) -> Session | None:
        """The session that a request's cookies speak of, if it still holds."""
        text = cookies.get(COOKIE)
        if not text or len(text) > 2000:
            return None
        try:
            says: dict[str, Any] = self._signer.loads(text, max_age=LASTS)
        except BadData:
            return None
        role, proof = self._standing(says["k"], says["n"], says["r"])
        if role is None or not hmac.compare_digest(_hash(proof), says["p"]):
            return None
        return Session(Token(says["n"], role, "", ""), says["k"], says["i"])

    def _standing(self, kind: Kind, name: str, role: str) -> tuple[str | None, str]:
        """What role the one of that name has now, and what shows that it is still the same."""
        if kind == "guest":
            return role, self._run
        if kind == "user":
            user = None if self._users is None else self._users.get(name)
            return (user.role, user.hash) if user else (None, "")
        token = None if self._tokens is None else self._tokens.named(name)
        return (token.role, token.digest) if token else (None, "")

    def form_token(self, session: Session | None, visitor: str) -> str:
        """What a form of this page must bring back: no other site can know it."""
        name = f"{session.id if session else ''} {visitor}"
        return hmac.new(self._key, name.encode(), "sha256").hexdigest()

    def is_own_form(self, session: Session | None, visitor: str, given: str) -> bool:
        expected = self.form_token(session, visitor)
        return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
