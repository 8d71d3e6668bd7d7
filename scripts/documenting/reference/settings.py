"""Every key of gateway.toml, from the classes that read it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator

from pydantic.fields import FieldInfo

from devgate.config.settings import Settings
from devgate.config.table import Table, needs_restart, table_of, tables_of
from documenting.plan import Language
from documenting.words import said, table

HEAD = ("Key", "Default", "What it is for")
AT_START = "Taken up at the start only."


def page(language: Language) -> str:
    """The page as Markdown."""
    parts = [f"# {said(language, 'All settings')}", said(language, "ABOUT SETTINGS")]
    for kind, head in tables():
        parts += _table(language, kind, head)
    return "\n\n".join(parts) + "\n"


def tables() -> Iterator[tuple[type[Table], str]]:
    """Every table and how its head is written ("[a]", "[[a]]"): in the order of the file, and
    `[a]` before `[a.b]`."""
    for name, field in Settings.model_fields.items():
        yield from _within((name,), field)


def _within(path: tuple[str, ...], field: FieldInfo) -> Iterator[tuple[type[Table], str]]:
    dotted = ".".join(path)
    if many := tables_of(field):
        yield many, f"[[{dotted}]]"
        return
    one = table_of(field)
    if one is None:
        return
    yield one, f"[{dotted}]"
    for name, inner in one.model_fields.items():
        yield from _within((*path, name), inner)


def _table(language: Language, kind: type[Table], head: str) -> list[str]:
    rows = [tuple(said(language, word) for word in HEAD)]
    for name, field in kind.model_fields.items():
        if table_of(field) or tables_of(field):
            continue
        about = said(language, field.description or "")
        if needs_restart(field):
            about = f"{about} {said(language, AT_START)}"
        nothing = field.is_required() or field.default is None
        default = "" if nothing else json.dumps(field.default, ensure_ascii=False)
        written = f"`{default}`" if default else said(language, "none")
        rows.append((f"`{name}`", written, about))
    about = said(
        language, inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    )
    return [f"## `{head}`", about, table(*rows)]
