"""The journals of two nodes on one PostgreSQL: which of them may write what."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from time import time
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from devgate.errors import Fenced, SetupError
from devgate.store import history, node_session, nodes
from devgate.store.batch import Row
from devgate.store.engine import claim_database
from devgate.store.node_commits import KEY_SPENT, MOVED, WRITTEN, Committed
from devgate.store.node_journal import NodeJournal
from devgate.store.node_opening import node_database
from devgate.store.node_rows import Fate
from devgate.store.node_session import NodeSession
from devgate.store.trips import Trips
from devgate.store.verdicts import VERDICT
from tests.e2e.caller import eventually
from tests.store.commands import command_row, event
from tests.store.plain import A, B, C, run
from tests.store.test_inbox import verdict

LATE_WINDOW = 60.0


class OneNode:
    """A node's database and journal, and short words for what it writes."""

    def __init__(self, url: str, name: str) -> None:
        self.database, self.member = node_database(url, name, "0.1.0")
        self.journal = NodeJournal(self.database, self.member, late_window=LATE_WINDOW)

    def close(self) -> None:
        self.journal.close()
        self.database.close()

    def commit(self, *rows: Row) -> Committed:
        return self.journal.commit(rows)

    def claims(self, imei: str = A, generation: int = 1, since: float | None = None) -> Committed:
        return self.commit(device(imei, generation, since=since))

    def read(self, function: Callable[..., Any], *args: Any) -> Any:
        with self.database.read() as conn:
            return function(conn, *args)


@pytest.fixture
def two(postgres_url: str) -> Iterator[tuple[OneNode, OneNode]]:
    a = OneNode(postgres_url, "a")
    b = OneNode(postgres_url, "b")
    yield a, b
    a.close()
    b.close()


def device(imei: str, generation: int, *, online: bool = True, since: float | None = None) -> Row:
    type = "device.online" if online else "device.offline"
    values = (imei, online, since or time(), time(), "127.0.0.1:5", generation)
    return Row("device", (values, [event(type, imei=imei).values]))


def order(
    id: str,
    *,
    state: str = "sent",
    status: str = "000",
    fresh: bool = True,
    generation: int | None = 1,
    **more: Any,
) -> Row:
    values = command_row(id, state=state, status=status, **more).values
    told = (more.get("sent_at", 1.0), f"command.{state}", more.get("imei", A), id, "{}")
    return Row("order", (values, [told], fresh, generation if state == "sent" else None))


def types(node: OneNode) -> list[tuple[int, str]]:
    return [(row[-1], row[1]) for row in node.read(history.events_after, 0, 1000)]


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


def test_a_key_is_spent_once_over_all_nodes(two: tuple[OneNode, OneNode]) -> None:
    a, b = two
    a.claims(A), b.claims(B)
    assert a.commit(order("1", key="k", spent="k")).refused == {}
    assert b.commit(order("2", imei=B, key="k", spent="k")).refused == {"2": KEY_SPENT}
    # Of two at the same time, too.
    done: dict[str, Committed] = {}

    def commit(node: OneNode, id: str, imei: str) -> None:
        done[id] = node.commit(order(id, imei=imei, key="l", spent="l"))

    threads = [threading.Thread(target=commit, args=args) for args in ((a, "3", A), (b, "4", B))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted([*done["3"].refused.values(), *done["4"].refused.values()]) == [KEY_SPENT]


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


def test_whoever_writes_an_id_first_has_decided(two: tuple[OneNode, OneNode]) -> None:
    """An order whose hop was lost: its entry writes that there is none, or finds it."""
    a, b = two
    a.claims()
    tomb = order("1", state="ended", status="503", key="k")
    assert b.commit(tomb).refused == {}
    assert a.commit(order("1", key="k", spent="k")).refused == {"1": KEY_SPENT}
    assert a.commit(order("2", key="k", spent="k")).refused == {}
    assert b.commit(order("2", state="ended", status="503")).refused == {"2": WRITTEN}


def test_everybody_who_waits_for_a_row_hears_that_it_was_refused(
    two: tuple[OneNode, OneNode],
) -> None:
    """Its turn comes while it is journalled as waiting: both wait for one row of one commit."""
    a, b = two
    a.claims()
    b.commit(order("1", state="ended", status="503", key="k"))
    fates = Fate(), Fate()
    waiting = order("1", state="waiting", key="k", spent="k")
    sent = order("1", key="k", spent="k", fresh=False)
    done = a.commit(*(
        row._replace(values=(*row.values, None, (fate,)))
        for row, fate in zip((waiting, sent), fates, strict=True)
    ))  # fmt: skip
    assert done.fates == [(fate, KEY_SPENT) for fate in fates]


def test_a_408_that_another_node_has_written_has_one_end(two: tuple[OneNode, OneNode]) -> None:
    a, b = two
    a.claims()
    a.commit(order("1"))
    b.claims()
    ended = order("1", state="ended", status="408", fresh=False, ended_at=time())
    assert b.commit(ended).foreign == {}
    assert list(a.commit(ended).foreign) == ["1"]
    at_once = order("1", state="ended", status="408", ambiguous=True, fresh=False)
    assert list(a.commit(at_once).foreign) == ["1"]
    told = [event("command.ambiguous").values]
    values = command_row("1", state="ended", status="408", ambiguous=True).values
    ambiguous = Row("order", (values, told, False, None))
    assert b.commit(ambiguous).foreign == {}
    assert list(a.commit(ambiguous).foreign) == ["1"]
    told = [event("command.late").values]
    values = command_row("1", state="ended", status="200", late=True).values
    assert a.commit(Row("order", (values, told, False, None))).foreign == {}
    assert b.read(history.by_id, "1")["status"] == "200"
    assert [type for _, type in types(b)].count("command.ended") == 1


def test_a_start_that_waited_is_told_behind_the_end_of_the_one_before(
    two: tuple[OneNode, OneNode],
) -> None:
    """It is accepted, the other one ends, and its turn comes: all in one commit."""
    a, _ = two
    a.claims()
    a.commit(order("1"))
    end = (2.0, "command.ended", A, "1", "{}")
    a.commit(
        order("2", state="waiting"),
        Row("order", (command_row("1", state="ended", status="404").values, [end], False, None)),
        order("2", fresh=False),
    )
    told = [(row[1], row[3]) for row in a.read(history.events_after, 2, 1000)]
    assert told == [("command.ended", "1"), ("command.waiting", "2"), ("command.sent", "2")]


@pytest.mark.parametrize("then", ["ended", "sent"])
def test_nothing_is_written_over_an_end_of_the_same_commit(
    two: tuple[OneNode, OneNode], then: str
) -> None:
    """A claim has read a command while its end was on the way: it ended once more, or was sent.
    Found by scripts/jepsen."""
    a, _ = two
    a.claims()
    a.commit(order("1", state="waiting"))
    first = command_row("1", state="ended", status="404").values
    second = command_row("1", state=then, status="410" if then == "ended" else "000").values
    end, more = ((2.0, f"command.{state}", A, "1", "{}") for state in ("ended", then))
    fate, generation = Fate(), None if then == "ended" else 1
    done = a.commit(
        Row("order", (first, [end], False, None)),
        Row("order", (second, [more], False, generation, None, (fate,))),
    )
    assert done.fates == [(fate, MOVED)]
    assert a.read(history.by_id, "1")["status"] == "404"
    assert [type for _, type in types(a)][-2:] == ["command.waiting", "command.ended"]


def test_numbers_of_events_have_no_gap_and_are_in_the_order_of_commits(
    two: tuple[OneNode, OneNode],
) -> None:
    found: list[list[int]] = []

    def write(node: OneNode) -> None:
        own = [
            number
            for _ in range(40)
            for number in [row[-1] for row in node.commit(event(), event()).events]
        ]
        found.append(own)

    threads = [threading.Thread(target=write, args=(node,)) for node in two]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found[0] + found[1]) == list(range(1, 161))
    assert all(own == sorted(own) for own in found)


def test_a_node_that_was_declared_dead_writes_nothing(two: tuple[OneNode, OneNode]) -> None:
    a, b = two
    a.claims()
    a.commit(order("1"))
    with b.database.write() as conn:
        [row] = [one for one in nodes.all_nodes(conn) if one.id == "a"]
        assert nodes.declare_dead(conn, row)
    with pytest.raises(Fenced, match="declared dead"):
        a.commit(order("1", state="ended", status="200", fresh=False))
    assert b.read(history.by_id, "1")["state"] == "sent"


def test_a_node_that_beats_is_not_declared_dead(two: tuple[OneNode, OneNode]) -> None:
    a, b = two
    with b.database.read() as conn:
        [row] = [one for one in nodes.all_nodes(conn) if one.id == "a"]
    a.commit()
    with b.database.write() as conn:
        assert not nodes.declare_dead(conn, row)
    assert a.commit().refused == {}


def test_nobody_is_declared_dead_while_the_database_takes_no_commit(
    two: tuple[OneNode, OneNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that stalled for longer than the lease made all nodes declare one another dead."""
    a, b = two
    now = 0.0
    monkeypatch.setattr(node_session, "boottime", lambda: now)
    session = NodeSession(b.database, b.member)
    a.commit(), b.commit()
    session.look()
    now = 100.0
    assert [node.alive for node in session.look().nodes] == [True, True]
    for _ in range(node_session.OWN_BEATS):
        assert [node.alive for node in session.look().nodes] == [True, True]
        b.commit()
    session.look()
    assert [(node.id, node.alive) for node in session.look().nodes] == [("a", False), ("b", True)]
    session.close()


class Cut(NodeJournal):
    """A journal whose connection breaks at the next COMMIT, before or after it is carried out."""

    cut = ""

    def _commits(self, trips: Trips) -> None:
        where, self.cut = self.cut, ""
        if where != "before":
            super()._commits(trips)
        if where:
            lost = ConnectionResetError("the server went away")
            raise DBAPIError("COMMIT", None, lost, connection_invalidated=True)


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_commit_without_an_answer_is_written_once(
    two: tuple[OneNode, OneNode], cut: str
) -> None:
    a, b = two
    journal = Cut(a.database, a.member, late_window=LATE_WINDOW)
    journal.commit([device(A, 1)])
    journal.cut = cut
    rows = [order("1", key="k", spent="k"), event("device.flapping"), device(B, 1)]
    with pytest.raises(DBAPIError):
        journal.commit(rows)
    done = journal.commit([*rows, event("device.slow")])
    assert [claim.won for claim in done.claims] == [True]
    names = [type for _, type in types(b)]
    assert sorted(names) == [
        "command.sent", "device.flapping", "device.online", "device.online", "device.slow",
    ]  # fmt: skip
    assert b.read(history.by_id, "1")["state"] == "sent"
    journal.close()


def test_a_node_of_a_name_that_lives_is_refused(two: tuple[OneNode, OneNode]) -> None:
    a, _ = two
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(0.1):
            a.commit()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        url = a.database._engine.url.render_as_string(hide_password=False)
        with pytest.raises(SetupError, match="another process is the node a of this cluster"):
            node_database(url, "a", "0.1.0")
    finally:
        stop.set()
        thread.join()


def test_one_gateway_alone_and_nodes_exclude_one_another(postgres_url: str) -> None:
    alone = claim_database(postgres_url)
    with pytest.raises(SetupError, match="works alone with the database"):
        node_database(postgres_url, "a", "0.1.0")
    alone.close()
    node = OneNode(postgres_url, "a")
    with pytest.raises(SetupError, match="another gateway works with the database"):
        claim_database(postgres_url)
    # Whose lock is gone is fenced by the takeover.
    run(postgres_url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
        "application_name = 'devgate a'")  # fmt: skip
    taken = claim_database(postgres_url)
    with pytest.raises(Fenced):
        node.commit(event())
    taken.close()
    node.close()


def test_one_of_the_nodes_leads_and_another_one_follows_it(two: tuple[OneNode, OneNode]) -> None:
    a, b = two
    first, second = NodeSession(a.database, a.member), NodeSession(b.database, b.member)
    assert (first.look().leads, second.look().leads) == (True, False)
    assert a.read(nodes.leader) == "a"
    first.close()
    eventually(lambda: second.look().leads, lambda leads: leads)  # the server ends the session
    second.close()


def test_c_is_nobodys(two: tuple[OneNode, OneNode]) -> None:
    a, b = two
    a.claims(A)
    assert a.read(nodes.holder, A) == ("a", a.member.incarnation)
    assert b.read(nodes.holder, C) is None


def test_a_verdict_counts_once_over_all_nodes_and_the_late_answer_after_it(
    two: tuple[OneNode, OneNode],
) -> None:
    a, b = two
    a.claims()
    a.commit(order("1", key="k", spent="k"))
    a.commit(order("1", state="ended", status="408", fresh=False, ended_at=time()))
    said = verdict("1", given="refunded"), verdict("1", given="ran", by="berta")
    told = [node.commit(Row(VERDICT, (one,))).events for node, one in zip(two, said, strict=True)]
    assert [one.resolved for one in said] == [{"1": "408"}, {}]
    assert [event[1] for event in told[0]] == ["command.resolved"]
    assert told[1] == []
    values = command_row("1", state="ended", status="200", late=True).values
    late = Row("order", (values, [event("command.late").values], False, None))
    again = verdict("1", given="ran", by="berta")
    done = a.commit(late, Row(VERDICT, (again,)))
    assert (done.foreign, again.resolved) == ({}, {}), "judged by what was there before"
    row = b.read(history.by_id, "1")
    assert (row["status"], row["verdict"], row["resolved_by"]) == ("200", "refunded", "anna")
    b.commit(Row(VERDICT, (again,)))
    assert again.resolved == {"1": "200"}, "its answer has contradicted the verdict"
