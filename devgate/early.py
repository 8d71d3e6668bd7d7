"""What `serve` does before the server is imported, which takes half a second."""

from __future__ import annotations

import os
import signal
from types import FrameType

_reload = False  # a SIGHUP came before somebody could act on it
_terminal = False  # standard input was one at first


def prepare() -> None:
    """Note a SIGHUP instead of ending by it, and occupy the descriptors 0 to 2.

    Where one of these is closed (`2>&-`), the next file that is opened would get its number:
    what a library writes to standard error would then be written into that file.
    """
    global _terminal
    _terminal = os.isatty(0)
    signal.signal(signal.SIGHUP, _hang_up)
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def note_reload() -> None:
    """A reload was asked for and cannot be done yet."""
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
    else:  # the terminal was closed, and who sat there has left
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
