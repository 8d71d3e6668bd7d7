"""The tree of errors in devgate.errors is that of its classes."""

from __future__ import annotations

import re
from inspect import cleandoc

from devgate import errors


def below(base: type[Exception], depth: int = 1) -> list[tuple[int, str]]:
    found = [(depth, base.__name__)]
    for one in base.__subclasses__():
        if one.__module__ == errors.__name__:
            found += below(one, depth + 1)
    return found


def test_the_tree_is_that_of_the_classes() -> None:
    text = cleandoc(errors.__doc__ or "")
    drawn = re.findall(r"^((?: {4})*)([A-Z]\w+)(?: {2}.*)?$", text, re.MULTILINE)
    tree = [(len(indent) // 4 + 1, name) for indent, name in drawn]
    assert sorted(tree) == sorted(below(errors.DevgateError))
    parents = {name: base.__name__ for _, name in tree for base in getattr(errors, name).__bases__}
    line: list[str] = []
    for depth, name in tree:
        del line[depth - 1 :]
        if line:
            assert parents[name] == line[-1]
        line.append(name)
