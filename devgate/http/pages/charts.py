"""Charts as plain SVG, sized by classes alone: the content security policy allows no style.

A plot is stretched to its place (`preserveAspectRatio="none"`) and its lines keep their
width; what is written beside it is HTML, so that it stays readable on a phone. Every chart
has a table as well, which the page shows on request.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

WIDTH, HEIGHT = 1000, 240
GAP = 0.22  # of a bar's place
STEPS = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
ROOM = 1.03  # above the highest value


class Chart(NamedTuple):
    """A plot and the numbers on its upright axis, the highest first."""

    plot: Markup
    axis: Sequence[int]


class Mark(NamedTuple):
    """Something at one moment of a lane."""

    at: float
    kind: str  # a class of the style sheet
    title: str


def ceiling(most: float, lines: int = 4) -> int:
    """The least round number that an axis with that many equal parts may end with."""
    least = max(most * ROOM, lines) / lines
    magnitude = 10 ** math.floor(math.log10(least))
    step: float = next(s * magnitude for s in STEPS if s * magnitude >= least)
    return math.ceil(step) * lines


def area(values: Sequence[float], places: int, title: str, text: str) -> Chart:
    """Values from the left, one a place; places without a value yet stay empty."""
    top = ceiling(max(values, default=0))
    step = WIDTH / places
    points: list[str] = []
    for number, value in enumerate(values):
        y = HEIGHT - HEIGHT * value / top
        points += [f"{number * step:.1f},{y:.1f}", f"{(number + 1) * step:.1f},{y:.1f}"]
    inside = _grid()
    if points:
        end = len(values) * step
        line = " L".join(points)
        inside += f'<path class="area" d="M0,{HEIGHT} L{line} L{end:.1f},{HEIGHT} Z"/>'
        inside += f'<path class="line" d="M{line}"/>'
        inside += f'<path class="now" d="M{points[-1]} h0"/>'
    return Chart(_svg(inside, title, text), _axis(top))


def bars(
    groups: Sequence[Mapping[str, int]],
    kinds: Sequence[str],
    titles: Sequence[str],
    title: str,
    text: str,
) -> Chart:
    """Stacked bars, the first kind lowest. `titles` are shown for the whole of a bar."""
    top = ceiling(max((sum(group[kind] for kind in kinds) for group in groups), default=0))
    step = WIDTH / max(1, len(groups))
    parts = [_grid()]
    for number, (group, words) in enumerate(zip(groups, titles, strict=True)):
        x, width = (number + GAP / 2) * step, (1 - GAP) * step
        parts.append(f'<g class="bar"><title>{escape(words)}</title>')
        parts.append(
            f'<rect class="hit" x="{number * step:.1f}" y="0" width="{step:.1f}" '
            f'height="{HEIGHT}"/>'
        )
        y = float(HEIGHT)
        for kind in kinds:
            if group[kind]:
                size = HEIGHT * group[kind] / top
                y -= size
                parts.append(
                    f'<rect class="{kind}" x="{x:.1f}" y="{y:.2f}" width="{width:.1f}" '
                    f'height="{size:.2f}"/>'
                )
        parts.append("</g>")
    return Chart(_svg("".join(parts), title, text), _axis(top))


def lane(
    spans: Sequence[tuple[float, float, str]], kind: str, since: float, until: float, name: str
) -> Markup:
    """Spans of time (from, to, title) on one line."""
    parts = [_hours()]
    for begin, end, words in spans:
        x = _x(begin, since, until)
        width = max(_x(end, since, until) - x, 1.0)
        parts.append(
            f'<rect class="{kind}" x="{x:.1f}" y="18" width="{width:.1f}" height="64">'
            f"<title>{escape(words)}</title></rect>"
        )
    return _lane("".join(parts), name)


def marks(some: Sequence[Mark], since: float, until: float, name: str) -> Markup:
    """Moments on one line, each a dot that keeps its shape."""
    parts = [_hours()]
    parts += [
        f'<path class="mark {mark.kind}" d="M{_x(mark.at, since, until):.1f},50 h0">'
        f"<title>{escape(mark.title)}</title></path>"
        for mark in some
    ]
    return _lane("".join(parts), name)


def _x(at: float, since: float, until: float) -> float:
    return min(max((at - since) / (until - since), 0.0), 1.0) * WIDTH


def _grid() -> str:
    return "".join(f'<path class="grid" d="M0,{HEIGHT * n / 4:g} H{WIDTH}"/>' for n in range(1, 4))


def _hours() -> str:
    return "".join(f'<path class="grid" d="M{WIDTH * n / 4:g},0 V100"/>' for n in range(1, 4))


def _axis(top: int) -> list[int]:
    return [top * n // 4 for n in range(4, -1, -1)]


def _svg(inside: str, title: str, text: str) -> Markup:
    return Markup(
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(title)}: {escape(text)}"><desc>{escape(text)}</desc>{inside}</svg>'
    )


def _lane(inside: str, name: str) -> Markup:
    return Markup(
        f'<svg class="lane" viewBox="0 0 {WIDTH} 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(name)}">{inside}</svg>'
    )
