"""Users who log in through a provider: which user its claims mean, and the rights of that user.

Without roles in the configuration these are the users who were added for the provider. With them
the claims decide at each login: a user who is not there is made, and has the role and the sites of
that moment.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, NamedTuple

from devgate.access.names import check_name
from devgate.access.tokens import ROLES
from devgate.config.oidc import OidcSettings
from devgate.errors import CallerError, SetupError
from devgate.gateway.clock import time
from devgate.gateway.gateway import Gateway
from devgate.model import Source, shown
from devgate.store import accounts as stored
from devgate.store.accounts import MAX_SITES, Account
from devgate.store.device import MAX_NAME as MAX_SITE

ALL_SITES = "*"  # in the claim of sites
MAX_CLAIM_VALUES = 1000  # of one claim that are read
# The fields of a user who logs in through the provider. He has no password here, and `subject` is
# set at the first login with his name.
BY_PROVIDER: Mapping[str, Any] = {
    "provider": True, "subject": None, "proof": "", "invited": None, "totp": None,
    "totp_step": None, "recovery": None,
}  # fmt: skip


class Unwanted(CallerError):
    """The provider knows this person, who may not log in here."""

    def __init__(self, text: str) -> None:
        super().__init__("401", text)


class Rights(NamedTuple):
    """What the claims give."""

    role: str
    sites: frozenset[str] | None  # None: all


async def known_as(
    gateway: Gateway,
    settings: OidcSettings,
    subject: str,
    claims: Mapping[str, Any],
    address: str,
) -> str:
    """The name of the user whom the provider means. One that is new, or whose rights have changed,
    is on disk when this returns.

    Raises Unwanted for one who may not log in, CallerError if nobody else can be added, and
    StoreError.
    """
    name = _name(settings, claims)
    who = f"{settings.issuer} {subject}"
    rights = rights_of(settings, claims) if settings.roles else None
    if settings.roles and rights is None:
        raise Unwanted(f"{name}: nothing at the provider gives you a role at this gateway")
    known = _known(gateway, who)
    if known is not None and (rights is None or Rights(known.role, known.sites) == rights):
        return _enabled(known)
    made = None
    if rights is not None:
        made = Account(
            "user", name, rights.role, rights.sites, "", True, time(), provider=True, subject=who
        )
    try:
        now, before = await gateway.accounts.change(stored.by_provider, who, name, made)
    except CallerError as err:
        if err.status == "409" and "another user" in str(err):
            raise Unwanted(f"{err}, who does not log in through the provider") from None
        raise
    if now is None:
        raise Unwanted(f"{name}: no user of that name was added for the provider")
    _tell(gateway, now, before, address)
    return _enabled(now)


def _known(gateway: Gateway, subject: str) -> Account | None:
    every = gateway.accounts.all("user")
    return next((one for one in every if one.subject == subject), None)


def _enabled(one: Account) -> str:
    if not one.enabled:
        raise Unwanted(f"{one.name}: this user is disabled")
    return one.name


def _name(settings: OidcSettings, claims: Mapping[str, Any]) -> str:
    given = claims.get(settings.name_claim)
    if not isinstance(given, str) or not given:
        raise Unwanted(f"the provider gives no name: it has no claim {settings.name_claim}")
    try:
        return check_name(unicodedata.normalize("NFC", given))
    except SetupError:
        raise Unwanted(
            f"the provider gives a name that no user can have: {shown(given)}"
        ) from None


def rights_of(settings: OidcSettings, claims: Mapping[str, Any]) -> Rights | None:
    """The highest rights that the claims give; None: they give none."""
    roles = settings.roles
    given = {roles[one] for one in _values(claims.get(settings.role_claim)) if one in roles}
    if not given:
        return None
    role = max(given, key=ROLES.index)
    if not settings.sites_claim:
        return Rights(role, None)
    sites = _values(claims.get(settings.sites_claim))
    if ALL_SITES in sites:
        return Rights(role, None)
    named = frozenset(one for one in sites if 0 < len(one) <= MAX_SITE and one.isprintable())
    # No rights if there are too many: nothing says which of them to leave out.
    return Rights(role, named) if 0 < len(named) <= MAX_SITES else None


def _values(claim: object) -> list[str]:
    """A claim's texts: providers give one, or a list of them."""
    listed = claim if isinstance(claim, list) else [claim]
    return [one for one in listed[:MAX_CLAIM_VALUES] if isinstance(one, str)]


def _tell(gateway: Gateway, now: Account, before: Account | None, address: str) -> None:
    who = Source(f"web:{now.name}", address=address)

    def tell(event: str, **detail: object) -> None:
        gateway.records.event(
            event, None, kind="user", name=now.name, source=who.plain,
            address=who.address or None, **detail,
        )  # fmt: skip

    if before is None:
        sites = None if now.sites is None else sorted(now.sites)
        tell("account.added", role=now.role, sites=sites, provider=True)
        return
    changes: dict[str, Any] = {}
    if now.role != before.role:
        changes["role"] = {"old": before.role, "new": now.role}
    if now.sites != before.sites:
        changes["sites"] = {"old": in_words(before.sites), "new": in_words(now.sites)}
    if now.subject != before.subject:
        changes["provider"] = {"old": None, "new": now.subject}
    if changes:
        tell("account.changed", changes=changes)


def in_words(sites: frozenset[str] | None) -> str | None:
    """The sites of an account as events have them; None: all."""
    return None if sites is None else ", ".join(sorted(sites))


def of_provider(gateway: Gateway, name: str) -> bool:
    """Whether this user logs in through the provider."""
    return any(one.name == name and one.provider for one in gateway.accounts.all("user"))


def must_not_be_of_provider(gateway: Gateway, name: str) -> None:
    """Raises CallerError (409) for who has neither password nor second factor here."""
    if of_provider(gateway, name):
        raise CallerError(
            "409", "you log in through the provider: password and second factor are kept there"
        )


def must_have_no_password(password: str | None, invite: bool = False) -> None:
    """Raises CallerError (400) if one is given, or an invitation."""
    if password is not None or invite:
        raise CallerError(
            "400", "provider: who logs in through the provider has neither password nor invitation"
        )
