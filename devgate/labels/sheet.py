"""Sheets of QR stickers: A4 pages as SVG, which a browser prints and a file keeps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import segno
from markupsafe import Markup, escape

from devgate.labels.wording import Row, long_name, one_row

A4 = (210.0, 297.0)  # millimetres, as everything here
FONT = "Arial, Helvetica, 'Liberation Sans', 'Noto Sans CJK SC', 'Microsoft YaHei', sans-serif"
PAD = 3.0
# Modules of white around a code, besides PAD: together the four that readers need.
QUIET_MODULES = 1
MAX_LINE = 40  # characters of the operator's line


@dataclass(frozen=True, slots=True)
class Label:
    """What one sticker says."""

    imei: str
    number: str  # in the reader's language: "No. 12"
    name: str
    site: str
    text: str  # of the QR code
    line: str = ""  # text of the operator: "scan to start"
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Size:
    """A sheet of stickers as it is sold."""

    name: str
    columns: int
    rows: int
    width: float
    height: float
    gap: float  # between two columns

    @property
    def count(self) -> int:
        """How many labels a sheet has."""
        return self.columns * self.rows

    def place(self, number: int) -> tuple[float, float]:
        """The upper left corner of a sticker on its page."""
        row, column = divmod(number, self.columns)
        across = self.columns * self.width + (self.columns - 1) * self.gap
        left, top = (A4[0] - across) / 2, (A4[1] - self.rows * self.height) / 2
        return left + column * (self.width + self.gap), top + row * self.height


SIZES: Mapping[str, Size] = {
    size.name: size
    for size in (
        Size("65", 5, 13, 38.1, 21.2, 2.5),
        Size("24", 3, 8, 64.6, 33.8, 2.5),
        Size("21", 3, 7, 63.5, 38.1, 2.5),
        Size("8", 2, 4, 99.1, 67.7, 2.5),
        Size("2", 1, 2, 199.6, 143.5, 0.0),
    )
}
DEFAULT = "24"


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line of text: the left end of its baseline, its height, and whether it is the title."""

    x: float
    y: float
    size: float
    text: str
    title: bool


@dataclass(frozen=True, slots=True)
class Sticker:
    """One label with everything in its place on the page. `dark` holds the code's rectangles."""

    label: Label
    frame: tuple[float, float, float, float]
    dark: Sequence[tuple[float, float, float, float]]
    lines: Sequence[TextLine]


def pages(labels: Sequence[Label], size: Size) -> Iterator[list[Sticker]]:
    """The stickers of each page."""
    for start in range(0, len(labels), size.count):
        some = labels[start : start + size.count]
        yield [sticker(label, size, number) for number, label in enumerate(some)]


def sticker(label: Label, size: Size, number: int) -> Sticker:
    """A label at its place on a page."""
    x, y = size.place(number)
    pad = min(PAD, size.height / 10)
    side = min(size.height - 2 * pad, size.width * 0.42)
    dark = _modules(label.text, x + pad, y + (size.height - side) / 2, side)
    left = x + pad + side + pad
    room = x + size.width - pad - left
    unit = min(size.height / 8.5, room / 9.2)  # 15 digits of an IMEI fill the room
    rows = wording(label, room / unit)
    unit = min(unit, (size.height - 2 * pad) / sum(row.height for row in rows))
    lines, top = [], y + (size.height - unit * sum(row.height for row in rows)) / 2
    for row in rows:
        baseline = top + unit * (row.height / 2 + 0.35 * row.scale)
        lines.append(TextLine(left, baseline, unit * row.scale, row.text, row.title))
        top += unit * row.height
    return Sticker(label, (x, y, size.width, size.height), dark, lines)


def wording(label: Label, room: float) -> Sequence[Row]:
    """The lines of a sticker of this width, in units of the height of its IMEI."""
    rows = [
        *long_name(label.name or label.number, room),
        one_row(label.site, room),
        one_row(label.number if label.name else "", room),
        one_row(label.imei, room),
        one_row(label.line, room, 1.1, title=True),
        one_row(label.phone, room),
    ]
    return [row for row in rows if row.text]


def _modules(
    text: str, x: float, y: float, side: float
) -> list[tuple[float, float, float, float]]:
    """The dark modules of a code, those side by side as one rectangle."""
    if not text:
        return []
    matrix = segno.make(text, micro=False, error="m").matrix
    module = side / (len(matrix) + 2 * QUIET_MODULES)
    found = []
    for r, row in enumerate(matrix):
        c = 0
        while c < len(row):
            if row[c]:
                end = c
                while end < len(row) and row[end]:
                    end += 1
                place = (x + (c + QUIET_MODULES) * module, y + (r + QUIET_MODULES) * module)
                found.append((*place, (end - c) * module, module))
                c = end
            c += 1
    return found


def svg(stickers: Iterable[Sticker], *, cut: bool) -> Markup:
    """One page. `cut` draws the stickers' borders, for paper that is not cut yet."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="sheet" viewBox="0 0 {A4[0]:g} {A4[1]:g}" '
        f'width="{A4[0]:g}mm" height="{A4[1]:g}mm" font-family="{escape(FONT)}">'
        f'<rect width="{A4[0]:g}" height="{A4[1]:g}" fill="#fff"/>'
    ]
    for one in stickers:
        label = one.label
        parts.append(f"<g><title>{escape(label.name)} {label.imei}: {escape(label.text)}</title>")
        if cut:
            x, y, w, h = one.frame
            parts.append(
                f'<rect x="{x:.2f}" y="{y:.2f}" width="{w:g}" height="{h:g}" fill="none" '
                'stroke="#bbb" stroke-width="0.15" stroke-dasharray="1 1"/>'
            )
        path = "".join(f"M{x:.3f},{y:.3f}h{w:.3f}v{h:.3f}h-{w:.3f}z" for x, y, w, h in one.dark)
        if path:
            parts.append(f'<path d="{path}" fill="#000" shape-rendering="crispEdges"/>')
        for line in one.lines:
            weight = ' font-weight="600"' if line.title else ""
            parts.append(
                f'<text x="{line.x:.2f}" y="{line.y:.2f}" font-size="{line.size:.2f}"{weight} '
                f'fill="#000">{escape(line.text)}</text>'
            )
        parts.append("</g>")
    return Markup("".join([*parts, "</svg>"]))


def document(sheets: Sequence[Markup], title: str) -> str:
    """All pages as one file that a browser prints."""
    style = (
        "@page{size:A4;margin:0}body{margin:0;background:#ddd}"
        "svg{display:block;margin:0 auto;break-after:page;background:#fff}"
        "@media print{body{background:none}}"
    )
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{style}</style></head><body>{''.join(sheets)}</body></html>\n"
    )
