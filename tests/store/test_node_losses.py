"""A failover that loses rows, as the journals of two nodes see it. PostgreSQL alone."""

from __future__ import annotations

from time import time
from typing import Any

import pytest
from sqlalchemy import text

from devgate.errors import Fenced, StoreError
from devgate.store import history, node_orphans, nodes, timelines
from devgate.store.batch import Row
from devgate.store.ownership import confirm_loss
from devgate.store.verdicts import VERDICT
from tests.store.commands import event
from tests.store.plain import A, B
from tests.store.two_nodes import OneNode, order, types
from tests.store.verdicts import UNSAID, verdict

Two = tuple[OneNode, OneNode]


def run(node: OneNode, *statements: str) -> None:
    with node.database.write() as conn:
        for statement in statements:
            conn.execute(text(statement))


def promote(*behind: OneNode) -> None:
    """A replica takes over that has not the last commits: all sessions are new ones then, and
    these nodes are the ones that are there."""
    run(behind[0], "UPDATE cluster SET timeline = 'before'", "UPDATE node SET timeline = 'before'")
    for node in behind:
        node.journal.close()


def confirm(node: OneNode) -> None:
    with node.database.write() as conn:
        assert confirm_loss(conn) is not None


def lost(node: OneNode) -> str | None:
    found: str | None = node.read(lambda conn: conn.scalar(text("SELECT lost FROM owner")))
    return found


def told(node: OneNode) -> list[Any]:
    return list(node.read(history.events_after, 0, 1000))


def test_what_was_lost_is_written_again_with_the_numbers_that_were_told(two: Two) -> None:
    a, b = two
    a.claims(), b.claims(B)
    a.commit(order("1", key="k", spent="k"))
    b.commit(order("2", imei=B, key="l", spent="l"))
    a.commit(order("1", state="ended", status="200", fresh=False, key="k", spent="k"))
    a.commit(Row("running", (A, 123.0)), order("3", key="m", spent="m"))
    before = told(a)
    run(
        a,
        "DELETE FROM event WHERE n > 2", "DELETE FROM command",
        "UPDATE presence SET running_until = NULL",
        "UPDATE cluster SET n = 2", "UPDATE node SET beat = 1",
    )  # fmt: skip
    promote(a, b)
    with pytest.raises(StoreError, match="the database lost commits of the node a"):
        a.commit(order("4"))
    assert [row[-1] for row in told(a)] == [1, 2, 3, 5, 6], "those of b are b's to write"
    with pytest.raises(StoreError, match=r"not all nodes have said yet what they know \(b\)"):
        a.commit(order("4"))
    with pytest.raises(StoreError, match="the database lost commits"):
        b.commit()
    assert told(a) == before
    assert {id: a.read(history.by_id, id)["status"] for id in "123"} == {
        "1": "200", "2": "000", "3": "000",
    }  # fmt: skip
    assert a.read(history.presence_of, [A])[A]["running_until"] == 123.0
    done = a.commit(order("4"), event("device.slow"))
    assert "confirm-loss" in done.refused["4"], "no start, but events go on"
    assert done.rewritten
    assert [row[-1] for row in done.events] == [7]
    confirm(a)
    assert a.commit(order("4", key="n", spent="n")).refused == {"4": "moved"}, "not claimed yet"
    a.claims()
    assert a.commit(order("4", key="k", spent="k")).refused == {"4": "key"}
    assert a.commit(order("5", key="n", spent="n")).refused == {}
    assert not a.commit().rewritten


def test_a_row_never_goes_back(two: Two) -> None:
    """What a knows is older than what b knows, and b is the first one to write it again."""
    a, b = two
    a.claims(since=time() - 5)
    a.commit(order("1", key="k", spent="k"))
    b.claims(since=time())
    b.commit(order("1", state="ended", status="200", fresh=False))
    before = told(a)
    run(a, "DELETE FROM event", "DELETE FROM command", "DELETE FROM presence",
        "UPDATE cluster SET n = 0", "UPDATE node SET beat = 0")  # fmt: skip
    promote(b, a)
    for node in (b, a):
        with pytest.raises(StoreError, match="lost commits"):
            node.commit()
    assert a.read(history.by_id, "1")["status"] == "200"
    assert told(b) == before
    # Whose the device is, the next claim says; and it looks what is under way.
    [claim] = b.claims(since=time()).claims
    assert (claim.won, claim.current) == (True, False)
    assert [type for _, type in types(b)].count("device.online") == 1


def test_nothing_is_written_before_every_living_node_has_looked(two: Two) -> None:
    """b was told the events 2 and 3 by nobody yet, but a has told its callers of them."""
    a, b = two
    a.commit(event())
    a.journal._losses._seen = lambda: 9
    promote(a, b)
    with pytest.raises(StoreError, match=r"what they know \(a\)"):
        b.commit(event())
    with pytest.raises(StoreError, match="failed over"), b.database.write() as conn:
        node_orphans.add_events(conn, [event().values], set())
    assert not b.read(timelines.agreed)
    beat = b.read(nodes.all_nodes)[1].beat
    with pytest.raises(StoreError, match=r"know \(a\)"):
        b.commit(event())
    assert b.read(nodes.all_nodes)[1].beat > beat, "it lives"
    assert b.journal.trusted()
    a.commit()
    assert [row[-1] for row in b.commit(event()).events] == [10], "behind what a has seen"
    assert lost(a) is None


@pytest.mark.parametrize("synchronous", [False, True])
@pytest.mark.parametrize("ends", ["dies", "leaves", "starts again"])
def test_a_node_that_ends_before_it_has_looked(two: Two, ends: str, synchronous: bool) -> None:
    """Nobody else knows what it has written, unless a replica had it."""
    a, b = two
    a.claims(), b.claims(B)
    run(a, f"UPDATE node SET synchronous = {synchronous}")
    promote(b, a)
    with pytest.raises(StoreError, match=r"know \(a\)"):
        b.commit()
    with b.database.write() as conn:
        if ends == "dies":
            assert nodes.declare_dead(conn, nodes.all_nodes(conn)[0])
        elif ends == "leaves":
            nodes.leave(conn, a.member)
        else:
            nodes.join(conn, "a", "0.1.0")
    done = b.commit(order("1", imei=B))
    assert ("1" in done.refused) is not synchronous
    assert ("it could say what it knew" in (lost(b) or "")) is not synchronous


def test_a_node_that_died_before_the_failover_is_not_waited_for(two: Two) -> None:
    _, b = two
    with b.database.write() as conn:
        assert nodes.declare_dead(conn, nodes.all_nodes(conn)[0])
    promote(b)
    assert b.commit(event()).events
    assert lost(b) is None


@pytest.mark.parametrize("looks", [0, 2])
@pytest.mark.parametrize("carried_out", [False, True])
def test_an_unknown_commit_is_still_told_by_the_next_beat(
    two: Two, carried_out: bool, looks: int
) -> None:
    """Also where looks had no answer either, and were carried out: scripts/jepsen found a command
    whose first row was taken for written."""
    a, b = two
    rows = [event("device.flapping")]
    a.commit()
    promote(a, b)
    a.journal._doubtful = rows
    if carried_out:
        run(a, "UPDATE node SET beat = beat + 1 WHERE id = 'a'")
    run(a, f"UPDATE node SET beat = beat + {looks * timelines.A_LOOK} WHERE id = 'a'")
    for _ in range(2):
        with pytest.raises(StoreError, match=r"know \(b\)"):
            a.commit(*rows)
    b.commit()
    assert len(a.commit(*rows).events) == (0 if carried_out else 1)


def test_a_beat_that_goes_back_on_a_session_is_a_loss_too(two: Two) -> None:
    """What a database does that is restored in place."""
    a, b = two
    for _ in range(3):
        a.commit(event())
    b.claims()
    run(a, "UPDATE node SET beat = beat - 2 WHERE id = 'a'")
    with pytest.raises(StoreError, match="the database lost commits of the node a"):
        a.commit(event())
    assert "confirm-loss" in b.commit(order("1")).refused["1"]
    assert b.database.loss is not None
    a.commit(event())


def test_a_node_whose_own_row_is_lost_writes_what_it_knows_and_ends(two: Two) -> None:
    a, b = two
    a.claims()
    a.commit(order("1"))
    run(b, "UPDATE node SET incarnation = 0 WHERE id = 'a'", "DELETE FROM command",
        "DELETE FROM event WHERE n = 2")  # fmt: skip
    promote(a, b)
    with pytest.raises(Fenced, match="the database lost commits of the node a"):
        a.commit()
    assert b.read(history.by_id, "1")["state"] == "sent"
    assert [n for n, _ in types(b)] == [1, 2]


def test_a_verdict_is_written_again_and_replaces_none_that_came_after_it(two: Two) -> None:
    a, b = two
    a.claims()
    for id in "12":
        a.commit(order(id))
        a.commit(order(id, state="ended", status="408", fresh=False, ended_at=time()))
    a.commit(Row(VERDICT, (verdict("1", "2", given="refunded"),)))
    before = told(a)
    last = before[-1][-1] - 2
    run(
        a,
        f"DELETE FROM event WHERE n > {last}", f"UPDATE command SET {UNSAID}",
        f"UPDATE cluster SET n = {last}", "UPDATE node SET beat = 5 WHERE id = 'a'",
        "UPDATE command SET verdict = 'ran', resolved_at = 1e12 WHERE id = '2'",
    )  # fmt: skip
    promote(a, b)
    with pytest.raises(StoreError, match="the database lost commits of the node a"):
        a.commit()
    assert told(a) == before
    assert [b.read(history.by_id, id)["verdict"] for id in "12"] == ["refunded", "ran"]
