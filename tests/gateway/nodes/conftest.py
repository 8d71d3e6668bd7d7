"""One node, on a PostgreSQL of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gateway.nodes.rig import Node
from tests.stores import with_tables


@pytest.fixture
def node(postgres_url: str) -> Iterator[Node]:
    made = Node(with_tables(postgres_url))
    yield made
    made.close()
