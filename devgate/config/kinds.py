"""Checks of settings: one for each kind of value, with its error message.

A check takes a value as TOML gives it (or a `Word` from the environment) and returns the
value that the gateway works with. It raises ValueError with what was expected and what came;
`config.load` puts the key, the file and the line in front of that.
"""

from __future__ import annotations

import datetime
import math
import os
import re
from pathlib import Path

from pydantic import PlainValidator, ValidationInfo

from devgate.config import credentials
from devgate.model import MAX_TEXT, duration, shown

MIN_SECONDS = 0.01  # seconds: a timeout below one round of the poller would mean nothing
DAY = 86400
YEARS = 36500 * DAY
MAX_SOCKET = 107  # bytes of a Unix socket's path that the kernel takes
MAX_DURATION = 32  # characters: a number of any length would take time
WIDEST_VALUES = {"id": "9" * 19, "imei": "9" * 15}  # the longest values in a QR pattern

_PUBLIC = re.compile(
    r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?/?", re.ASCII
)
_MODE = re.compile(r"0?([0-7]{3})", re.ASCII)
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_PLACEHOLDER = re.compile(r"\{(?:id|imei)\}")
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Word(str):
    """A value from the environment, where everything is text: it may mean a number or a list."""

    __slots__ = ()


class Misfit(ValueError):
    """Values that are valid one by one and not together.

    `keys` are their keys, dotted, relative to the table that found it. The message points at the
    first one that is written in the configuration.
    """

    def __init__(self, text: str, *keys: str) -> None:
        super().__init__(text)
        self.keys = keys


def came(value: object) -> str:
    """A value as a message quotes it, in the words of TOML and on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, (datetime.date, datetime.time)):
        return "a date or time"
    return shown(value)


def whole(min_value: int, max_value: int) -> PlainValidator:
    """A whole number within bounds. A TOML true is not one, although it is an int in Python."""

    def check(value: object) -> int:
        if isinstance(value, Word) and re.fullmatch(r"[+-]?[0-9]{1,18}", value, re.ASCII):
            value = int(value)
        if type(value) is not int or not min_value <= value <= max_value:
            raise ValueError(
                f"a whole number from {min_value} to {max_value} expected, not {came(value)}"
            )
        return value

    return PlainValidator(check)


_SIZE = re.compile(r"([0-9]{1,15}) ?([KMGT]?)B?", re.ASCII | re.IGNORECASE)
_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}


def size() -> PlainValidator:
    """Bytes, from a whole number or a string like "10GB" (powers of 1000); 0 is no bound."""

    def check(value: object) -> int:
        if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
            value = int(match[1]) * _UNITS[match[2].upper()]
        if type(value) is not int or not (value == 0 or 10**6 <= value <= 10**15):
            raise ValueError(
                f'bytes, or a size like "10GB", from 1MB to 1000TB, or 0 expected, '
                f"not {came(value)}"
            )
        return value

    return PlainValidator(check)


def seconds(min_seconds: float, max_seconds: float) -> PlainValidator:
    """Seconds within bounds, from a number or a string like "3m"."""

    def check(value: object) -> float:
        given = _number(value)
        if given is None or not min_seconds <= given <= max_seconds:  # nan is within no bounds
            raise ValueError(
                f'seconds, or a duration like "3m", from {span(min_seconds)} to '
                f"{span(max_seconds)} expected, not {came(value)}"
            )
        return float(given)

    return PlainValidator(check)


def _number(value: object) -> float | None:
    if isinstance(value, str) and len(value) <= MAX_DURATION:
        try:
            return duration(value)
        except ValueError:
            return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    return None


def span(length: float) -> str:
    """A bound as people say it: 300, 12h, 7d."""
    for size, letter in ((86400, "d"), (3600, "h")):
        if length >= size and math.fmod(length, size) == 0:
            return f"{length / size:g}{letter}"
    return f"{length:g}"


def _yes_or_no(value: object) -> bool:
    if isinstance(value, Word):
        value = {"true": True, "false": False}.get(value.lower(), value)
    if not isinstance(value, bool):
        raise ValueError(f"true or false expected, not {came(value)}")
    return value


def one_of(*words: str) -> PlainValidator:
    """One of these strings."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            listed = ", ".join(f'"{word}"' for word in words)
            raise ValueError(f"one of {listed} expected, not {came(value)}")
        return str(value)

    return PlainValidator(check)


def _mode(value: object) -> int:
    match = _MODE.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError(f'an octal mode in quotes, like "0660", expected, not {came(value)}')
    bits = int(match[1], 8)
    if bits & 0o600 != 0o600:
        raise ValueError(f"a mode that lets the owner read and write expected, not {came(value)}")
    return bits


def path(*, optional: bool = False) -> PlainValidator:
    """A path, made absolute where the context names the `folder` it is relative to."""

    def check(value: object, info: ValidationInfo) -> str:
        if optional and value == "":
            return ""
        return _file(value, info)

    return PlainValidator(check)


def _placed(value: object, info: ValidationInfo) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"a path expected, not {came(value)}")
    folder = _folder(info)
    return str(value) if folder is None else str(folder / value)


def _file(value: object, info: ValidationInfo) -> str:
    """A file that may be a credential of systemd's."""
    if isinstance(value, str) and value.startswith(credentials.PREFIX) and info.context:
        return credentials.placed(value, info.context["credentials"])
    return _placed(value, info)


def _folder(info: ValidationInfo) -> Path | None:
    return info.context["folder"] if info.context else None


def _socket(value: object, info: ValidationInfo) -> str:
    placed = _placed(value, info)
    if (size := len(os.fsencode(placed))) > MAX_SOCKET:
        raise ValueError(
            f"a path of at most {MAX_SOCKET} bytes expected, as Linux wants it for sockets, "
            f"not {size} bytes: {shown(placed, 160)}"
        )
    return placed


def _text(value: object) -> str:
    if not isinstance(value, str) or _CONTROL_CHARACTER.search(value):
        raise ValueError(f"a text of one line expected, not {came(value)}")
    if (size := len(value.encode())) > MAX_TEXT:
        raise ValueError(f"at most {MAX_TEXT} bytes fit into a frame, not {size}")
    return str(value)


def _pattern(value: object) -> str:
    """A pattern for the QR text of all devices, which fits into a frame with any id and IMEI."""
    if isinstance(value, str):
        if re.search(r"[{}]", _PLACEHOLDER.sub("", value)):
            raise ValueError(
                f"only {{id}} and {{imei}} expected between braces, not {came(value)}"
            )
        _text(_PLACEHOLDER.sub(lambda found: WIDEST_VALUES[found[0][1:-1]], value))
    return _text(value)


def _url(value: object, info: ValidationInfo) -> str:
    """A database's URL. It may hold a password: no message quotes more than its scheme."""
    scheme, found, location = value.partition("://") if isinstance(value, str) else ("", "", "")
    if scheme == "postgres":
        raise ValueError('"postgresql://..." expected; "postgres://" is its old name')
    if not found or scheme not in ("sqlite", "postgresql", "postgresql+psycopg"):
        what = came(f"{scheme}://...") if found else "this"
        raise ValueError(f'"sqlite:///FILE" or "postgresql://..." expected, not {what}')
    if scheme != "sqlite":
        return str(value)
    file = location.removeprefix("/")
    if file == location or file in ("", ":memory:"):
        raise ValueError('"sqlite:///FILE" expected: the journal has to be kept in a file')
    if "?" in file or "\0" in file:
        raise ValueError('"sqlite:///FILE" expected, without options')
    folder = _folder(info)
    if folder is None:
        return str(value)
    placed = str(folder / file)
    if "?" in placed:
        raise ValueError(f"a folder without ? in its name expected for SQLite, not {came(placed)}")
    return f"sqlite:///{placed}"


def _key_file(value: object, info: ValidationInfo) -> str:
    """The file of the key: by default beside SQLite's file, and for PostgreSQL in the folder where
    relative paths start."""
    url = str(info.data.get("url", ""))
    if value == "" and (file := url.removeprefix("sqlite:///")) != url:
        return f"{file}.key"
    return _file(value or "devgate.key", info)


def _public(value: object) -> str:
    """The URL at which people reach the gateway: scheme, host and port, without a path."""
    if value == "":
        return ""
    if isinstance(value, str) and _PUBLIC.fullmatch(value):
        return str(value).rstrip("/")
    raise ValueError(f'"https://HOST" or "https://HOST:PORT" expected, not {came(value)}')


def _node(value: object) -> str:
    if value != "" and not (isinstance(value, str) and _NODE.fullmatch(value)):
        raise ValueError(
            f'a name of at most 64 letters, digits, ".", "_" and "-" expected, not {came(value)}'
        )
    return str(value)


YES_OR_NO = PlainValidator(_yes_or_no)
MODE = PlainValidator(_mode)
SOCKET = PlainValidator(_socket)
TEXT = PlainValidator(_text)
PATTERN = PlainValidator(_pattern)
PUBLIC = PlainValidator(_public)
URL = PlainValidator(_url)
KEY_FILE = PlainValidator(_key_file)
NODE = PlainValidator(_node)
