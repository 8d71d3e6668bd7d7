"""`devgate serve --standby`: waits, without a door, until the database has no other gateway."""

from __future__ import annotations

import logging
import math
import os
from contextlib import suppress
from time import monotonic, sleep

from devgate.config.settings import Settings
from devgate.control.listeners import must_be_free
from devgate.control.standby_file import StandbyFile
from devgate.early import StopRequested, until_stop_requested
from devgate.errors import DoorInUse, SetupError, StoreAway
from devgate.guard import AFTER_DRAIN_SECONDS
from devgate.net.addresses import bind
from devgate.store.engine import Database
from devgate.store.journal import resume_of
from devgate.store.seal import Seal, SealError
from devgate.store.sealed import secrets
from devgate.store.standby import Standby

LOOK_SECONDS = 0.5  # between two looks at the database
LOG_INTERVAL_SECONDS = 60.0  # between two lines about the same state
# On one machine the former gateway may still have its doors, at most until its guard ends it.
DOORS_SECONDS = AFTER_DRAIN_SECONDS + 5.0
DOOR_LOOK_SECONDS = 0.05

log = logging.getLogger("devgate")


def possible(settings: Settings) -> None:
    """Raises SetupError for settings with which a standby is not possible."""
    if settings.cluster.node:
        raise SetupError(
            "serve --standby waits to work alone, and [cluster] node works beside other nodes: "
            "leave one of the two out",
            status="400",
        )
    if not settings.store.url.startswith("postgres"):
        raise SetupError(
            "serve --standby needs a PostgreSQL [store] url: an SQLite database belongs to one "
            "machine, where a service manager starts the gateway again as soon as it has ended",
            status="400",
        )


def stand_by(settings: Settings) -> Database | None:
    """Wait until no other gateway works with the database, and return it: this process owns it
    then, and can open its doors. None: SIGTERM or SIGINT came first.

    Raises SetupError for errors that waiting does not correct, as soon as a look finds them.
    """
    with suppress(DoorInUse):  # the other gateway may be one of this machine
        must_be_free(settings.control.socket)
    file = StandbyFile(settings.control.socket)
    waiting = _Waiting(settings, file)
    try:
        with until_stop_requested():
            database = waiting.run()
            try:
                wait_for_doors(settings)
            except BaseException:
                database.close()
                raise
            return database
    except StopRequested:
        return None
    finally:
        waiting.standby.close()
        file.remove()


class _Waiting:
    """The work and the reports of a standby until it takes over."""

    def __init__(self, settings: Settings, file: StandbyFile) -> None:
        self.standby = Standby(
            settings.store.url, resume=resume_of(settings.store), check=self._check_key
        )
        self._seal = Seal(settings.store.key_file)
        self._file = file
        self._began = monotonic()
        self._said: tuple[str, str] | None = None
        self._said_at = -math.inf
        self._key_is_right: bool | None = None  # None: it was not looked at yet

    def run(self) -> Database:
        """Look until this process owns the database."""
        while True:
            try:
                database = self.standby.look()
            except StoreAway as err:
                self._say("the database cannot be reached", str(err))
            else:
                if database is not None:
                    log.warning(
                        "taking over database=%s after_seconds=%s",
                        database.url_shown, round(monotonic() - self._began, 1),
                    )  # fmt: skip
                    return database
                self._say("another gateway works with the database", self.standby.holder)
            sleep(LOOK_SECONDS)

    def _say(self, what: str, more: str) -> None:
        """Report the state: for callers at the socket, and in the log if it has changed."""
        self._file.say(f"process {os.getpid()} waits as a standby: {what} ({more})")
        same = self._said is not None and self._said[0] == what
        if same and (
            self._said == (what, more) or monotonic() - self._said_at < LOG_INTERVAL_SECONDS
        ):
            return
        self._said, self._said_at = (what, more), monotonic()
        log.info("standing by reason=%s detail=%s", what, more)

    def _check_key(self, database: Database) -> None:
        """Check that the key file decrypts the stored secrets. Raises SetupError the first time.
        Later it only logs, because a service without webhooks is better than none."""
        first = self._key_is_right is None
        try:
            with database.read() as conn:
                for row in secrets(conn):
                    self._seal.open(row["secret"])
        except SealError as err:
            words = f"[store] key_file: {err}; a standby needs the same file as the other gateway"
            if first:
                raise SetupError(words) from None
            if self._key_is_right:
                log.error("webhooks could not be taken over reason=%s", words)
            self._key_is_right = False
        else:
            self._key_is_right = True


def wait_for_doors(settings: Settings) -> None:
    """Wait until every address is free: a killed gateway on this machine may still have them for a
    moment, and a fenced one until it has ended.

    Raises SetupError for an address that stays taken.
    """
    ends = monotonic() + DOORS_SECONDS
    said = False
    while True:
        try:
            must_be_free(settings.control.socket)
            for listen in (settings.device.listen, settings.control.listen, settings.http.listen):
                for sock in bind(listen):
                    sock.close()
            return
        except DoorInUse as err:
            if monotonic() > ends:
                raise
            if not said:
                log.warning("waiting for the doors of the former gateway reason=%s", err)
            said = True
        sleep(DOOR_LOOK_SECONDS)
