"""The base class of tables of gateway.toml: keys, each with a default and a description."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo


def setting(default: Any, description: str, *, restart: bool = False, secret: bool = False) -> Any:
    """One key. `restart`: a running gateway can't take up a new value. `secret`: not in a repr."""
    return Field(
        default,
        description=description,
        json_schema_extra={"restart": restart},
        repr=not secret,
    )


def needs_restart(field: FieldInfo) -> bool:
    """True if a running gateway can't take up a new value of this key."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and extra.get("restart") is True


class Table(BaseModel):
    """A table of gateway.toml. Defaults are in the form of the file, and are checked like
    values."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def table_of(field: FieldInfo) -> type[Table] | None:
    """The table that a key stands for, or None for a plain value or a list of tables."""
    if get_origin(field.annotation) is list:
        return None
    return _table_among(field.annotation, *get_args(field.annotation))


def tables_of(field: FieldInfo) -> type[Table] | None:
    """The table of a key that is written as [[key]], any number of times; else None."""
    if get_origin(field.annotation) is not list:
        return None
    return _table_among(*get_args(field.annotation))


def _table_among(*kinds: object) -> type[Table] | None:
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, Table):
            return kind
    return None


def keys_of(table: type[Table], around: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key in a table and in the tables within it, as paths; none of lists of tables."""
    for name, field in table.model_fields.items():
        if inner := table_of(field):
            yield from keys_of(inner, (*around, name))
        elif not tables_of(field):
            yield (*around, name)
