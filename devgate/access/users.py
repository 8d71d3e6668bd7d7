"""People who may use the dashboard: names, roles and Argon2 hashes, of the database and of a file.

In the file, one user a line: `NAME ROLE CREATED $argon2id$...`; empty lines and lines with `#` in
front are comments.
"""

from __future__ import annotations

import logging
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import NamedTuple

import trio
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from devgate.access.known import Known
from devgate.access.namefile import NameFile, today
from devgate.access.names import MAX_NAME as MAX_NAME
from devgate.access.names import MAX_PASSWORD, check_name, check_password
from devgate.access.names import Busy as Busy
from devgate.access.tokens import ROLES
from devgate.errors import SetupError
from devgate.net.addresses import network

log = logging.getLogger(__name__)

LINE = re.compile(rf"(\S+(?: \S+)*?)\s+({'|'.join(ROLES)})\s+(\S+)\s+(\$argon2id\$\S+)")
# A hash costs 64 MiB and a twentieth of a second of CPU time. At most this many are made at once.
MAX_HASHING = 2
# How many more may wait for it; further ones are told to try again later. One address may have ten
# of them, so that it cannot use up all.
MAX_WAITING = 20
MAX_WAITING_OF_ADDRESS = 10

_hasher = PasswordHasher()  # RFC 9106's second recommended parameters: the library's default


class User(NamedTuple):
    """One person. The first four fields are a file's line."""

    name: str
    role: str
    created: str  # ISO 8601
    hash: str  # "": no password was set yet; without "$" in front: there is none, but a provider
    sites: frozenset[str] | None = None  # that he is limited to; None: all

    def line(self) -> str:
        """As `namefile.Entry`."""
        return sha256(f"{self.name} {self.role} {self.hash}".encode()).hexdigest()


FILE = NameFile(
    "user",
    "[http] users",
    "# devgate users, hashed: NAME ROLE CREATED $argon2id$... Kept by `devgate user`.",
    "NAME ROLE CREATED $argon2id$...",
    LINE,
    User,
)


class Users:
    """All current users. A missing file has none."""

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        keep: Callable[[User, str], Awaitable[bool]] | None = None,
    ) -> None:
        """`path`: of their file, if there is one. `keep` stores the new hash of a user in the
        database, and returns False if there is no such user.

        Raises SetupError for a file that is there and cannot be used."""
        self.known = Known(FILE, path)
        self._keep = keep
        self._turns = trio.CapacityLimiter(MAX_HASHING)
        self._here: Counter[str] = Counter()  # attempts that wait or are looked at, by network
        # An unknown name is checked against this, so that it takes the same time.
        self._nobody = _hasher.hash("nobody's password")

    @property
    def path(self) -> str:
        """Where the file is; "" if there is none."""
        return self.known.path

    def get(self, name: str) -> User | None:
        """The user of that name, which is normalised (Unicode's NFC).

        Checks the file, so that a change is in force at once."""
        return self.known.entries().get(unicodedata.normalize("NFC", name))

    async def check(self, name: str, password: str, address: str = "") -> User | None:
        """The user, if name and password are right. Takes the same time for an unknown name.

        `address` is where the attempt comes from. Raises Busy if too many wait.
        """
        place = network(address)
        if self._here.total() >= MAX_HASHING + MAX_WAITING:
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
        hashed = user.hash if user and user.hash.startswith("$") else self._nobody
        fits = await trio.to_thread.run_sync(
            _fits, hashed, password[:MAX_PASSWORD], limiter=self._turns
        )
        if user is None or not user.hash.startswith("$") or not fits:
            return None
        if _hasher.check_needs_rehash(user.hash):
            hashed = await self.hashed(password)
            if self._keep is not None and await self._keep(user, hashed):
                return user._replace(hash=hashed)
            return await trio.to_thread.run_sync(
                self._rehash, user, password[:MAX_PASSWORD], limiter=self._turns
            )
        return user

    async def hashed(self, password: str) -> str:
        """The hash of a password, which is what is stored. It is made in a thread, in turn."""
        return await trio.to_thread.run_sync(hash_of, password[:MAX_PASSWORD], limiter=self._turns)

    def _rehash(self, user: User, password: str) -> User:
        """The user with a hash of the current cost, which is also written to the file if possible.

        The user's other sessions end, as after a new password: they depend on the old hash.
        """
        try:
            return replace_hash(self.path, user, password)
        except SetupError as err:
            log.info("password not hashed anew user=%s reason=%s", user.name, err)
            return user


def hash_of(password: str) -> str:
    """The hash of a password. It takes a twentieth of a second, and 64 MiB."""
    return _hasher.hash(password.encode("utf-8", "surrogatepass"))


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
    """Add a user; with `replace`, an existing one gets this role and password.

    Raises SetupError for a name or password that cannot be one, or a file that cannot be
    written.
    """
    name = check_name(name)
    if role not in ROLES:
        raise SetupError(f"a user's role is one of {', '.join(ROLES)}, not {role!r}")
    check_password(password)
    line = f"{name} {role} {today()} {hash_of(password)}"
    FILE.add(
        path, name, line, replace=replace,
        advice="take another name, or change the password with --replace",
    )  # fmt: skip


def replace_hash(path: str | os.PathLike[str], user: User, password: str) -> User:
    """Hash the same password again. Raises SetupError if the user has changed meanwhile."""
    new = user._replace(hash=hash_of(password))

    def change(lines: list[str]) -> list[str]:
        was, is_now = " ".join(user[:4]), " ".join(new[:4])
        if was not in (" ".join(text.split()) for text in lines):
            raise SetupError(f"the user {user.name} has changed")
        return [is_now if " ".join(text.split()) == was else text for text in lines]

    FILE.change(path, change)
    return new


def remove(path: str | os.PathLike[str], name: str) -> None:
    """Remove a user, and so end the user's sessions. Raises SetupError if there is none."""
    FILE.remove(path, unicodedata.normalize("NFC", name))
