"""Who is asking: a file of hashed tokens, for TCP and HTTP alike.

One token a line: `NAME ROLE CREATED sha256$HEX`; empty lines and lines with `#` in front are
comments. The file holds no secret: a token is 32 random bytes, so its plain hash is enough.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from devgate.access.namefile import NameFile, Watched, today
from devgate.errors import SetupError

if TYPE_CHECKING:
    from devgate.config.settings import ControlSettings

PREFIX = "dg_"  # so that a secret is recognised where it should not be
MAX_SECRET = 200  # characters; nothing longer is worth hashing
ROLES = ("read", "command", "admin")
# The least role that may ask for an operation, whatever way in it comes by. An operation that
# is not here is for `admin` alone.
NEEDS: Mapping[str, str] = {
    "status": "read",
    "devices": "read",
    "device": "read",
    "export": "read",
    "command": "read",
    "find": "read",
    "history": "read",
    "history_export": "read",
    "events": "read",
    "fleet": "read",
    "trend": "read",
    "sites": "read",
    "day": "read",
    "order": "read",
    "story": "read",
    "unknown": "read",
    "webhooks": "read",
    "nodes": "read",
    "alerts": "read",
    "alert_log": "read",
    "alert_rules": "read",
    "alert_receivers": "read",
    "watch": "read",
    "tap": "read",
    "unknown_devices": "read",
    "bulk": "read",
    "bulks": "read",
    "bulk_start": "command",
    "bulk_stop": "command",
    "bulk_cancel": "command",
    "bulk_edit": "admin",
    "start": "command",
    "stop": "command",
    "cancel": "command",
    "resolve": "command",
    "refresh": "command",
    "approve": "command",
    "dismiss": "command",
    "confirm_loss": "admin",
    "trim": "admin",
    "take_late": "admin",
    "add": "admin",
    "edit": "admin",
    "remove": "admin",
    "import": "admin",
    "upload": "admin",
    "webhook_add": "admin",
    "webhook_edit": "admin",
    "webhook_remove": "admin",
    "webhook_test": "admin",
    "webhook_replay": "admin",
    "alert_rule_add": "admin",
    "alert_rule_edit": "admin",
    "alert_rule_remove": "admin",
    "alert_receiver_add": "admin",
    "alert_receiver_edit": "admin",
    "alert_receiver_remove": "admin",
    "alert_receiver_test": "admin",
    "node_drain": "admin",
    "node_remove": "admin",
}

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LINE = re.compile(rf"({NAME.pattern})\s+({'|'.join(ROLES)})\s+(\S+)\s+sha256\$([0-9a-f]{{64}})")


class Token(NamedTuple):
    """One line of the file: whom we know, not what they say to be known."""

    name: str
    role: str
    created: str  # ISO 8601
    digest: str  # SHA-256 of the secret, in hex

    def may(self, operation: object) -> bool:
        """True if the token's role lets it ask for that `type`."""
        return may(self.role, operation)


FILE = NameFile(
    "token",
    "[control] tokens",
    "# devgate tokens, hashed: NAME ROLE CREATED sha256$HEX. Kept by `devgate token`.",
    "NAME ROLE CREATED sha256$HEX",
    LINE,
    Token,
)


def may(role: str, operation: object) -> bool:
    """True if a caller of that role may ask for that `type`. The one place that decides it."""
    if role == "admin":
        return True
    needed = NEEDS.get(operation, "admin") if isinstance(operation, str) else "admin"
    return role in ROLES and ROLES.index(role) >= ROLES.index(needed)


class Tokens:
    """The tokens of one file, as it stands now. A missing file holds none."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises SetupError for a file that is there and cannot be used."""
        self._file = Watched(FILE, path)

    def apply(self, settings: ControlSettings) -> None:
        """Read this file from now on. Without one the old one stays: no door opens to all."""
        if settings.tokens:
            self._file.path = settings.tokens

    def check(self, secret: object) -> Token | None:
        """Whose token this is, or None. Looks at the file, so that a change is in force at once.

        Takes the same time whichever token matches. A file that was broken since leaves the
        tokens as they were.
        """
        tokens = self._file.entries()
        if not isinstance(secret, str) or len(secret) > MAX_SECRET:
            return None
        digest = _digest(secret)
        found = None
        for token in tokens.values():
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found

    def named(self, name: str) -> Token | None:
        """The token of that name, if there still is one."""
        return self._file.entries().get(name)


def entries(path: str | os.PathLike[str]) -> list[Token]:
    """All tokens of the file; none if it is missing. Raises SetupError if it is broken."""
    return FILE.entries(path)


def add(path: str | os.PathLike[str], name: str, role: str = "command") -> str:
    """Add a token and return its secret, which is kept nowhere.

    Raises SetupError for a name that is taken or cannot be one, or a file that cannot be written.
    """
    if not NAME.fullmatch(name):
        raise SetupError(
            f"a token's name is 1 to 64 letters, digits, dots, dashes and underlines, not {name!r}"
        )
    if role not in ROLES:
        raise SetupError(f"a token's role is one of {', '.join(ROLES)}, not {role!r}")
    secret = PREFIX + secrets.token_urlsafe(32)
    line = f"{name} {role} {today()} sha256${_digest(secret)}"

    FILE.add(path, name, line, replace=False, taken="remove it first, or take another name")
    return secret


def remove(path: str | os.PathLike[str], name: str) -> None:
    """Remove the token of that name; it is refused from now on. Raises SetupError for none."""
    FILE.remove(path, name)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
