"""Two nodes on one PostgreSQL: which of them has a device, and what comes with it."""

from __future__ import annotations

from time import time

from devgate.store import history, nodes
from devgate.store.batch import Row
from devgate.store.node_commits import MOVED
from tests.store.plain import A, B, C
from tests.store.two_nodes import LATE_WINDOW, OneNode, device, order, types


def test_only_the_node_that_has_the_device_sends(two: tuple[OneNode, OneNode]) -> None:
    a, b = two
    assert a.claims().claims[0].won
    done = b.commit(order("1", key="k", spent="k"))
    assert done.refused == {"1": MOVED}
    assert a.read(history.by_id, "1") is None
    assert a.commit(order("2", key="k", spent="k")).refused == {}
    row = b.read(history.by_id, "2")
    assert (row["state"], row["incarnation"]) == ("sent", a.member.incarnation)
    assert types(b) == [(1, "device.online"), (2, "command.sent")]


def test_a_command_is_for_one_connection(two: tuple[OneNode, OneNode]) -> None:
    a, _ = two
    a.claims(generation=1)
    assert a.commit(device(A, 2), order("1", generation=1)).refused == {"1": MOVED}
    assert a.commit(order("1", generation=2)).refused == {}


def test_the_later_registration_wins_whichever_is_committed_first(
    two: tuple[OneNode, OneNode],
) -> None:
    a, b = two
    now = time()
    a.claims(since=now - 5)
    assert b.claims(since=now).claims[0].won
    [again] = a.claims(since=now - 5).claims
    assert (again.won, again.other) == (False, b.member.incarnation)
    [row] = a.read(history.presence_of, [A]).values()
    assert row["node"] == "b"
    # However long the other connection has been there.
    a.claims(B, since=now - 3600), b.claims(B, since=now)
    assert not a.claims(B, since=now - 3600).claims[0].won
    # A clock that is far ahead keeps no device for ever.
    assert b.claims(since=now + 3600).claims[0].won
    assert a.claims(since=now + 1).claims[0].won


def test_a_takeover_between_nodes_is_one_in_the_events(two: tuple[OneNode, OneNode]) -> None:
    a, b = two
    a.claims(), b.claims()
    late = a.commit(device(A, 1, online=False))
    assert late.moved == [(A, 1)]
    b.commit(device(A, 1, online=False))
    assert [type for _, type in types(a)] == [
        "device.online", "device.taken_over", "device.offline",
    ]  # fmt: skip
    detail = a.read(history.events_after, 1, 1)[0][4]
    assert '"displaced":"127.0.0.1:5"' in detail


def test_a_claim_brings_what_is_under_way(two: tuple[OneNode, OneNode]) -> None:
    a, b = two
    a.claims()
    a.commit(order("1", key="k", spent="k"))
    a.commit(order("1", state="ended", status="408", fresh=False, ended_at=time()))
    a.commit(order("2"), order("3", state="waiting"))
    a.commit(Row("open_results", (f"{A}:QD", '{"group": []}')))
    a.commit(Row("running", (A, 123.0)))
    [claim] = b.claims().claims
    assert not claim.current
    assert {row["id"]: row["state"] for row in claim.commands} == {
        "1": "ended", "2": "sent", "3": "waiting",
    }  # fmt: skip
    assert (list(claim.held), claim.running_until) == ([(f"{A}:QD", '{"group": []}')], 123.0)
    # They are b's now: a, which does not know it, ends none of them.
    done = a.commit(order("2", state="ended", status="408", fresh=False, ended_at=time()))
    assert list(done.foreign) == ["2"]
    assert b.commit(order("2", state="ended", status="200", fresh=False)).foreign == {}
    assert b.read(history.by_id, "2")["status"] == "200"
    assert [type for _, type in types(b)].count("command.ended") == 2


def test_a_claim_does_not_bring_what_ended_long_ago_or_in_the_future(
    two: tuple[OneNode, OneNode],
) -> None:
    """The clock of a node was three days ahead for a moment: its 408s took the answers to other
    starts from then on. Found by scripts/jepsen."""
    a, b = two
    a.claims()
    for id, ended in (("1", -2 * LATE_WINDOW), ("2", -1.0), ("3", 3 * 86400.0)):
        a.commit(order(id))
        a.commit(order(id, state="ended", status="408", fresh=False, ended_at=time() + ended))
    [claim] = b.claims().claims
    assert [row["id"] for row in claim.commands] == ["2"]


def test_a_claim_of_the_node_that_had_the_device_last_reads_nothing(
    two: tuple[OneNode, OneNode],
) -> None:
    a, b = two
    a.claims(generation=1)
    a.commit(order("1"))
    [again] = a.claims(generation=2).claims
    assert (again.won, again.current, list(again.commands)) == (True, True, [])
    # An order that waits at another node changes that.
    a.commit(device(A, 2, online=False))
    assert b.commit(order("2", state="waiting", expires_at=time() + 60)).refused == {}
    [claim] = a.claims(generation=3).claims
    assert sorted(row["id"] for row in claim.commands) == ["1", "2"]


def test_an_order_that_waits_at_another_node_hides_nothing_that_is_under_way(
    two: tuple[OneNode, OneNode],
) -> None:
    """Else the other node would send while a start of the first one is in flight."""
    a, b = two
    a.claims()
    a.commit(order("1"))
    a.commit(device(A, 1, online=False))
    b.commit(order("2", state="waiting", expires_at=time() + 60))
    [claim] = b.claims().claims
    assert not claim.current
    assert sorted(row["id"] for row in claim.commands) == ["1", "2"]


def test_a_registration_that_was_left_out_is_told_later(two: tuple[OneNode, OneNode]) -> None:
    a, _ = two
    a.commit(Row("device", ((A, True, time(), time(), "127.0.0.1:5", 1), [])))
    assert types(a) == []
    a.claims(generation=1)
    assert types(a) == [(1, "device.online")]


def test_online_and_offline_alternate_whatever_one_commit_holds(
    two: tuple[OneNode, OneNode],
) -> None:
    a, b = two
    a.claims(generation=1)
    # One connection ends and another one registers, which a second one follows.
    a.commit(device(A, 1, online=False), device(A, 2))
    assert a.read(nodes.holder, A) is not None
    a.commit(device(A, 3), device(A, 3, online=False))
    assert a.read(nodes.holder, A) is None
    # It comes and goes between two commits: as if it had never been here.
    assert a.commit(device(A, 4), device(A, 4, online=False)).moved == []
    # Of a connection that another node has displaced, that one has told.
    a.claims(generation=5), b.claims(generation=1)
    a.commit(device(A, 5, online=False), device(A, 6))
    # What has gone back silently is told again.
    b.claims(generation=2)
    b.commit(device(A, 2, online=False))
    a.commit(Row("device", ((A, True, time(), time(), "127.0.0.1:5", 6), [])))
    told = [type.removeprefix("device.") for _, type in types(a)]
    assert told == [
        "online", "offline", "online", "taken_over", "offline",
        "online", "taken_over", "taken_over", "taken_over", "offline", "online",
    ]  # fmt: skip


def test_nothing_waits_at_a_node_while_another_one_has_the_device(
    two: tuple[OneNode, OneNode],
) -> None:
    a, b = two
    a.claims()
    waiting = order("1", state="waiting", expires_at=time() + 60, key="k", spent="k")
    assert b.commit(waiting).refused == {"1": MOVED}
    assert b.read(history.by_key, "k") is None


def test_c_is_nobodys(two: tuple[OneNode, OneNode]) -> None:
    a, b = two
    a.claims(A)
    assert a.read(nodes.holder, A) == ("a", a.member.incarnation)
    assert b.read(nodes.holder, C) is None
