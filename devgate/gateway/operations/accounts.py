"""Operations on users and tokens: their names, their roles, and their sites."""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from devgate.access.names import check_name
from devgate.access.tokens import ROLES, new_secret
from devgate.errors import CallerError
from devgate.gateway.clock import time
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments, audit
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.passwords import HIDDEN, checked, hash_of, hashed
from devgate.gateway.operations.provider_users import (
    BY_PROVIDER,
    in_words,
    must_have_no_password,
)
from devgate.gateway.operations.reply import Reply
from devgate.model import Source, iso
from devgate.store import accounts as stored
from devgate.store.accounts import MAX_SITES, Account, Kind
from devgate.store.device import MAX_NAME as MAX_SITE

INVITED_SECONDS = 7 * 86400.0  # for which an invitation can be used
USER_FIELDS = (
    "role", "sites", "all_sites", "enabled", "password", "invite", "no_second_factor", "provider"
)  # fmt: skip
TOKEN_FIELDS = ("role", "sites", "all_sites", "enabled", "new_secret")
NOT_IN_EVENTS = ("invited", "totp_step", "recovery", "subject")  # fields of an account


async def users(gateway: Gateway, args: Args, source: str) -> Reply:
    """A page of the users, by name."""
    return _page(gateway, args, "user")


async def tokens(gateway: Gateway, args: Args, source: str) -> Reply:
    """A page of the tokens, by name."""
    return _page(gateway, args, "token")


def _page(gateway: Gateway, args: Args, kind: Kind) -> Reply:
    after, limit = arguments.text(args, "after"), arguments.limit(args)
    found = [one for one in gateway.accounts.all(kind) if after is None or one.name > after]
    return {
        "status": "200",
        "items": [_item(gateway, one) for one in found[:limit]],
        "next": found[limit - 1].name if len(found) > limit else None,
    }


def _item(gateway: Gateway, one: Account) -> Reply:
    item: Reply = {
        "name": one.name,
        "role": one.role,
        "sites": None if one.sites is None else sorted(one.sites),
        "enabled": one.enabled,
        "added_at": iso(one.added_at),
    }
    if one.kind == "user":
        until = one.invited_until if one.invited and (one.invited_until or 0) > time() else None
        item |= {
            "has_password": bool(one.proof),
            "invited_until": iso(until),
            "second_factor": one.totp is not None,
            "provider": one.provider,
        }
    return item


async def user_add(gateway: Gateway, args: Args, source: str) -> Reply:
    """Add a user: with a password, or with an invitation, which the reply has; or one who logs in
    through the provider."""
    name, provider = _name(args, "user"), arguments.yes(args, "provider", False)
    password = arguments.secret_text(args, "password")
    proof, invitation = "", None
    if provider:
        must_have_no_password(password)
    elif password is None:
        invitation = secrets.token_urlsafe(24)
    else:
        proof = await hashed(gateway, password)
    return await _added(
        gateway, args, source, "user", name, proof, provider=provider, invitation=invitation
    )


async def token_add(gateway: Gateway, args: Args, source: str) -> Reply:
    """Add a token. The reply has its secret, which no later reply has."""
    name = _name(args, "token")
    secret, digest = new_secret()
    return await _added(gateway, args, source, "token", name, digest, token=secret)


async def _added(
    gateway: Gateway,
    args: Args,
    source: str,
    kind: Kind,
    name: str,
    proof: str,
    *,
    provider: bool = False,
    **shown_once: str | None,
) -> Reply:
    role = arguments.choice(args, "role", ROLES) or "command"
    account = Account(
        kind, name, role, _sites(args), proof, True, time(), provider=provider,
        **_invited(shown_once),
    )  # fmt: skip
    await gateway.accounts.change(stored.add, account)
    rights = {"role": role, "sites": _shown_sites(account.sites)}
    audit.note(gateway, "account.added", source, kind=kind, name=name, **rights)
    return {
        "status": "200",
        "message": f"{kind} {name} is known with the role {role}",
        "name": name,
        **rights,
        **shown_once,
    }


def _invited(shown_once: Mapping[str, str | None]) -> dict[str, Any]:
    word = shown_once.get("invitation")
    if word is None:
        return {}
    return {"invited": hash_of(word), "invited_until": time() + INVITED_SECONDS}


async def user_edit(gateway: Gateway, args: Args, source: str) -> Reply:
    """Change a user: what is given, and nothing else. Another password ends the sessions."""
    name, changes = _named(args), _rights(args, USER_FIELDS)
    _must_not_be_own(args, source, name, changes)
    password, shown_once = arguments.secret_text(args, "password"), dict[str, str | None]()
    invite = arguments.yes(args, "invite", False)
    if arguments.yes(args, "provider", False):
        must_have_no_password(password, invite)
        changes |= BY_PROVIDER
    elif password is not None or invite:
        changes |= {"provider": False, "subject": None}
    if password is not None:
        changes |= {"proof": await hashed(gateway, password), "invited": None}
    if arguments.yes(args, "no_second_factor", False):
        changes |= {"totp": None, "totp_step": None, "recovery": None}
    if invite:
        shown_once = {"invitation": secrets.token_urlsafe(24)}
        changes |= _invited(shown_once)
    return await _changed(
        gateway, source, "user", name, changes, {"invitation": None, **shown_once}
    )


async def token_edit(gateway: Gateway, args: Args, source: str) -> Reply:
    """Change a token: what is given, and nothing else."""
    name, changes = _named(args), _rights(args, TOKEN_FIELDS)
    secret = None
    if arguments.yes(args, "new_secret", False):
        secret, changes["proof"] = new_secret()
    return await _changed(gateway, source, "token", name, changes, {"token": secret})


def _rights(args: Args, fields: tuple[str, ...]) -> dict[str, Any]:
    if not any(name in args for name in fields):
        raise CallerError("400", f"nothing to change: one of {', '.join(fields)} expected")
    changes: dict[str, Any] = {}
    if (role := arguments.choice(args, "role", ROLES)) is not None:
        changes["role"] = role
    if arguments.yes(args, "all_sites", False):
        if args.get("sites") is not None:
            raise CallerError("400", "all_sites: either sites or all_sites expected, not both")
        changes["sites"] = None
    elif (sites := _sites(args)) is not None:
        changes["sites"] = sites
    if (enabled := arguments.maybe(args, "enabled")) is not None:
        changes["enabled"] = enabled
    return changes


async def _changed(
    gateway: Gateway,
    source: str,
    kind: Kind,
    name: str,
    changes: Mapping[str, Any],
    shown_once: Mapping[str, object],
) -> Reply:
    before = asdict(await gateway.accounts.change(stored.change, kind, name, changes))
    event_changes: dict[str, Any] = {}
    for field, new in changes.items():
        if field == "proof" and (new or before[field]):
            event_changes["password" if kind == "user" else "secret"] = HIDDEN
        elif field == "sites":
            event_changes[field] = {"old": in_words(before[field]), "new": in_words(new)}
        elif field == "invited_until":
            event_changes["invitation"] = {"old": iso(before[field]), "new": iso(new)}
        elif field == "totp" and (new or before[field]):
            event_changes["second_factor"] = {"old": before["totp"] is not None, "new": False}
        elif field not in NOT_IN_EVENTS and before[field] != new:
            event_changes[field] = {"old": before[field], "new": new}
    audit.note(gateway, "account.changed", source, kind=kind, name=name, changes=event_changes)
    now = {**before, **changes}
    return {
        "status": "200",
        "message": f"changed the {kind} {name}",
        "name": name,
        "role": now["role"],
        "sites": _shown_sites(now["sites"]),
        "enabled": now["enabled"],
        **shown_once,
    }


async def user_remove(gateway: Gateway, args: Args, source: str) -> Reply:
    """Remove a user; the sessions end."""
    name = _named(args)
    _must_not_be_own(args, source, name, {"enabled": False})
    return await _removed(gateway, source, "user", name)


async def token_remove(gateway: Gateway, args: Args, source: str) -> Reply:
    """Remove a token; whoever shows it is refused from now on."""
    return await _removed(gateway, source, "token", _named(args))


async def _removed(gateway: Gateway, source: str, kind: Kind, name: str) -> Reply:
    was: Account = await gateway.accounts.change(stored.remove, kind, name)
    audit.note(gateway, "account.removed", source, kind=kind, name=name, role=was.role,
               sites=_shown_sites(was.sites))  # fmt: skip
    return {"status": "200", "message": f"{kind} {name} removed", "name": name}


def _must_not_be_own(args: Args, source: str, name: str, changes: Mapping[str, Any]) -> None:
    """Raises CallerError (409) for who would take rights from himself: somebody else can do it."""
    takes_away = changes.keys() & {"role", "sites"} or changes.get("enabled") is False
    if takes_away and Source.of(source).person == name:
        raise CallerError("409", "that is your own account: somebody else can change its rights")


def _named(args: Args) -> str:
    """The name of an account that exists."""
    return unicodedata.normalize("NFC", arguments.required(args, "name", "a string"))


def _name(args: Args, kind: Kind) -> str:
    """The name of a new account."""
    return str(checked(lambda text: check_name(text, kind), _named(args)))


def _sites(args: Args) -> frozenset[str] | None:
    """The sites that are given; None: all."""
    given = args.get("sites")
    if given is None:
        return None
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_SITES:
        raise arguments.expected("sites", f"a list of 1 to {MAX_SITES} names", given)
    found = set()
    for one in given:
        found.add(arguments.required({"sites": one}, "sites", "names of sites", MAX_SITE))
    return frozenset(found)


def _shown_sites(sites: frozenset[str] | None) -> list[str] | None:
    return None if sites is None else sorted(sites)
