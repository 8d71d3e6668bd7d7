"""Types of arguments of the command line: an IMEI, a LONG, a duration, an address."""

from __future__ import annotations

import os
import time
from datetime import datetime
from math import inf
from typing import Any, NamedTuple

import click

from devgate.errors import CallerError
from devgate.model import Imei, duration, host_port, imei, shown

# Far above every limit of a gateway, and still exact as a float.
MAX_SECONDS = 1e12
OWN_KEY = "cli-"  # the beginning of a key that the CLI has made


class Long(NamedTuple):
    """How long or how often a device runs.

    A plain number means what the device counts, seconds or times; what was written as a
    duration means `seconds`, which the gateway refuses for a device that counts times.
    """

    number: int
    seconds: bool

    def fields(self) -> dict[str, object]:
        """As fields of a request."""
        return {"long": self.number, **({"unit": "seconds"} if self.seconds else {})}


def long(text: str) -> Long:
    """A LONG as people write it: `500`, `0500`, `15m`, `1h30m`.

    Raises ValueError with a sentence. The gateway checks whether it is too long.
    """
    number = seconds(text)
    if number < 1 or number != int(number):
        raise ValueError(f"{shown(text)} is no whole number of seconds or times from 1 on")
    return Long(int(number), seconds=not text.isdecimal())


def seconds(text: str) -> float:
    """A duration that a request can carry. Raises ValueError with a sentence."""
    try:
        given = duration(text)
    except OverflowError:
        given = inf
    if given > MAX_SECONDS:
        raise ValueError(f"{shown(text)} is too long")
    return given


def target_of(text: str, port: int | None = None) -> tuple[str, int]:
    """Where to connect to: `HOST:PORT`. Without a host, it is this machine; with a default `port`,
    the port may be missing, too. Raises ValueError with a sentence."""
    bare = port is not None and (":" not in text or text.endswith("]"))
    host, port = host_port(f"{text}:{port}" if bare else text)
    if port == 0:
        raise ValueError("a port from 1 to 65535 expected, not 0")
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port


def own_key() -> str:
    """A key for a start without one: if its reply gets lost, the start can be asked again without
    a second start. It is also for gateways that require keys."""
    return f"{OWN_KEY}{os.urandom(10).hex()}"


EMPTY = object()  # for "": the device has no value of its own


class SpanType(click.ParamType[float]):
    """Seconds, or a duration as people write it."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds, from a number or a duration like `90s`."""
        try:
            given = seconds(str(value))
        except ValueError as err:
            self.fail(str(err), param, ctx)
        return int(given) if given == int(given) else given  # 30 in the request, and not 30.0


class MomentType(click.ParamType[int]):
    """A moment, as seconds since 1970: a day or a time as people write it, or how long ago."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Of `2026-11-24`, `2026-11-24 18:00`, `...Z` (without a zone: this machine's), `7d`."""
        text = str(value).strip()
        try:
            if "-" in text:
                found = datetime.fromisoformat(text).timestamp()
            else:
                found = time.time() - seconds(text)
        except (ValueError, OverflowError):
            self.fail(f"{shown(text)} is no time: 2026-11-24, 2026-11-24T18:00 or 7d expected")
        return max(0, int(found))


class PositionType(click.ParamType[Any]):
    """Degrees north and east, with a comma between; EMPTY for an empty text."""

    name = "lat,long"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Two numbers, from `31.2304,121.4737`."""
        if value in ("", EMPTY) or isinstance(value, tuple):
            return EMPTY if value == "" else value
        try:
            north, east = map(float, str(value).split(","))
        except ValueError:
            self.fail(f"{shown(value)} is no position: 31.2304,121.4737 expected", param, ctx)
        return north, east


class OwnSpanType(SpanType):
    """The same, with EMPTY for an empty text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The same, or EMPTY."""
        return EMPTY if value in ("", EMPTY) else super().convert(value, param, ctx)


class DurationType(click.ParamType[Long]):
    """LONG: a number, or a duration as people write it."""

    name = "long"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Long:
        """A `long`, from a number or a duration like `15m`."""
        try:
            return value if isinstance(value, Long) else long(str(value))
        except ValueError as err:
            self.fail(str(err), param, ctx)


class ImeiType(click.ParamType[Imei]):
    """The 15 digits of a device."""

    name = "imei"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Imei:
        """An IMEI of 15 digits."""
        try:
            return imei(value)
        except CallerError as err:
            self.fail(str(err), param, ctx)
