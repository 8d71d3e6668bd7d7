"""The order of these files, which are among the last of all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
LONGEST = ["test_upgrade.py", "test_schema.py"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """xdist hands files out in this order, and a worker that has two tests left gets the next one:
    the longest file would wait behind both tests of test_schema.py until the other workers have
    nothing more to do. The longest begin first; other folders stay where they are."""
    places = [n for n, item in enumerate(items) if item.path.parent == HERE]
    ours = sorted(
        (items[n] for n in places),
        key=lambda item: [item.path.name != name for name in LONGEST],
    )
    for n, item in zip(places, ours, strict=True):
        items[n] = item
