"""What a gateway keeps: asked of the one that runs, and where none does, its database itself.

What opens it is imported in the functions: `--help` needs none of it.
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
    """The reply of the gateway that runs. None where none does: then the command works on the
    database.

    Raises NoGateway where one may run that does not answer this user.
    """
    with running(where) as channel:
        if channel is None:
            return None
        channel.send(request)
        return channel.awaited()


@contextmanager
def running(where: Where) -> Iterator[Channel | None]:
    """A connection to the gateway that runs, as asked() has it."""
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
    """The database of the gateway that runs. None where none answers: what is configured will
    do."""
    try:
        return ask(where.socket(), {"type": "status"}).get("database")
    except NoGateway:
        return None


@contextmanager
def store(where: Where, *, runs: bool = True) -> Iterator[Database]:
    """The open database. An error that people can mend ends the command with its exit code.

    `runs`: a gateway may run, and its database is meant; else the caller has looked.
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
    """The configuration that is found, and what the environment sets."""
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
    """The running gateway's database where it can be reached from here, else the configured one.

    `serve --demo` has a store of its own and answers at the usual socket: what an operator
    lists there, an operator wants to show and change there.
    """
    if "DEVGATE_STORE__URL" in os.environ:
        return url
    used = _in_use(where)
    if not isinstance(used, str) or not used.startswith("sqlite:///") or used == url:
        return url
    print_error(f"the gateway that runs works with {used}; so does this command")
    return used


def done(where: Where, database: Database, message: str, **fields: object) -> NoReturn:
    """Have a running gateway take the change up, and say what was done."""
    refresh(where, database)
    finish({"status": "200", "message": message, **fields}, where.as_json)


def refresh(where: Where, database: Database) -> None:
    """Whatever comes of it, the change is stored: a failure is a warning."""
    path, why = where.socket(), None
    try:
        reply = ask(path, {"type": "refresh"})
        if exit_code(reply):
            why = reply.get("message")
    except NoAnswer as err:
        why = str(err)
    except NoGateway as err:
        # None runs, or one does and this user may not speak to it.
        if not os.path.exists(path) or os.access(path, os.W_OK):
            return
        why = str(err)
    else:
        # Where `_meant` could not follow: another PostgreSQL, or one that the environment names.
        used = reply.get("database", database.url_shown)
        if not why and used != database.url_shown:
            why = f"the gateway at {path} works with another database, {used}"
    if why:
        print_error(f"warning: {why}; the change is stored in {database.url_shown}")
