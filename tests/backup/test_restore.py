"""A restore starts no machine twice: what scripts/restore does, in short."""

from __future__ import annotations

import random

from restoring.world import one_round


def test_no_order_is_started_twice(database_url: str) -> None:
    store = "sqlite:///devgate.db" if database_url.startswith("sqlite") else database_url
    figures = one_round(store, 40, random.Random(1), held=True)
    assert figures.wrong == []
    assert figures.twice == 0
    assert figures.quarantined >= figures.after == 10, "these are newer than the copy"
    assert figures.unknown >= 10, "these waited in the copy"
    # A device that answered too late on a busy machine makes one more, and one fewer here. What is
    # answered while the copy is made is in it, or newer.
    assert figures.recorded >= 10
    assert figures.recorded + figures.unknown >= figures.before + 10
    assert figures.recorded + figures.unknown + figures.quarantined == figures.orders
    assert figures.untried == 20


def test_without_a_quarantine_they_would_be() -> None:
    """What the test above could not see otherwise."""
    figures = one_round("sqlite:///devgate.db", 40, random.Random(1), held=False)
    assert figures.twice >= figures.after == 10
