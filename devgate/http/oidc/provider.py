"""What the provider says of itself: where it is asked, and the keys that it signs with.

Both are used for an hour. Keys are asked for again, at most once a minute, if a token was signed
with a key that is not known.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import trio
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from devgate.http.oidc.asking import ProviderAway, ProviderRequests, shown

log = logging.getLogger("devgate.access")

FRESH_SECONDS = 3600.0  # for which an answer of the provider is used
RETRY_SECONDS = 10.0  # until a provider that did not answer is asked again
KEYS_RETRY_SECONDS = 60.0  # at least between two requests for keys because one is not known
MAX_KEYS = 100  # keys of the provider that are read
WELL_KNOWN = "/.well-known/openid-configuration"
# Signatures with a public key. None with the client's secret, and never "none".
ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    "Ed25519",
)  # fmt: skip

Key = RSAKey | ECKey | OKPKey
KEY_CLASSES: Mapping[str, type[Key]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}


class Endpoints(NamedTuple):
    """Where the provider is asked for what."""

    authorization: str
    token: str
    userinfo: str  # "": it has none
    keys: str
    basic: bool  # the client's secret goes into the head of a request, and not into its form
    names_itself: bool  # `iss` is in the address of the callback (RFC 9207)


class Provider:
    """One provider. Belongs to one trio run."""

    def __init__(self, issuer: str, asking: ProviderRequests) -> None:
        self.issuer = issuer
        self._asking = asking
        self._lock = trio.Lock()
        self._endpoints: Endpoints | None = None
        self._until = 0.0  # trio's clock
        self._failed: tuple[float, str] | None = None  # when it did not answer, and why
        self._keys: Sequence[tuple[str | None, str, Key]] = ()  # (kid, kty, key)
        self._keys_until = self._keys_asked = -KEYS_RETRY_SECONDS

    async def endpoints(self) -> Endpoints:
        """The addresses at which it is asked. Raises ProviderAway."""
        async with self._lock:
            now = trio.current_time()
            if self._endpoints is None or now >= self._until:
                self._endpoints = await self._asked(now)
                self._until = now + FRESH_SECONDS
            return self._endpoints

    async def _asked(self, now: float) -> Endpoints:
        """Ask for them. After a failure this raises at once for RETRY_SECONDS, so that logins do
        not wait one after the other for a provider that is away."""
        if self._failed is not None and now < self._failed[0] + RETRY_SECONDS:
            raise ProviderAway(self._failed[1])
        try:
            found = self._read(await self._asking.get(self.issuer.rstrip("/") + WELL_KNOWN))
        except ProviderAway as err:
            if self._failed is None:
                log.warning("provider of logins is away issuer=%s reason=%s", self.issuer, err)
            self._failed = trio.current_time(), str(err)
            raise
        if self._failed is not None:
            log.info("provider of logins answers again issuer=%s", self.issuer)
        self._failed = None
        return found

    def _read(self, found: Mapping[str, Any]) -> Endpoints:
        if found.get("issuer") != self.issuer:
            raise ProviderAway(
                f"it calls itself {str(found.get('issuer'))[:200]!r}: [http.oidc] issuer has to "
                "be the same, letter by letter"
            )

        def place(name: str, *, needed: bool = True) -> str:
            url = found.get(name)
            if url is None and not needed:
                return ""
            if not isinstance(url, str) or not url.isprintable() or len(url) > 2000:
                raise ProviderAway(f"its configuration has no {name}")
            if not url.startswith("https://") and not self.issuer.startswith("http://"):
                raise ProviderAway(
                    f"its {name} is {shown(url)}: an address with https:// expected"
                )
            return url

        methods = found.get("token_endpoint_auth_methods_supported")
        return Endpoints(
            place("authorization_endpoint"),
            place("token_endpoint"),
            place("userinfo_endpoint", needed=False),
            place("jwks_uri"),
            not isinstance(methods, list) or "client_secret_basic" in methods,
            found.get("authorization_response_iss_parameter_supported") is True,
        )

    async def keys(self, kid: str | None, kind: str) -> Sequence[Key]:
        """Those that may have signed a token: by its `kid`, if it has one, and the kind of key
        that its algorithm needs. Raises ProviderAway."""
        where = (await self.endpoints()).keys
        async with self._lock:
            now = trio.current_time()
            known = self._fitting(kid, kind)
            if now >= self._keys_until or (
                not known and now >= self._keys_asked + KEYS_RETRY_SECONDS
            ):
                self._keys_asked = now
                self._keys = _read_keys(await self._asking.get(where))
                self._keys_until = now + FRESH_SECONDS
            return self._fitting(kid, kind)

    def _fitting(self, kid: str | None, kind: str) -> Sequence[Key]:
        return [
            key
            for its_kid, its_kind, key in self._keys
            if its_kind == kind and (kid is None or its_kid in (None, kid))
        ]

    async def userinfo(self, access_token: str) -> dict[str, Any]:
        """The claims that are not in the ID token. Raises ProviderAway."""
        where = (await self.endpoints()).userinfo
        return await self._asking.get(where, {"Authorization": f"Bearer {access_token}"})


def _read_keys(found: Mapping[str, Any]) -> Sequence[tuple[str | None, str, Key]]:
    """The keys in an answer, without those of other kinds and those that only encrypt."""
    listed = found.get("keys")
    if not isinstance(listed, list):
        raise ProviderAway("its jwks_uri has no keys")
    keys: list[tuple[str | None, str, Key]] = []
    for one in listed[:MAX_KEYS]:
        kind = one.get("kty") if isinstance(one, dict) else None
        if not isinstance(kind, str) or kind not in KEY_CLASSES or one.get("use", "sig") != "sig":
            continue
        kid = one.get("kid")
        try:
            key = KEY_CLASSES[kind].import_key(one)
        except (JoseError, ValueError, TypeError, KeyError):
            continue  # another of them may have signed
        keys.append((kid if isinstance(kid, str) else None, kind, key))
    return keys
