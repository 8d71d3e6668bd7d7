"""The journals of two nodes on one PostgreSQL: which of them may write what."""

from __future__ import annotations

import threading
from time import time

import pytest
from sqlalchemy.exc import DBAPIError

from devgate.store import history
from devgate.store.batch import Row
from devgate.store.node_commits import KEY_SPENT, MOVED, WRITTEN, Committed
from devgate.store.node_journal import NodeJournal
from devgate.store.node_rows import Fate
from devgate.store.trips import Trips
from devgate.store.verdicts import VERDICT
from tests.store.commands import command_row, event
from tests.store.plain import A, B
from tests.store.pooler import Pooler, pooled
from tests.store.two_nodes import LATE_WINDOW, OneNode, device, order, types
from tests.store.verdicts import verdict
from tests.stores import with_tables


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


def test_what_became_of_several_commands_is_told_in_the_order_of_happening(
    two: tuple[OneNode, OneNode],
) -> None:
    """A start is accepted, the one before it ends, its turn comes, and a late answer to the other
    one is there: all in one commit, in which each has one row. Found by scripts/jepsen."""
    a, _ = two
    a.claims()
    a.commit(order("1"))
    end, late = ((2.0, f"command.{type}", A, "1", "{}") for type in ("ended", "late"))
    unknown = command_row("1", status="408").values
    known = command_row("1", late=True, late_at=3.0).values
    a.commit(
        order("2", state="waiting"),
        Row("order", (unknown, [end], False, None)),
        order("2", fresh=False),
        Row("order", (known, [late], False, None)),
    )
    told = [(row[1], row[3]) for row in a.read(history.events_after, 2, 1000)]
    assert told == [
        ("command.waiting", "2"), ("command.ended", "1"), ("command.sent", "2"),
        ("command.late", "1"),
    ]  # fmt: skip


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


class Pooled(NodeJournal):
    """A journal behind a pooler whose connection to the server breaks behind the next COMMIT."""

    pooler: Pooler | None = None

    def _commits(self, trips: Trips) -> None:
        if self.pooler is not None:
            self.pooler.breaks, self.pooler = True, None
        super()._commits(trips)


def test_a_pooler_does_not_know_what_was_carried_out(postgres_url: str) -> None:
    """It answers the first statement of a trip although the server has carried out the last."""
    with pooled(postgres_url) as (pooler, url):
        node = OneNode(url, "a")
        journal = Pooled(node.database, node.member, late_window=LATE_WINDOW)
        try:
            journal.commit([device(A, 1)])
            journal.pooler = pooler
            rows = [order("1", key="k", spent="k"), event("device.flapping")]
            with pytest.raises(DBAPIError):
                journal.commit(rows)
            assert journal.commit(rows).refused == {}
            names = [type for _, type in types(node)]
            assert sorted(names) == ["command.sent", "device.flapping", "device.online"]
        finally:
            journal.close()
            node.close()


def test_times_are_the_databases_though_the_gateways_clock_goes_its_own_way(
    postgres_url: str,
) -> None:
    """A gateway whose machine's clock was set by days goes on from the newest record, which may be
    in the future by another measure: found by scripts/jepsen."""
    days = 259_200.0 - 553.0
    node = OneNode(with_tables(postgres_url), "a", lambda: time() + days)
    node.claims(since=time() + days)
    node.commit(order("1", sent_at=time() + days, accepted_at=time() + days))
    row = node.read(history.by_id, "1")
    assert row is not None
    assert abs(row["sent_at"] - time()) < 60
    assert abs(node.read(history.events_after, 0, 1000)[-1][0] - time()) < 60
    here = node.journal.here(row)
    assert (here["late_at"], here["id"]) == (None, "1")
    assert here["sent_at"] - row["sent_at"] == pytest.approx(days, abs=1)
    node.close()


def test_a_commit_in_which_a_step_of_the_clock_is_found_has_the_right_times(
    postgres_url: str,
) -> None:
    """An event three days in the future would take the time from all events of these days."""
    step = 0.0
    node = OneNode(with_tables(postgres_url), "a", lambda: time() + step)
    node.claims()
    for id, step in (("1", 0.0), ("2", 259_200.0), ("3", 0.0), ("4", -7200.0)):
        node.commit(order(id, sent_at=time() + step, accepted_at=time() + step))
        row = node.read(history.by_id, id)
        assert abs(row["sent_at"] - time()) < 60
        assert abs(node.read(history.events_after, 0, 1000)[-1][0] - time()) < 60
    node.close()


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
