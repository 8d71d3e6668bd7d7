"""Docstrings of what others may use name the errors that are raised there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import devgate

ROOT = Path(devgate.__file__).parent
PACKAGES = ("protocol", "net", "store", "gateway")
# Functions of the table of operations: all raise what the caller is answered.
OPERATIONS = ROOT / "gateway/operations"
OWN_FAULTS = {"AssertionError", "NotImplementedError", "StopAsyncIteration", "StopIteration"}


def functions(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The public ones, of classes too."""
    for one in body:
        if isinstance(one, ast.ClassDef) and not one.name.startswith("_"):
            yield from functions(one.body)
        elif isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name[0] != "_":
            yield one


def raised(function: ast.AST) -> set[str]:
    """Classes of the errors that a raise statement in it names."""
    raises = (one.exc for one in ast.walk(function) if isinstance(one, ast.Raise))
    names = {ast.unparse(one).partition("(")[0] for one in raises if one is not None}
    return {name for name in names if name[0].isupper()} - OWN_FAULTS


def test_docstrings_name_what_is_raised() -> None:
    seen, silent = 0, list[str]()
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            if file.parent == OPERATIONS and file.name != "arguments.py":
                continue
            for function in functions(ast.parse(file.read_text("utf-8")).body):
                if raised(function):
                    seen += 1
                    if "aises" not in (ast.get_docstring(function) or ""):
                        silent.append(f"{file.relative_to(ROOT)} {function.name}")
    assert seen > 50
    assert not silent
