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
    """One field of a request, and the argument of the operation that it becomes."""

    name: str
    schema: Schema
    about: str
    required: bool = False
    becomes: str = ""
    form: bool = False  # it is about the form of the answer, and no argument of the operation

    @property
    def argument(self) -> str:
        """The argument of the operation that it becomes."""
        return self.becomes or self.name


@dataclass(frozen=True, slots=True)
class Call:
    """One method on one path. `operation` is its name in the table of operations."""

    method: str
    path: str
    operation: str
    summary: str
    reply: str  # the name of a component of the document; "" for a stream
    place: tuple[Field, ...] = ()
    query: tuple[Field, ...] = ()
    head: tuple[Field, ...] = ()
    json: tuple[Field, ...] = ()
    rules: tuple[Schema, ...] = ()  # between the fields of `json`: each of them has to hold
    body: Body | None = None
    stream: Stream | None = None
    about: str = ""
    created: str = ""  # 201 with a Location instead of 200: the member of the reply at its end
    waits: bool = False  # 202 where the outcome was not waited for
    statuses: Mapping[str, int] = field(default_factory=dict)  # HTTP statuses that differ here


# Fields of many calls.
DEVICE_FILTER = Field("imei", IMEI, "Only of this device.")
LIMIT = Field("limit", PAGE, "Most items of the page.")
FOR_SHEET = Field("for", SHEET, "spreadsheet: no cell is taken for a formula there.", form=True)
