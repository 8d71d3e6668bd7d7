"""A gateway with sixty devices, and somebody at its pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devgate.access.users import add
from tests.e2e.device import WAIT_SECONDS
from tests.http.harness import Site, site
from tests.http.visitor import NAME, PASSWORD, Visitor, visitor

SITE = "东站 & <u>"


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with site({"http": {"users": "users"}, "command": {"ack_timeout": WAIT_SECONDS}}) as running:
        add(running.folder / "users", NAME, "command", PASSWORD)
        running.add_devices(
            [
                {"imei": f"8600000000000{n:02}", "name": f"Bay {n}", "site": SITE, "id": n}
                for n in range(1, 61)
            ]
        )
        yield running


@pytest.fixture
def someone(served: Site) -> Iterator[Visitor]:
    """One who is logged in and may command."""
    with visitor(served.url) as opened:
        assert opened.log_in(token=served.tokens["command"]) == "/"
        yield opened


@pytest.fixture
def admin(served: Site) -> Iterator[Visitor]:
    """One who is logged in and may do everything."""
    with visitor(served.url) as opened:
        opened.log_in(token=served.tokens["admin"])
        yield opened
