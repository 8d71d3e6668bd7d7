"""DEVGATE_<TABLE>__<KEY>: variables that override the file."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from devgate.config.kinds import Word
from devgate.config.settings import Settings
from devgate.config.table import keys_of
from devgate.model import shown

PREFIX = "DEVGATE_"
Path = tuple[str, ...]


def variable(path: Path) -> str:
    """The name of the variable for a key."""
    return PREFIX + "__".join(path).upper()


def overrides(env: Mapping[str, str]) -> tuple[dict[Path, Word], list[str]]:
    """The settings in the environment, and a sentence for each variable that is not one.

    A name with two underscores in it is meant as a setting. Others are not (DEVGATE_SOCKET, and
    variables that a container platform adds for a service called devgate), unless the name is a
    key with one underscore too few.
    """
    known = {variable(path): path for path in keys_of(Settings)}
    slips = {PREFIX + "_".join(path).upper(): name for name, path in known.items()}
    given: dict[Path, Word] = {}
    wrong: list[str] = []
    for name, value in sorted(env.items()):
        if not name.startswith(PREFIX):
            continue
        if path := known.get(name):
            if _is_text(value):
                given[path] = Word(value)
            else:
                wrong.append(f"{name}: UTF-8 expected")
        elif name in slips:
            wrong.append(f"{name}: two underscores between levels expected: {slips[name]}")
        elif below := [other for other in known if other.startswith(f"{name}__")]:
            wrong.append(f"{name}: a table, set its keys one by one: {', '.join(below)}")
        elif "__" in name.removeprefix(PREFIX):
            wrong.append(_unknown(name, list(known)))
    return given, wrong


def merge(data: dict[str, Any], given: Mapping[Path, Word]) -> None:
    """Put the environment's values into the values of a file.

    If the file has another value where a table should be, it stays, and the check reports it.
    """
    for path, value in given.items():
        table: Any = data
        for part in path[:-1]:
            table = table.setdefault(part, {}) if isinstance(table, dict) else None
        if isinstance(table, dict):
            table[path[-1]] = value


def _is_text(value: str) -> bool:
    """Whether it has no lone surrogates. Python uses these for bytes that are not UTF-8, which no
    frame or URL can carry."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unknown(name: str, known: list[str]) -> str:
    tails = [other.removeprefix(PREFIX) for other in known]  # the prefix makes all of them similar
    close = difflib.get_close_matches(name.removeprefix(PREFIX)[:100].upper(), tails, 1)
    hint = f"; did you mean {PREFIX}{close[0]}?" if close else ""
    shortened = name if name.isprintable() and len(name) <= 100 else shown(name, 100)
    return f"{shortened}: no such setting{hint}"
