"""The gateway's database, for commands that work on it directly with the gateway running or not.

What opens it is imported in the functions: `--help` needs none of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from devgate.cli.output import Where, complain, exit_code, fail, told
from devgate.control.client import NoAnswer, NoGateway, ask
from devgate.errors import CallerError, SetupError, StoreError

if TYPE_CHECKING:
    from devgate.store.engine import Database


@contextmanager
def store(where: Where) -> Iterator[Database]:
    """The open database. An error that people can mend ends the command with its exit code."""
    from devgate.config.load import load
    from devgate.config.locate import find_config
    from devgate.store.engine import in_words, open_database

    settings = load(find_config(where.config_option, os.environ), os.environ)
    try:
        database = open_database(settings.store.url)
    except SetupError as err:
        fail(str(err), exit_code({"status": err.status}))
    try:
        with in_words():
            yield database
    except CallerError as err:
        told({"status": err.status, "message": str(err)}, where.as_json)
    except StoreError as err:
        text = f"the database {database.url_shown} cannot be used: {err}"
        told({"status": err.status, "message": text}, where.as_json)
    finally:
        database.close()


def done(where: Where, database: Database, message: str, **fields: object) -> NoReturn:
    """Have a running gateway take the change up, and say what was done."""
    refresh(where, database)
    told({"status": "200", "message": message, **fields}, where.as_json)


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
        # `serve --demo` has a store of its own, and answers at the usual socket.
        used = reply.get("database", database.url_shown)
        if not why and used != database.url_shown:
            why = f"the gateway at {path} works with another database, {used}"
    if why:
        complain(f"warning: {why}; the change is stored in {database.url_shown}")
