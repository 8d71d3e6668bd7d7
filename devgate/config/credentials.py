"""Secrets in files of their own: credentials of systemd (`LoadCredential=`), and the file with the
database's password."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

PREFIX = "$CREDENTIALS_DIRECTORY/"
PLACE = Path("/run/credentials")  # where systemd puts those of its services, each in a folder
MAX_PASSWORD_BYTES = 1024

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}", re.ASCII)
_PASSWORD = re.compile(r"^[^:]+://[^/?@]*:[^/?@]*@|[?&]password=")


def folder(env: Mapping[str, str], config: Path) -> Path:
    """The folder of the credentials. A command that was not started by systemd uses those of the
    service with the name of the folder of its configuration (`config`)."""
    given = env.get("CREDENTIALS_DIRECTORY")
    return Path(given) if given else PLACE / f"{config.name}.service"


def placed(value: str, where: Path) -> str:
    """The path of a credential. Raises ValueError for a wrong name."""
    name = value.removeprefix(PREFIX)
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{PREFIX}NAME expected, with a name of letters, digits, dots, dashes and underlines"
        )
    return str(where / name)


def named(data: object) -> Iterator[str]:
    """The names of all credentials that a configuration names, as TOML holds it."""
    if isinstance(data, str):
        if data.startswith(PREFIX) and _NAME.fullmatch(data.removeprefix(PREFIX)):
            yield data.removeprefix(PREFIX)
    elif isinstance(data, Mapping):
        for value in data.values():
            yield from named(value)
    elif isinstance(data, list):
        for value in data:
            yield from named(value)


def has_password(url: str) -> bool:
    """Whether a database's URL has one in it."""
    return _PASSWORD.search(url) is not None


def with_password(url: str, file: str) -> str:
    """The URL with the password in the file. Raises ValueError, which says what is wrong and never
    has the password."""
    try:
        with open(file, "rb") as opened:
            raw = opened.read(MAX_PASSWORD_BYTES + 1)
    except OSError as err:
        raise ValueError(
            f"{file} can't be read: {os.strerror(err.errno or 0)}{_why(file)}"
        ) from None
    try:
        password = raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        password = ""
    if not password or len(raw) > MAX_PASSWORD_BYTES or not password.isprintable():
        raise ValueError(
            f"{file}: one line with a password expected, of at most {MAX_PASSWORD_BYTES} bytes"
        )
    return f"{url}{'&' if '?' in url else '?'}password={quote(password, safe='')}"


def _why(file: str) -> str:
    if Path(file).is_relative_to(PLACE):
        return "; systemd puts it there while the service runs, for the service and for root"
    return ""
