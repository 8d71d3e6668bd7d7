"""Times, spans and states as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from devgate.http.pages.i18n import Language, translate
from devgate.model import duration, in_units

FORMS: Mapping[str, str] = {
    "full": "%Y-%m-%d %H:%M:%S",
    "exact": "%H:%M:%S.%f",
    "clock": "%H:%M:%S",
    "minute": "%H:%M",
    "moment": "%m-%d %H:%M:%S",
    "short": "%m-%d %H:%M",
    "day": "%Y-%m-%d",
}

# What a status means, in the fewest words; its colour is the class of its group_of().
STATUS: Mapping[str, str] = {
    "200": "Done",
    "201": "Failed",
    "202": "Wrong IMEI",
    "408": "Unknown",
    "000": "Under way",
    "300": "Not known",
    "401": "Disabled",
    "404": "Not connected",
    "409": "Refused",
    "410": "Expired",
    "423": "Not now",
    "429": "Queue full",
    "503": "Gateway stopped",
}


def zone(name: str | None) -> tzinfo:
    """The viewer's zone, by the name that the browser told; UTC where it says nothing of use."""
    if name and len(name) <= 64:
        try:
            return ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            pass  # a name that this machine does not know, or no name at all
    return UTC


def moment(text: object) -> datetime | None:
    """A time as replies write it."""
    return None if not text else datetime.fromisoformat(str(text))


def seconds_of(text: object) -> float:
    """A time of a reply as seconds since 1970."""
    found = moment(text)
    assert found is not None, "only times that are there are drawn"
    return found.timestamp()


def formed(at: datetime, form: str, where: tzinfo) -> str:
    """A time in one of FORMS, in that zone."""
    text = at.astimezone(where).strftime(FORMS[form])
    return text[:-3] if form == "exact" else text


def time_tag(text: object, form: str, shown: str) -> Markup:
    """A time as HTML: the browser shows it in its own zone."""
    return Markup(f'<time datetime="{escape(text)}" data-form="{form}">{shown}</time>')


def span(language: Language, seconds: float) -> str:
    """`2 h 5 min`: the two largest units, as a person would say it."""
    return " ".join(f"{count} {translate(language, unit)}" for count, unit in in_units(seconds))


def long_of(language: Language, number: object, unit: str = "seconds") -> str:
    """What a start asks for: `15 min`, or `5 times`."""
    if number is None:
        return ""
    if unit == "times":
        return translate(language, "{count} times", count=number)
    return span(language, float(str(number)))


def read_long(text: str, unit: str) -> int | None:
    """The number that somebody wrote: `900`, or `15m` for a device that counts seconds."""
    text = text.strip().replace(" ", "").lower().replace("min", "m")
    if unit == "times":
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
    try:
        return int(duration(text))
    except (ValueError, OverflowError):
        return None


def midnight(day: str, where: tzinfo) -> datetime | None:
    """When that day (`2026-11-24`) began for the viewer."""
    try:
        return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=where)
    except ValueError:
        return None


def neighbours(begin: datetime, where: tzinfo) -> tuple[str, str]:
    """The day before and the day behind, as they stand in a URL."""
    here = begin.astimezone(where)
    before, behind = (here + timedelta(days=n) for n in (-1, 1))
    return before.strftime(FORMS["day"]), behind.strftime(FORMS["day"])
