from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devgate.store.engine import Database
from tests.gateway.rig import opened


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    """A new SQLite database."""
    with opened(tmp_path) as database:
        yield database
