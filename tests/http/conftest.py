"""One running gateway with HTTP for all tests of a module."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.device import WAIT_SECONDS
from tests.http.api.documented import must_be_documented
from tests.http.harness import Site, site

KNOWN = 60


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    rows = [{"imei": f"860000000000{n:03}", "name": f"Bay {n}"} for n in range(KNOWN)]
    with site(
        {"command": {"ack_timeout": WAIT_SECONDS, "max_waiting": 2}}, devices=rows
    ) as running:
        yield running


@pytest.fixture(scope="module")
def unused(served: Site) -> Iterator[str]:
    return (f"860000000000{n:03}" for n in itertools.count())


@pytest.fixture
def imei(unused: Iterator[str]) -> str:
    return next(unused)


@pytest.fixture
def client(served: Site) -> Iterator[httpx.Client]:
    with served.client(event_hooks={"response": [must_be_documented]}) as opened:
        yield opened
