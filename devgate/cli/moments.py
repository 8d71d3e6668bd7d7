"""Times as people read them: on a terminal in the zone of who looks, else in UTC.

The zone is the machine's, or that of `TZ`. Every time says its offset, `Z` where that is none. In
a pipe or a file, whoever reads them may be elsewhere; JSON and CSV are always in UTC.
"""

from __future__ import annotations

import sys
from datetime import datetime


def clock(at: object) -> str:
    """A time of control.md, shorter: `2025-01-31 12:00:00Z`, `2025-01-31 20:00:00+08`."""
    return _told(at, slice(0, 19))


def exact(at: object) -> str:
    """With milliseconds: `2025-01-31 12:00:00.123Z`."""
    return _told(at, slice(0, 23))


def minute(at: object) -> str:
    """Without seconds: `2025-01-31 12:00Z`."""
    return _told(at, slice(0, 16))


def of_day(at: object) -> str:
    """Without its day: `12:00:00.123Z`."""
    return _told(at, slice(11, 23))


def second_of_day(at: object) -> str:
    """The same without milliseconds: `12:00:00Z`."""
    return _told(at, slice(11, 19))


def _told(at: object, part: slice) -> str:
    if not isinstance(at, str):
        return ""
    if not sys.stdout.isatty():
        return at.replace("T", " ").removesuffix("Z")[part] + "Z"
    here = datetime.fromisoformat(at).astimezone()
    return here.isoformat(" ", "milliseconds")[part] + _offset(here)


def _offset(here: datetime) -> str:
    offset = here.isoformat()[-6:]
    return "Z" if offset == "+00:00" else offset.removesuffix(":00")
