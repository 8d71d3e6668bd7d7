from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from devgate.store.engine import Database
from tests.cluster.nodes import DEVICES, node
from tests.e2e.harness import Gateway
from tests.gateway.rig import opened
from tests.postgres import Postgres


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    """A new SQLite database."""
    with opened(tmp_path) as database:
        yield database


@pytest.fixture
def two(postgres: Postgres) -> Iterator[tuple[Gateway, Gateway]]:
    url = postgres.create_database()
    with ExitStack() as stack:
        a = stack.enter_context(node("a", url, DEVICES))
        b = stack.enter_context(node("b", url))
        yield a, b
