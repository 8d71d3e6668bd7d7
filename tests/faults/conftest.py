"""Fixtures for faults of the operating system."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.preload import Faults, library, preloaded


@pytest.fixture
def faults(tmp_path: Path) -> Iterator[Faults]:
    """A page of faults for processes that run with its `environment()`. Faults of files are
    those of devgate.db and the files beside it."""
    try:
        library()
    except OSError as err:
        pytest.skip(f"no preload library: {err.strerror}")
    with preloaded(tmp_path / "control", path="/devgate.db") as page:
        yield page
