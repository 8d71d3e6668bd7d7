"""Checks tokens: hashed, of the database and of a file, for TCP and HTTP alike.

In the file, one token a line: `NAME ROLE CREATED sha256$HEX`; empty lines and lines with `#` in
front are comments. Neither holds a secret: a token is 32 random bytes, so its plain hash is
enough.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from devgate.access.known import Known
from devgate.access.namefile import NameFile, today
from devgate.errors import SetupError

if TYPE_CHECKING:
    from devgate.config.settings import ControlSettings

PREFIX = "dg_"  # so that a secret is recognised where it should not be
MAX_SECRET = 200  # characters; nothing longer is worth hashing
ROLES = ("read", "command", "admin")
# The least role that may ask for an operation, on every interface. An operation that is not here
# is only for `admin`.
OF_ROLE: Mapping[str, Sequence[str]] = {
    "read": (
        "status", "devices", "device", "export", "command", "find", "history", "history_export",
        "events", "fleet", "trend", "sites", "report", "report_export", "zones", "day",
        "diagnosis", "places", "order", "story", "unknown", "webhooks", "nodes", "alerts",
        "alert_log", "alert_rules", "alert_receivers", "quarantine", "watch", "tap",
        "unknown_devices", "bulk", "bulks", "maintenance", "password", "second_factor", "sessions",
        "session_end",
    ),
    "command": (
        "bulk_start", "bulk_stop", "bulk_cancel", "bulk_maintenance", "maintenance_on",
        "maintenance_off", "test_start", "start", "stop", "cancel", "resolve", "refresh",
        "approve", "dismiss",
    ),
    "admin": (
        "bulk_edit", "confirm_loss", "quarantine_allow", "quarantine_lift", "log_level", "trim",
        "take_late", "add", "edit", "remove", "import", "upload", "webhook_add", "webhook_edit",
        "webhook_remove", "webhook_test", "webhook_replay", "alert_rule_add", "alert_rule_edit",
        "alert_rule_remove", "alert_receiver_add", "alert_receiver_edit", "alert_receiver_remove",
        "alert_receiver_test", "upgrade", "zone", "settings", "doctor", "node_drain",
        "node_remove", "audit", "audit_export", "users", "user_add", "user_edit", "user_remove",
        "tokens", "token_add", "token_edit", "token_remove",
    ),
}  # fmt: skip
NEEDS: Mapping[str, str] = {name: role for role, names in OF_ROLE.items() for name in names}

# The operations for callers that are limited to some sites, as far as their role allows them. Each
# is limited to the devices of these sites (`gateway.operations.sites`). All others need all sites.
FOR_SITES = frozenset({
    "start", "stop", "cancel", "status", "devices", "device", "export", "add", "edit", "remove",
    "command", "find", "history", "history_export", "events", "watch", "tap", "sites", "day",
    "fleet", "trend", "order", "story", "unknown", "resolve", "bulk", "bulks", "bulk_start",
    "bulk_stop", "bulk_edit", "bulk_cancel", "password", "second_factor", "sessions",
    "session_end", "report", "report_export", "zones", "test_start", "diagnosis", "maintenance",
    "maintenance_on", "maintenance_off", "bulk_maintenance", "places", "alerts", "alert_log",
    "alert_rules",
    "alert_rule_add", "alert_rule_edit", "alert_rule_remove", "alert_receivers",
    "alert_receiver_add", "alert_receiver_edit", "alert_receiver_remove", "alert_receiver_test",
})  # fmt: skip

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LINE = re.compile(rf"({NAME.pattern})\s+({'|'.join(ROLES)})\s+(\S+)\s+sha256\$([0-9a-f]{{64}})")


class Token(NamedTuple):
    """A known token, without its secret. The first four fields are a file's line."""

    name: str
    role: str
    created: str  # ISO 8601
    digest: str  # SHA-256 of the secret, in hex
    sites: frozenset[str] | None = None  # that it is limited to; None: all

    def may(self, operation: object) -> bool:
        """True if the token's role and sites let it ask for that `type`."""
        return may(self.role, operation, self.sites)

    def line(self) -> str:
        """As `namefile.Entry`."""
        return _digest(f"{self.name} {self.role} {self.digest}")


FILE = NameFile(
    "token",
    "[control] tokens",
    "# devgate tokens, hashed: NAME ROLE CREATED sha256$HEX. Kept by `devgate token`.",
    "NAME ROLE CREATED sha256$HEX",
    LINE,
    Token,
)


def may(role: str, operation: object, sites: frozenset[str] | None = None) -> bool:
    """True if a caller of that role, limited to these sites (None: to none), may ask for that
    `type`. The one place that decides it."""
    name = operation if isinstance(operation, str) else ""  # any JSON may be asked for
    if sites is not None and name not in FOR_SITES:
        return False
    if role == "admin":
        return True
    needed = NEEDS.get(name, "admin")
    return role in ROLES and ROLES.index(role) >= ROLES.index(needed)


class Tokens:
    """All current tokens. A missing file has none."""

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        """`path`: of their file, if there is one. Raises SetupError for one that is there and
        cannot be used."""
        self.known = Known(FILE, path)
        self._entries: Mapping[str, Token] = {}
        self._by_digest: Mapping[str, Token] = {}

    def apply(self, settings: ControlSettings) -> None:
        """Read this file from now on. Without one the old file stays, so that no door is open to
        everybody."""
        if settings.tokens:
            self.known.move(settings.tokens)

    def check(self, secret: object) -> Token | None:
        """Whose token this is, or None. Checks the file, so that a change is in force at once.

        If the file has become unreadable, the tokens stay as they were. The time of the look-up
        tells nothing about a secret, because it is by its hash.
        """
        entries = self.known.entries()
        if not isinstance(secret, str) or len(secret) > MAX_SECRET:
            return None
        if entries is not self._entries:
            self._entries = entries
            self._by_digest = {one.digest: one for one in entries.values()}
        digest = _digest(secret)
        found = self._by_digest.get(digest)
        return found if found and hmac.compare_digest(found.digest, digest) else None

    def named(self, name: str) -> Token | None:
        """The token of that name, if there still is one."""
        return self.known.entries().get(name)


def new_secret() -> tuple[str, str]:
    """The secret of a new token, and the digest that is stored."""
    secret = PREFIX + secrets.token_urlsafe(32)
    return secret, _digest(secret)


def entries(path: str | os.PathLike[str]) -> list[Token]:
    """All tokens of the file; none if it is missing. Raises SetupError if it is broken."""
    return FILE.entries(path)


def add(path: str | os.PathLike[str], name: str, role: str = "command") -> str:
    """Add a token and return its secret, which is stored nowhere.

    Raises SetupError for a name that is taken or cannot be one, or a file that cannot be written.
    """
    if not NAME.fullmatch(name):
        raise SetupError(
            f"a token's name is 1 to 64 letters, digits, dots, dashes and underlines, not {name!r}"
        )
    if role not in ROLES:
        raise SetupError(f"a token's role is one of {', '.join(ROLES)}, not {role!r}")
    secret, digest = new_secret()
    line = f"{name} {role} {today()} sha256${digest}"

    FILE.add(path, name, line, replace=False, advice="remove it first, or take another name")
    return secret


def remove(path: str | os.PathLike[str], name: str) -> None:
    """Remove the token of that name; it is refused from now on. Raises SetupError for none."""
    FILE.remove(path, name)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
