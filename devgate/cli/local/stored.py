"""What a gateway stores: the gateway that runs is asked, and if none runs, its database is used.

The modules for the database are imported in the functions: `--help` does not need them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from devgate.cli.output import Where, exit_code, fail, finish, print_error
from devgate.control.client import Channel, NoAnswer, NoGateway, Reply, ask
from devgate.errors import CallerError, SetupError, StoreError

if TYPE_CHECKING:
    from devgate.config.settings import Settings
    from devgate.store.engine import Database


def asked(where: Where, request: Mapping[str, Any]) -> Reply | None:
    """The reply of the gateway that runs. None: no gateway runs, and the command works on the
    database.

    Raises NoGateway if one may run that does not answer this user.
    """
    with running(where) as channel:
        if channel is None:
            return None
        channel.send(request)
        return channel.awaited()


@contextmanager
def running(where: Where) -> Iterator[Channel | None]:
    """A connection to the gateway that runs; None and NoGateway as in asked()."""
    if _other_database(where):
        yield None
        return
    try:
        channel = Channel(where.socket())
    except NoGateway as err:
        if not err.absent:
            raise
        yield None
    else:
        with channel:
            yield channel


def _other_database(where: Where) -> bool:
    """Whether the environment names another database than that of the gateway that runs."""
    if "DEVGATE_STORE__URL" not in os.environ or not (used := _in_use(where)):
        return False
    from devgate.store.engine import Database
    from devgate.store.engines import make_engine

    meant = Database(make_engine(configured(where)))
    meant.close()
    return bool(used != meant.url_shown)


def _in_use(where: Where) -> object:
    """The database of the gateway that runs. None: no gateway answers, and the configured one is
    used."""
    try:
        return ask(where.socket(), {"type": "status"}).get("database")
    except NoGateway:
        return None


@contextmanager
def store(where: Where, *, runs: bool = True) -> Iterator[Database]:
    """The open database. An error that people can correct ends the command with its exit code.

    `runs`: a gateway may run, and its database is used. False: the caller knows that none runs.
    """
    from devgate.store.opening import open_database
    from devgate.store.outage import in_words

    try:
        url = configured(where)
        database = open_database(_meant(where, url) if runs else url)
    except SetupError as err:
        fail(str(err), exit_code({"status": err.status}))
    try:
        with in_words():
            yield database
    except CallerError as err:
        finish({"status": err.status, "message": str(err)}, where.as_json)
    except StoreError as err:
        text = f"the database {database.url_shown} cannot be used: {err}"
        finish({"status": err.status, "message": text}, where.as_json)
    finally:
        database.close()


def settings_of(where: Where) -> Settings:
    """The settings of the configuration that is found, and of the environment."""
    from devgate.config.load import load
    from devgate.config.locate import find_config

    return load(find_config(where.config_option, os.environ), os.environ)


def configured(where: Where) -> str:
    """The URL of the configured database."""
    return settings_of(where).store.url


def key_file_of(where: Where) -> tuple[str, str | None]:
    """The URL of the configured database, and its key file; None: there is none yet."""
    store = settings_of(where).store
    return store.url, store.key_file if os.path.exists(store.key_file) else None


def _meant(where: Where, url: str) -> str:
    """The running gateway's database if it can be used from here, else the configured one.

    `serve --demo` has a database of its own and answers at the usual socket: a command that shows
    or changes devices has to use the same database as one that lists them.
    """
    if "DEVGATE_STORE__URL" in os.environ:
        return url
    used = _in_use(where)
    if not isinstance(used, str) or not used.startswith("sqlite:///") or used == url:
        return url
    print_error(f"the gateway that runs works with {used}; so does this command")
    return used


def done(where: Where, database: Database, message: str, **fields: object) -> NoReturn:
    """Have a running gateway read the change, and end with what was done."""
    refresh(where, database)
    finish({"status": "200", "message": message, **fields}, where.as_json)


def refresh(where: Where, database: Database) -> None:
    """Have a running gateway read the change. It is stored in any case: a failure is a warning."""
    path, why = where.socket(), None
    try:
        reply = ask(path, {"type": "refresh"})
        if exit_code(reply):
            why = reply.get("message")
    except NoAnswer as err:
        why = str(err)
    except NoGateway as err:
        # Either no gateway runs, or this user may not use its socket.
        if not os.path.exists(path) or os.access(path, os.W_OK):
            return
        why = str(err)
    else:
        # `_meant` does not know of another PostgreSQL, nor of a database that the environment
        # names.
        used = reply.get("database", database.url_shown)
        if not why and used != database.url_shown:
            why = f"the gateway at {path} works with another database, {used}"
    if why:
        print_error(f"warning: {why}; the change is stored in {database.url_shown}")
