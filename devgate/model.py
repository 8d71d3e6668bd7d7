"""Values of all layers: the IMEI, addresses, times, statuses. Standard library only."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple, NewType, NoReturn, Self

from devgate.errors import CallerError

Imei = NewType("Imei", str)

MAX_DURATION = 64  # characters: no meaningful duration is longer
MAX_TIME = 2**37  # seconds since 1970: ids cannot have a later time
MAX_TEXT = 976  # bytes of DATA that a frame can carry: 999 less its header

# control.md section 2. A status that is not in it is a failure of the gateway.
EXIT: Mapping[str, int] = {
    "200": 0, "000": 0, "400": 2, "201": 3, "202": 4, "300": 5, "404": 6,
    "408": 7, "401": 8, "409": 9, "410": 10, "423": 14, "429": 11, "500": 12, "503": 12,
}  # fmt: skip
# A command's record as a line of CSV.
COMMAND_CSV = (
    "accepted_at", "imei", "name", "site", "type", "long", "outcome", "status", "late", "message",
    "key", "source", "command", "sent_at", "ended_at", "late_at",
)  # fmt: skip
# An event of the audit as a line of CSV (`audit_row`).
AUDIT_CSV = ("at", "event", "type", "source", "address", "about", "detail")
NO_GATEWAY = 13  # nothing answers at the socket


class Called(NamedTuple):
    """What people call a device."""

    id: int
    name: str
    site: str


class Source(str):
    """Who asks, as records name it (`http:shop`), with the limits of what the caller may see.

    A plain str instead of it is a caller that may see all sites.
    """

    sites: frozenset[str] | None  # the caller may see only devices of these; None: of all
    person: str  # the name of a person who has logged in; "": a program, or the socket
    address: str  # where it came from, without a port; "": from this machine's socket
    role: str
    session: str  # the id of the login session; "": none

    def __new__(
        cls,
        text: str,
        sites: frozenset[str] | None = None,
        *,
        person: str = "",
        address: str = "",
        role: str = "admin",
        session: str = "",
    ) -> Self:
        """`text` is what is recorded."""
        made = super().__new__(cls, text)
        made.sites, made.person, made.address = sites, person, address
        made.role, made.session = role, session
        return made

    @classmethod
    def of(cls, source: str) -> Source:
        """A source whose parts can be asked for."""
        return source if isinstance(source, Source) else cls(source)

    @property
    def plain(self) -> str:
        """As text alone: what the database and the events get."""
        return str.__str__(self)


# Fields of events that are times: in seconds since 1970, or as iso() has them.
_TIMES = frozenset({"until", "invitation"})


class Moment(str):
    """A time of an event, as iso() has it. It is shown to people in their own form."""


def pieces(
    value: object, said: Callable[[str], str] = str, max_length: int = 1 << 30, name: str = ""
) -> Iterator[str]:
    """A value of an event as a person reads it: `site: - -> North; enabled: yes -> no`.

    It comes in pieces, because times are Moments. `said` translates yes and no, `max_length`
    limits the characters of a value, and `name` is the field of the value.
    """
    if isinstance(value, bool):
        yield said("yes" if value else "no")
    elif isinstance(value, Mapping):
        changed = set(value) == {"old", "new"}
        for count, field in enumerate(("old", "new") if changed else value):
            yield ("" if not count else " -> " if changed else "; ") + (
                "" if changed else f"{field}: "
            )
            yield from pieces(value[field], said, max_length, name if changed else str(field))
    elif name in _TIMES and isinstance(value, int | float):
        yield Moment(iso(value))
    elif name in _TIMES and isinstance(value, str) and _ISO.fullmatch(value):
        yield Moment(value)
    else:
        if isinstance(value, list | tuple):
            text = ", ".join("".join(pieces(one, said, max_length)) for one in value)
        else:
            text = "" if value is None else str(value)
        yield (text if len(text) <= max_length else text[: max_length - 3] + "...") or "-"


def audit_detail(event: Mapping[str, object]) -> object:
    """The detail of an event of the audit: changes, given values, or a text."""
    if detail := event.get("changes") or event.get("given"):
        return detail
    if event.get("verdict"):
        return f"{event['verdict']}: {event.get('note') or ''}".rstrip(": ")
    return f"{event['skipped']} more like this" if event.get("skipped") else ""


def audit_row(event: Mapping[str, object]) -> list[object]:
    """An event of the audit in the columns of AUDIT_CSV: who did what, to what, and how."""
    what = [event.get(name) for name in ("operation", "kind", "imei", "key", "name")]
    detail = audit_detail(event)
    return [
        event["at"],
        event["event"],
        event["type"],
        event.get("source") or event.get("by") or "",
        event.get("address") or "",
        " ".join(str(one) for one in what if one),
        "".join(pieces(detail)) if detail else "",
    ]


def limits(role: str, sites: frozenset[str] | None) -> str:
    """The limits of a caller, for the sentence that refuses a request: `command at North`."""
    if sites is None:
        return role
    names = sorted(sites)
    return f"{role} at {', '.join(names[:3])}{' and others' if len(names) > 3 else ''}"


# Characters that turn text around: a reader would see another text than is stored.
BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # as a class of a regular expression has it

_BIDI = re.compile(f"[{BIDI}]")
IMEI = re.compile(r"[0-9]{15}", re.ASCII)
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_DURATION = re.compile(
    r"(?=[\d.])(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", re.ASCII
)
_HOST_PORT = re.compile(r"(?:\[([^\[\]\s]*:[^\[\]\s]*)\]|([^:\[\]\s]*)):([0-9]{1,5})", re.ASCII)
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))

# Compact JSON by the standard: ValueError for NaN and Infinity, which it does not have.
to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
# For text with half a surrogate pair: UTF-8 cannot encode it, and only an escape can.
to_ascii_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def in_unicode(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def imei(text: object) -> Imei:
    """A checked IMEI. No check-digit test: the protocol's own sample would fail it.

    Raises CallerError (400) for anything but a string of 15 digits.
    """
    if not isinstance(text, str) or not IMEI.fullmatch(text):
        raise CallerError("400", f"imei: a string of 15 digits expected, not {shown(text)}")
    return Imei(text)


# Names of our fields in other systems. Spelling mistakes are found without this list.
_MEANT: Mapping[str, str] = {
    "order": "key", "order_no": "key", "orderno": "key", "order_id": "key", "orderid": "key",
    "order_number": "key", "idempotency_key": "key", "request_id": "key",
    "seconds": "long", "duration": "long", "time": "long", "length": "long", "times": "long",
    "device": "imei", "device_id": "imei", "machine": "imei",
    "cmd": "type", "action": "type", "operation": "type",
    "ttl": "expires", "search": "q", "query": "q", "count": "limit", "size": "limit",
    "offset": "after", "cursor": "after", "command_id": "command",
}  # fmt: skip


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of the `known` that was probably meant; None: none is similar."""
    import difflib  # only after a mistake: the CLI should start fast

    return next(iter(difflib.get_close_matches(name[:64].lower(), known, 1)), None)


def unknown_field(name: str, known: Iterable[str]) -> str:
    """A sentence about a field that is none of the `known`: the nearest one, or all of them."""
    known = list(known)
    simple = name[:64].lower().replace("-", "_")
    guess = _MEANT[simple] if _MEANT.get(simple) in known else nearest(simple, known)
    called = name if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", name, re.ASCII) else shown(name)
    if guess:
        return f"{called}: unknown field; did you mean {guess}?"
    return f"{called}: unknown field; known are {', '.join(known) or 'none'}"


def turns_text(text: str) -> str | None:
    """The first character that turns text around (U+202E and the like); None: it has none."""
    found = _BIDI.search(text)
    return found[0] if found else None


def alternatives(words: Iterable[str], comma: str = ", ", last: str = " or ") -> str:
    """Words of which one is to be chosen: "a, b or c"."""
    *others, final = words
    return f"{comma.join(others)}{last}{final}" if others else final


def shown(value: object, max_length: int = 60) -> str:
    """A value as a message quotes it: on one line, with at most `max_length` characters."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= max_length else text[: max_length - 3] + "..."


def duration(text: str) -> float:
    """Seconds, from a duration as people write it: `500`, `0.5`, `15m`, `1h30m`, `2d`.

    Raises ValueError, with a sentence for that person.
    """
    match = _DURATION.fullmatch(text) if len(text) <= MAX_DURATION else None
    if not match or not any(match.groups()):
        raise ValueError(f"{shown(text)} is no duration; write 500, 15m or 1h30m")
    days, hours, minutes, seconds = match.groups()
    return (
        int(days or 0) * 86400
        + int(hours or 0) * 3600
        + int(minutes or 0) * 60
        + float(seconds or 0)
    )


def in_units(seconds: float) -> list[tuple[int, str]]:
    """A length of time in its two largest units, such as `[(3, "d"), (4, "h")]`. Smaller units are
    left out."""
    remaining, parts = max(0, round(seconds)), list[tuple[int, str]]()
    for size, unit in _UNITS:
        count, remaining = divmod(remaining, size)
        if count:
            parts.append((count, unit))
        elif parts:
            break
    return parts[:2] or [(0, "s")]


def host_port(text: str) -> tuple[str, int]:
    """Host and port of "0.0.0.0:12306", "[::]:12306" or ":0". IPv6 comes without its brackets.

    Raises ValueError, with a sentence for whoever wrote it.
    """
    match = _HOST_PORT.fullmatch(text)
    if not match:
        hint = (
            ' (IPv6 goes in brackets: "[::]:12306")'
            if text.count(":") > 1 > text.count("[")
            else ""
        )
        raise ValueError(f'"HOST:PORT" expected, not {shown(text)}{hint}')
    if (port := int(match[3])) > 65535:
        raise ValueError(f"a port from 0 to 65535 expected, not {port}")
    return match[1] or match[2], port


def iso(at: float | None) -> str | None:
    """A wall-clock time in seconds as control.md writes it: UTC, milliseconds, `Z`."""
    if at is None:
        return None
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is none of its values")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{shown(text)} is too large a number")
    return number


# JSON as the standard has it: Python's own also reads NaN and Infinity.
STRICT = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)
