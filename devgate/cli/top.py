"""`devgate top`: the gateway, its devices and what happens, on one screen that is kept up to date.

Once a second it asks the control socket for what fits on the screen, however large the fleet is.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import NoReturn

import click

from devgate.cli.follow import event_parts
from devgate.cli.moments import second_of_day
from devgate.cli.observer import COLUMNS, LOOK_SECONDS, Cursor, Observer, cells, header
from devgate.cli.output import (
    Where,
    common,
    emit,
    exit_code,
    fail,
    print_error,
    say,
    sentence,
    table,
)
from devgate.model import iso

SHOWN_EVENTS = 10  # the latest, in a snapshot and in a line of JSON
SHOWN_DEVICES = 20  # in a snapshot and in a line of JSON
NO_SCREEN = ("", "dumb", "unknown")  # values of TERM


@click.command()
@common
def top(where: Where) -> None:
    """Show the gateway, its devices and what happens, live on the whole screen.

    Devices that run come first, then those online, then the others. The arrows turn
    the pages; q or Ctrl-C leaves. Where there is no terminal, it is shown once, as text.

    \b
    Examples:
      devgate top
      devgate top --json | jq .gateway.in_flight    # a line a second
    """
    # Ctrl-C is the usual end, and no failure.
    with _left_by_ctrl_c(), Observer(where.socket()) as observer:
        if where.as_json:
            _lines(observer)
        if sys.stdout.isatty() and os.environ.get("TERM", "") not in NO_SCREEN:
            from devgate.cli.screen import show  # rich is loaded only for the screen

            show(observer)
        else:
            _once(observer)


@contextlib.contextmanager
def _left_by_ctrl_c() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(0) from None


def _once(observer: Observer) -> NoReturn:
    """Show it once, as plain text."""
    gateway = observer.gateway()
    observer.news(gateway)
    page = observer.page(Cursor(), SHOWN_DEVICES)
    now = time.time()
    say("\n".join(header(gateway)))
    if page.items:
        say("\n" + table(COLUMNS, [cells(item, now) for item in page.items]))
    if observer.events:
        latest = list(observer.events)[-SHOWN_EVENTS:]
        parts = (event_parts(event, second_of_day) for event in latest)
        lines = ("".join(text for text, _ in line) for line in parts)
        say("\n" + "\n".join(line.rstrip() for line in lines))
    if page.failed is not None:
        fail(sentence(page.failed), exit_code(page.failed))
    if gateway["devices"] > len(page.items):
        print_error("there are more: `devgate devices list` has all")
    raise SystemExit(0)


def _lines(observer: Observer) -> NoReturn:
    """A line of JSON each second: the gateway, the first devices, and the latest events."""
    while True:
        gateway = observer.gateway()
        observer.news(gateway)
        page = observer.page(Cursor(), SHOWN_DEVICES)
        failed = page.failed or {}
        emit({
            "status": failed.get("status", "200"), "message": failed.get("message"),
            "at": iso(time.time()), "gateway": gateway, "items": page.items,
            "events": list(observer.events)[-SHOWN_EVENTS:],
        })  # fmt: skip
        time.sleep(LOOK_SECONDS)
