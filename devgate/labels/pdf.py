"""Sheets of stickers as PDF: rectangles and text, nothing embedded.

Chinese text uses the font STSong-Light with the character map UniGB-UCS2-H, which are part of PDF
since 1.3: the viewer uses a Chinese font of its own for it (tested: Chromium, MuPDF, Poppler). So
a thousand stickers are a small file, and devgate needs no font. Characters that are neither Latin
nor in GBK cannot be written in this way (`unwritable`); in SVG and HTML they can.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from devgate.labels.sheet import A4, Sticker
from devgate.labels.wording import width

POINT = 72 / 25.4  # points in a millimetre

LATIN = b"<< /Type /Font /Subtype /Type1 /BaseFont /%s /Encoding /WinAnsiEncoding >>"
CHINESE = (
    b"<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UCS2-H "
    b"/DescendantFonts [ << /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light "
    b"/CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 4 >> /DW 1000 "
    b"/W [ 1 95 500 814 939 500 ] /FontDescriptor << /Type /FontDescriptor "
    b"/FontName /STSong-Light /Flags 6 /FontBBox [ -25 -254 1000 880 ] /ItalicAngle 0 "
    b"/Ascent 880 /Descent -120 /CapHeight 880 /StemV 93 >> >> ] >>"
)


def pdf(sheets: Iterable[Sequence[Sticker]], *, cut: bool) -> bytes:
    """All pages in one file."""
    fonts = b"<< /F1 3 0 R /F2 4 0 R /F3 5 0 R >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"",  # the list of pages, once they are known
        LATIN % b"Helvetica",
        LATIN % b"Helvetica-Bold",
        CHINESE,
    ]
    kids = []
    for stickers in sheets:
        content = zlib.compress("\n".join(_page(stickers, cut)).encode("ascii"))
        length = b"<< /Length %d /Filter /FlateDecode >>" % len(content)
        objects.append(length + b"\nstream\n" + content + b"\nendstream")
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [ 0 0 %.2f %.2f ] /Contents %d 0 R "
            b"/Resources << /Font %s >> >>" % (A4[0] * POINT, A4[1] * POINT, len(objects), fonts)
        )
        kids.append(len(objects))
    numbers = b" ".join(b"%d 0 R" % kid for kid in kids)
    objects[1] = b"<< /Type /Pages /Count %d /Kids [ %s ] >>" % (len(kids), numbers)
    return _file(objects)


def _page(stickers: Sequence[Sticker], cut: bool) -> Iterable[str]:
    yield f"{POINT:.6f} 0 0 {POINT:.6f} 0 0 cm"  # from here on millimetres, from the lower left
    for one in stickers:
        if cut:
            x, y, w, h = one.frame
            yield f"0.15 w 0.73 G [1 1] 0 d {x:.2f} {A4[1] - y - h:.2f} {w:g} {h:g} re S"
        if one.dark:
            yield "0 g"
            for x, y, w, h in one.dark:
                yield f"{x:.3f} {A4[1] - y - h:.3f} {w:.3f} {h:.3f} re"
            yield "f"
        for line in one.lines:
            yield f"BT {line.x:.2f} {A4[1] - line.y:.2f} Td"
            for font, stretch, text in _runs(line.text, line.title):
                yield f"/{font} {line.size:.2f} Tf {stretch} Tz {text} Tj"
            yield "ET"


def unwritable(text: str) -> str:
    """The characters of it that become a question mark in a PDF, each once."""
    return "".join(dict.fromkeys(c for c in text if not (_in(c, "cp1252") or _in(c, "gbk"))))


def _runs(text: str, bold: bool) -> Iterator[tuple[str, int, str]]:
    """The parts of a line that one font can write: font, stretch in percent, and the text."""
    latin = "F2" if bold else "F1"
    if _in(text, "cp1252"):
        yield latin, 100, f"<{text.encode('cp1252').hex()}>"
        return
    for (plain, stretch), signs in groupby(text, _manner):
        run = "".join(signs)
        if plain:
            yield latin, stretch, f"<{run.encode('cp1252', 'replace').hex()}>"
        else:
            yield "F3", stretch, f"<{run.encode('utf-16-be').hex()}>"


def _manner(sign: str) -> tuple[bool, int]:
    """Whether a Latin font writes it in a line that is not only Latin, and its stretch.

    In the Chinese font all characters are one em wide, also Greek and Cyrillic ones. Those are
    narrowed to the width that `wording.width` assumes: otherwise they would reach into the next
    sticker.
    """
    # Quotes and dashes are in both; beside Chinese they are Chinese ones.
    if sign <= "\xff" or not _in(sign, "gbk"):
        return True, 100
    return False, round(width(sign) * 100)


def _in(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _file(objects: Sequence[bytes]) -> bytes:
    out, places = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"), []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for place in places:
        out += b"%010d 00000 n \n" % place
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\n" % (len(objects) + 1)
    out += b"startxref\n%d\n%%%%EOF\n" % start
    return bytes(out)
