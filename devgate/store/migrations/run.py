"""Bring one open database up to the newest schema."""

from __future__ import annotations

from importlib.resources import as_file, files

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def upgrade(conn: Connection, to: str = "head") -> None:
    """Migrate within the transaction of `conn`, which the caller commits.

    Both databases take back the definition of a table with its transaction, so a
    migration is there as a whole or not at all.
    """
    with as_file(files(__package__)) as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = conn
        command.upgrade(config, to)
