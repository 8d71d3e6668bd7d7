"""The tables of users and tokens: who may ask, for what, and for which sites."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Index,
    String,
    Table,
    Text,
    false,
    true,
)

from devgate.store.metadata import metadata

# One row for each user and each token.
account = Table(
    "account",
    metadata,
    Column("kind", String(5), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("role", String(7), nullable=False),
    Column("sites", Text),  # a JSON list of their names; NULL: all
    # The Argon2 hash of a password, or the SHA-256 of a token in hex; "": none was set yet.
    Column("proof", Text, nullable=False, server_default=""),
    Column("enabled", Boolean, nullable=False, server_default=true()),
    Column("added_at", Double, nullable=False),
    # The SHA-256 of the line of a file that it was imported from. If that line is removed, the
    # account is removed, too. A line is imported only once.
    Column("line", String(64)),
    Column("removed", Boolean, nullable=False, server_default=false()),  # kept for its line
    # A word that sets a password, once: its SHA-256 in hex, and until when.
    Column("invited", String(64)),
    Column("invited_until", Double),
    # The second factor: its secret (see `seal`), the step of the last code that was used, and a
    # JSON list of the SHA-256 of codes for when it is lost.
    Column("totp", Text),
    Column("totp_step", BigInteger),
    Column("recovery", Text),
    # Whether the user logs in through the provider ([http.oidc]) and has no password; and as whom,
    # once it was done: the issuer, a space, and what the provider calls the user.
    Column("provider", Boolean, nullable=False, server_default=false()),
    Column("subject", Text),
    CheckConstraint("kind in ('user', 'token')", name="account_kind"),
    CheckConstraint("role in ('read', 'command', 'admin')", name="account_role"),
)

# One row for each time that somebody logged in, until its cookie is not valid any more.
account_session = Table(
    "account_session",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("kind", String(5), nullable=False),
    Column("name", String(64), nullable=False),
    Column("began_at", Double, nullable=False),
    Column("until", Double, nullable=False, index=True),
    Column("address", Text, nullable=False, server_default=""),
    Column("agent", Text, nullable=False, server_default=""),  # the browser, as it calls itself
    Column("ended", Boolean, nullable=False, server_default=false()),
)
Index("account_session_name", account_session.c.kind, account_session.c.name)

# One row: it counts changes of accounts, so that nodes can check cheaply for changes.
account_revision = Table(
    "account_revision",
    metadata,
    Column("n", BigInteger, nullable=False),
)
