"""The configuration that is in force, and what an examination of the gateway finds."""

from __future__ import annotations

import os
from collections.abc import Iterator

from devgate.config.environment import variable
from devgate.config.table import Table, needs_restart, table_of, tables_of
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.model import iso

MODE = ("control", "mode")  # it is written in octal
URL = ("store", "url")


async def settings(gateway: Gateway, args: Args, source: str) -> Reply:
    """Every key of the configuration with the value that is in force, secrets left out."""
    now = gateway.settings
    return {
        "status": "200",
        "file": now.file,
        "items": list(_keys(now, (), now.file, gateway.records.database)),
    }


def _keys(
    table: Table, around: tuple[str, ...], file: str | None, database: str
) -> Iterator[Reply]:
    for name, field in type(table).model_fields.items():
        value, place = getattr(table, name), (*around, name)
        if isinstance(value, Table):
            yield from _keys(value, place, file, database)
        elif not tables_of(field) and not table_of(field):
            secret = not field.repr
            if place == URL:  # without its password it is none
                value, secret = database, False
            elif place == MODE:
                value = f"{value:04o}"
            yield {
                "key": ".".join(place),
                "value": None if secret else value,
                "secret": secret,
                "unit": "seconds" if isinstance(value, float) else None,
                "from": _origin(table, place, file),
                "restart": needs_restart(field),
                "about": field.description or "",
            }


def _origin(table: Table, place: tuple[str, ...], file: str | None) -> str:
    if place[-1] not in table.model_fields_set:
        return "default"
    if variable(place) in os.environ:
        return "environment"
    return "file" if file is not None else "program"  # a demo reads no file


async def doctor(gateway: Gateway, args: Args, source: str) -> Reply:
    """What an examination finds, the worst first; one of the last half minute will do."""
    examined = await gateway.examination.examined()
    return {
        "status": "200",
        "at": iso(examined.at),
        "items": [finding._asdict() for finding in examined.findings],
    }
