"""The scanner that knows on which line a key stands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from devgate.config.lines import Lines, Path

TRICKY = '''\
# [comment] = 1
top = 1 # [no]

[ a . "b c" ]       # a = 2
x = """
[not] = 1
y = 2 \\" """"
z = \'\'\'
k = 1\'\'\'
list = [
  1, "]", # ]
  { inner = 3, more = [ 4, {} ] },
]
inline = { one = 1, two.three = "}", "four\\u0041" = { five = [] } }
time = 1979-05-27 07:32:00
"" = 1.5
[[many]]
first = 1
[[many]]
second = 2
[last] # comment
k = "#"
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("a",), 4),
        (("a", "b c"), 4),
        (("a", "b c", "x"), 5),
        (("a", "b c", "y"), None),
        (("a", "b c", "z"), 8),
        (("a", "b c", "k"), None),
        (("a", "b c", "list"), 10),
        (("a", "b c", "list", "inner"), 12),
        (("a", "b c", "list", "more"), 12),
        (("a", "b c", "inline"), 14),
        (("a", "b c", "inline", "two"), 14),
        (("a", "b c", "inline", "two", "three"), 14),
        (("a", "b c", "inline", "fourA", "five"), 14),
        (("a", "b c", "time"), 15),
        (("a", "b c", ""), 16),
        (("many",), 17),
        (("many", "second"), 20),
        (("last", "k"), 22),
    ],
)
def test_each_key_has_its_line(path: Path, line: int | None) -> None:
    tomli.loads(TRICKY)
    assert Lines(TRICKY).exact(path) == line


def test_what_does_not_stand_there_has_its_tables_line() -> None:
    lines = Lines(TRICKY)
    assert lines.nearest(("last", "other", "0")) == 21
    assert lines.nearest(("other",)) is None


NAMES = st.sampled_from(["a", "b-1", '"a.b"', "'= ['", '""', '"\\""', "7"])
SCALARS = st.sampled_from(
    ["1", '"}]"', "'#'", '"""\n[x]\n"""', "'''\na = 1'''", "1.5e3", "07:32:00", "true", '"\\\\"']
)


def _values(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.dictionaries(NAMES, inner, max_size=3)
    return st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[\n" + ",\n".join(items) + " # ]\n]"),
        pairs.map(lambda d: "{ " + ", ".join(f"{k} = {v}" for k, v in d.items()) + " }"),
    )


VALUES = st.recursive(SCALARS, _values, max_leaves=6)
PAIRS = st.tuples(st.lists(NAMES, min_size=1, max_size=2).map(".".join), VALUES)
STATEMENTS = st.one_of(
    PAIRS.map(lambda pair: f"{pair[0]} = {pair[1]}"),
    st.lists(NAMES, min_size=1, max_size=2).map(lambda parts: f"[ {' . '.join(parts)} ]"),
    NAMES.map(lambda name: f"[[{name}]]"),
    st.just("# [comment] = 'x"),
)


def _paths(value: object, around: Path) -> Iterator[Path]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*around, name)
            yield from _paths(inner, (*around, name))
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, around)


@given(st.lists(STATEMENTS, max_size=8).map("\n".join))
def test_the_scanner_sees_exactly_the_keys_that_tomli_sees(text: str) -> None:
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError:
        return
    lines = Lines(text)
    assert lines.paths == frozenset(_paths(data, ()))
    assert all(1 <= (lines.exact(path) or 0) <= text.count("\n") + 1 for path in lines.paths)


def test_each_of_several_tables_has_its_keys() -> None:
    lines = Lines("[[a]]\nx = 1\n[[a]]\n\nx = 2\n[b]\nx = 3\n[[a]]\n")
    assert [lines.exact(("a", number, "x")) for number in "012"] == [2, 5, None]
    assert [lines.nearest(("a", number, "x", "0")) for number in "0123"] == [2, 5, 8, 1]
    assert lines.exact(("b", "x")) == 7
