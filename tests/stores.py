"""Databases that have their tables, and devices, from the first moment on.

Each kind is made once, by devgate itself, and copied from then on: to make one takes longer than
most tests that need one.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Hashable
from pathlib import Path

from sqlalchemy.engine import make_url

from devgate.store.opening import open_database
from devgate.store.schema import VERSION_TABLE
from tests.postgres import binaries, servers

_files: dict[Hashable, bytes] = {}
_scripts: dict[Hashable, str] = {}
SCHEMA = "the_schema"  # in place of its name in a script


def with_tables(url: str) -> str:
    """Give the empty database at this URL its tables. Returns the URL."""
    make_once(url, "tables", lambda: open_database(url).close())
    return url


def make_once(url: str, kind: Hashable, make: Callable[[], object]) -> None:
    """Let the database at this URL be one of that kind. `make` works on this one: it is called
    for the first one of the kind, and where the database is not empty."""
    if url.startswith("sqlite"):
        _sqlite(Path(url.removeprefix("sqlite:///")), kind, make)
    else:
        _postgresql(url, kind, make)


def _sqlite(file: Path, kind: Hashable, make: Callable[[], object]) -> None:
    if file.exists():
        make()
    elif (content := _files.get(kind)) is None:
        make()
        assert not file.with_name(f"{file.name}-wal").exists(), "all of it is in the file"
        _files[kind] = file.read_bytes()
    else:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
            new.write(content)


def _postgresql(url: str, kind: Hashable, make: Callable[[], object]) -> None:
    found = re.search(r"search_path%3D(\w+)", url)
    parts = make_url(url)
    server = servers.get(str(parts.query.get("host")))
    # It is not one of Postgres.create_database(), or its tables are to be another user's.
    if found is None or server is None or parts.username != make_url(server.url()).username:
        make()
        return
    new = server.execute(f"SELECT to_regclass('{found[1]}.{VERSION_TABLE}')") == (None,)
    script = _scripts.get(kind)
    if new and script is not None:
        server.execute(re.sub(rf"\b{SCHEMA}\b", found[1], script))
        return
    make()
    if new:
        _scripts[kind] = _dump(url, found[1])


def _server(url: str) -> str:
    parts = make_url(url)
    return parts.difference_update_query(["options"]).render_as_string(hide_password=False)


def _dump(url: str, schema: str) -> str:
    """What makes that schema, with its rows, as one script."""
    programs = binaries()
    assert programs is not None, "its server runs"
    done = subprocess.run(
        [
            programs / "pg_dump", "--inserts", "--no-owner", "--no-privileges",
            f"--schema={schema}", _server(url),
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    # What begins with a backslash is for psql; and the schema is there, maybe another role's.
    left_out = ("\\", "CREATE SCHEMA ")
    lines = [line for line in done.stdout.splitlines() if not line.startswith(left_out)]
    return re.sub(rf"\b{schema}\b", SCHEMA, "\n".join(lines))
