"""How the gateway's log lines look, and where they go: standard error."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

_text = json.JSONEncoder(ensure_ascii=False).encode

# A fixed phrase, then key=value, as it stands in the code: for people and for grep.
CONSOLE = "%(asctime)s %(levelname)-7s %(message)s"


class JsonLines(logging.Formatter):
    """One JSON object a line; a traceback stays within its line.

    Written out by hand: when all devices come back at once, this is done for each of them.
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
            f'"message": {_text(record.getMessage())}'
        )
        if record.exc_info:
            line += f', "exception": {_text(self.formatException(record.exc_info))}'
        return line + "}"


def set_up(level: str, format: Literal["auto", "console", "json"]) -> None:
    """Send everything from `level` up to standard error. `auto`: JSON unless it is a terminal."""
    handler = logging.StreamHandler(sys.stderr)
    if format == "json" or (format == "auto" and not sys.stderr.isatty()):
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(logging.Formatter(CONSOLE))
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
