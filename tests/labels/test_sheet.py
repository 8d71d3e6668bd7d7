"""Sheets of stickers, as SVG and PDF, and the command that writes them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devgate.labels import sheet
from devgate.labels.pdf import pdf, unwritable
from devgate.labels.sheet import A4, SIZES, Label, pages
from devgate.labels.wording import long_name, shortened, width
from tests.e2e.harness import Gateway

SVG = "{http://www.w3.org/2000/svg}"


def labels(count: int) -> list[Label]:
    return [
        Label(f"8600000000000{n:02}", f"No. {n}", f"按摩椅 <{n}>", "A & B", f"http://x/{n}")
        for n in range(count)
    ]


@pytest.mark.parametrize("size", SIZES.values(), ids=lambda size: f"{size.count}")
def test_everything_is_within_its_sticker_and_the_page(size: sheet.Size) -> None:
    for page in pages(labels(size.count), size):
        frames = [one.frame for one in page]
        assert len(set(frames)) == size.count
        for one in page:
            x, y, w, h = one.frame
            assert min(x, y) >= 0
            assert x + w <= A4[0] + 1e-9
            assert y + h <= A4[1] + 1e-9
            for left, top, across, down in one.dark:
                assert x < left < left + across < x + w
                assert y < top < top + down < y + h
            for line in one.lines:
                assert line.x + width(line.text) * line.size <= x + w
                assert y + line.size <= line.y <= y + h


@pytest.mark.parametrize(("count", "sheets"), [(0, 0), (1, 1), (24, 1), (25, 2), (49, 3)])
def test_as_many_sheets_as_are_needed(count: int, sheets: int) -> None:
    assert [len(page) for page in pages(labels(count), SIZES["24"])][:-1] == [24] * (sheets - 1)
    assert pdf(pages(labels(count), SIZES["24"]), cut=True).count(b"/Type /Page ") == sheets


@pytest.mark.parametrize(
    ("text", "most", "short"),
    [
        ("abc", 2, "abc"),
        ("abcdef 12", 4, "abc…12"),
        ("按摩椅", 2, "按…"),
        ("Chair 17b", 4.5, "Ch…17b"),
    ],
)
def test_text_that_does_not_fit_loses_its_middle(text: str, most: float, short: str) -> None:
    assert shortened(text, most) == short
    assert width(short) <= most


@given(st.text("Wagen Halle 按摩椅厅é", max_size=200), st.integers(0, 99999), st.floats(7, 12))
def test_the_number_at_the_end_of_a_name_is_always_there(
    name: str, number: int, room: float
) -> None:
    """D26."""
    name = f"{name}{number}"
    rows = long_name(name, room)
    assert 1 <= len(rows) <= 2
    assert rows[-1].text.endswith(str(number))
    assert all(width(row.text) * row.scale <= room + 1e-9 for row in rows)
    assert all(0.8 <= row.scale <= 1.25 for row in rows)


@pytest.mark.parametrize("size", SIZES.values(), ids=lambda size: f"{size.count}")
def test_a_full_sticker_keeps_within_its_frame(size: sheet.Size) -> None:
    name = "Massagesessel im Erdgeschoss der Schalterhalle 124"
    one = Label(
        "860000000000001", "编号 7", name, "Flughafen Berlin T2", "x", "扫码启动", "400-500"
    )
    ((sticker,),) = pages([one], size)
    _, top, _, height = sticker.frame
    assert [line.text for line in sticker.lines][-4:] == [
        "编号 7", "860000000000001", "扫码启动", "400-500",
    ]  # fmt: skip
    ends = [line.y - line.size for line in sticker.lines], [line.y for line in sticker.lines]
    assert min(ends[0]) >= top
    assert max(ends[1]) <= top + height
    assert all(up < down for up, down in zip(ends[1], ends[0][1:], strict=False)), "no overlap"


def test_svg_is_xml_and_says_what_is_on_it() -> None:
    (page,) = pages(labels(2), SIZES["8"])
    root = ET.fromstring(sheet.svg(page, cut=False))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts[:4] == ["按摩椅 <0>", "A & B", "No. 0", "860000000000000"]
    assert [title.text for title in root.iter(f"{SVG}title")][1] == (
        "按摩椅 <1> 860000000000001: http://x/1"
    )


def test_the_places_that_a_pdf_names_are_right() -> None:
    made = pdf(pages(labels(3), SIZES["2"]), cut=True)
    start = int(re.search(rb"startxref\n(\d+)", made)[1])  # type: ignore[index]
    for number, place in enumerate(re.findall(rb"(\d{10}) 00000 n", made[start:]), 1):
        assert made[int(place) :].startswith(b"%d 0 obj\n" % number)
    streams = re.findall(rb"/Length (\d+) [^\n]*\nstream\n", made)
    assert len(streams) == 2
    assert "按摩椅".encode("utf-16-be").hex() in drawn(made)


def drawn(made: bytes) -> str:
    """What the first page of a PDF draws."""
    start = made.index(b"stream\n") + 7
    return zlib.decompress(made[start : made.index(b"\nendstream")]).decode()


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("Bay “4” é", [("F2", 100, "Bay “4” é")]),
        ("东厅 4b座", [("F3", 100, "东厅"), ("F2", 100, " 4b"), ("F3", 100, "座")]),
        ("東站マッサージ", [("F3", 100, "東站マッサージ")]),
        ("“东”", [("F3", 60, "“"), ("F3", 100, "东"), ("F3", 60, "”")]),
        # Its Greek and Cyrillic are a whole em wide, where the sheet reckons with 0.6.
        ("кресло", [("F3", 60, "кресло")]),
        ("안 😀 Ł", [("F2", 100, "? ? ?")]),
    ],
)
def test_a_pdf_writes_each_part_of_a_line_in_a_font_that_has_it(
    name: str, runs: list[tuple[str, int, str]]
) -> None:
    made = pdf(pages([Label("860000000000001", "No. 1", name, "", "")], SIZES["2"]), cut=False)
    title = drawn(made).partition("ET")[0]
    came = [
        (font, int(stretch), bytes.fromhex(text).decode("utf-16-be" if font == "F3" else "cp1252"))
        for font, stretch, text in re.findall(r"/(F\d) [\d.]+ Tf (\d+) Tz <(\w+)> Tj", title)
    ]
    assert came == runs


def test_what_a_pdf_cannot_write() -> None:
    assert unwritable("按摩椅 東站 マッサージ Ça кресло €") == ""
    assert unwritable("안마 의자 안 Łódź 😀") == "안마의자Łź😀"


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no pdftotext on this machine")
def test_another_program_reads_the_chinese_of_a_pdf(tmp_path: Path) -> None:
    file = tmp_path / "a.pdf"
    file.write_bytes(pdf(pages(labels(2), SIZES["8"]), cut=True))
    done = subprocess.run(["pdftotext", "-layout", file, "-"], capture_output=True, check=True)
    assert "按摩椅 <1>" in done.stdout.decode()


@pytest.fixture(scope="module")
def folder() -> Iterator[Gateway]:
    """A store with devices; no gateway runs."""
    known = Gateway()
    known.add_devices(
        [{"imei": f"8600000000000{n:02}", "name": f"Bay {n}", "site": "East"} for n in range(30)]
    )
    yield known
    shutil.rmtree(known.folder)


def test_files_for_a_site(folder: Gateway) -> None:
    done = folder.cli("labels", "--site", "East", "--out", "east.pdf", "--json")
    reply = json.loads(done.stdout)
    assert (reply["labels"], reply["files"]) == (30, ["east.pdf"])
    assert (folder.folder / "east.pdf").read_bytes().startswith(b"%PDF-1.4")
    done = folder.cli("labels", "--site", "East", "--out", "east.svg")
    assert done.stdout == "30 labels in east-1.svg, east-2.svg\n"
    done = folder.cli("labels", "860000000000003", "--out", "one.html", "--size", "8", "--no-cut")
    page = Path(folder.folder / "one.html").read_text("utf-8")
    assert "Bay 3" in page
    assert "http://csgxjk.com/qrcode/dev/4" in page


def test_a_line_and_a_telephone_and_the_reader_s_language(folder: Gateway) -> None:
    """D26: a sticker had neither, and said "No." to everybody."""
    done = folder.cli(
        "labels", "860000000000003", "--line", "扫码启动", "--phone", "--out", "x.svg",
        through=["env", "DEVGATE_LANG=zh"],
    )  # fmt: skip
    assert done.stdout.startswith("1 张贴纸")
    texts = re.findall("<text[^>]*>([^<]*)<", (folder.folder / "x.svg").read_text("utf-8"))
    assert texts == ["Bay 3", "East", "编号 4", "860000000000003", "扫码启动", "400-500-5620"]


def test_a_pdf_says_what_it_cannot_write(folder: Gateway) -> None:
    folder.add_devices([{"imei": "860000000000077", "name": "按摩椅 안마", "site": "North"}])
    done = folder.cli("labels", "--site", "North", "--out", "north.pdf")
    assert (done.returncode, done.stdout) == (0, "1 label in north.pdf\n")
    assert "has '안마'" in done.stderr
    assert "north.html" in done.stderr
    done = folder.cli("labels", "--site", "North", "--out", "north.html")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--site", "West", "--out", "a.pdf"], 5, "no device has the site 'West'"),
        (["--site", "East", "--out", "a.doc"], 2, ".html, .svg, .pdf"),
        (["--out", "a.pdf"], 2, "--site SITE or"),
        (["860000000000001", "--site", "East", "--out", "a.pdf"], 2, "not both"),
        (["860000000000099", "--out", "a.pdf"], 5, "860000000000099"),
        (["860000000000001", "--out", "a.pdf", "--line", "x" * 41], 2, "--line: at most 40"),
        (["860000000000001", "--out", "nowhere/a.pdf"], 2, "nowhere/a.pdf cannot be written"),
    ],
)
def test_what_cannot_be_done(folder: Gateway, arguments: list[str], code: int, words: str) -> None:
    done = folder.cli("labels", *arguments)
    assert done.returncode == code
    assert words in done.stderr
