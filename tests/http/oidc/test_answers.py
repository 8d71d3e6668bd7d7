"""Which answers of a provider are accepted."""

from __future__ import annotations

import json
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from hashlib import sha512
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trio
from joserfc.jwk import RSAKey

from devgate.config.oidc import OidcSettings
from devgate.http.oidc import login as module
from devgate.http.oidc.asking import MAX_ANSWER_BYTES, ProviderAway, ProviderRefused
from devgate.http.oidc.login import Identity, Oidc
from tests.http.oidc.liar import CLIENT, KEYS, SECRET, Liar, liar, with_hmac

PUBLIC, SIGNS = "https://gateway.example", b"s" * 32
Lie = Callable[[Liar], object]
# What the access token "a" is in a token that is signed with EdDSA: half of its SHA-512.
AT_HASH = urlsafe_b64encode(sha512(b"a").digest()[:32]).decode().rstrip("=")
DEEP = urlsafe_b64encode(b"[" * 45_000).decode()  # as the head of a token


@pytest.fixture
def provider() -> Iterator[Liar]:
    with liar() as running:
        yield running


@asynccontextmanager
async def through(provider: Liar, **settings: Any) -> AsyncIterator[Oidc]:
    given = {"issuer": provider.url, "client_id": CLIENT, "client_secret": SECRET, **settings}
    oidc = Oidc(OidcSettings(**given), PUBLIC, SIGNS)
    try:
        yield oidc
    finally:
        await oidc.aclose()


async def logged_in(oidc: Oidc, provider: Liar, **given: str) -> Identity:
    begun = await oidc.begin("/orders")
    provider.begun(begun.url)
    state = parse_qs(urlsplit(begun.url).query)["state"][0]
    found = oidc.begun(begun.cookie, {"state": state})
    assert found is not None
    assert found[1] == "/orders"
    return await oidc.identify(found[0], {"code": "c", **given})


def claims(**changed: object) -> Lie:
    return lambda provider: provider.claims.update(changed)


def times(**seconds: int) -> Lie:
    """These claims are times, in seconds from now."""
    return lambda provider: provider.claims.update(
        {name: int(time.time()) + later for name, later in seconds.items()}
    )


def says(**changed: object) -> Lie:
    return lambda provider: provider.__dict__.update(changed)


def answers(path: str, status: int, body: bytes = b"", **headers: str) -> Lie:
    return lambda provider: provider.answers.update({path: (status, headers, body)})


def forged(key: bytes | None) -> Lie:
    def lie(provider: Liar) -> None:
        now = int(time.time())
        claims = {"iss": provider.url, "aud": CLIENT, "sub": "7", "iat": now, "exp": now + 300}
        provider.token = with_hmac(claims, key)

    return lie


@pytest.mark.parametrize(
    "lie",
    [
        says(),
        says(algorithm="ES256", kid="ec"),
        says(algorithm="EdDSA", kid="okp", claims={"at_hash": AT_HASH}),
        says(algorithm="Ed25519", kid="okp by its new name", claims={"at_hash": AT_HASH}),
        says(kid=""),
        times(exp=-30),
        times(iat=30),
        claims(aud=[CLIENT, "another"], azp=CLIENT),
        claims(preferred_username="wang"),
    ],
    ids=["RSA", "ECDSA", "EdDSA", "EdDSA by its new name", "no kid", "its clock is ahead",
         "its clock is behind", "two audiences", "name in the token"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # providers go on signing with it
async def test_a_good_answer_is_believed(provider: Liar, lie: Lie) -> None:
    lie(provider)
    async with through(provider) as oidc:
        found = await logged_in(oidc, provider)
    assert (found.subject, found.claims["preferred_username"]) == ("7", "wang")
    assert "client_secret" not in provider.form, "it is in the head"


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (says(key=RSAKey.generate_key(2048, {"kid": "rsa"})), "a key that it does not have"),
        (says(kid="unknown"), "a key that it does not have"),
        (forged(SECRET.encode()), "signed with 'HS256'"),
        (forged(KEYS["RS256"].as_pem(private=False)), "signed with 'HS256'"),
        (forged(None), "signed with 'none'"),
        (says(token="x"), "not good"),
        (says(token="x" * 70_000), "no ID token"),
        (says(token=DEEP + ".e30.x"), "not good"),
        (claims(iss="https://another.example"), "iss"),
        (claims(aud="another"), "aud"),
        (claims(aud=["another", "third"]), "aud"),
        (claims(aud=[CLIENT, "another"], azp="another"), "azp"),
        (times(exp=-300), "expired"),
        (claims(exp=None), "exp"),
        (times(iat=3600), "in the future"),
        (times(nbf=3600), "not yet valid"),
        (claims(nonce="of another login"), "nonce"),
        (claims(nonce=None), "nonce"),
        (claims(sub=None), "sub"),
        (claims(sub="8"), "about somebody else"),
        (claims(sub="7\0"), "no subject"),  # PostgreSQL would not take it
        (claims(at_hash="x"), "at_hash"),
        (answers("/token", 400, b'{"error": "invalid_grant"}'), "invalid_grant"),
    ],
)  # fmt: skip
async def test_another_answer_is_refused(provider: Liar, lie: Lie, why: str) -> None:
    lie(provider)
    async with through(provider) as oidc:
        with pytest.raises(ProviderRefused, match=why):
            await logged_in(oidc, provider)


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (answers("/token", 500), "answered 500"),
        (answers("/token", 302, b"", Location="/elsewhere"), "answered 302"),
        (answers("/token", 200, b" " * (MAX_ANSWER_BYTES + 1)), "more than"),
        (answers("/token", 200, b"[1]"), "no JSON object"),
        (answers("/token", 200, b"[" * 200_000), "no JSON object"),
        (answers("/keys", 200, b'{"keys": 1}'), "no keys"),
        (answers("/.well-known/openid-configuration", 302, Location="/elsewhere"), "302"),
        (answers("/.well-known/openid-configuration", 200, json.dumps({"issuer": "x"}).encode()),
         "calls itself 'x'"),
        (says(configuration={"token_endpoint": None}), "no token_endpoint"),
    ],
)  # fmt: skip
async def test_who_does_not_answer_is_away(provider: Liar, lie: Lie, why: str) -> None:
    lie(provider)
    async with through(provider) as oidc:
        with pytest.raises(ProviderAway, match=why):
            await logged_in(oidc, provider)
    assert "/elsewhere" not in provider.asked


async def test_the_provider_is_asked_once_an_hour(
    provider: Liar, autojump_clock: trio.testing.MockClock
) -> None:
    autojump_clock.autojump_threshold = 1e9  # its sockets are real
    async with through(provider) as oidc:
        await logged_in(oidc, provider)
        provider.asked.clear()
        await logged_in(oidc, provider)
        assert provider.asked == ["/token", "/userinfo"]
        provider.kid = "unknown"
        for _ in range(2):
            with pytest.raises(ProviderRefused):
                await logged_in(oidc, provider)
        assert provider.asked.count("/keys") == 0, "it was asked less than a minute ago"
        autojump_clock.jump(61)
        for _ in range(2):
            with pytest.raises(ProviderRefused):
                await logged_in(oidc, provider)
        assert provider.asked.count("/keys") == 1
        provider.kid = "rsa"
        autojump_clock.jump(3600)
        provider.answers["/.well-known/openid-configuration"] = (500, {}, b"")
        provider.asked.clear()
        for _ in range(5):
            with pytest.raises(ProviderAway):
                await oidc.begin("/")
        assert len(provider.asked) == 1, "who is away is not asked each time"
        provider.answers.clear()
        autojump_clock.jump(11)
        await logged_in(oidc, provider)


async def test_the_answer_belongs_to_this_login(
    provider: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with through(provider) as oidc:
        one, two = await oidc.begin("/"), await oidc.begin("/")
        state = [parse_qs(urlsplit(begun.url).query)["state"][0] for begun in (one, two)]
        assert oidc.begun(one.cookie, {"state": state[0]}) is not None
        for cookie, given in (
            (one.cookie, {"state": state[1]}), (two.cookie, {"state": state[0]}),
            ("", {"state": state[0]}), (one.cookie, {}), (one.cookie, {"state": ""}),
            (one.cookie[:-1], {"state": state[0]}), (one.cookie, {"state": "\udfff"}),
        ):  # fmt: skip
            assert oidc.begun(cookie, given) is None
        with pytest.raises(ProviderRefused, match="another provider's"):
            await logged_in(oidc, provider, iss="https://another.example")
        assert state[0] not in one.cookie
        monkeypatch.setattr(module, "LOGIN_SECONDS", -1)
        assert oidc.begun(one.cookie, {"state": state[0]}) is None, "too late"
        oidc.sign_with(b"t" * 32)
        monkeypatch.undo()
        assert oidc.begun(one.cookie, {"state": state[0]}) is None


async def test_a_secret_goes_where_the_provider_takes_it(provider: Liar) -> None:
    provider.configuration = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    async with through(provider) as oidc:
        await logged_in(oidc, provider)
    assert provider.form["client_secret"] == SECRET
    async with through(provider, client_secret="") as oidc:
        await logged_in(oidc, provider)
    assert "client_secret" not in provider.form
    assert provider.form["client_id"] == CLIENT


async def test_a_secret_in_the_head_is_written_as_the_standard_has_it(provider: Liar) -> None:
    async with through(provider, client_id="门 1", client_secret="a+b%c:d") as oidc:
        provider.claims["aud"] = "门 1"
        await logged_in(oidc, provider)
    shown = b64decode(provider.authorization.removeprefix("Basic ")).decode()
    assert shown == "%E9%97%A8+1:a%2Bb%25c%3Ad"
