"""Fixtures that several files share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devgate.store.engine import Database
from devgate.store.journal import Journal
from tests.store.disk import Disk, Inline, outage
from tests.store.two_nodes import OneNode
from tests.stores import with_tables


@pytest.fixture
def two(postgres_url: str) -> Iterator[tuple[OneNode, OneNode]]:
    a = OneNode(with_tables(postgres_url), "a")
    b = OneNode(postgres_url, "b")
    yield a, b
    a.close()
    b.close()


@pytest.fixture
def journal(database: Database) -> Iterator[Journal]:
    opened = Journal(database)
    yield opened
    opened.close()


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def writer(disk: Disk) -> Inline:
    return Inline(disk.commit, disk.published.append, outage)
