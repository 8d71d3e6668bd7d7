"""The first steps of `serve`, before the server is imported, which takes half a second."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_reload = False  # a SIGHUP came before the gateway could act on it
_terminal = False  # whether standard input was a terminal at the start


def prepare() -> None:
    """Note a SIGHUP, which would end the process, and open the descriptors 0 to 2 if closed.

    If one of these is closed (`2>&-`), the next file that is opened gets its number: what a
    library writes to standard error would then be written into that file.
    """
    global _terminal
    _terminal = os.isatty(0)
    signal.signal(signal.SIGHUP, _hang_up)
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


@contextmanager
def importing() -> Iterator[None]:
    """Disable the garbage collector in this block, which imports the server. The collector never
    scans the objects that were made here.

    Only 2,300 of 88,000 objects become garbage, and scanning all of them again and again took a
    sixth of the CPU time of a start.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class StopRequested(BaseException):
    """SIGTERM or SIGINT came while the start waited."""


@contextmanager
def until_stop_requested() -> Iterator[None]:
    """SIGTERM and SIGINT raise StopRequested in this block."""

    def end(number: int, frame: object) -> None:
        raise StopRequested

    before: dict[int, Any] = {
        number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def note_reload() -> None:
    """Note that a reload was asked for which cannot be done yet."""
    global _reload
    _reload = True


def reload_noted() -> bool:
    """True if a reload was asked for since the last call."""
    global _reload
    noted, _reload = _reload, False
    return noted


def _hang_up(number: int, frame: FrameType | None) -> None:
    if os.isatty(0) == _terminal:
        note_reload()
    else:  # the terminal was closed
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
