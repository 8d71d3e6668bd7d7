"""Times as people read them: on a terminal in the reader's zone, else in UTC.

The zone is that of the machine, or of `TZ`. Every time shows its offset; `Z` stands for none. A
pipe or a file may be read elsewhere, so times in it are in UTC, as are JSON and CSV.
"""

from __future__ import annotations

import sys
from datetime import datetime


def clock(at: object) -> str:
    """A time of control.md, shorter: `2025-01-31 12:00:00Z`, `2025-01-31 20:00:00+08`."""
    return _part(at, slice(0, 19))


def exact(at: object) -> str:
    """The same with milliseconds: `2025-01-31 12:00:00.123Z`."""
    return _part(at, slice(0, 23))


def minute(at: object) -> str:
    """The same without seconds: `2025-01-31 12:00Z`."""
    return _part(at, slice(0, 16))


def of_day(at: object) -> str:
    """A time of day: `12:00:00.123Z`."""
    return _part(at, slice(11, 23))


def second_of_day(at: object) -> str:
    """The same without milliseconds: `12:00:00Z`."""
    return _part(at, slice(11, 19))


def _part(at: object, part: slice) -> str:
    if not isinstance(at, str):
        return ""
    if not sys.stdout.isatty():
        return at.replace("T", " ").removesuffix("Z")[part] + "Z"
    here = datetime.fromisoformat(at).astimezone()
    return here.isoformat(" ", "milliseconds")[part] + _offset(here)


def _offset(here: datetime) -> str:
    offset = here.isoformat()[-6:]
    return "Z" if offset == "+00:00" else offset.removesuffix(":00")
