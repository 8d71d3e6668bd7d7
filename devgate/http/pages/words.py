"""Times, spans and states as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from devgate.gateway.command import MESSAGES
from devgate.gateway.commands.recovery import UNSENT
from devgate.http.pages.i18n import translate
from devgate.language.choice import Language
from devgate.model import duration, in_units

FORMS: Mapping[str, str] = {
    "full": "%Y-%m-%d %H:%M:%S",
    "exact": "%H:%M:%S.%f",
    "clock": "%H:%M:%S",
    "minute": "%H:%M",
    "moment": "%m-%d %H:%M:%S",
    "short": "%m-%d %H:%M",
    "date": "%m-%d",
    "day": "%Y-%m-%d",
}
# English pages have the month's name where no year stands: 11-12 is two days in Europe.
ENGLISH_FORMS: Mapping[str, str] = {
    "moment": "%-d %b %H:%M:%S",
    "short": "%-d %b %H:%M",
    "date": "%-d %b",
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
    "503": "Refused: not on disk",
}
STOPPED = frozenset({MESSAGES["503"], UNSENT})  # a 503 because the gateway stopped

# What to do about a status, on the page that says that something could not be done.
ADVICE: Mapping[str, str] = {
    "300": "Look for it in the list of devices: the IMEI may have been mistyped, or the device was"
    " removed.",
    "400": "Go back and correct what was given.",
    "401": "Somebody with another role can do this.",
    "404": "Try again when the device is connected.",
    "408": "Look at the device, or ask the customer, before you start it again.",
    "409": "Load the page again: somebody was quicker, or it is done already.",
    "423": "Wait until the device is free.",
    "429": "Wait a moment, and try again.",
    "500": "The gateway's log says more.",
    "503": "Try again in a moment. If it stays like this, somebody has to look at the database.",
}


# Units as people write them, the longer word first.
WRITTEN_UNITS = (
    ("minutes", "m"), ("min", "m"), ("小时", "h"), ("分钟", "m"), ("分", "m"), ("秒", "s"),
)  # fmt: skip

# What a person says became of an unknown outcome.
VERDICT: Mapping[str, str] = {
    "ran": "It ran",
    "did_not_run": "It did not run",
    "refunded": "The customer was refunded",
    "other": "Something else",
}


def zone(name: str | None) -> tzinfo:
    """The viewer's zone, by the name that the browser gave; UTC if there is no such zone."""
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


def status_of(record: Mapping[str, Any]) -> str:
    """What the status of a record or an event means, in the fewest words."""
    status = record["status"]
    if status == "503" and record.get("message") in STOPPED:
        return "Gateway stopped"
    return STATUS.get(status, status)


def formed(at: datetime, form: str, where: tzinfo, language: Language = "zh") -> str:
    """A time in one of FORMS, in that zone."""
    pattern = ENGLISH_FORMS.get(form) if language == "en" else None
    text = at.astimezone(where).strftime(pattern or FORMS[form])
    return text[:-3] if form == "exact" else text


def time_tag(text: object, form: str, shown: str) -> Markup:
    """A time as HTML: the script shows it in the zone of the browser."""
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


def number(text: str, digits: int = 7) -> int | None:
    """A whole number of at most `digits` digits; None for any other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None


def read_long(text: str, unit: str) -> int | None:
    """The number that somebody wrote: `900`, or `15m` for a device that counts seconds."""
    text = text.strip().replace(" ", "").lower()
    for word, letter in WRITTEN_UNITS:
        text = text.replace(word, letter)
    if unit == "times":
        return number(text, 9)
    try:
        return int(duration(text))
    except (ValueError, OverflowError):
        return None


def midnight(day: str, where: tzinfo) -> datetime | None:
    """When that day (`2026-11-24`) began for the viewer. None for a text that is no day, and for
    days so early or late that a neighbour could not be expressed."""
    try:
        found = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=where)
    except ValueError:
        return None
    return found if 1970 < found.year < 9999 else None


def neighbours(begin: datetime, where: tzinfo) -> tuple[str, str]:
    """The day before and the day after, as they stand in a URL."""
    here = begin.astimezone(where)
    before, behind = (here + timedelta(days=n) for n in (-1, 1))
    return before.strftime(FORMS["day"]), behind.strftime(FORMS["day"])
