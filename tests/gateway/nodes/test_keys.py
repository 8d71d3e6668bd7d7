"""Keys of orders at a node: the index decides, and nobody hears anything else than before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from devgate.errors import CallerError, StoreError
from devgate.gateway.command import Command
from devgate.gateway.completion import Completion
from tests.gateway.nodes.rig import Node, no_commit, order_row, other_node
from tests.gateway.rig import X


@pytest.fixture
def reads(node: Node, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was read from the database by name."""
    found: list[str] = []
    read = node.storage.records.read

    async def noted(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        found.append(function.__name__)
        return await read(function, *args, **kwargs)

    monkeypatch.setattr(node.storage.records, "read", noted)
    return found


async def here(node: Node) -> None:
    node.registers()
    await node.until(lambda: node.claimed.get(X) is not None)


async def test_a_key_that_is_new_is_not_looked_up(node: Node, reads: list[str]) -> None:
    async with node.lives():
        await here(node)
        found = await node.ordered(key="k")
        assert (found.state, found.presumed) == ("sent", False)
        await node.until(lambda: node.received().endswith(b"QD500"))
        assert reads == []
        # Repeated while it is under way, it is that command; with other contents a conflict.
        assert await node.ordered(key="k") is found
        again = await node.ordered(key="k", long=60)
        assert isinstance(again, CallerError)
        assert (again.status, again.more["earlier"]) == ("409", found.id)
        assert reads == []
    assert node.received() == b""


async def test_a_key_that_another_node_has_spent_gets_that_command(
    node: Node, reads: list[str]
) -> None:
    other_node(node.url, order_row("1", key="k", spent="k", long=500))
    async with node.lives():
        await here(node)
        assert (await node.ordered(key="k")).id == "1"
        assert reads == ["by_key"]
        again = await node.ordered(key="k", long=60)
        assert isinstance(again, CallerError)
        assert (again.status, again.more["earlier"]) == ("409", "1")
        # A refusal is none of an order that was carried out before.
        node.gateway.presence.end(X, "gone")
        node.gateway.presence.ended(node.connection, "gone")
        assert (await node.ordered(key="k")).id == "1"
    assert node.received() == b""


async def test_of_two_callers_at_once_neither_hears_of_a_command_that_was_none(
    node: Node,
) -> None:
    other_node(node.url, order_row("1", key="k", spent="k", long=500))
    async with node.lives():
        await here(node)
        first, second = Completion[Any](), Completion[Any]()
        with no_commit(node.url):
            node.storage.records.event("device.slow", X)
            for done, long in ((first, 500), (second, 60)):
                node.routing.submit(node.order(long=long, key="k"), False, done.set)
        assert (await first.wait()).id == "1"
        assert (await second.wait()).more["earlier"] == "1"
    assert node.received() == b""


async def test_a_key_that_nobody_could_look_up_is_in_question(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent; but the key may be spent, and "refused" would say that it is not."""

    def away(rows: object) -> Any:
        raise StoreError("the database server cannot be reached")

    async with node.lives():
        await here(node)
        monkeypatch.setattr(node.storage.writer, "_commit", away)
        found = await node.ordered(key="k")
        assert isinstance(found, StoreError)
        assert (found.status, found.outcome) == ("503", "unknown")
        assert "may have been used before: ask again with it" in str(found)
        monkeypatch.undo()
    assert node.received() == b""


async def test_a_stop_that_was_carried_out_before_cancels_nothing(node: Node) -> None:
    other_node(node.url, order_row("1", type="stop", long=None, key="k", spent="k", status="200"))
    async with node.lives():
        waiting = await node.ordered(expires=60)
        found = await node.ordered(type="stop", long=None, key="k", cancel=True)
        assert isinstance(found, Command)
        assert found.id == "1"
        assert waiting.state == "waiting"
