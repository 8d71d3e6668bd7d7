"""Users and tokens: in memory as the database has them, and taken over from the files.

Every node of a cluster looks for changes as often as it looks for changes of devices: a token that
was removed at one node is refused by all of them a second later.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import trio

from devgate.access.tokens import Token, Tokens
from devgate.gateway.background import Background
from devgate.gateway.clock import time
from devgate.gateway.storage import Records
from devgate.model import iso
from devgate.store import accounts as stored
from devgate.store import sessions, shared_secret
from devgate.store.accounts import Account, Kind
from devgate.store.history import Reading

if TYPE_CHECKING:
    from devgate.access.users import User, Users

log = logging.getLogger("devgate.access")

LOOK_SECONDS = 0.5  # between two looks for changes
FILES: Mapping[str, str] = {"user": "[http] users", "token": "[control] tokens"}


class Accounts:
    """The users and tokens that this gateway knows."""

    def __init__(
        self,
        records: Records,
        background: Background,
        *,
        tokens: str = "",
        users: str = "",
        shared: bool = False,
    ) -> None:
        """`tokens` and `users` are the paths of the files, if they are set. `shared`: other nodes
        may have other files. Raises SetupError for a file that cannot be used."""
        self.tokens = Tokens(tokens or None)
        self._users_file = users
        self._users: Users | None = None
        if users:
            self._users = self._open()
        self._records = records
        self._background = background
        self._shared = shared
        self._revision = -1
        self._all: Sequence[Account] = ()
        self.ended: frozenset[str] = frozenset()  # ids of sessions that were ended
        self.shared_secret = ""  # of the database, once keep_secret() was called
        self._lock = trio.Lock()

    @property
    def users(self) -> Users:
        """The people. Their library is loaded when somebody asks for them."""
        if self._users is None:
            self._users = self._open()
            self._put()
        return self._users

    def _open(self) -> Users:
        from devgate.access.users import Users

        return Users(self._users_file or None, self._keep)

    async def load(self) -> None:
        """Read all of them, and take over what stands in the files. Raises StoreError."""
        await self.refresh()
        # Lines that cannot be taken over stay in force as lines.
        take_over = partial(self._take_over, since_start=self._shared)
        await self._background.attempt("accounts", take_over)

    async def keep_secret(self) -> None:
        """Have the secret of the database, which is made if it has none. Raises StoreError."""
        self.shared_secret = await self._records.read(shared_secret.get)
        if not self.shared_secret:
            self.shared_secret = await self._records.change(shared_secret.get_or_make)

    async def watch(self) -> NoReturn:
        """Look for changes by others, in the database and in the files."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            await self._background.until_done("accounts", self._look)

    async def _look(self) -> None:
        await self.refresh()
        await self._take_over(since_start=self._shared)

    async def refresh(self) -> None:
        """Put in force the accounts that the database has. Raises StoreError."""
        async with self._lock:
            if await self._records.read(stored.revision) != self._revision:
                found = await self._records.read(_everything, time())
                self._revision, self._all, self.ended = found
                self._put()

    def _put(self) -> None:
        tokens, users = self.all("token"), self.all("user")
        self.tokens.known.put(
            {one.name: token_of(one) for one in tokens if one.enabled}, self._lines("token")
        )
        if self._users is not None:
            self._users.known.put(
                {one.name: user_of(one) for one in users if one.enabled}, self._lines("user")
            )

    def _lines(self, kind: Kind) -> Mapping[str, str]:
        return {one.name: one.line for one in self._all if one.kind == kind and one.line}

    def all(self, kind: Kind) -> Sequence[Account]:
        """Those of the database, by name."""
        return [one for one in self._all if one.kind == kind and not one.removed]

    async def change(self, function: Any, *args: Any) -> Any:
        """What a statement of `store.accounts` returns, which is in force when this returns.

        Raises CallerError as it does, and StoreError.
        """
        # What is on disk gets in force, even if the caller leaves.
        with trio.CancelScope(shield=True):
            done = await self._records.change(function, *args)
            await self.refresh()
        return done

    # Files

    async def _take_over(self, *, since_start: bool) -> None:
        """Take over each line of the files once, and remove the accounts whose lines have gone."""
        kinds: list[tuple[Kind, Any]] = [("token", self.tokens.known)]
        if self._users is not None:
            kinds.append(("user", self._users.known))
        for kind, known in kinds:
            if not_imported := known.not_imported():
                lines = [_account(kind, one) for one in not_imported]
                imported = await self.change(stored.import_lines, lines)
                known.offered(not_imported)
                for one in imported:
                    log.info("account taken over kind=%s name=%s file=%s", kind, one.name,
                             known.path)  # fmt: skip
                    self._tell("account.added", one)
            here = {one.name: one for one in self.all(kind)}
            for name in known.gone(since_start=since_start):
                if name in here:
                    await self.change(stored.remove, kind, name)
                    log.info("account removed with its line kind=%s name=%s file=%s", kind, name,
                             known.path)  # fmt: skip
                    self._tell("account.removed", here[name])

    def _tell(self, event: str, one: Account) -> None:
        self._records.event(
            event, None, kind=one.kind, name=one.name, role=one.role, source=FILES[one.kind]
        )

    async def _keep(self, user: User, hashed: str) -> bool:
        """Store the hash of a password again, at today's cost. False: the database does not have
        that user."""
        if all(one.name != user.name or one.proof != user.hash for one in self.all("user")):
            return False
        await self.change(stored.change, "user", user.name, {"proof": hashed})
        return True


def _everything(conn: Reading, now: float) -> tuple[int, Sequence[Account], frozenset[str]]:
    return *stored.everyone(conn), sessions.ended(conn, now)


def token_of(one: Account) -> Token:
    """A token of the database."""
    return Token(one.name, one.role, iso(one.added_at) or "", one.proof, one.sites)


def user_of(one: Account) -> User:
    """A person of the database."""
    from devgate.access.users import User

    # Sessions of who has no password end when he is added again, or the provider's word changes.
    proof = f"provider {one.added_at} {one.subject}" if one.provider else one.proof
    return User(one.name, one.role, iso(one.added_at) or "", proof, one.sites)


def _account(kind: Kind, entry: Any) -> Account:
    proof = entry.hash if kind == "user" else entry.digest
    at = _seconds(entry.created)
    return Account(kind, entry.name, entry.role, None, proof, True, at, entry.line())


def _seconds(created: str) -> float:
    """When a line was added, which a person may have written."""
    try:
        return datetime.fromisoformat(created).timestamp()
    except ValueError:
        return 0.0
