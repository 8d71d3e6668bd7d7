"""Pictures: small panels of bars or lines, as plain SVG that follows the reader's colours."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

PANEL_WIDTH, GAP, MARGIN = 300, 28, 20
ROW_HEADING = 34  # what a line above a row of panels takes
BAR, BAR_STEP = 14, 19
LABEL = 94  # room for the names of the bars
PLOT_TOP, PLOT_HEIGHT, AXIS = 50, 130, 44
HEADING = 52
FEW = 12  # points of a curve that are shown one by one, with the first and the last value
COLOURS = ("#0b7a75", "#8a8f98", "#c2703d", "#4a6fa5", "#9a5b94", "#5b8c3e", "#b0413e")
STYLE = """\
text{font:12px system-ui,sans-serif;fill:#24292f}
.h{font-size:16px;font-weight:600}.t{font-weight:600}.s{fill:#656d76;font-size:11px}
.n{text-anchor:end}.m{text-anchor:middle}.g{stroke:#d0d7de;fill:none}
.r{font-size:13px;font-weight:600}.l{stroke:#cf222e;stroke-dasharray:4 3;fill:none}
.v{font-size:11px}.page{fill:#ffffff}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#9198a1}.g{stroke:#3d444d}
.l{stroke:#f85149}.page{fill:#0d1117}}"""


@dataclass(frozen=True, slots=True)
class Bars:
    """A panel of bars, each with a name and a value; `note` stands below the title."""

    title: str
    note: str
    bars: Sequence[tuple[str, float, str]]  # name, value, the value as it is shown


@dataclass(frozen=True, slots=True)
class Lines:
    """A panel of curves over a common x."""

    title: str
    note: str  # the units, of y and of x
    curves: Sequence[tuple[str, Sequence[tuple[float, float]]]]  # name, points
    limit: tuple[float, str] | None = None  # a y that is not to be passed, and what it is
    decades: bool = False  # x by powers of ten


def picture(
    title: str,
    note: str,
    panels: Sequence[Bars | Lines],
    columns: int = 3,
    *,
    headings: Sequence[str] = (),
    panel_width: int = PANEL_WIDTH,
) -> str:
    """An SVG document with the panels in rows of `columns`, each row below its heading."""
    height = max((_height(panel) for panel in panels), default=0)
    rows = math.ceil(len(panels) / columns)
    width = 2 * MARGIN + columns * panel_width + (columns - 1) * GAP
    row_heading = ROW_HEADING if headings else 0
    total = MARGIN + HEADING + rows * (height + GAP + row_heading)
    # A name keeps its colour, in whatever panels it stands.
    colours = _colours(bar[0] for panel in panels if isinstance(panel, Bars) for bar in panel.bars)
    curves = _colours(c[0] for panel in panels if isinstance(panel, Lines) for c in panel.curves)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{total}" '
        f'viewBox="0 0 {width} {total}" role="img" aria-label="{escape(title)}">',
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{width}" height="{total}"/>',
        _text(MARGIN, MARGIN + 12, title, "h"),
        _text(MARGIN, MARGIN + 30, note, "s"),
        *(_legend(width - MARGIN, curves) if len(curves) > 1 else ()),
    ]
    for i, panel in enumerate(panels):
        row, column = divmod(i, columns)
        x = MARGIN + column * (panel_width + GAP)
        y = MARGIN + HEADING + row * (height + GAP + row_heading) + row_heading
        if column == 0 and row < len(headings):
            parts.append(f'<path class="g" d="M{MARGIN} {y - 32}H{width - MARGIN}"/>')
            parts.append(_text(MARGIN, y - 13, headings[row], "r"))
        parts.append(f'<g transform="translate({x},{y})">')
        parts += [_text(0, 10, panel.title, "t"), _text(0, 26, panel.note, "s")]
        if isinstance(panel, Bars):
            parts += _bars(panel, colours, panel_width)
        else:
            parts += _lines(panel, curves, panel_width)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _colours(names: Iterable[str]) -> dict[str, str]:
    return dict(zip(dict.fromkeys(names), itertools.cycle(COLOURS), strict=False))


def _height(panel: Bars | Lines) -> int:
    if isinstance(panel, Bars):
        return 36 + BAR_STEP * len(panel.bars)
    return PLOT_TOP + PLOT_HEIGHT + 22


def _legend(right: float, colours: Mapping[str, str]) -> list[str]:
    """The names of all curves, in the picture's upper right corner."""
    parts, x = [], right
    for name, colour in reversed(list(colours.items())):
        x -= 7 * len(name)
        parts.append(_text(x, MARGIN + 12, name, "x"))
        x -= 16
        parts.append(
            f'<rect x="{x:.1f}" y="{MARGIN + 2}" width="11" height="11" rx="2" fill="{colour}"/>'
        )
        x -= 18
    return parts


def _bars(panel: Bars, colours: Mapping[str, str], width: int) -> list[str]:
    most = max((value for _name, value, _shown in panel.bars), default=0) or 1
    room = width - LABEL - 60
    parts = []
    for i, (name, value, shown) in enumerate(panel.bars):
        y = 36 + i * BAR_STEP
        length = max(1.0, value / most * room)
        parts += [
            _text(LABEL - 6, y + 11, name, "n"),
            f'<rect x="{LABEL}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2" '
            f'fill="{colours[name]}"/>',
            _text(LABEL + length + 5, y + 11, shown, "s"),
        ]
    return parts


def _lines(panel: Lines, colours: Mapping[str, str], width: int) -> list[str]:
    points = [point for _name, curve in panel.curves for point in curve]
    highest = max((y for _x, y in points), default=0)
    if panel.limit:
        highest = max(highest, panel.limit[0] * 1.05)
    top = _round_up(highest or 1)
    xs = _decades(points) if panel.decades else _ticks(max((x for x, _y in points), default=0))
    room, left, base = width - AXIS, AXIS, PLOT_TOP + PLOT_HEIGHT

    def across(x: float) -> float:
        if panel.decades:
            return left + math.log(x / xs[0]) / math.log(xs[-1] / xs[0]) * room
        return left + x / xs[-1] * room

    def up(y: float) -> float:
        return base - y / top * PLOT_HEIGHT

    parts = []
    for y in (0, top / 2, top):
        parts.append(f'<path class="g" d="M{left} {up(y):.1f}H{width}"/>')
        parts.append(_text(left - 6, up(y) + 4, _number(y, top), "s n"))
    for x in xs:
        anchor = "s n" if x == xs[-1] else "s" if x == xs[0] else "s m"
        parts.append(
            _text(across(x), base + 16, _number(x, x if panel.decades else xs[-1]), anchor)
        )
    if panel.limit:
        y, words = panel.limit
        parts.append(f'<path class="l" d="M{left} {up(y):.1f}H{width}"/>')
        parts.append(_text(width, up(y) - 5, words, "s n"))
    firsts: list[float] = []
    for name, curve in panel.curves:
        places = [(across(x), up(y)) for x, y in sorted(curve)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        colour = colours[name]
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
        )
        if not places or len(places) > FEW:
            continue
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.8" fill="{colour}"/>'
                  for x, y in places]  # fmt: skip
        (_x, first), *_, (_x, last) = [*sorted(curve), max(curve)]
        x, y = places[0]
        below = _rises(places) and y < base - 20
        # Not over the value of another curve.
        y = next((side for side in ((y + 16, y - 7) if below else (y - 7, y + 16))
                  if all(abs(side - other) > 11 for other in firsts)), y - 7)  # fmt: skip
        firsts.append(y)
        parts.append(_text(x, y, _number(first, first), "v"))
        if len(places) > 1:
            x, y = places[-1]
            parts.append(_text(x, y - 7, _number(last, last), "v n"))
    return parts


def _rises(places: Sequence[tuple[float, float]]) -> bool:
    """Whether a curve begins so steeply that it runs through what stands above its beginning."""
    x, y = places[0]
    return any(y - next_y > (next_x - x) * 0.3 for next_x, next_y in places if next_x < x + 40)


def _round_up(value: float) -> float:
    """The next number that is good as the end of an axis, and its half, too."""
    step: float = 10 ** math.floor(math.log10(value))
    return next(f * step for f in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if f * step >= value * 0.999)


def _ticks(most: float) -> list[float]:
    """Two to four round numbers from 0 to `most` or a little more."""
    most = most or 1
    step: float = 10 ** math.floor(math.log10(most))
    step = next(f * step for f in (0.5, 1, 2, 2.5, 5) if f * step * 3 >= most * 0.999)
    return [step * n for n in range(math.ceil(most * 0.999 / step) + 1)]


def _decades(points: Iterable[tuple[float, float]]) -> list[float]:
    """The powers of ten around these points."""
    logs = [math.log10(x) for x, _y in points]
    first, last = math.floor(min(logs)), math.ceil(max(logs))
    return [10.0**n for n in range(first, max(last, first + 1) + 1)]


def _number(value: float, beside: float) -> str:
    """A number in three digits or so, in the unit of what stands beside it: 0, 5k, 10k."""
    for size, unit, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value and beside >= size:
            return f"{value / unit:.3g}{letter}"
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(text)}</text>'
