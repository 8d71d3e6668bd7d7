"""People who may use the dashboard: a file of names, roles and Argon2 hashes.

One user a line: `NAME ROLE CREATED $argon2id$...`; empty lines and lines with `#` in front
are comments. Kept by `devgate user`, with the gateway running or not.
"""

from __future__ import annotations

import logging
import os
import re
import unicodedata
from collections import Counter
from typing import NamedTuple

import trio
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from devgate.access.namefile import NameFile, Watched, today
from devgate.access.tokens import ROLES
from devgate.errors import SetupError
from devgate.model import shown
from devgate.net.addresses import network

log = logging.getLogger(__name__)

MIN_PASSWORD, MAX_PASSWORD = 12, 256  # characters of a new password; older ones may be shorter
MAX_NAME = 64  # characters of a user's name
NAME = re.compile(r"(?!#)\S+(?: \S+)*")
LINE = re.compile(rf"(\S+(?: \S+)*?)\s+({'|'.join(ROLES)})\s+(\S+)\s+(\$argon2id\$\S+)")
# A hash costs 64 MiB and a twentieth of a second: more than two at once are a burden.
HASHING = 2
# More that wait for it: who comes then is told to come again. One address may have ten of them,
# so that one alone keeps nobody out.
MAX_WAITING = 20
MAX_WAITING_OF_ADDRESS = 10

_hasher = PasswordHasher()  # RFC 9106's second recommended parameters: the library's default


class Busy(Exception):
    """Too many passwords are being looked at. Nothing was done."""


class User(NamedTuple):
    """One line of the file."""

    name: str
    role: str
    created: str  # ISO 8601
    hash: str


FILE = NameFile(
    "user",
    "[http] users",
    "# devgate users, hashed: NAME ROLE CREATED $argon2id$... Kept by `devgate user`.",
    "NAME ROLE CREATED $argon2id$...",
    LINE,
    User,
)


class Users:
    """The users of one file, as it stands now. A missing file holds none."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises SetupError for a file that is there and cannot be used."""
        self._file = Watched(FILE, path)
        self._turns = trio.CapacityLimiter(HASHING)
        self._here: Counter[str] = Counter()  # attempts that wait or are looked at, by network
        # What a name that nobody has is checked against, so that it takes as long.
        self._nobody = _hasher.hash("nobody's password")

    @property
    def path(self) -> str:
        """Where the file is."""
        return self._file.path

    def get(self, name: str) -> User | None:
        """The user of that name, however its letters were put together (Unicode's NFC).

        Looks at the file, so that a change is in force at once."""
        return self._file.entries().get(unicodedata.normalize("NFC", name))

    async def check(self, name: str, password: str, address: str = "") -> User | None:
        """The user, if name and password are right. Takes as long for a name that nobody has.

        `address` is where the attempt comes from. Raises Busy if too many wait.
        """
        place = network(address)
        if self._here.total() >= HASHING + MAX_WAITING:
            raise Busy
        if self._here[place] >= MAX_WAITING_OF_ADDRESS:
            raise Busy
        self._here[place] += 1
        try:
            return await self._check(name, password)
        finally:
            self._here[place] -= 1
            if not self._here[place]:
                del self._here[place]

    async def _check(self, name: str, password: str) -> User | None:
        user = self.get(name)
        hashed = user.hash if user else self._nobody
        fits = await trio.to_thread.run_sync(
            _fits, hashed, password[:MAX_PASSWORD], limiter=self._turns
        )
        if user is None or not fits:
            return None
        if _hasher.check_needs_rehash(user.hash):
            return await trio.to_thread.run_sync(
                self._rehash, user, password[:MAX_PASSWORD], limiter=self._turns
            )
        return user

    def _rehash(self, user: User, password: str) -> User:
        """The user with a hash at today's cost, in the file, too, if that can be written.

        The user's other sessions end, as with another password: their proof is the old hash.
        """
        try:
            return replace_hash(self.path, user, password)
        except SetupError as err:
            log.info("password not hashed anew user=%s reason=%s", user.name, err)
            return user


def _fits(hashed: str, password: str) -> bool:
    try:
        return _hasher.verify(hashed, password.encode("utf-8", "surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False


def entries(path: str | os.PathLike[str]) -> list[User]:
    """All users of the file; none if it is missing. Raises SetupError if it is broken."""
    return FILE.entries(path)


def add(
    path: str | os.PathLike[str], name: str, role: str, password: str, *, replace: bool = False
) -> None:
    """Add a user; with `replace`, one that is there gets this role and password.

    Raises SetupError for a name or password that cannot be one, or a file that cannot be
    written.
    """
    name = unicodedata.normalize("NFC", name)
    if not NAME.fullmatch(name) or len(name) > MAX_NAME or not name.isprintable():
        raise SetupError(
            f"a user's name is 1 to {MAX_NAME} printable characters, with no blank at its ends, "
            f"no two in a row, and no # in front, not {shown(name)}"
        )
    if role not in ROLES:
        raise SetupError(f"a user's role is one of {', '.join(ROLES)}, not {role!r}")
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise SetupError(
            f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters, not {len(password)}"
        )
    hashed = _hasher.hash(password.encode("utf-8", "surrogatepass"))
    line = f"{name} {role} {today()} {hashed}"
    FILE.add(
        path, name, line, replace=replace,
        taken="take another name, or change the password with --replace",
    )  # fmt: skip


def replace_hash(path: str | os.PathLike[str], user: User, password: str) -> User:
    """Hash the same password anew. Raises SetupError if the user has changed meanwhile."""
    new = user._replace(hash=_hasher.hash(password.encode("utf-8", "surrogatepass")))

    def change(lines: list[str]) -> list[str]:
        if " ".join(user) not in (" ".join(text.split()) for text in lines):
            raise SetupError(f"the user {user.name} has changed")
        return [" ".join(new) if " ".join(text.split()) == " ".join(user) else text
                for text in lines]  # fmt: skip

    FILE.change(path, change)
    return new


def remove(path: str | os.PathLike[str], name: str) -> None:
    """Remove a user, and so end the user's sessions. Raises SetupError if there is none."""
    FILE.remove(path, unicodedata.normalize("NFC", name))
