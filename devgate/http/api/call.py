"""The description of one call of the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from devgate.http.api.schemas import IMEI, PAGE, SHEET, Schema

Body = Literal["json", "csv", "command"]
Stream = Literal["csv", "events"]


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that a request says, and the name that the operation knows it by."""

    name: str
    schema: Schema
    about: str
    required: bool = False
    becomes: str = ""
    form: bool = False  # of the answer's form: the operation does not know it

    @property
    def argument(self) -> str:
        """The field of the operation that it becomes."""
        return self.becomes or self.name


@dataclass(frozen=True, slots=True)
class Call:
    """One method on one path. `operation` is the one of the table that every way in carries."""

    method: str
    path: str
    operation: str
    summary: str
    reply: str  # a component of the document; nothing for a stream
    place: tuple[Field, ...] = ()
    query: tuple[Field, ...] = ()
    head: tuple[Field, ...] = ()
    json: tuple[Field, ...] = ()
    rules: tuple[Schema, ...] = ()  # between these: all of them hold
    body: Body | None = None
    stream: Stream | None = None
    about: str = ""
    created: str = ""  # 201 with a Location, instead of 200: the part of the reply that ends it
    waits: bool = False  # 202 where the outcome was not waited for
    statuses: Mapping[str, int] = field(default_factory=dict)  # HTTP statuses of its own


# What many calls take.
ABOUT_ONE = Field("imei", IMEI, "Only of this device.")
LIMIT = Field("limit", PAGE, "Most items of the page.")
FOR_SHEET = Field("for", SHEET, "spreadsheet: no cell is taken for a formula there.", form=True)
