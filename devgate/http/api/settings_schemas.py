"""JSON Schemas of replies about the configuration and an examination."""

from __future__ import annotations

from devgate.http.api.schemas import Schema
from devgate.http.api.shapes import AT, MAYBE, TEXT, YES, listed, ref, shape

SETTINGS: dict[str, Schema] = {
    "Setting": shape(
        "A key of gateway.toml and the value that is in force. A `secret` is not shown. "
        "`restart`: a new value is taken up when the gateway starts.",
        key=TEXT,
        value={
            "type": ["string", "number", "boolean", "array", "null"],
            "items": {"type": "string"},
        },
        secret=YES,
        unit={"type": ["string", "null"], "enum": ["seconds", None]},
        **{"from": {"type": "string", "enum": ["default", "file", "environment", "program"]}},
        restart=YES,
        about=TEXT,
    ),
    "Settings": shape(
        "The configuration. `file` is null where none was read.",
        status=TEXT, file=MAYBE, items=listed(ref("Setting")),
    ),
    "Finding": shape(
        "One sentence of an examination; `action` says what to do, and is empty for `ok`.",
        severity={"type": "string", "enum": ["error", "warning", "ok"]},
        check=TEXT, message=TEXT, action=TEXT,
    ),
    "Examined": shape(
        "What was found, the worst first, and when.",
        status=TEXT, at=AT, items=listed(ref("Finding")),
    ),
}  # fmt: skip
