"""Which nodes live, by their rows on one PostgreSQL, and which of them leads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from devgate.errors import Fenced, SetupError
from devgate.store import history, node_opening, node_session, nodes
from devgate.store.node_opening import node_database
from devgate.store.node_session import NodeSession
from devgate.store.opening import claim_database
from tests.e2e.caller import eventually
from tests.store.commands import event
from tests.store.plain import run
from tests.store.two_nodes import OneNode, order
from tests.stores import with_tables


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


def test_the_last_commit_of_a_killed_process_is_no_sign_of_life(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = OneNode(with_tables(postgres_url), "a")
    # What the server does with it meanwhile; that its locks are free may take a moment more.
    steps: list[Callable[[], object]] = [killed.commit, killed.close]

    def sleep(seconds: float) -> None:
        steps.pop(0)() if steps else time.sleep(seconds)

    clock = SimpleNamespace(monotonic=time.monotonic, sleep=sleep)
    monkeypatch.setattr(node_opening, "time", clock)
    database, member = node_database(postgres_url, "a", "0.1.0")
    database.close()
    assert steps == []
    assert member.incarnation > killed.member.incarnation


def test_one_gateway_alone_and_nodes_exclude_one_another(postgres_url: str) -> None:
    alone = claim_database(with_tables(postgres_url))
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
