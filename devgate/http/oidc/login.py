"""One login through the provider: from the button to the claims of its ID token.

Nothing is stored between the two requests, so that the second may reach another node, or a gateway
that was restarted. A signed cookie holds a random word, and state, nonce and verifier are derived
from it with a secret: who reads the cookie or an address learns none of the others.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote_plus

import trio
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from itsdangerous import BadData, URLSafeTimedSerializer
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from devgate.config.oidc import OidcSettings
from devgate.errors import SetupError
from devgate.gateway.clock import time
from devgate.http.oidc.asking import ProviderAway, ProviderRefused, ProviderRequests
from devgate.http.oidc.provider import ALGORITHMS, Endpoints, Provider

LOGIN_COOKIE = "devgate_oidc"
CALLBACK = "/login/oidc/callback"
LOGIN_SECONDS = 900  # seconds that somebody may take at the provider
LEEWAY_SECONDS = 60  # seconds by which its clock may differ
# The kind of key that an algorithm needs, by its first letters.
KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
MAX_TOKEN = 64 * 1024  # characters of an ID token
MAX_PARAMETER = 4096  # characters of one parameter of the callback


class Begun(NamedTuple):
    """A login that was begun: where the browser goes, and what its cookie holds until then."""

    url: str
    cookie: str


class Identity(NamedTuple):
    """The identity of a person, as the provider states it."""

    subject: str  # never another person's at this provider
    claims: Mapping[str, Any]


class Oidc:
    """Logins through one provider. Belongs to one trio run."""

    def __init__(self, settings: OidcSettings, public: str, secret: bytes) -> None:
        """`public`: our address. Raises SetupError for a file that cannot be used."""
        settings.secret()  # the file is there
        self.settings = settings
        self._callback = public + CALLBACK
        self._asking = ProviderRequests(settings.issuer, settings.ca_file)
        self.provider = Provider(settings.issuer, self._asking)
        self.sign_with(secret)

    def sign_with(self, secret: bytes) -> None:
        """Sign from now on with this secret. Logins under way have to be begun again."""
        self._signer = URLSafeTimedSerializer(
            secret, salt="devgate oidc", signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._key = hmac.digest(secret, b"devgate oidc", "sha256")

    def _derived(self, word: str, purpose: str) -> str:
        found = hmac.digest(self._key, f"{purpose} {word}".encode(), "sha256")
        return urlsafe_b64encode(found).decode().rstrip("=")

    async def begin(self, path: str) -> Begun:
        """A login that leads to that path of ours. Raises ProviderAway."""
        endpoints, word = await self.provider.endpoints(), secrets.token_urlsafe(24)
        url = prepare_grant_uri(
            endpoints.authorization,
            self.settings.client_id,
            "code",
            redirect_uri=self._callback,
            scope=list(self.settings.scopes),
            state=self._derived(word, "state"),
            nonce=self._derived(word, "nonce"),
            code_challenge=create_s256_code_challenge(self._derived(word, "verifier")),
            code_challenge_method="S256",
        )
        return Begun(str(url), str(self._signer.dumps({"w": word, "p": path})))

    def begun(self, cookie: str, given: Mapping[str, str]) -> tuple[str, str] | None:
        """The word and the path of the login that this callback belongs to. None: this browser has
        not begun it, or too long ago."""
        try:
            says: dict[str, Any] = self._signer.loads(
                cookie[:MAX_PARAMETER], max_age=LOGIN_SECONDS
            )
        except BadData:
            return None
        expected = self._derived(says["w"], "state")
        state = given.get("state", "")[:MAX_PARAMETER]
        if not hmac.compare_digest(expected.encode(), state.encode("utf-8", "surrogatepass")):
            return None
        return says["w"], says["p"]

    async def identify(self, word: str, given: Mapping[str, str]) -> Identity:
        """Who has logged in, by the parameters of the callback. Raises ProviderAway and
        ProviderRefused."""
        endpoints = await self.provider.endpoints()
        issuer, code = given.get("iss"), given.get("code", "")
        if (issuer is not None or endpoints.names_itself) and issuer != self.settings.issuer:
            raise ProviderRefused("the answer is another provider's")
        if not code or len(code) > MAX_PARAMETER:
            raise ProviderRefused("the answer has no code")
        tokens = await self._exchange(endpoints, code, self._derived(word, "verifier"))
        id_token, access = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(id_token, str) or len(id_token) > MAX_TOKEN:
            raise ProviderRefused("its answer has no ID token")
        access = access if isinstance(access, str) else ""
        claims = await self._verified(id_token, access, self._derived(word, "nonce"))
        if endpoints.userinfo and access and self._wanted() - claims.keys():
            more = await self.provider.userinfo(access)
            if more.get("sub") != claims["sub"]:
                raise ProviderRefused("its userinfo is about somebody else")
            claims = {**more, **claims}
        return Identity(claims["sub"], claims)

    def _wanted(self) -> set[str]:
        settings = self.settings
        return {
            settings.name_claim,
            *((settings.role_claim,) if settings.roles else ()),
            *((settings.sites_claim,) if settings.roles and settings.sites_claim else ()),
        }

    async def _exchange(self, endpoints: Endpoints, code: str, verifier: str) -> dict[str, Any]:
        try:
            secret = await trio.to_thread.run_sync(self.settings.secret)
        except SetupError as err:
            raise ProviderAway(str(err)) from None
        body = prepare_token_request(
            "authorization_code", redirect_uri=self._callback, code=code, code_verifier=verifier
        )
        method = ("client_secret_basic" if endpoints.basic else "client_secret_post") * bool(
            secret
        )
        who = self.settings.client_id, secret
        if method == "client_secret_basic":  # RFC 6749, 2.3.1: each as a value of a form
            who = quote_plus(who[0]), quote_plus(who[1])
        auth = ClientAuth(*who, method or "none")
        headers: dict[str, str] = {}
        uri, headers, body = auth.prepare("POST", endpoints.token, headers, body)
        return await self._asking.post(uri, headers, body)

    async def _verified(self, token: str, access_token: str, nonce: str) -> dict[str, Any]:
        """The claims of an ID token that is good: signature, issuer, audience, times, nonce."""
        try:
            header = _header(token)
            algorithm, kid = header.get("alg"), header.get("kid")
            if algorithm not in ALGORITHMS:
                raise ProviderRefused(f"its ID token is signed with {str(algorithm)[:40]!r}")
            kind = KEY_TYPES[algorithm[:2]]
            # Other members of the head are allowed, unless they are marked as critical.
            rules = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
            for key in await self.provider.keys(kid if isinstance(kid, str) else None, kind):
                try:
                    found = jwt.decode(token, key, registry=rules)
                except (JoseError, ValueError):
                    continue
                # The library knows the hash of Ed25519 by the name EdDSA alone (RFC 9864).
                header = {**found.header, "alg": "EdDSA" if kind == "OKP" else algorithm}
                claims = CodeIDToken(
                    found.claims, header,
                    {
                        "iss": {"essential": True, "value": self.settings.issuer},
                        "aud": {"essential": True, "value": self.settings.client_id},
                        "sub": {"essential": True},
                    },
                    {"nonce": nonce, "client_id": self.settings.client_id,
                     "access_token": access_token},
                )  # fmt: skip
                claims.validate(now=int(time()), leeway=LEEWAY_SECONDS)
                subject = claims["sub"]
                good = isinstance(subject, str) and subject.isprintable()
                if not good or not subject or len(subject) > 255:
                    raise ProviderRefused("its ID token has no subject")
                return dict(claims)
        except (JoseError, ValueError, TypeError, AttributeError, RecursionError) as err:
            why = " ".join(str(err).split()) or type(err).__name__
            raise ProviderRefused(f"its ID token is not good: {why[:200]}") from None
        raise ProviderRefused("its ID token is signed with a key that it does not have")

    async def aclose(self) -> None:
        """Close the connections to the provider."""
        await self._asking.aclose()


def _header(token: str) -> Mapping[str, Any]:
    """What a token says of its signature. It is true only if the signature is good. Raises
    ValueError."""
    head = token.partition(".")[0]
    found = json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    return found if isinstance(found, dict) else {}
