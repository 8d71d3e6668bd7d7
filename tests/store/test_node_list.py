"""The list of nodes, and what an operator does with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devgate.store import node_list, node_orphans, nodes
from tests.store.plain import A
from tests.store.two_nodes import OneNode, order
from tests.stores import with_tables


@pytest.fixture
def three(postgres_url: str) -> Iterator[tuple[OneNode, OneNode, OneNode]]:
    made = (
        OneNode(with_tables(postgres_url), "a"),
        OneNode(postgres_url, "b"),
        OneNode(postgres_url, "c"),
    )
    yield made
    for one in made:
        one.close()


def dies(node: OneNode) -> None:
    with node.database.write() as conn:
        nodes.leave(conn, node.member)


def drains(by: OneNode, id: str, draining: bool = True) -> bool:
    with by.database.write() as conn:
        return node_list.set_draining(conn, id, draining)


def removes(by: OneNode, id: str) -> bool:
    with by.database.write() as conn:
        return node_list.remove(conn, id)


def test_all_nodes_with_their_load(three: tuple[OneNode, OneNode, OneNode]) -> None:
    a, b, _ = three
    a.journal.devices, a.journal.in_flight = 3, 1
    a.commit()
    found = b.read(node_list.read)
    assert [(one.id, one.alive, one.draining) for one in found.nodes] == [
        ("a", True, False), ("b", True, False), ("c", True, False),
    ]  # fmt: skip
    assert (found.nodes[0].devices, found.nodes[0].in_flight) == (3, 1)
    assert (found.nodes[1].devices, found.nodes[1].version) == (0, "0.1.0")
    assert found.leader is None, "none of them has looked yet"


def test_a_node_sees_that_it_is_drained(three: tuple[OneNode, OneNode, OneNode]) -> None:
    a, b, _ = three
    assert not a.commit().draining
    assert drains(b, "a")
    assert a.commit().draining
    assert not b.commit().draining
    assert drains(b, "a"), "the second time does nothing"
    assert drains(a, "a", False)
    assert not a.commit().draining


def test_the_last_node_is_not_drained(three: tuple[OneNode, OneNode, OneNode]) -> None:
    """Dead ones, and those that are drained, take no devices."""
    a, _, c = three
    dies(c)
    assert drains(a, "b")
    assert not drains(a, "a")
    assert drains(a, "b", False)
    assert drains(a, "a")


def test_what_is_not_there_is_not_drained(three: tuple[OneNode, OneNode, OneNode]) -> None:
    a, _, c = three
    dies(c)
    for id in ("c", "d"):
        assert not drains(a, id)
        assert not drains(a, id, False)
    assert a.read(node_list.node, "d") is None
    dead = a.read(node_list.node, "c")
    assert (dead.alive, dead.draining) == (False, False)


def test_only_a_dead_node_is_removed(three: tuple[OneNode, OneNode, OneNode]) -> None:
    a, b, c = three
    assert not removes(a, "b")
    assert not removes(a, "d")
    b.claims()
    b.commit(order("1"))
    dies(b)
    assert removes(a, "b")
    assert [one.id for one in a.read(node_list.read).nodes] == ["a", "c"]
    assert a.read(nodes.holder, A) is None
    with c.database.write() as conn:  # what it had under way is found nevertheless
        assert [row["id"] for row in node_orphans.orphaned_commands(conn, 0.0)] == ["1"]
        assert node_orphans.orphaned_devices(conn, 5.0) == [(A, 1)]
