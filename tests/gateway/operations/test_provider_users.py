"""Whom the claims of a provider mean, and what they may."""

from __future__ import annotations

from typing import Any

import pytest

from devgate.config.oidc import OidcSettings
from devgate.gateway.operations.provider_users import Unwanted, known_as, rights_of
from tests.gateway.operations.asking import ask
from tests.gateway.rig import Rig
from tests.gateway.whole import Whole

ISSUER = "https://sso.example"
BY_GROUPS: dict[str, Any] = {
    "read": ["staff"], "command": ["operators"], "admin": ["admins"], "sites_claim": "sites",
}  # fmt: skip


def settings(**given: Any) -> OidcSettings:
    return OidcSettings(issuer=ISSUER, client_id="devgate", **given)


async def login(whole: Whole, subject: str, name: str, *, by: OidcSettings, **claims: Any) -> str:
    found = {"preferred_username": name, **claims}
    return await known_as(whole.gateway, by, subject, found, "10.0.0.1")


async def user(whole: Whole, name: str) -> dict[str, Any]:
    [found] = [one for one in (await ask(whole, "users"))["items"] if one["name"] == name]
    return dict(found)


@pytest.mark.parametrize(
    ("claims", "role", "sites"),
    [
        ({"groups": ["x", "staff"], "sites": ["North"]}, "read", {"North"}),
        ({"groups": ["staff", "admins", "operators"], "sites": "*"}, "admin", None),
        ({"groups": "operators", "sites": ["*", "North"]}, "command", None),
        ({"groups": ["operators"], "sites": ["North", "南区", 7]}, "command", {"North", "南区"}),
    ],
)
def test_claims_give_the_most_that_they_say(
    claims: dict[str, Any], role: str, sites: set[str] | None
) -> None:
    assert rights_of(settings(**BY_GROUPS), claims) == (role, sites)


@pytest.mark.parametrize(
    "claims",
    [
        {}, {"groups": []}, {"groups": ["x"], "sites": "*"}, {"groups": {"staff": 1}},
        {"groups": ["staff"]}, {"groups": ["staff"], "sites": []},
        {"groups": ["staff"], "sites": [f"site {n}" for n in range(201)]},
        {"groups": ["staff"], "sites": ["x" * 10_000, 7]},
    ],
)  # fmt: skip
def test_claims_that_give_nothing(claims: dict[str, Any]) -> None:
    assert rights_of(settings(**BY_GROUPS), claims) is None


async def test_claims_make_and_change_a_user(rig: Rig) -> None:
    whole, by = Whole(rig.database), settings(**BY_GROUPS)
    async with whole.lives():
        north = {"groups": ["operators"], "sites": ["North"]}
        assert await login(whole, "7", "王芳", by=by, **north) == "王芳"
        found = await user(whole, "王芳")
        assert (found["role"], found["sites"], found["provider"]) == ("command", ["North"], True)
        assert await login(whole, "7", "fang", by=by, groups="admins", sites="*") == "王芳", (
            "who has got another name there is the same one"
        )
        found = await user(whole, "王芳")
        assert (found["role"], found["sites"]) == ("admin", None)
        with pytest.raises(Unwanted, match="another user named 王芳"):
            await login(whole, "8", "王芳", by=by, **north)
        await ask(whole, "user_edit", name="王芳", enabled=False)
        with pytest.raises(Unwanted, match="disabled"):
            await login(whole, "7", "王芳", by=by, **north)
        with pytest.raises(Unwanted, match="disabled"):
            await login(whole, "7", "王芳", by=by, groups="admins", sites="*")
        await ask(whole, "user_add", name="boss", password="correct horse battery")
        with pytest.raises(Unwanted, match="boss, who does not log in through the provider"):
            await login(whole, "9", "boss", by=by, **north)
        for name in ("", None, 7, "a  b", "x" * 65, "{0.__class__}\n"):
            with pytest.raises(Unwanted, match="the provider gives"):
                await login(whole, "10", name, by=by, **north)  # type: ignore[arg-type]


async def test_without_roles_only_who_was_added_comes_in(rig: Rig) -> None:
    whole, by = Whole(rig.database), settings()
    async with whole.lives():
        with pytest.raises(Unwanted, match="no user of that name was added for the provider"):
            await login(whole, "71", "anna", by=by, groups=["admins"])
        await ask(whole, "user_add", name="anna", role="read", provider=True)
        assert await login(whole, "71", "anna", by=by, groups=["admins"]) == "anna"
        assert (await user(whole, "anna"))["role"] == "read"
        with pytest.raises(Unwanted, match="another user named anna"):
            await login(whole, "81", "anna", by=by)
        other = OidcSettings(issuer="https://other.example", client_id="devgate")
        with pytest.raises(Unwanted, match="another user named anna"):
            await login(whole, "71", "anna", by=other)
        await ask(whole, "user_edit", name="anna", provider=True)
        assert await login(whole, "81", "anna", by=by) == "anna", "it is somebody new by that name"
        await ask(whole, "user_edit", name="anna", password="correct horse battery")
        found = await user(whole, "anna")
        assert (found["provider"], found["has_password"]) == (False, True)
        with pytest.raises(Unwanted, match="does not log in through the provider"):
            await login(whole, "81", "anna", by=by)
