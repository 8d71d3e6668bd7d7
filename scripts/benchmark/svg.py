"""Pictures: small panels of bars or lines, as plain SVG that follows the reader's colours."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

PANEL_WIDTH, GAP, MARGIN = 300, 28, 20
BAR, BAR_STEP = 14, 19
LABEL = 94  # room for the names of the bars
PLOT_HEIGHT, AXIS = 130, 52
HEADING = 52
COLOURS = ("#0b7a75", "#8a8f98", "#c2703d", "#4a6fa5", "#9a5b94", "#5b8c3e", "#b0413e")
STYLE = """\
text{font:12px system-ui,sans-serif;fill:#24292f}
.h{font-size:16px;font-weight:600}.t{font-weight:600}.s{fill:#656d76;font-size:11px}
.n{text-anchor:end}.m{text-anchor:middle}.g{stroke:#d0d7de;fill:none}
.page{fill:#ffffff}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#9198a1}.g{stroke:#3d444d}
.page{fill:#0d1117}}"""


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


def picture(title: str, note: str, panels: Sequence[Bars | Lines], columns: int = 3) -> str:
    """An SVG document with the panels in rows of `columns`."""
    height = max((_height(panel) for panel in panels), default=0)
    rows = math.ceil(len(panels) / columns)
    width = 2 * MARGIN + columns * PANEL_WIDTH + (columns - 1) * GAP
    total = MARGIN + HEADING + rows * (height + GAP)
    # A name keeps its colour, in whatever panels it stands.
    bars = [bar for panel in panels if isinstance(panel, Bars) for bar in panel.bars]
    names = dict.fromkeys(name for name, _value, _shown in bars)
    colours = dict(zip(names, itertools.cycle(COLOURS), strict=False))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{total}" '
        f'viewBox="0 0 {width} {total}" role="img" aria-label="{escape(title)}">',
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{width}" height="{total}"/>',
        _text(MARGIN, MARGIN + 12, title, "h"),
        _text(MARGIN, MARGIN + 30, note, "s"),
    ]
    for i, panel in enumerate(panels):
        x = MARGIN + i % columns * (PANEL_WIDTH + GAP)
        y = MARGIN + HEADING + i // columns * (height + GAP)
        parts.append(f'<g transform="translate({x},{y})">')
        parts += [_text(0, 10, panel.title, "t"), _text(0, 26, panel.note, "s")]
        parts += _bars(panel, colours) if isinstance(panel, Bars) else _lines(panel)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _height(panel: Bars | Lines) -> int:
    if isinstance(panel, Bars):
        return 36 + BAR_STEP * len(panel.bars)
    legend = 0 if len(panel.curves) == 1 else 15 * math.ceil(len(panel.curves) / 2)
    return 40 + PLOT_HEIGHT + 22 + legend


def _bars(panel: Bars, colours: Mapping[str, str]) -> list[str]:
    most = max((value for _name, value, _shown in panel.bars), default=0) or 1
    room = PANEL_WIDTH - LABEL - 60
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


def _lines(panel: Lines) -> list[str]:
    points = [point for _name, curve in panel.curves for point in curve]
    most_x = max((x for x, _y in points), default=0) or 1
    top = _round_up(max((y for _x, y in points), default=0) or 1)
    room, left, base = PANEL_WIDTH - AXIS, AXIS, 36 + PLOT_HEIGHT
    parts = []
    for part in (0, 0.5, 1):
        y = base - part * PLOT_HEIGHT
        parts.append(f'<path class="g" d="M{left} {y:.1f}H{PANEL_WIDTH}"/>')
        parts.append(_text(left - 6, y + 4, _number(part * top), "s n"))
        anchor = "s" if part == 0 else "s m" if part == 0.5 else "s n"
        parts.append(
            _text(left + part * room, base + 16, _number(round(part * most_x, 1)), anchor)
        )
    for i, (name, curve) in enumerate(panel.curves):
        colour = COLOURS[i % len(COLOURS)]
        places = [
            (left + x / most_x * room, base - y / top * PLOT_HEIGHT) for x, y in sorted(curve)
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
        )
        if len(places) <= 12:  # few enough to be seen one by one
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{colour}"/>'
                      for x, y in places]  # fmt: skip
        if len(panel.curves) == 1:
            continue  # the title says it
        x, y = left + i % 2 * room / 2, base + 34 + i // 2 * 15
        parts.append(f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(x + 15, y, name, "s"))
    return parts


def _round_up(value: float) -> float:
    """The next number that begins with 1, 2, 4 or 5 and goes on with zeros."""
    step: float = 10 ** math.floor(math.log10(value))
    return next(step * factor for factor in (1, 2, 4, 5, 10) if step * factor >= value)


def _number(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):.3g}{letter}"
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(text)}</text>'
