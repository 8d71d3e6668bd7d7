"""Makes settings from a file and the environment, or messages that say what to correct, and
where."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from devgate.config import credentials
from devgate.config.environment import merge, overrides, variable
from devgate.config.kinds import Misfit, came
from devgate.config.lines import Lines
from devgate.config.locate import folder_of, name_of, read
from devgate.config.settings import Settings
from devgate.config.table import Table, keys_of, needs_restart, table_of, tables_of
from devgate.errors import WrongSettings
from devgate.model import shown

PASSWORD_FILE = ("store", "password_file")
MAX_COMPLAINTS = 20  # lines: with more errors it is probably the wrong file

Place = tuple[str, ...]


class Number(str):
    """The number of a table among those of one name, from 0. People get its line instead."""

    __slots__ = ()


def load(
    path: str | os.PathLike[str] | None, env: Mapping[str, str], *, password: bool = True
) -> Settings:
    """The settings in a file, with the environment's over them; without a file, the defaults.

    Paths come out absolute: those that are relative start at the file's folder, or without
    a file at the working directory. `password`: that of `[store] password_file` is put into the
    database's URL; without it the URL is not usable, and the file need not be readable.
    Raises SetupError with a line for each mistake.
    """
    file = None if path is None else Path(path)
    folder = folder_of(file)
    text, data = ("", {}) if file is None else read(file)
    given, wrong = overrides(env)
    merge(data, given)
    for name, field in Settings.model_fields.items():
        if not tables_of(field):  # so that the paths among the defaults see the folder, too
            data.setdefault(name, {})
    errors: list[ErrorDetails] = []
    try:
        context = {"folder": folder, "credentials": credentials.folder(env, folder)}
        settings = Settings.model_validate(data, context=context)
    except ValidationError as err:
        errors = err.errors(include_url=False)
    origin = _Origin(file, text, frozenset(given))
    if wrong or errors:
        said = chain(wrong, _complaints(errors, origin))
        lines = list(islice(said, MAX_COMPLAINTS))
        if (more := len(wrong) + len(errors) - len(lines)) > 0:
            lines.append(f"and {more} more")
        raise WrongSettings("\n".join(lines))
    if password and settings.store.password_file:
        try:
            url = credentials.with_password(settings.store.url, settings.store.password_file)
        except ValueError as err:
            raise WrongSettings(f"{origin.says(PASSWORD_FILE)}: {err}") from None
        store = settings.store.model_copy(update={"url": url})
        settings = settings.model_copy(update={"store": store})
    settings.read_from(
        None if file is None else str(file.absolute()),
        lambda key: origin.says(tuple(_parts(key))),
    )
    return settings


def differences(old: Settings, new: Settings) -> tuple[list[str], list[str]]:
    """The dotted keys that changed: those to be applied now, and those that need a restart."""
    reload: list[str] = []
    restart: list[str] = []
    for place, held in _changed(old, new, ()):
        (restart if held else reload).append(".".join(place))
    # The addresses change only at a restart. Until then, one that other hosts can reach must keep
    # its tokens.
    if "control.listen" in restart and not new.control.tokens and "control.tokens" in reload:
        reload.remove("control.tokens")
        restart.append("control.tokens")
    return reload, restart


def with_changes(old: Settings, new: Settings, keys: Sequence[str]) -> Settings:
    """The old settings with these dotted keys as they are in the new ones."""
    tables: dict[str, dict[str, Any]] = {}
    for key in keys:
        table, name = key.split(".")[:2]
        tables.setdefault(table, {})[name] = getattr(getattr(new, table), name)
    return old.model_copy(
        update={
            table: getattr(old, table).model_copy(update=values)
            for table, values in tables.items()
        }
    )


def _changed(old: Table, new: Table, around: Place) -> Iterator[tuple[Place, bool]]:
    for name, field in type(old).model_fields.items():
        before, after, place = getattr(old, name), getattr(new, name), (*around, name)
        if before == after:
            continue
        if needs_restart(field) or not (isinstance(before, Table) and isinstance(after, Table)):
            yield place, needs_restart(field)
        else:
            yield from _changed(before, after, place)


class _Origin:
    """The origin of a value: a variable, or a line of the file."""

    def __init__(self, file: Path | None, text: str, given: frozenset[Place]) -> None:
        self._file = None if file is None else name_of(file)
        self._text = text
        self._given = given

    @cached_property
    def _lines(self) -> Lines:
        return Lines(self._text)  # needed only for errors

    def line(self, place: Place) -> int:
        """For sorting: variables stand in front."""
        return 0 if place in self._given else self._lines.nearest(place) or 0

    def written(self, places: Sequence[Place]) -> Place:
        """The first of these that is written somewhere; else the first."""
        for place in places:
            if place in self._given or self._lines.exact(place):
                return place
        return places[0]

    def says(self, place: Place) -> str:
        """The beginning of a message about this key."""
        if place in self._given:
            return variable(place)
        if line := self._lines.nearest(place):
            return f"{self._file}, line {line}: {_dotted(place)}"
        # A key that is missing from a table which the environment alone has set up.
        source = next((v for v in self._given if v[:-1] == place[:-1]), None)
        before = variable(source) if source else self._file
        return f"{before}: {_dotted(place)}" if before else _dotted(place)


def _complaints(errors: Sequence[ErrorDetails], origin: _Origin) -> Iterator[str]:
    """A line for each error, made when it is asked for, in the order of the file."""
    found: list[tuple[Place, ErrorDetails]] = []
    for error in errors:
        place = tuple(Number(part) if isinstance(part, int) else part for part in error["loc"])
        cause = error.get("ctx", {}).get("error")
        if isinstance(cause, Misfit):
            place = origin.written([(*place, *_parts(key)) for key in cause.keys])
        found.append((place, error))
    for place, error in sorted(found, key=lambda pair: origin.line(pair[0])):
        yield f"{origin.says(place)}: {_sentence(error, place)}"


def _parts(key: str) -> Iterator[str]:
    """The parts of a dotted key. No key is a number: a number is the place of a table."""
    for part in key.split("."):
        yield Number(part) if part.isdigit() else part


def _sentence(error: ErrorDetails, place: Place) -> str:
    cause = error.get("ctx", {}).get("error")
    if error["type"] == "extra_forbidden":
        return _unknown(place, error["input"])
    if error["type"] == "missing" and place[-1] == "url":
        return f"missing: every [[{_dotted(place[:-1])}]] needs a url"
    if error["type"] == "missing":
        return f"missing: [{_dotted(place[:-1])}] needs certificate and key"
    if error["type"] == "list_type":
        return f"[[{_dotted(place)}]], in two brackets, expected, not {came(error['input'])}"
    if error["type"] == "model_type":
        return f"a table expected, not {came(error['input'])}"
    return str(cause or error["msg"])


def _unknown(place: Place, value: object) -> str:
    """The message for an unknown key or table, with the one that was probably meant."""
    *around, name = place
    table: type[Table] = Settings
    for part in around:
        if isinstance(part, Number):
            continue
        inner = table_of(table.model_fields[part]) or tables_of(table.model_fields[part])
        assert inner, "only within a table is a key unknown"
        table = inner
    what = "table" if isinstance(value, (dict, list)) else "key"
    meant: list[Place] = []
    if around or what == "table":
        close = difflib.get_close_matches(name[:100].lower(), table.model_fields, 1)
        meant = [(*around, known) for known in close]
    if what == "key":
        every = list(keys_of(Settings))
        home = [place for place in every if place[-1] == name]
        if not meant and not home:
            close = difflib.get_close_matches(name[:100].lower(), {p[-1] for p in every}, 1)
            home = [place for place in every if place[-1] in close]
        meant = home or meant
    if meant:
        one_of = "one of " if len(meant) > 1 else ""
        return f"unknown {what}; did you mean {one_of}{', '.join(map(_dotted, meant))}?"
    return (
        f"unknown {what}; known {'here' if around else 'tables'}: {', '.join(table.model_fields)}"
    )


def _dotted(place: Place) -> str:
    """A key in the form of TOML, shortened if it is very long."""
    return ".".join(
        part if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", part, re.ASCII) else shown(part)
        for part in place
        if not isinstance(part, Number)
    )
