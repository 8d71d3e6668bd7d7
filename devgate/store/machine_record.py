"""The record of a machine: its SIM, its model, its place. The gateway does not need it for its
work. It is only in the database, and read when it is shown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from devgate.errors import CallerError
from devgate.model import shown, turns_text

MAX_WORD = 64  # characters of a model, a firmware or a serial number
MAX_NOTE = 500
MAX_TAGS, MAX_TAG = 20, 40  # tags of one machine, and characters of one
_ICCID = re.compile(r"[0-9]{18,21}[0-9F]?", re.ASCII)
_PHONE = re.compile(r"\+?[0-9][0-9 ()/-]{2,30}", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_NUMBER = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{1,15})?", re.ASCII)


def bad(name: str, text: str) -> CallerError:
    """The error (400) for a field with a bad value; `text` says what was expected."""
    return CallerError("400", f"{name}: {text}")


def checked_record(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record as they are stored; an empty one is None. Raises CallerError (400),
    which names the field."""
    found = {name: _CHECKS[name](name, value) if value not in (None, "") else None
             for name, value in given.items()}  # fmt: skip
    for name, other in (("latitude", "longitude"), ("longitude", "latitude")):
        if found[name] is None and found[other] is not None:
            raise bad(name, f"a number expected, for {other} is given")
    return found


def tags_of(text: str | None) -> list[str]:
    """The tags in their stored form, one by one."""
    return text.split(",") if text else []


def tagged(text: str | None, more: object, less: object) -> str | None:
    """Stored tags with some more and some less, each given as a text with commas. Raises
    CallerError (400)."""
    some = {*tags_of(text), *tags_of(_tags("tag", more))} - {*tags_of(_tags("untag", less))}
    if len(some) > MAX_TAGS:
        raise CallerError(
            "409", f"tag: at most {MAX_TAGS} tags of one device expected, not {len(some)}; take "
            "some away",
        )  # fmt: skip
    return ",".join(sorted(some)) or None


def one_tag(name: str, text: str) -> str:
    """A single tag. Raises CallerError (400)."""
    found = _tags(name, text)
    if found is None or "," in found:
        raise bad(name, f"one tag expected, not {shown(text)}")
    return found


def degrees(name: str, text: str) -> float:
    """Degrees as a person or a file writes them. Raises CallerError (400)."""
    if not _NUMBER.fullmatch(text):
        raise bad(name, f"degrees such as 31.2304 expected, not {shown(text)}")
    return float(text)


def _fits(pattern: re.Pattern[str], what: str) -> Callable[[str, Any], str]:
    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise bad(name, f"{what} expected, not {shown(value)}")
        return value

    return check


def check_text(name: str, text: str, also: str = "") -> None:
    """Raises CallerError (400) for characters that no text may have, but for those in `also`.

    Control characters break lines and terminals, and PostgreSQL stores no NUL. Characters that
    turn text around can make one machine look like another in a list.
    """
    if text.isprintable():  # nearly always true, and fast
        return
    for sign in text:
        # Cs: half a character, which is no UTF-8. Zl, Zp: ends of lines as well.
        odd = unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") or turns_text(sign)
        if odd and sign not in also:
            raise bad(name, f"a text without {sign!a} expected")


def _line(max_length: int, also: str = "") -> Callable[[str, Any], str]:
    def check(name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise bad(name, f"a string expected, not {shown(value)}")
        if len(value) > max_length:
            raise bad(name, f"at most {max_length} characters expected, not {len(value)}")
        check_text(name, value, also)
        return value

    return check


def _date(name: str, value: Any) -> str:
    text: str = _fits(_DATE, "a day such as 2026-11-24")(name, value)
    try:
        date.fromisoformat(text)
    except ValueError:
        raise bad(name, f"a day such as 2026-11-24 expected, not {shown(value)}") from None
    return text


def _tags(name: str, value: Any) -> str | None:
    if value in (None, ""):
        return None
    text = _line(MAX_TAGS * (MAX_TAG + 2))(name, value)
    tags = {tag.strip() for tag in text.split(",")} - {""}
    if len(tags) > MAX_TAGS:
        raise bad(name, f"at most {MAX_TAGS} tags expected, not {len(tags)}")
    for tag in tags:
        if len(tag) > MAX_TAG:
            raise bad(name, f"tags of at most {MAX_TAG} characters expected, not {shown(tag)}")
    return ",".join(sorted(tags)) or None


def _within(max_degrees: float) -> Callable[[str, Any], float]:
    def check(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise bad(name, f"a number expected, not {shown(value)}")
        if not -max_degrees <= value <= max_degrees:
            raise bad(
                name, f"degrees from {-max_degrees:g} to {max_degrees:g} expected, not {value:g}"
            )
        return float(value)

    return check


_CHECKS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "iccid": _fits(_ICCID, "18 to 22 digits"),
    "sim_phone": _fits(_PHONE, "a telephone number"),
    "model": _line(MAX_WORD),
    "firmware": _line(MAX_WORD),
    "serial": _line(MAX_WORD),
    "installed_on": _date,
    "note": _line(MAX_NOTE, "\r\n\t"),
    "tags": _tags,
    "latitude": _within(90),
    "longitude": _within(180),
}
