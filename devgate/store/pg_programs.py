"""PostgreSQL's own programs for copies: pg_dump and pg_restore, as they are installed here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.engine import URL

from devgate.errors import SetupError
from devgate.store import postgres_url
from devgate.store.metadata import metadata
from devgate.store.modes import new_copy
from devgate.store.outage import one_line
from devgate.store.schema import VERSION_TABLE

NAME = b"PGDMP"
INSTALL = (
    "install it (Debian: apt-get install postgresql-client, of the server's version or a newer "
    "one), or copy the database with pg_basebackup on its server (docs/manual.md)"
)
MAX_OUTPUT = 2000  # characters of what a program says

_OTHERS = text("""
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
      AND NOT c.relname = ANY(:ours)
""")
_SCHEMA_LINE = re.compile(r"^\d+; \d+ \d+ (SCHEMA|COMMENT - SCHEMA|ACL - SCHEMA) ")


def dump(url: str, conn: Connection, target: Path) -> None:
    """Write devgate's tables into the new file `target` (pg_dump's own form, compressed), as the
    transaction of `conn` sees them. Others' tables in the schema are left out.

    Raises SetupError. What is there of the target then is removed.
    """
    program = _program("pg_dump")
    schema: str = conn.scalar(text("SELECT current_schema()")) or "public"
    snapshot: str = conn.scalar(text("SELECT pg_export_snapshot()")) or ""
    ours = [*(table.name for table in metadata.sorted_tables), VERSION_TABLE]
    others = conn.scalars(_OTHERS, {"ours": ours}).all()
    with new_copy(target) as made:
        uri, env = connection(url)
        _run(
            [
                program, "--format=custom", "--no-owner", "--no-privileges",
                f"--snapshot={snapshot}", f"--schema={_pattern(schema)}",
                *(f"--exclude-table={_pattern(schema)}.{_pattern(name)}" for name in others),
                "--dbname", uri,
            ],
            env, made,
        )  # fmt: skip


def verify(file: Path) -> None:
    """Read all of a dump, and unpack it into nothing. Raises SetupError if it is not whole."""
    with open(os.devnull, "wb") as nothing:
        _run([_program("pg_restore"), "--file=-", str(file)], {}, nothing.fileno())


def restore(file: Path, url: str) -> None:
    """Write a dump into an empty schema, whole or not at all. Raises SetupError."""
    program = _program("pg_restore")
    uri, env = connection(url)
    lines = subprocess.run(
        [program, "--list", str(file)], capture_output=True, text=True, check=False
    )
    if lines.returncode:
        raise _failed("pg_restore", lines.stderr)
    # The schema is there already, with whatever else is in it.
    listed = [line for line in lines.stdout.splitlines() if not _SCHEMA_LINE.match(line)]
    done = subprocess.run(
        [
            program, "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges",
            "--use-list=/dev/stdin", "--dbname", uri, str(file),
        ],
        input="\n".join(listed), capture_output=True, text=True, check=False,
        env={**os.environ, **env},
    )  # fmt: skip
    if done.returncode:
        raise _failed("pg_restore", done.stderr)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise SetupError(f"{name} is not installed here: {INSTALL}", status="503")
    return found


def _pattern(name: str) -> str:
    """A name as pg_dump's patterns have it: as it is, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def connection(url: str) -> tuple[str, Mapping[str, str]]:
    """The URI for a program, and the variables with its password: others see arguments."""
    parsed: URL = postgres_url.parsed(url.replace("postgres://", "postgresql://", 1))
    env = {}
    password = parsed.password or parsed.query.get("password")
    if password:
        env["PGPASSWORD"] = str(password)
    bare = parsed.set(drivername="postgresql").difference_update_query(["password"])
    uri = URL.create(
        bare.drivername, bare.username, None, bare.host, bare.port, bare.database, bare.query
    )
    return uri.render_as_string(hide_password=False), env


def _run(command: Sequence[str], env: Mapping[str, str], output: int) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE, text=True,
        check=False, env={**os.environ, **env},
    )  # fmt: skip
    if done.returncode:
        raise _failed(Path(command[0]).name, done.stderr)


def _failed(name: str, said: str) -> SetupError:
    return SetupError(f"{name} failed: {one_line(said)[:MAX_OUTPUT]}", status="503")
