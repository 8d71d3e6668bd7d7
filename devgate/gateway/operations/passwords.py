"""Passwords of accounts: a user's own, those that an invitation sets, and their checks."""

from __future__ import annotations

import hashlib
from typing import Any

from devgate.access.names import Busy, check_password
from devgate.errors import CallerError, SetupError
from devgate.gateway.clock import time
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments, audit
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.provider_users import must_not_be_of_provider
from devgate.gateway.operations.reply import Reply
from devgate.model import Source
from devgate.store import accounts as stored
from devgate.store.accounts import Account

HIDDEN = {"old": "hidden", "new": "hidden"}  # what an event says of a secret that changed


async def password(gateway: Gateway, args: Args, source: str) -> Reply:
    """One's own password: `new` in the place of `old`. All other sessions end."""
    who = Source.of(source)
    if not who.person:
        raise CallerError("400", "only a user who has logged in has a password of his own")
    old, new = arguments.secret_text(args, "old"), arguments.secret_text(args, "new")
    if old is None or new is None:
        raise CallerError("400", f"{'new' if old else 'old'}: a password expected, not nothing")
    checked(check_password, new)
    must_not_be_of_provider(gateway, who.person)
    await must_know_password(gateway, who, "old", old)
    changes = {"proof": await gateway.accounts.users.hashed(new), "invited": None}
    await gateway.accounts.change(stored.change, "user", who.person, changes)
    _tell(gateway, who.person, source)
    return {"status": "200", "message": "the password is changed", "name": who.person}


async def must_know_password(gateway: Gateway, who: Source, field: str, given: str) -> None:
    """Raises CallerError (401, which names the field) if this is not the caller's own password:
    an open page alone must not lock its owner out."""
    try:
        fits = await gateway.accounts.users.check(who.person, given, who.address)
    except Busy:
        raise CallerError("429", "too many passwords are being looked at: try again") from None
    if fits is None:
        raise CallerError("401", f"{field}: that is not the password; nothing was changed")


def invited(gateway: Gateway, word: str) -> str | None:
    """The name of the user whom this word invites; None if it is not valid, or no longer."""
    digest, now = hash_of(word), time()
    for one in gateway.accounts.all("user"):
        if one.invited == digest and one.enabled and (one.invited_until or 0) >= now:
            return one.name
    return None


async def accept(gateway: Gateway, word: str, password: str, address: str) -> str | None:
    """Set a password by an invitation. Returns whose it is; None if it counts no longer. Raises
    StoreError."""
    proof = await gateway.accounts.users.hashed(password)
    found: Account | None
    found = await gateway.accounts.change(stored.accept, hash_of(word), time(), proof)
    if found is None:
        return None
    source = Source(f"web:{found.name}", address=address)
    _tell(gateway, found.name, source)
    return found.name


def _tell(gateway: Gateway, name: str, source: str) -> None:
    changes = {"password": HIDDEN}
    audit.note(gateway, "account.changed", source, kind="user", name=name, changes=changes)


def checked(check: Any, text: str) -> Any:
    """What `check` makes of the text. Raises CallerError (400) for its SetupError."""
    try:
        return check(text)
    except SetupError as err:
        raise CallerError("400", str(err)) from None


async def hashed(gateway: Gateway, password: str) -> str:
    """The hash of a password that is good enough. Raises CallerError (400)."""
    checked(check_password, password)
    return await gateway.accounts.users.hashed(password)


def hash_of(word: str) -> str:
    """What is stored of an invitation, or of a recovery code."""
    return hashlib.sha256(word.encode("utf-8", "surrogatepass")).hexdigest()
