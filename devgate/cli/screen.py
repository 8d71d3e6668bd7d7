"""The full-screen view of `devgate top`: what is drawn, and the keys that turn its pages."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import termios
import time
import tty
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FrameType
from typing import NoReturn

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from devgate.cli.follow import event_parts
from devgate.cli.language import said
from devgate.cli.moments import second_of_day
from devgate.cli.observer import (
    COLUMNS,
    LOOK_SECONDS,
    MANY_DEVICES,
    Cursor,
    DevicePage,
    Item,
    Observer,
    cells,
    header,
)
from devgate.cli.output import plain, sentence, width

FIXED_LINES = 6  # lines of the screen that are neither a device nor an event
EVENT_SHARE = 3  # of the other lines, one in this many shows an event
STDIN = 0
# A key as a terminal sends it: an escape sequence, or one byte.
KEY = re.compile(rb"\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Z])|[^\x1b]")
LEAVE_KEYS = {b"q", b"Q"}
NEXT_KEYS = {b"\x1b[B", b"\x1bOB", b"\x1b[C", b"\x1bOC", b"\x1b[6~", b" "}
BACK_KEYS = {b"\x1b[A", b"\x1bOA", b"\x1b[D", b"\x1bOD", b"\x1b[5~"}
FIRST_KEYS = {b"\x1b[H", b"\x1bOH", b"\x1b[1~"}
WHOLE_COLUMNS = ("STATE", "LEFT TO RUN", "IMEI")  # they are never cut
SHRINKABLE = {"NAME": 20, "SITE": 12, "LAST HEARD": 10}  # the others, and their usual width
MIN_COLUMNS = 6  # of a terminal: a column of the table that would get fewer is left out
GAP_COLUMNS = 2
KEYS_HINT = "q leaves   arrows turn the pages"

Keys = Callable[[float], list[bytes]]


def show(observer: Observer) -> NoReturn:
    """Draw again and again, until a key or a signal ends it. Then the terminal is restored."""
    console = Console(highlight=False)
    gateway = observer.gateway()
    places, page, due = [Cursor()], DevicePage([]), 0.0  # the places of this page and those before
    with _ended_by_signal(), _keys() as keys, Live(
        console=console, screen=True, auto_refresh=False, vertical_overflow="crop",
        redirect_stdout=False, redirect_stderr=False,
    ) as live:  # fmt: skip
        while True:
            rows, events = _share(console.height)
            if time.monotonic() >= due:
                page = _page(observer, places, rows)
                looks = 0.5 + gateway["registered"] // MANY_DEVICES
                due = time.monotonic() + LOOK_SECONDS * looks
            observer.news(gateway)
            tail = list(observer.events)[-events:]
            view = drawn(gateway, page, tail, len(places), (rows, events), console.width)
            live.update(view, refresh=True)
            for key in keys(LOOK_SECONDS):
                if key in LEAVE_KEYS:
                    raise SystemExit(0)
                if _turned(key, places, page):
                    due = 0.0
                    break
            gateway = observer.gateway()


def _share(height: int) -> tuple[int, int]:
    """How many lines of a screen are for devices, and how many for events: one each at least."""
    remaining = max(2, height - FIXED_LINES)
    events = max(1, remaining // EVENT_SHARE)
    return remaining - events, events


def _page(observer: Observer, places: list[Cursor], rows: int) -> DevicePage:
    """The page at the last place; if it has become empty, the one before."""
    while not (page := observer.page(places[-1], rows)).items and len(places) > 1:
        if page.failed is not None:
            break
        places.pop()
    return page


def _turned(key: bytes, places: list[Cursor], page: DevicePage) -> bool:
    """True if the key turned the page."""
    if key in NEXT_KEYS and page.next is not None:
        places.append(page.next)
    elif key in BACK_KEYS and len(places) > 1:
        places.pop()
    elif key in FIRST_KEYS and len(places) > 1:
        del places[1:]
    else:
        return False
    return True


def drawn(
    gateway: Item,
    page: DevicePage,
    events: Iterable[Item],
    number: int,
    lines: tuple[int, int],
    columns: int,
) -> Group:
    """The whole screen, `columns` wide and always of the same height."""
    title, state = header(gateway)
    well = gateway["store"] == "ok" and not gateway.get("draining")
    devices = _devices(page, columns)
    place = f"page {number}, there are more" if page.next else f"page {number}"
    event_lines = [_line(Text.assemble(*event_parts(event, second_of_day))) for event in events]
    return Group(
        _line(Text(title, "bold")),
        _line(Text(state, "" if well else "red")),
        Text(""),
        devices,
        *[Text("")] * (lines[0] - max(1, len(page.items)) + 1),
        *[Text("")] * (lines[1] - len(event_lines)),
        *event_lines,
        _line(Text(f"{said(place)}   {said(KEYS_HINT)}", "dim")),
    )


def _devices(page: DevicePage, room: int) -> Table | Group:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP_COLUMNS, 0, 0))
    now = time.time()
    rows = [[plain(cell) for cell in cells(item, now)] for item in page.items]
    text_widths = [max((width(row[n]) for row in rows), default=0) for n in range(len(COLUMNS))]
    shown = _widths(text_widths, room)
    for place, columns in shown.items():
        table.add_column(said(COLUMNS[place]), no_wrap=True, width=columns)
    for item, row in zip(page.items, rows, strict=True):
        table.add_row(*(Text(row[place]) for place in shown), style=_style(item))
    if not page.items:
        why = said("no devices are known") if page.failed is None else plain(sentence(page.failed))
        return Group(Text(""), _line(Text(why, "dim" if page.failed is None else "red")))
    return table


def _widths(text_widths: Sequence[int], room: int) -> dict[int, int]:
    """The width of each column that has room, by its index. `text_widths`: of its widest text."""
    wanted = {
        place: max(text_widths[place], width(said(name))) for place, name in enumerate(COLUMNS)
    }
    remaining = room - GAP_COLUMNS * (len(COLUMNS) - 1)
    remaining -= sum(wanted[place] for place, name in enumerate(COLUMNS) if name in WHOLE_COLUMNS)
    given = {}
    for name, good in SHRINKABLE.items():
        place = COLUMNS.index(name)
        given[place] = min(wanted[place], good, remaining)
        if given[place] < min(MIN_COLUMNS, wanted[place]):
            del wanted[place], given[place]
            remaining += GAP_COLUMNS
        else:
            remaining -= given[place]
    for place in given:  # the remaining width goes to those that are cut
        more = max(0, min(remaining, wanted[place] - given[place]))
        given[place] += more
        remaining -= more
    return wanted | given


def _style(item: Item) -> str:
    if item["running_until"]:
        return "green"
    return "" if item["online"] and item["enabled"] else "dim"


def _line(text: Text) -> Text:
    """Text that takes one line, however narrow the screen."""
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


@contextlib.contextmanager
def _ended_by_signal() -> Iterator[None]:
    """SIGTERM ends it as the key q does, so that the terminal is restored."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _keys() -> Iterator[Keys]:
    """A function that waits for keys for some seconds and returns all that were pressed; a `q` if
    the terminal has gone.

    Inside of this, the terminal does not show keys and passes each on at once; Ctrl-C still works.
    """
    if not os.isatty(STDIN):
        yield _no_keys
        return
    before = termios.tcgetattr(STDIN)
    tty.setcbreak(STDIN)
    quiet = termios.tcgetattr(STDIN)
    # With Ctrl-Z the shell would go on in our screen.
    quiet[6][termios.VSUSP] = os.fpathconf(STDIN, "PC_VDISABLE").to_bytes(1, "big")
    termios.tcsetattr(STDIN, termios.TCSADRAIN, quiet)
    try:
        yield _pressed
    finally:
        termios.tcsetattr(STDIN, termios.TCSAFLUSH, before)


def _no_keys(seconds: float) -> list[bytes]:
    time.sleep(seconds)
    return []


def _pressed(seconds: float) -> list[bytes]:
    if not select.select([STDIN], [], [], seconds)[0]:
        return []
    data = os.read(STDIN, 1024)
    return KEY.findall(data) if data else [b"q"]  # the terminal has gone
