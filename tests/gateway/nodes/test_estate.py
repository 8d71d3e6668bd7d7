"""What is settled after nodes that are dead, and what one of them knows better."""

from __future__ import annotations

from collections.abc import Iterator
from time import time

import pytest

from devgate.gateway.nodes import estate
from devgate.store import history, nodes
from devgate.store.batch import Row
from devgate.store.verdicts import VERDICT
from tests.store.plain import A
from tests.store.two_nodes import OneNode, device, order, types
from tests.store.verdicts import verdict
from tests.stores import with_tables


@pytest.fixture
def two(postgres_url: str) -> Iterator[tuple[OneNode, OneNode]]:
    a, b = OneNode(with_tables(postgres_url), "a"), OneNode(postgres_url, "b")
    yield a, b
    a.close()
    b.close()


def bury(node: OneNode, name: str) -> None:
    """Declare that node dead, and settle what it has left."""
    with node.database.write() as conn:
        [row] = [one for one in nodes.all_nodes(conn) if one.id == name]
        assert nodes.declare_dead(conn, row)
    for step in estate.STEPS:
        with node.database.write() as conn:
            step(conn, time())


def test_what_a_dead_node_has_left_is_settled(two: tuple[OneNode, OneNode]) -> None:
    a, b = two
    a.claims()
    a.commit(order("1", key="k", spent="k"), order("2", state="waiting"))
    a.commit(order("3", state="waiting", expires_at=time() + 60))
    bury(b, "a")
    found = {id: b.read(history.by_id, id) for id in "123"}
    assert [found[id]["status"] for id in "123"] == ["408", "503", "000"]
    assert found["1"]["spent"] == "k"
    assert [type for _, type in types(b)][-3:] == [
        "command.ended", "command.ended", "device.offline",
    ]  # fmt: skip
    # What waits for its device goes with it.
    [claim] = b.commit(device(A, 5)).claims
    assert [row["id"] for row in claim.commands if row["state"] == "waiting"] == ["3"]


def test_a_start_that_was_never_sent_is_corrected(two: tuple[OneNode, OneNode]) -> None:
    a, b = two
    a.claims()
    a.commit(order("1", key="k", spent="k", sequence=7), order("2", sequence=8))
    bury(b, "a")
    # Of the second one the place in the order of sending is another: it was sent again since.
    with a.database.write() as conn:
        assert estate.correct(conn, time(), {"1": 7, "2": 9, "3": 1}) == 1
    row, other = b.read(history.by_id, "1"), b.read(history.by_id, "2")
    assert (row["status"], row["spent"], row["key"], row["sequence"]) == ("404", None, "k", None)
    assert other["status"] == "408"
    assert types(b)[-1][1] == "command.corrected"
    with a.database.write() as conn:  # once
        assert estate.correct(conn, time(), {"1": 7}) == 0
    assert b.claims().claims[0].won
    assert b.commit(order("4", key="k", spent="k")).refused == {}


def test_a_start_that_a_device_has_answered_is_not_corrected(
    two: tuple[OneNode, OneNode],
) -> None:
    a, b = two
    a.claims()
    a.commit(order("1", sequence=7))
    bury(b, "a")
    ended = order("1", state="ended", status="200", late=True, fresh=False, sequence=7)
    values, [event_values], *rest = ended.values
    late = Row("order", (values, [(event_values[0], "command.late", *event_values[2:])], *rest))
    assert b.commit(late).foreign == {}
    with a.database.write() as conn:
        assert estate.correct(conn, time(), {"1": 7}) == 0
    assert b.read(history.by_id, "1")["status"] == "200"


def test_a_start_that_a_person_has_resolved_is_not_corrected(
    two: tuple[OneNode, OneNode],
) -> None:
    a, b = two
    a.claims()
    a.commit(order("1", key="k", spent="k", sequence=7))
    bury(b, "a")
    b.commit(Row(VERDICT, (verdict("1", given="refunded"),)))
    with a.database.write() as conn:
        assert estate.correct(conn, time(), {"1": 7}) == 0
    row = b.read(history.by_id, "1")
    assert (row["status"], row["verdict"], row["spent"]) == ("408", "refunded", "k")
    assert types(b)[-1][1] == "command.resolved"
