"""How the gateway's log lines look, and where they go: standard error.

The code logs a fixed phrase and then `key=%s` with arguments, through the standard library. On a
terminal that is shown in colours; elsewhere each line is a JSON object with these keys.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

# "device online imei=%s address=%s": a phrase without conversions, then nothing but fields.
FIELDS = re.compile(r"([^%]*?)((?: [a-z_]+=%[sdr])+)")
KEY = re.compile(r"([a-z_]+)=%[sdr]")
OURS = {"at", "level", "logger", "event", "exception"}  # keys that every line may have

# Phrases stand in the code, so there are some dozens; a library may make up one a line.
MOST_SHAPES = 1000

_text = json.JSONEncoder(ensure_ascii=False).encode


class Shape(NamedTuple):
    """What a log call looks like, apart from its arguments."""

    phrase: str
    keys: tuple[str, ...]
    # The same, as it stands in a line of JSON.
    start: str
    parts: tuple[str, ...]


_shapes: dict[object, Shape | None] = {}


def shape_of(message: object) -> Shape | None:
    """How the format string of a log call is made; None if it is not in our manner."""
    try:
        return _shapes[message]
    except KeyError:
        shape = _parsed(message)
        if len(_shapes) < MOST_SHAPES:
            _shapes[message] = shape
        return shape
    except TypeError:  # it cannot be a key: whatever it is, it is no string
        return None


def _parsed(message: object) -> Shape | None:
    found = FIELDS.fullmatch(message) if isinstance(message, str) else None
    if found is None:
        return None
    phrase, keys = found[1], tuple(KEY.findall(found[2]))
    if OURS.intersection(keys) or len(set(keys)) < len(keys):
        return None
    parts = tuple(f', "{key}": ' for key in keys)
    return Shape(phrase, keys, f'"event": {_text(phrase)}', parts)


def _value(value: object) -> str:
    """A field that is not text, in JSON: numbers stay numbers, all else is what it says."""
    if value is None or isinstance(value, (bool, int)):
        return json.dumps(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    return _text(str(value))


class JsonLines(logging.Formatter):
    """One JSON object a line; a traceback stays within its line.

    Written out by hand, for when all devices come back at once there is a line for each: 5 us a
    line with everything that the standard library does for it, where structlog's formatter and
    JSON renderer take 12 to 15.
    """

    def __init__(self) -> None:
        super().__init__()
        self._second, self._said = -1, ""

    def format(self, record: logging.LogRecord) -> str:
        second = int(record.created)
        if second != self._second:
            self._second, self._said = second, datetime.fromtimestamp(second, UTC).isoformat()[:19]
        line = (
            f'{{"at": "{self._said}.{int(record.msecs):03}Z", '
            f'"level": "{record.levelname.lower()}", "logger": "{record.name}", '
        )
        shape, args = shape_of(record.msg), record.args
        if shape is not None and isinstance(args, tuple) and len(args) == len(shape.parts):
            line += shape.start
            for part, arg in zip(shape.parts, args, strict=True):
                line += part + (_text(arg) if type(arg) is str else _value(arg))
        else:
            line += f'"event": {_text(record.getMessage())}'
        if record.exc_info:
            line += f', "exception": {_text(self.formatException(record.exc_info))}'
        return line + "}"


Line = MutableMapping[str, Any]


def _fields(logger: object, method: str, line: Line) -> Line:
    """For structlog: what a record says, as fields."""
    record = line["_record"]
    args = line.pop("positional_args")
    shape = shape_of(record.msg)
    if shape is not None and isinstance(args, tuple) and len(args) == len(shape.keys):
        line["event"] = shape.phrase
        line.update(zip(shape.keys, args, strict=True))
    else:
        line["event"] = str(record.msg) % args if args else str(record.msg)
    return line


def console(*, colours: bool) -> logging.Formatter:
    """Lines for people. Some 20 us each."""
    import structlog  # a tenth of a second that only those pay who look at a terminal

    stdlib, dev = structlog.stdlib, structlog.dev
    return stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
        ],
        processors=[
            _fields,
            stdlib.ProcessorFormatter.remove_processors_meta,
            dev.ConsoleRenderer(
                colors=colours, exception_formatter=dev.plain_traceback, sort_keys=False
            ),
        ],
        use_get_message=False,
        pass_foreign_args=True,
    )


def set_up(level: str, format: Literal["auto", "console", "json"]) -> None:
    """Send everything from `level` up to standard error. `auto`: JSON unless it is a terminal."""
    handler = logging.StreamHandler(sys.stderr)
    terminal = sys.stderr.isatty()
    if format == "json" or (format == "auto" and not terminal):
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(console(colours=terminal and not os.environ.get("NO_COLOR")))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    logging.captureWarnings(True)
    # Nobody is shown these, and finding them out costs more than all the rest of a line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    set_level(level)


def set_level(level: str) -> None:
    logging.getLogger().setLevel(level.upper())
    # Other people's chatter is not what an operator asks for with "debug".
    logging.getLogger("alembic").setLevel(logging.WARNING)
