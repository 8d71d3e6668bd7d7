"""The form of the gateway's log lines, which go to standard error.

The code logs a fixed phrase and then `key=%s` with arguments, through the standard library. On a
terminal that is shown in colours; elsewhere each line is a JSON object with these keys. A call
only notes what was said, and when: about 1 us. A thread (logwriter.py) formats and writes it.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from time import time
from typing import Any, Literal, NamedTuple

from devgate.logwriter import END_SECONDS, LogWriter

# "device online imei=%s address=%s": a phrase without conversions, then nothing but fields.
FIELDS = re.compile(r"([^%]*?)((?: [a-z_]+=%[sdr])+)")
KEY = re.compile(r"([a-z_]+)=%[sdr]")
OWN_KEYS = {"at", "level", "logger", "event", "exception"}  # keys that every line may have

# Phrases of the code are some dozens; a library may have a new one in each line.
MAX_SHAPES = 1000

# Types whose values cannot change between the call and the thread.
PLAIN = frozenset({str, int, float, bool, type(None)})
# Other attributes of a record, for handlers of others.
UNKNOWN: Mapping[str, Any] = {
    **dict.fromkeys(("pathname", "filename", "module", "funcName"), ""),
    **dict.fromkeys(("exc_info", "exc_text", "stack_info", "thread", "threadName", "taskName")),
    **dict.fromkeys(("process", "processName")),
    "lineno": 0,
    "relativeCreated": 0.0,
}
MAX_TRACEBACK = 32_768  # characters; that of a deep recursion is longer, and repeats itself

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
    """The shape of a log call's format string; None if it is not in our form."""
    try:
        return _shapes[message]
    except KeyError:
        shape = _parsed(message)
        if len(_shapes) < MAX_SHAPES:
            _shapes[message] = shape
        return shape
    except TypeError:  # it cannot be a key: whatever it is, it is no string
        return None


def _parsed(message: object) -> Shape | None:
    found = FIELDS.fullmatch(message) if isinstance(message, str) else None
    if found is None:
        return None
    phrase, keys = found[1], tuple(KEY.findall(found[2]))
    if OWN_KEYS.intersection(keys) or len(set(keys)) < len(keys):
        return None
    parts = tuple(f', "{key}": ' for key in keys)
    return Shape(phrase, keys, f'"event": {_text(phrase)}', parts)


class Record(logging.LogRecord):
    """What a log call leaves for the thread: the time, the message, and constant arguments.

    The other values that the standard library collects cost more than a line, and are not shown. A
    traceback becomes text at once, because it would keep the frames alive.
    """

    def __init__(
        self, name: str, level: int, pathname: str, lineno: int, msg: object,
        args: tuple[object, ...], exc_info: Any, func: str | None = None,
        sinfo: str | None = None, **_: object,
    ) -> None:  # fmt: skip
        self.__dict__.update(UNKNOWN)
        self.name = name
        self.levelno = level
        self.levelname = logging.getLevelName(level)
        self.msg = msg
        self.args = args
        self.created = created = time()
        self.msecs = created % 1 * 1000
        if exc_info:
            self.exc_text = _traceback(exc_info)
        for arg in args:
            if type(arg) not in PLAIN:
                self._settle()
                break

    def _settle(self) -> None:
        """Store the arguments as text: they may change before the thread formats them."""
        args = self.args
        assert isinstance(args, tuple), "as it came from the logger"
        if shape_of(self.msg) is not None:
            self.args = tuple(
                arg if isinstance(arg, str | int | float | None) else _said(arg) for arg in args
            )
            return
        values = args[0] if len(args) == 1 and isinstance(args[0], Mapping) and args[0] else args
        try:
            self.msg = str(self.msg) % values
        except Exception:  # the arguments are not those of the message
            self.msg = f"{self.msg!r} {_said(args)}"
        self.args = ()


def _said(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return object.__repr__(value)


def _traceback(exc_info: Any) -> str:
    try:
        text = logging.Formatter().formatException(exc_info)
    except Exception:
        return f"{exc_info[0].__name__}, and no traceback could be made"
    if len(text) <= MAX_TRACEBACK:
        return text
    half = MAX_TRACEBACK // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


def _value(value: object) -> str:
    """A field that is not text, in JSON: numbers stay numbers, all others become text."""
    if value is None or isinstance(value, (bool, int)):
        return json.dumps(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    return _text(str(value))


class JsonLines(logging.Formatter):
    """One JSON object a line; a traceback stays within its line.

    By own code, because there is a line for each device when all come back at once: it takes 5 us
    a line, including the standard library; structlog's formatter and JSON renderer take 12 to 15.
    """

    def __init__(self) -> None:
        super().__init__()
        self._second, self._said = -1, ""

    def format(self, record: logging.LogRecord) -> str:
        """A record as one line of JSON."""
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
        if record.exc_text:
            line += f', "exception": {_text(record.exc_text)}'
        return line + "}"


LogLine = MutableMapping[str, Any]


def _fields(logger: object, method: str, line: LogLine) -> LogLine:
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


def _noted(logger: object, method: str, line: LogLine) -> LogLine:
    """For structlog: when it was said, by the place's clock with its offset, and the traceback."""
    record = line["_record"]
    here = datetime.fromtimestamp(record.created).astimezone()
    line["timestamp"] = here.isoformat(" ", "seconds")
    if record.exc_text:
        line["exception"] = record.exc_text
    return line


def console(*, colours: bool) -> logging.Formatter:
    """Lines for people. About 20 us each."""
    import structlog  # a tenth of a second that only those pay who look at a terminal

    stdlib, dev = structlog.stdlib, structlog.dev
    return stdlib.ProcessorFormatter(
        foreign_pre_chain=[stdlib.add_log_level, _noted],
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


_writer: LogWriter | None = None


def set_up(level: str, format: Literal["auto", "console", "json"]) -> None:
    """Send everything from `level` up to standard error. `auto`: JSON unless it is a terminal.

    Without a standard error (`2>&-`) there is no log.
    """
    global _writer
    close()
    stream = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    terminal = stream.isatty()
    formatter: logging.Formatter
    if format == "json" or (format == "auto" and not terminal):
        formatter = JsonLines()
    else:
        formatter = console(colours=terminal and not os.environ.get("NO_COLOR"))
    _writer = LogWriter(stream, formatter)
    logging.getLogger().handlers[:] = [_writer]
    logging.setLogRecordFactory(Record)
    logging.captureWarnings(True)
    # These are not shown, and collecting them costs more than everything else in a line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    set_level(level)


def set_level(level: str) -> None:
    """Log from this level on, from now on."""
    logging.getLogger().setLevel(level.upper())
    # "debug" is for devgate's own lines, not for those of a library.
    logging.getLogger("alembic").setLevel(logging.WARNING)


def dropped() -> int:
    """How many lines were not written since the start, because the reader was too slow or gone."""
    return _writer.dropped if _writer else 0


def flush(seconds: float = END_SECONDS) -> None:
    """Return when all that was logged is written, or when the time is over."""
    if _writer:
        _writer.flush_within(seconds)


def close() -> None:
    """Write what waits, for a second at the most. Nothing is logged afterwards."""
    global _writer
    if _writer:
        _writer.close()
        _writer = None
