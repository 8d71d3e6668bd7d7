"""Charts as plain SVG, sized by classes alone: the content security policy allows no style.

A plot is stretched to its place (`preserveAspectRatio="none"`) and its lines keep their
width; the texts beside it are HTML, so that they stay readable on a phone. Every chart
also has a table, which the page shows on request, and its values as JSON: the script shows them at
the pointer, at a finger and by the keyboard.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from devgate.model import to_json

WIDTH, HEIGHT = 1000, 240
GAP_SHARE = 0.22  # of a bar's place
STEPS = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
HEADROOM = 1.03  # above the highest value


class Series(NamedTuple):
    """The values of a chart, from the left, and what names them."""

    names: Sequence[str]  # of its series
    kinds: Sequence[str]  # their classes of the style sheet
    at: Sequence[float]  # when each place begins, in seconds since 1970
    values: Sequence[Sequence[int | None]]  # by series
    form: str  # of the time: one of `words.FORMS`

    @property
    def json(self) -> str:
        """For the script."""
        return to_json(
            {
                "names": self.names,
                "kinds": self.kinds,
                "at": [round(at) for at in self.at],
                "values": self.values,
                "form": self.form,
            }
        )


class Chart(NamedTuple):
    """A plot and the numbers on its upright axis, the highest first."""

    plot: Markup
    axis: Sequence[int]
    title: str
    text: str  # what it says as a whole
    series: Series
    slots: int  # places, of which the last may be empty yet


class Lanes(NamedTuple):
    """Lanes below one another, each with its name, and their values for the script."""

    drawn: Sequence[tuple[str, Markup]]
    json: str


class LanePoint(NamedTuple):
    """A mark at one moment of a lane."""

    at: float
    kind: str  # a class of the style sheet
    title: str


def ceiling(highest: float, lines: int = 4) -> int:
    """The smallest round number at which an axis with this many equal parts may end."""
    smallest_step = max(highest * HEADROOM, lines) / lines
    magnitude = 10 ** math.floor(math.log10(smallest_step))
    step: float = next(s * magnitude for s in STEPS if s * magnitude >= smallest_step)
    return math.ceil(step) * lines


def area(series: Series, places: int, title: str, text: str) -> Chart:
    """The first series from the left, one value a place; places without one stay empty."""
    [values] = series.values
    top = ceiling(max((value for value in values if value is not None), default=0))
    step = WIDTH / places
    inside, last = _grid(), ""
    for begin, known in _runs(values):
        points: list[str] = []
        for number, value in enumerate(known, begin):
            y = HEIGHT - HEIGHT * value / top
            points += [f"{number * step:.1f},{y:.1f}", f"{(number + 1) * step:.1f},{y:.1f}"]
        left, right = begin * step, (begin + len(known)) * step
        line, last = " L".join(points), points[-1]
        inside += f'<path class="area" d="M{left:.1f},{HEIGHT} L{line} L{right:.1f},{HEIGHT} Z"/>'
        inside += f'<path class="line" d="M{line}"/>'
    if last:
        inside += f'<path class="now" d="M{last} h0"/>'
    return Chart(_svg(inside), _axis(top), title, text, series, places)


def _runs(values: Sequence[int | None]) -> list[tuple[int, list[int]]]:
    """(place of the first, values) of each row of values without a hole."""
    found: list[tuple[int, list[int]]] = []
    for number, value in enumerate(values):
        if value is None:
            continue
        if not found or found[-1][0] + len(found[-1][1]) != number:
            found.append((number, []))
        found[-1][1].append(value)
    return found


def bars(series: Series, title: str, text: str) -> Chart:
    """Stacked bars, the first series lowest."""
    groups = [[value or 0 for value in group] for group in zip(*series.values, strict=True)]
    top = ceiling(max(map(sum, groups), default=0))
    step = WIDTH / max(1, len(groups))
    parts = [_grid()]
    for number, group in enumerate(groups):
        x, width = (number + GAP_SHARE / 2) * step, (1 - GAP_SHARE) * step
        y = float(HEIGHT)
        for kind, count in zip(series.kinds, group, strict=True):
            if count:
                size = HEIGHT * count / top
                y -= size
                parts.append(
                    f'<rect class="{kind}" x="{x:.1f}" y="{y:.2f}" width="{width:.1f}" '
                    f'height="{size:.2f}"/>'
                )
    return Chart(_svg("".join(parts)), _axis(top), title, text, series, len(groups))


def lanes(
    spans: Sequence[tuple[str, str, Sequence[tuple[float, float]]]],
    points: tuple[str, Sequence[LanePoint]],
    since: float,
    until: float,
    none: str,
) -> Lanes:
    """Spans of time as (name, class, [(from, to)]) and moments, each kind on a line of its own.

    `none` is the script's text for a time without a span.
    """
    drawn = [
        (name, _lane(_hours() + "".join(_span(one, kind, since, until) for one in some)))
        for name, kind, some in spans
    ]
    name, some = points
    inside = "".join(
        f'<path class="mark {mark.kind}" d="M{_x(mark.at, since, until):.1f},50 h0"/>'
        for mark in some
    )
    drawn.append((name, _lane(_hours() + inside)))
    series = {
        "since": since,
        "until": until,
        "lanes": [
            {
                "name": name,
                "kind": kind,
                "spans": [[round(begin), round(end)] for begin, end in some],
            }
            for name, kind, some in spans
        ],
        "marks": {"name": name, "items": [[round(one.at), one.title, one.kind] for one in some]},
        "none": none,
    }
    return Lanes(drawn, to_json(series))


def _span(span: tuple[float, float], kind: str, since: float, until: float) -> str:
    x = _x(span[0], since, until)
    width = max(_x(span[1], since, until) - x, 1.0)
    return f'<rect class="{kind}" x="{x:.1f}" y="18" width="{width:.1f}" height="64"/>'


def _x(at: float, since: float, until: float) -> float:
    return min(max((at - since) / (until - since), 0.0), 1.0) * WIDTH


def _grid() -> str:
    return "".join(f'<path class="grid" d="M0,{HEIGHT * n / 4:g} H{WIDTH}"/>' for n in range(1, 4))


def _hours() -> str:
    return "".join(f'<path class="grid" d="M{WIDTH * n / 4:g},0 V100"/>' for n in range(1, 4))


def _axis(top: int) -> list[int]:
    return [top * n // 4 for n in range(4, -1, -1)]


def _svg(inside: str) -> Markup:
    return Markup(
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" '
        f'aria-hidden="true">{inside}</svg>'
    )


def _lane(inside: str) -> Markup:
    return Markup(
        f'<svg class="lane" viewBox="0 0 {WIDTH} 100" preserveAspectRatio="none" '
        f'aria-hidden="true">{inside}</svg>'
    )
