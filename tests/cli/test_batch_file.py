from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devgate.cli.batch import BadLine, StartLine, read
from devgate.cli.params import Long
from devgate.model import Imei
from tests.cli.answering import IMEI, OTHER

imeis = st.text("0123456789", min_size=15, max_size=15)
keys = st.none() | st.text(
    st.characters(min_codepoint=33, exclude_categories=["C", "Z"]), min_size=1, max_size=128
)
rows = st.lists(
    st.tuples(imeis, st.integers(1, 10**6), keys),
    max_size=20,
    unique_by=lambda row: row[2] or id(row),
)


def orders(text: str) -> list[StartLine | BadLine]:
    return list(read(text.encode().splitlines(keepends=True)))


@pytest.mark.parametrize(
    "text",
    [
        f"{IMEI},0500,k1\n{OTHER},1h,\n",
        f"imei,long,key\n{IMEI},500,k1\n{OTHER},60m\n",
        f"\ufeffKEY, Long ,imei\r\nk1, 500 ,{IMEI}\r\n\r\n,3600s,{OTHER}\r\n",
        f'"{IMEI}","500","k1"\n"{OTHER}","60m",""',
        f'{{"imei":"{IMEI}","long":500,"key":"k1"}}\n{{"imei":"{OTHER}","long":"1h"}}\n',
    ],
)
def test_the_ways_to_write_a_batch(text: str) -> None:
    assert [entry[1:] for entry in orders(text)] == [
        (IMEI, Long(500, seconds=False), "k1"),
        (OTHER, Long(3600, seconds=True), None),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("12345,500", "imei: a string of 15 digits"),
        (IMEI, "long: a number or a duration"),
        (f"{IMEI},soon", "long: 'soon' is no duration"),
        (f"{IMEI},0", "long: '0' is no whole number"),
        (f"{IMEI},500,{'k' * 129}", "key: 1 to 128 characters"),
        (f"{IMEI},500,k,x", "4 fields, but only 3 columns"),
        (f'{IMEI},"500', "unexpected end of data"),
        (f"{OTHER},60,k1", "key: line 1 has it for another start"),
    ],
)
def test_a_bad_line_of_csv_has_its_number(line: str, why: str) -> None:
    _, bad, good = orders(f"{IMEI},500,k1\n{line}\n{OTHER},5\n")
    assert isinstance(bad, BadLine)
    assert bad.line == 2
    assert bad.why.startswith(why)
    assert good == StartLine(3, Imei(OTHER), Long(5, seconds=False), None)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[]", "a JSON object"),
        ("{", "a JSON object"),
        ('{"a":' * 5000, "a JSON object"),
        (f'{{"imei":{IMEI},"long":500}}', "imei: a string of 15 digits"),
        (f'{{"imei":"{IMEI}","long":true}}', "long: a number"),
        (f'{{"imei":"{IMEI}","long":1.5}}', "long: a number"),
        (f'{{"imei":"{IMEI}","long":5,"key":7}}', "key: 1 to 128"),
        (f'{{"imei":"{IMEI}","lang":5}}', "lang: unknown"),
    ],
)
def test_a_bad_line_of_json_has_its_number(line: str, why: str) -> None:
    bad = orders(f'{{"imei":"{IMEI}","long":500}}\n{line}\n')[1]
    assert isinstance(bad, BadLine)
    assert (bad.line, bad.why.startswith(why)) == (2, True), bad.why


@pytest.mark.parametrize("header", ["imei,long,name", "imei,imei,long", "IMEI;long"])
def test_a_bad_header_is_one_complaint(header: str) -> None:
    bad = [entry.line for entry in orders(f"{header}\n{IMEI},500\n") if isinstance(entry, BadLine)]
    assert bad == [1]


def test_bytes_that_are_no_text() -> None:
    assert list(read([b"\xff\xfe1\n"])) == [BadLine(1, "not UTF-8")]


def test_the_same_start_twice_is_no_fault_of_the_file() -> None:
    assert not any(isinstance(e, BadLine) for e in orders(f"{IMEI},500,k1\n{IMEI},500,k1\n"))


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes_give_orders_or_complaints(lines: list[bytes]) -> None:
    for entry in read(lines):
        assert 1 <= entry.line <= len(lines)


@given(st.lists(st.text('01239,"{}:[]imeilongky\r\x00\x0b \u2028', max_size=40), max_size=8))
def test_lines_that_nearly_are_orders_raise_nothing(lines: list[str]) -> None:
    for entry in read([line.encode() + b"\n" for line in lines]):
        assert isinstance(entry, StartLine) or entry.why


@given(rows, st.booleans())
def test_what_was_written_is_read(rows: list[tuple[str, int, str | None]], header: bool) -> None:
    file = io.StringIO()
    writer = csv.writer(file)
    if header:
        writer.writerow(("imei", "long", "key"))
    writer.writerows(rows)
    as_csv = [entry[1:] for entry in read(file.getvalue().encode().splitlines(keepends=True))]
    as_json = [
        entry[1:]
        for entry in read(
            json.dumps({"imei": imei, "long": number, **({"key": key} if key else {})}).encode()
            for imei, number, key in rows
        )
    ]
    assert as_csv == as_json == [(i, Long(n, seconds=False), k) for i, n, k in rows]
