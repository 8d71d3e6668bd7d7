"""Faults of scripts/jepsen that must not hit the lab itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from jepsen_lab.kinds import end_sessions

from tests.postgres import Postgres


def test_two_that_end_sessions_at_once_leave_each_other_alone(postgres: Postgres) -> None:
    node: Any = SimpleNamespace(name="a")
    server = SimpleNamespace(primary=postgres)
    labs: list[Any] = [
        SimpleNamespace(server=server, nodes=[node], rng=Random(seed)) for seed in range(8)
    ]
    with psycopg.connect(postgres.url(), application_name="devgate a") as conn:
        with ThreadPoolExecutor(len(labs)) as pool:
            for fault in [pool.submit(end_sessions, lab, node) for lab in labs]:
                fault.result()
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")
