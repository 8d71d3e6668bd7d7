"""The side file: outcomes that could not be written into the database before the process ended.

JSON lines. A head (`database`: the database's id, `epoch`, `devgate`: the version, `at`) stands
before the rows of each process that wrote; each row is a command with all its columns.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import time
from typing import Any, NamedTuple

from devgate import __version__
from devgate.model import EXIT, MAX_TIME, in_unicode, iso
from devgate.store.batch import KINDS, Row
from devgate.store.folders import sync_folder
from devgate.store.ownership import Owner

ID_SIZE = 26  # characters


class LateCommand(NamedTuple):
    """One line: a command as it stood when its process ended."""

    database: str
    epoch: int
    command: Mapping[str, Any]


def place(database_file: Path | None, state_folder: Path, owner: Owner | None) -> Path:
    """Beside an SQLite database; PostgreSQL: in the folder of the control socket."""
    if database_file is not None:
        return database_file.with_name(f"{database_file.name}.late")
    return state_folder / f"devgate-{owner.database if owner else ''}.late"


def write(path: Path, owner: Owner, rows: Sequence[Row]) -> int:
    """Append the newest row of each command, on disk when it returns. Returns how many there are.

    Raises OSError.
    """
    columns = KINDS["command"].columns
    commands = {row.values[0]: row.values for row in rows if row.kind == "command"}
    if not commands:
        return 0
    head = {"database": owner.database, "epoch": owner.epoch}
    lines: list[Mapping[str, Any]] = [{**head, "devgate": __version__, "at": iso(time())}]
    lines += [dict(zip(columns, values, strict=True)) for values in commands.values()]
    # An earlier process may not have finished its last line.
    text = "\n" + "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with open(file, "wb", buffering=0) as out:
        out.write(text.encode())
        os.fsync(file)
    sync_folder(path.parent)
    return len(commands)


def read(path: Path) -> list[LateCommand]:
    """What the file holds; a last line that was written by half is left out.

    Raises OSError, and ValueError for a file that is no such file.
    """
    lines: list[Any] = []
    half = ""  # an invalid line, which is allowed only as the unfinished last line of a process
    for number, text in enumerate(path.read_bytes().split(b"\n"), 1):
        if not text:
            continue
        try:
            line = json.loads(text)
        except ValueError as err:
            half = half or f"{path}: line {number}: {err}"
            continue
        if half and "database" not in line:
            break
        half = ""
        lines.append(line)
    if half and (not lines or line is not lines[-1]):
        raise ValueError(half)
    return parse(lines)


def parse(lines: Sequence[Any]) -> list[LateCommand]:
    """The commands of these lines. Raises ValueError."""
    found: list[LateCommand] = []
    database, epoch = "", 0
    for number, line in enumerate(lines, 1):
        try:
            if "database" in line:
                database, epoch = str(line["database"]), int(line["epoch"])
                continue
            if not database or not _is_command(line):
                raise ValueError(f"line {number}: a head, and a command's columns expected")
        except (TypeError, KeyError) as err:
            raise ValueError(f"line {number}: {err!r}") from None
        found.append(LateCommand(database, epoch, line))
    return found


def _is_command(line: Mapping[str, Any]) -> bool:
    """Whether the database can store it and all readers can show it: with a time after the year
    9999 the gateway could not start. Raises TypeError or KeyError for other shapes."""
    text = f"{line['id']}{line['message']}"
    return (
        all(isinstance(line[name], str) for name in ("id", "message"))
        and len(line["id"]) <= ID_SIZE
        and "\0" not in text
        and text == in_unicode(text)
        and line["status"] in EXIT
        and line["state"] in ("waiting", "sent", "ended")
        and line["late"] in (True, False, None)
        and all(_is_time(line[name]) for name in ("ended_at", "late_at"))
    )


def _is_time(at: Any) -> bool:
    return at is None or (type(at) in (int, float) and 0 <= at <= MAX_TIME)


def set_aside(path: Path) -> Path:
    """Keep the file under another name, for an operator to look at."""
    aside = path.with_name(f"{path.name}.aside-{int(time())}")
    path.rename(aside)
    return aside
