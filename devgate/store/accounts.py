"""Statements on users and tokens."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from sqlalchemy import Connection, delete, func, insert, select, update

from devgate.errors import CallerError, NotThere
from devgate.store.account_tables import account as t
from devgate.store.account_tables import account_revision, account_session

MAX_ACCOUNTS = 2000  # accounts of a kind: all of them are in memory at every node
MAX_SITES = 200  # that one account may be limited to

Kind = Literal["user", "token"]


@dataclass(frozen=True, slots=True)
class Account:
    """One user or token. `added_at` is seconds since 1970."""

    kind: Kind
    name: str
    role: str
    sites: frozenset[str] | None  # None: all
    proof: str
    enabled: bool
    added_at: float
    line: str | None = None
    removed: bool = False
    invited: str | None = None  # the SHA-256 of a word that sets a password, in hex
    invited_until: float | None = None
    totp: str | None = None  # the sealed secret of the second factor
    totp_step: int | None = None  # of the last code that was used
    recovery: str | None = None  # a JSON list of SHA-256 in hex
    provider: bool = False  # it logs in through the provider, and has no password
    subject: str | None = None  # the issuer, a space, and what that calls the user


def revision(conn: Connection) -> int:
    """Grows with every change of an account."""
    return int(conn.scalar(select(account_revision.c.n)) or 0)


def everyone(conn: Connection) -> tuple[int, Sequence[Account]]:
    """All accounts, also those that are marked as removed, and the revision that has them."""
    n = revision(conn)
    return n, [_of(row._mapping) for row in conn.execute(select(t).order_by(t.c.kind, t.c.name))]


def sites_of(conn: Connection, owners: Collection[str]) -> dict[str, frozenset[str] | None]:
    """The sites (None: all) of each owner (`user:NAME`, `token:NAME`) that is enabled."""
    found: dict[str, frozenset[str] | None] = {}
    for owner in owners:
        kind, _, name = owner.partition(":")
        account = _row(conn, "token" if kind == "token" else "user", name)
        if account is not None and account.enabled and not account.removed:
            found[owner] = account.sites
    return found


def get(conn: Connection, kind: Kind, name: str) -> Account | None:
    """The one of that name; None if there is none, or it was removed."""
    found = _row(conn, kind, name)
    return None if found is None or found.removed else found


def one(conn: Connection, kind: Kind, name: str) -> Account:
    """get(). Raises NotThere if there is none."""
    found = get(conn, kind, name)
    if found is None:
        raise NotThere(f"name: there is no {kind} named {name}")
    return found


def add(conn: Connection, account: Account) -> None:
    """Add it. Raises CallerError (409) if the name is taken, or there are MAX_ACCOUNTS of its
    kind."""
    _lock(conn)
    stored = _row(conn, account.kind, account.name)
    if stored is not None and not stored.removed:
        raise CallerError("409", f"name: there is a {account.kind} named {account.name} already")
    if _count(conn, account.kind) >= MAX_ACCOUNTS:
        raise CallerError(
            "409", f"there are {MAX_ACCOUNTS} of that kind, and no more can be: remove one"
        )
    _put(conn, account if stored is None else replace(account, line=stored.line))


def change(conn: Connection, kind: Kind, name: str, changes: Mapping[str, Any]) -> Account:
    """Change these fields; returns what it was before. Another proof ends its sessions. Raises
    NotThere."""
    _lock(conn)
    before = one(conn, kind, name)
    after = replace(before, **changes)
    _put(conn, after)
    if after.proof != before.proof:
        _end_sessions(conn, kind, name)
    return before


def accept(conn: Connection, invited: str, now: float, proof: str) -> Account | None:
    """Spend the invitation with this hash: `proof` is the user's password hash from now on. None:
    the invitation was spent or is too old, or the user is disabled."""
    _lock(conn)
    row = conn.execute(
        select(t).where(
            t.c.invited == invited, t.c.invited_until >= now, t.c.enabled, ~t.c.removed
        )
    ).one_or_none()
    if row is None:
        return None
    account = replace(_of(row._mapping), proof=proof, invited=None, invited_until=None)
    _put(conn, account)
    _end_sessions(conn, account.kind, account.name)
    return account


def use_step(conn: Connection, name: str, step: int) -> bool:
    """Spend the codes of this step and of all earlier ones. False: it was used already."""
    newer = t.c.totp_step.is_(None) | (t.c.totp_step < step)
    mine = (t.c.kind == "user", t.c.name == name, t.c.totp.is_not(None))
    done = conn.execute(update(t).where(*mine, newer).values(totp_step=step))
    return done.rowcount > 0


def use_recovery(conn: Connection, name: str, digest: str) -> bool:
    """Spend the recovery code with this hash. False: there is none."""
    _lock(conn)
    one = get(conn, "user", name)
    codes = [] if one is None or one.recovery is None else json.loads(one.recovery)
    if one is None or digest not in codes:
        return False
    codes.remove(digest)
    _put(conn, replace(one, recovery=json.dumps(codes)))
    return True


def by_provider(
    conn: Connection, subject: str, name: str, made: Account | None
) -> tuple[Account | None, Account | None]:
    """The user whom the provider has logged in: the one with this subject, or else one of this
    name who was added for the provider and has no subject yet. `made`: the user as it should be;
    if there is none, it is added.

    Returns the user as it is now, and as it was; (None, None) if there is none. Raises CallerError
    (409) if the name belongs to somebody else.
    """
    _lock(conn)
    row = conn.execute(
        select(t).where(t.c.kind == "user", t.c.subject == subject, ~t.c.removed)
    ).one_or_none()
    before = _of(row._mapping) if row is not None else get(conn, "user", name)
    other = before is not None and before.subject != subject
    if before is not None and other and not (before.provider and before.subject is None):
        raise CallerError("409", f"there is another user named {name}")
    if before is None:
        if made is not None:
            add(conn, made)
        return made, None
    now = replace(before, subject=subject)
    if made is not None:
        now = replace(now, role=made.role, sites=made.sites)
    if now != before:
        _put(conn, now)
    return now, before


def remove(conn: Connection, kind: Kind, name: str) -> Account:
    """Remove it; returns what it was. Raises NotThere if there is none."""
    _lock(conn)
    before = one(conn, kind, name)
    if before.line is None:
        conn.execute(delete(t).where(t.c.kind == kind, t.c.name == name))
    else:  # without this row the line in the file would add it again
        _put(conn, replace(before, removed=True, proof="", enabled=False))
    _end_sessions(conn, kind, name)
    return before


def import_lines(conn: Connection, accounts: Sequence[Account]) -> Sequence[Account]:
    """Import the accounts of a file's lines, except lines that were imported before. Returns those
    that were imported.

    Raises CallerError (409) if there are too many; then none is imported.
    """
    _lock(conn)
    imported = []
    for account in accounts:
        stored = _row(conn, account.kind, account.name)
        if stored is None or stored.line != account.line:
            _put(conn, account)
            imported.append(account)
    for kind in {one.kind for one in imported}:
        if _count(conn, kind) > MAX_ACCOUNTS:
            raise CallerError(
                "409",
                f"the file has too many {kind}s: at most {MAX_ACCOUNTS} can be in the database",
            )
    return imported


def _lock(conn: Connection) -> None:
    """Count the change. Concurrent changes wait for one another here."""
    conn.execute(update(account_revision).values(n=account_revision.c.n + 1))


def _count(conn: Connection, kind: Kind) -> int:
    query = select(func.count()).select_from(t).where(t.c.kind == kind, ~t.c.removed)
    return int(conn.scalar(query) or 0)


def _row(conn: Connection, kind: Kind, name: str) -> Account | None:
    row = conn.execute(select(t).where(t.c.kind == kind, t.c.name == name)).one_or_none()
    return None if row is None else _of(row._mapping)


def _end_sessions(conn: Connection, kind: Kind, name: str) -> None:
    """Mark the account's sessions as ended: their cookies are not valid any more."""
    s = account_session.c
    mine = (s.kind == kind, s.name == name, ~s.ended)
    conn.execute(update(account_session).where(*mine).values(ended=True))


def _put(conn: Connection, account: Account) -> None:
    values = asdict(account)
    values["sites"] = None if account.sites is None else json.dumps(sorted(account.sites))
    same = (t.c.kind == account.kind, t.c.name == account.name)
    if conn.execute(update(t).where(*same).values(values)).rowcount == 0:
        conn.execute(insert(t).values(values))


def _of(row: Mapping[Any, Any]) -> Account:
    sites = None if row["sites"] is None else frozenset(json.loads(row["sites"]))
    flags = {name: bool(row[name]) for name in ("enabled", "removed", "provider")}
    return Account(**{**dict(row), "sites": sites, **flags})
