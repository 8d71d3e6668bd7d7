"""A finding of an examination: a sentence, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple


class Severity(Enum):
    """How bad it is. In this order they are shown."""

    ERROR = "error"
    """Starts fail, devices cannot connect, or confirmed starts may be lost."""

    WARNING = "warning"
    """It works now, and may not under load, after a power cut, or in some days."""

    OK = "ok"
    """It was looked at, and nothing is wrong."""


class Finding(NamedTuple):
    """`check` is the area that was examined; `action` says what to do, and is empty for OK."""

    severity: Severity
    check: str
    message: str
    action: str = ""


Findings = Iterator[Finding]


def ok(check: str, message: str) -> Finding:
    """Nothing is wrong."""
    return Finding(Severity.OK, check, message)


def warning(check: str, message: str, action: str) -> Finding:
    """It works now."""
    return Finding(Severity.WARNING, check, message, action)


def error(check: str, message: str, action: str) -> Finding:
    """It does not work, or money is at risk."""
    return Finding(Severity.ERROR, check, message, action)


def in_bytes(count: float) -> str:
    """ "12 GB": bytes as people read them, in powers of 1,000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
