"""Checks of the names of people and tokens, and of passwords."""

from __future__ import annotations

import re
import unicodedata

from devgate.errors import SetupError
from devgate.model import shown

MIN_PASSWORD, MAX_PASSWORD = 12, 256  # characters of a new password; older ones may be shorter
MAX_NAME = 64  # characters
NAME = re.compile(r"(?!#)[^\s/]+(?: [^\s/]+)*")


class Busy(Exception):
    """Too many passwords are being looked at. Nothing was done."""


def check_name(name: str, kind: str = "user") -> str:
    """The name as it is stored (Unicode's NFC). Raises SetupError for an invalid name."""
    name = unicodedata.normalize("NFC", name)
    if not NAME.fullmatch(name) or len(name) > MAX_NAME or not name.isprintable():
        raise SetupError(
            f"a {kind}'s name is 1 to {MAX_NAME} printable characters, with no blank at its ends, "
            f"no two in a row, no / and no # in front, not {shown(name)}"
        )
    return name


def check_password(password: str) -> None:
    """Raises SetupError for a password that is too short or too long."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise SetupError(
            f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters, not {len(password)}"
        )
