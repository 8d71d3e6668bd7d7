"""The secret in a PostgreSQL database, for all gateways that work with it: the nodes of a cluster,
a gateway, its standby and its successors. Secrets for each purpose are derived from it."""

from __future__ import annotations

import hmac
import secrets

from sqlalchemy import Connection, text

from devgate.store.history import Reading

_READ = text("SELECT secret FROM cluster")
_MAKE = text("UPDATE cluster SET secret = :secret WHERE secret = ''")


def new() -> str:
    """A new random secret."""
    return secrets.token_urlsafe(32)


def get(conn: Reading) -> str:
    """The secret; "": there is none yet."""
    return str(conn.scalar(_READ) or "")


def get_or_make(conn: Connection) -> str:
    """The secret, which is made if there is none. Two that make it at the same time get the
    same."""
    conn.execute(_MAKE, {"secret": new()})
    return get(conn)


def derived(secret: str, purpose: str) -> bytes:
    """32 secret bytes for this purpose."""
    return hmac.digest(secret.encode(), purpose.encode(), "sha256")
