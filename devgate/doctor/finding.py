"""A finding of an examination: a sentence, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple


class Severity(Enum):
    """How bad a finding is; findings are shown in this order."""

    ERROR = "error"
    """Starts fail, devices cannot connect, or confirmed starts may be lost."""

    WARNING = "warning"
    """It works now, and may not under load, after a power cut, or in some days."""

    OK = "ok"
    """It was checked, and nothing is wrong."""


class Finding(NamedTuple):
    """`check` is the area that was examined; `action` says what to do, and is empty for OK."""

    severity: Severity
    check: str
    message: str
    action: str = ""


Findings = Iterator[Finding]


def ok(check: str, message: str) -> Finding:
    """A finding that nothing is wrong."""
    return Finding(Severity.OK, check, message)


def warning(check: str, message: str, action: str) -> Finding:
    """A finding about something that works now and may fail later."""
    return Finding(Severity.WARNING, check, message, action)


def error(check: str, message: str, action: str) -> Finding:
    """A finding about something that does not work, or may cost money."""
    return Finding(Severity.ERROR, check, message, action)


def in_bytes(count: float) -> str:
    """ "12 GB": bytes as people read them, in powers of 1,000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
