"""One running gateway for all tests of a module, and devices enough for each to have its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.e2e.harness import SAMPLE, Gateway, gateway


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    """A gateway with the defaults that knows 300 devices."""
    rows: list[dict[str, object]] = [{"imei": SAMPLE, "id": 16}]
    rows += [{"imei": f"860000000000{n:03}", "id": 1000 + n} for n in range(300)]
    with gateway(devices=rows) as running:
        yield running


@pytest.fixture(scope="module")
def unused(served: Gateway) -> Iterator[str]:
    """IMEIs that `served` knows and no test of the module has had yet."""
    return (f"860000000000{n:03}" for n in itertools.count())


@pytest.fixture
def imei(unused: Iterator[str]) -> str:
    return next(unused)


@pytest.fixture
def other(unused: Iterator[str]) -> str:
    """A second known IMEI."""
    return next(unused)
