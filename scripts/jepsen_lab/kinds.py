"""The faults of nodes, of the network between them, and of PostgreSQL. Each makes one and ends
it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from jepsen_lab.proxies import LB, PG
from tests.faults.preload import Point

if TYPE_CHECKING:
    from jepsen_lab.lab import Lab
    from jepsen_lab.node import Node

LONGEST_STOP = 20.0
STOPS_WITHIN = 25.0  # seconds: drain, last words, replies, and the guard's 15
STEPS = [2.0, 20.0, 600.0, 3600.0, 3 * 86400.0]  # seconds
REACHES = 8.0  # seconds in which a node comes to the point where it is to stop or die
ENDS_SESSIONS = "jepsen ends sessions"  # as PostgreSQL lists the session that ends others


@dataclass(frozen=True)
class Fault:
    """`with_others`: another fault may be made meanwhile."""

    name: str
    weight: float
    run: Callable[[Lab, Node], None]
    with_others: bool = True


def kill(lab: Lab, node: Node) -> None:
    """kill -9, and its machine takes a while to start it again."""
    with lab.away(node):
        node.kill()
        time.sleep(lab.rng.uniform(0.2, 6))


def freeze(lab: Lab, node: Node) -> None:
    """SIGSTOP; half of them for less than the lease."""
    rng = lab.rng
    seconds = rng.uniform(1, 3) if rng.random() < 0.5 else min(
        LONGEST_STOP, 3 + rng.expovariate(1 / 4)
    )  # fmt: skip
    node.stop_for(seconds)


def at_a_point(lab: Lab, node: Node) -> None:
    """It stops or dies around a COMMIT or at the first byte of a start: in the transaction, with
    the commit under way, or between its last look at the lease and the byte."""
    rng = lab.rng
    sending, points = rng.choice(
        [(b"COMMIT", [Point.BEFORE_SEND, Point.AFTER_SEND]),
         (b"QD", [Point.BEFORE_SEND, Point.AMID_SEND, Point.AFTER_SEND])]
    )  # fmt: skip
    point = rng.choice(points)
    stops = point is not Point.AMID_SEND and rng.random() < 0.7
    node.faults.kill_at(point, rng.randint(1, 12), sending=sending, stops=stops)
    seconds = rng.uniform(0.5, 9)
    ends = time.monotonic() + REACHES
    while time.monotonic() < ends and node.lives_on and not node.is_stopped():
        time.sleep(0.02)
    if node.lives_on and node.is_stopped():
        began = time.monotonic()
        time.sleep(seconds)
        node.faults.clear()
        node.go_on()
        if sending == b"QD":
            lab.frozen.append((began, time.monotonic()))
    node.faults.clear()


def restart_postgres(lab: Lab, node: Node) -> None:
    """PostgreSQL is stopped or crashes, and comes back."""
    how = lab.rng.choice([signal.SIGINT, signal.SIGQUIT])
    lab.server.restart(how, lab.rng.choice([0.0, lab.rng.uniform(0, 5)]))


def replica_away(lab: Lab, node: Node) -> None:
    """The replica crashes and comes back. Commits wait for a synchronous one meanwhile."""
    lab.server.without_replica(lab.rng.uniform(0, 6))


def fail_over(lab: Lab, node: Node) -> None:
    """kill -9 of the primary, and the replica is promoted; the old primary becomes its replica."""
    lab.fail_over()


def end_sessions(lab: Lab, node: Node) -> None:
    """Sessions of one node or of all are ended, from time to time several times, with some of the
    lab's. Two of these faults at once leave each other's alone."""
    names = [f"devgate {node.name}"] if lab.rng.random() < 0.5 else [
        f"devgate {one.name}" for one in lab.nodes
    ]  # fmt: skip
    with psycopg.connect(
        lab.server.primary.url(), autocommit=True, application_name=ENDS_SESSIONS
    ) as conn:
        for _ in range(lab.rng.randint(1, 4)):
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name <> "
                "%s AND backend_type = 'client backend' AND "
                "(application_name = ANY(%s) OR random() < 0.3)", (ENDS_SESSIONS, names)
            )  # fmt: skip
            time.sleep(lab.rng.uniform(0, 0.5))


def cut_links(lab: Lab, node: Node) -> None:
    """Between two nodes, or between one and all others; in one direction or both."""
    others = [one for one in lab.nodes if one is not node]
    if lab.rng.random() < 0.5:
        others = [lab.rng.choice(others)]
    ways = [(node.name, one.name) for one in others]
    back = [(one.name, node.name) for one in others]
    lab.cut(lab.rng.choice([ways, back, [*ways, *back]]))


def cut_from_postgres(lab: Lab, node: Node) -> None:
    lab.cut([(node.name, PG)])


def all_links(lab: Lab, node: Node) -> list[tuple[str, str]]:
    """Those of its machine, but for devices that come without a load balancer."""
    others = [one.name for one in lab.nodes if one is not node]
    return [
        (node.name, PG),
        (LB, node.name),
        *((node.name, one) for one in others),
        *((one, node.name) for one in others),
    ]


def cut_from_all(lab: Lab, node: Node) -> None:
    """It reaches neither PostgreSQL nor another node, and neither a node nor a load balancer
    reaches it."""
    lab.cut(all_links(lab, node))


def cut_from_balancers(lab: Lab, node: Node) -> None:
    """Load balancers send its devices to other nodes, while it lives."""
    lab.cut([(LB, node.name)])


def rolling_restart(lab: Lab, node: Node) -> None:
    """Each node in turn is stopped as it should be, and the next one once it is well again.
    One that was declared dead may find that out before the signal."""
    for one in lab.nodes:
        with lab.away(one):
            if not one.lives_on:
                continue
            one.signal(signal.SIGTERM)
            code = one.wait(STOPS_WITHIN)
            if code is None:
                lab.breach(f"SIGTERM did not end node {one.name} within {STOPS_WITHIN:.0f} s")
                one.kill()
            elif not one.may_end_with(code):
                lab.breach(f"SIGTERM ended node {one.name} with {code}: {one.words()}")
        lab.recover("rolling restart", [one])


def clock_steps(lab: Lab, node: Node) -> None:
    """The wall clock of one node jumps, and jumps back. Clocks that nobody sets go on."""
    for _ in range(lab.rng.randint(1, 3)):
        node.faults.clock(lab.rng.choice(STEPS) * lab.rng.choice([-1, 1]))
        time.sleep(lab.rng.uniform(0.2, 3))
    node.faults.clock(0)


def balancer(lab: Lab, node: Node) -> None:
    """One of the load balancers is restarted, or crashes."""
    lab.rng.choice(lab.programs.balancers).restart(lab.rng)


KINDS = [
    Fault("kill -9", 5, kill),
    Fault("SIGSTOP", 5, freeze),
    Fault("point", 8, at_a_point),
    Fault("PostgreSQL restart", 3, restart_postgres, with_others=False),
    Fault("PostgreSQL failover", 3, fail_over, with_others=False),
    Fault("PostgreSQL replica away", 2, replica_away, with_others=False),
    Fault("sessions ended", 3, end_sessions),
    Fault("links cut", 4, cut_links),
    Fault("cut from PostgreSQL", 4, cut_from_postgres),
    Fault("cut from all", 3, cut_from_all),
    Fault("cut from HAProxy", 2, cut_from_balancers),
    Fault("rolling restart", 2, rolling_restart, with_others=False),
    Fault("clock steps", 4, clock_steps),
    Fault("HAProxy restart", 3, balancer),
]
