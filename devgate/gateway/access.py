"""Who is asking: a file of hashed tokens, for TCP and HTTP alike.

One token a line: `NAME ROLE CREATED sha256$HEX`; empty lines and lines with `#` in front are
comments. The file holds no secret: a token is 32 random bytes, so its plain hash is enough.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import hmac
import logging
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from devgate.errors import SetupError
from devgate.model import iso

log = logging.getLogger(__name__)

PREFIX = "dg_"  # so that a secret is recognised where it should not be
MAX_SECRET = 200  # characters; nothing longer is worth hashing
ROLES = ("read", "command", "admin")
_READ = frozenset({"status", "devices", "command", "history", "watch", "tap"})
# What a role may ask for; `admin` may ask for everything.
_MAY = {"read": _READ, "command": _READ | {"start", "stop", "cancel", "refresh"}}

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LINE = re.compile(rf"({NAME.pattern})\s+({'|'.join(ROLES)})\s+(\S+)\s+sha256\$([0-9a-f]{{64}})")
HEAD = "# devgate tokens, hashed: NAME ROLE CREATED sha256$HEX. Kept by `devgate token`.\n"


class Token(NamedTuple):
    """One line of the file: whom we know, not what they say to be known."""

    name: str
    role: str
    created: str  # ISO 8601
    digest: str  # SHA-256 of the secret, in hex

    def may(self, operation: object) -> bool:
        """True if the token's role lets it ask for that `type`."""
        if self.role == "admin":
            return True
        return isinstance(operation, str) and operation in _MAY[self.role]


class Tokens:
    """The tokens of one file, as it stands now. A missing file holds none."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises SetupError for a file that is there and cannot be used."""
        self.path = os.fspath(path)
        self._seen = _state(self.path)
        self._tokens = entries(self.path)

    def check(self, secret: object) -> Token | None:
        """Whose token this is, or None. Looks at the file, so that a change is in force at once.

        Takes the same time whichever token matches. A file that was broken since leaves the
        tokens as they were.
        """
        self._refresh()
        if not isinstance(secret, str) or len(secret) > MAX_SECRET:
            return None
        digest = _digest(secret)
        found = None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found

    def _refresh(self) -> None:
        if (state := _state(self.path)) == self._seen:
            return
        self._seen = state
        try:
            self._tokens = entries(self.path)
        except SetupError as err:
            log.error("token file not read, the tokens stay as they were reason=%s", err)


def entries(path: str | os.PathLike[str]) -> list[Token]:
    """All tokens of the file; none if it is missing. Raises SetupError if it is broken."""
    tokens: list[Token] = []
    for number, text in enumerate(_lines(os.fspath(path)), 1):
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        match = LINE.fullmatch(text.strip())
        if match is None:
            raise SetupError(
                f"{os.fspath(path)} line {number}: NAME ROLE CREATED sha256$HEX expected;"
                " remove the line and add the token again"
            )
        token = Token(*match.groups())
        if any(token.name == other.name for other in tokens):
            raise SetupError(
                f"{os.fspath(path)} line {number}: a second token named {token.name};"
                " remove one of them"
            )
        tokens.append(token)
    return tokens


def add(path: str | os.PathLike[str], name: str, role: str = "admin") -> str:
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
    line = f"{name} {role} {iso(time.time())} sha256${_digest(secret)}"

    def change(lines: list[str]) -> list[str]:
        if any(_name(text) == name for text in lines):
            raise SetupError(
                f"there is a token named {name} already in {os.fspath(path)};"
                " remove it first, or take another name"
            )
        return [*lines, line]

    _change(os.fspath(path), change)
    return secret


def remove(path: str | os.PathLike[str], name: str) -> None:
    """Remove the token of that name; it is refused from now on. Raises SetupError for none."""

    def change(lines: list[str]) -> list[str]:
        kept = [text for text in lines if _name(text) != name]
        if len(kept) == len(lines):
            raise SetupError(f"there is no token named {name} in {os.fspath(path)}")
        return kept

    _change(os.fspath(path), change)


def _change(path: str, change: Callable[[list[str]], list[str]]) -> None:
    """Replace the file by one with other lines, whole or not at all, one process at a time."""
    path = os.path.realpath(path)  # a link stays one
    folder = os.path.dirname(path)
    temporary = ""
    try:
        os.makedirs(folder, exist_ok=True)
        guard = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(guard, fcntl.LOCK_EX)
            entries(path)  # a broken file is for a person to look at, not for us to write over
            lines = change(_lines(path) or [HEAD.rstrip("\n")])
            fd, temporary = tempfile.mkstemp(prefix=".tokens-", dir=folder)  # its mode is 0600
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                _keep_owner(path, fd)
                file.writelines(f"{text}\n" for text in lines)
                file.flush()
                os.fsync(fd)
            os.replace(temporary, path)
            os.fsync(guard)
            temporary = ""
        finally:
            os.close(guard)
    except OSError as err:
        raise SetupError(
            f"the token file {path} cannot be written: {err.strerror};"
            " run this as its owner, or set another [control] tokens"
        ) from None
    finally:
        if temporary:
            with suppress(OSError):
                os.unlink(temporary)


def _keep_owner(path: str, fd: int) -> None:
    """Root may change the file of a gateway that runs as somebody else and must still read it."""
    try:
        old = os.stat(path)
    except FileNotFoundError:
        return
    if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
        with suppress(PermissionError):
            os.fchown(fd, old.st_uid, old.st_gid)


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []
    except UnicodeDecodeError:
        raise SetupError(f"the token file {path} is not UTF-8 text") from None
    except OSError as err:
        raise SetupError(
            f"the token file {path} cannot be read: {err.strerror};"
            " let the gateway's user read it, or set another [control] tokens"
        ) from None


def _name(text: str) -> str:
    """The name that a line gives a token; nothing for a comment."""
    match = LINE.fullmatch(text.strip())
    return match[1] if match else ""


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _state(path: str) -> tuple[int, ...]:
    """Changes when the file does: its bytes, its inode, or who may read it."""
    try:
        info = os.stat(path)
    except OSError as err:
        return (err.errno or errno.EIO,)
    return info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns
