"""control.md section 4 has the transitions by which every checker judges."""

from __future__ import annotations

import re

from devgate.gateway.commands.transitions import TRANSITIONS, Place
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs/control.md").read_text("utf-8").partition("\n## 4. ")[2]


def rows(head: str) -> list[list[str]]:
    """The cells of the table with that first row."""
    found = re.search(re.escape(head) + r"\n\|[-|]+\n((?:\|.*\n)+)", PAGE)
    assert found is not None
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in found[1].split("\n")
        if line
    ]


def test_the_table_has_all_transitions_and_no_other() -> None:
    table = [
        [t.before, t.after, t.when, ", ".join(f"`{event}`" for event in t.events) or "-"]
        for t in TRANSITIONS
    ]
    assert rows("| from | to | when | events |") == table


def test_each_place_is_explained() -> None:
    assert [row[0] for row in rows("| place | means |")] == [str(place) for place in Place]
