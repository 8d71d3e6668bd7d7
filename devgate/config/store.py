"""The table [store]."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import model_validator

from devgate.config.credentials import has_password
from devgate.config.kinds import (
    DAY,
    KEY_FILE,
    MIN_SECONDS,
    URL,
    YEARS,
    Misfit,
    one_of,
    path,
    seconds,
    size,
)
from devgate.config.table import Table, setting


class StoreSettings(Table):
    """The database."""

    url: Annotated[str, URL] = setting(
        "sqlite:///devgate.db", "sqlite:///FILE or postgresql://...", restart=True, secret=True
    )
    password_file: Annotated[str, path(optional=True)] = setting(
        "", "A file that holds the password of PostgreSQL's user, in place of one in url.",
        restart=True,
    )  # fmt: skip
    refresh: Annotated[float, seconds(MIN_SECONDS, DAY)] = setting(
        30, "How long until changes by other programs are seen."
    )
    after_loss: Annotated[Literal["confirm", "resume"], one_of("confirm", "resume")] = setting(
        "confirm", "What follows when the database has lost rows."
    )
    key_file: Annotated[str, KEY_FILE] = setting(
        "",
        "File of the key that encrypts webhook secrets; made if missing. Nothing: "
        "<database>.key beside SQLite's file, devgate.key beside this one for PostgreSQL.",
        restart=True,
    )
    backups: Annotated[str, path(optional=True)] = setting(
        "", "Folder of `devgate backup`; `devgate doctor` looks how old the newest one is."
    )
    keep_events: Annotated[float, seconds(1, YEARS)] = setting("30d", "How long events are kept.")
    keep_commands: Annotated[float, seconds(1, YEARS)] = setting(
        "365d", "How long the records of commands are kept."
    )
    max_size: Annotated[int, size()] = setting(
        0, 'Above it the oldest events are deleted, then starts are refused: "10GB"; 0: no bound.'
    )

    @model_validator(mode="after")
    def _one_password(self) -> StoreSettings:
        if self.password_file and self.url.startswith("sqlite"):
            raise Misfit(
                "SQLite has no password: a URL postgresql://... expected", "password_file"
            )
        if self.password_file and has_password(self.url):
            raise Misfit("either a password in url or password_file expected", "password_file")
        return self
