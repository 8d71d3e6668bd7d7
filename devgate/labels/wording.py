"""Fits text on a sticker: it is made smaller or set in two lines, and its end is never cut.

The end of a name distinguishes machines: "Massage chair 12". A name that is too long for two small
lines loses its middle. The unit of sizes is the height of the IMEI on the sticker.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from unicodedata import east_asian_width

TITLE = 1.25  # height of a name that has room
ALONE = 0.95  # a name that would be smaller than this is set in two lines
SMALLEST = 0.8
LEADING = 1.5  # distance from one line to the next
WITHIN = 1.2  # ... if both are of the same name
# The last word, or the digits at the end of what has no spaces.
_END = re.compile(r"\s*(\S*\d\S*|\S{1,12})$")


@dataclass(frozen=True, slots=True)
class Row:
    """A line: its height and that of its letters."""

    text: str
    scale: float
    height: float
    title: bool = False


def width(text: str) -> float:
    """The approximate width, in units of its height."""
    return sum(1.0 if east_asian_width(sign) in "WF" else 0.6 for sign in text)


def one_row(text: str, room: float, scale: float = 1.0, *, title: bool = False) -> Row:
    """One line that is at most `room` wide."""
    scale = min(scale, max(SMALLEST, room / max(width(text), 1.0)))
    return Row(shortened(text, room / scale), scale, LEADING * max(scale, 1.0), title)


def long_name(text: str, room: float) -> list[Row]:
    """A name in one line or two, that are at most `room` wide."""
    if width(text) * ALONE <= room:
        return [one_row(text, room, TITLE, title=True)]
    text = shortened(text, 2 * room / SMALLEST - 2)
    place = min(_breaks(text), key=lambda at: max(map(width, _parts(text, at))))
    parts = _parts(text, place)
    scale = min(1.1, max(SMALLEST, room / max(map(width, parts))))
    heights = (WITHIN * scale, LEADING * scale)
    return [
        Row(shortened(part, room / scale), scale, height, True)
        for part, height in zip(parts, heights, strict=True)
    ]


def _breaks(text: str) -> list[int]:
    """The places where a second line may begin: at a word or at a Chinese character; otherwise
    anywhere except within the number at the end."""
    places = range(1, len(text))
    words = [at for at in places if text[at - 1].isspace() or _wide(text[at - 1] + text[at])]
    inside = len(text) - len(_last(text))
    half = width(text) / 2
    good = [at for at in words if 0.3 * half < width(text[:at]) < 1.7 * half]
    return good or [at for at in places if at <= inside] or list(places)


def _parts(text: str, place: int) -> tuple[str, str]:
    return text[:place].rstrip(), text[place:].lstrip()


def _last(text: str) -> str:
    found = _END.search(text)
    return found[1] if found else ""


def _wide(text: str) -> bool:
    return any(east_asian_width(sign) in "WF" for sign in text)


def shortened(text: str, max_width: float) -> str:
    """The beginning and the end of a text, as much as has room, with an ellipsis between them."""
    if width(text) <= max_width:
        return text
    room = max(max_width - 1.0, 0.0)  # the ellipsis is as wide as a Chinese sign in some fonts
    tail = _last(text)
    while tail and width(tail) > max(room - 2, 0.6 * room):
        tail = tail[1:]
    head = text[: len(text) - len(tail)]
    while head and width(head) + width(tail) > room:
        head = head[:-1]
    return f"{head.rstrip()}\u2026{tail}"
