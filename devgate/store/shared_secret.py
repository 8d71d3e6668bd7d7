"""The secret that a PostgreSQL database has for all who work with it: the nodes of a cluster, a
gateway and its standby, and whoever comes after them. What it is used for is derived from it."""

from __future__ import annotations

import hmac
import secrets

from sqlalchemy import Connection, text

from devgate.store.history import Reading

_READ = text("SELECT secret FROM cluster")
_MAKE = text("UPDATE cluster SET secret = :secret WHERE secret = ''")


def new() -> str:
    """One that nobody can guess."""
    return secrets.token_urlsafe(32)


def get(conn: Reading) -> str:
    """The secret; "": none was made yet."""
    return str(conn.scalar(_READ) or "")


def kept(conn: Connection) -> str:
    """The secret, which is made if there is none. Of two who make it at once both get the same."""
    conn.execute(_MAKE, {"secret": new()})
    return get(conn)


def derived(secret: str, purpose: str) -> bytes:
    """32 secret bytes for this purpose."""
    return hmac.digest(secret.encode(), purpose.encode(), "sha256")
