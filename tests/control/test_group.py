"""The socket's group: what may be asked by who is neither root nor the gateway's own user."""

from __future__ import annotations

import os

from devgate.control.caller import SocketGroup, user_of
from devgate.gateway.operations.table import OPERATIONS
from devgate.gateway.operations.ways import may_by_socket
from tests.control.harness import serving


async def test_a_member_may_do_what_the_role_says_and_no_more() -> None:
    role = "command"
    mine = SocketGroup(
        lambda: role, lambda role, type: role == "admin" or type != "echo", frozenset()
    )
    async with serving(group=mine) as served:
        caller = await served.call()
        reply = await caller.ask(type="echo", id=1)
        assert (reply["status"], reply["outcome"], reply["id"]) == ("401", "refused", 1)
        assert reply["message"] == (
            "the control socket's group may command only ([control] role); ask as root or as the "
            "gateway's own user; nothing was done"
        )
        assert (await caller.ask(type="big", size=1))["message"] == "x"
        role = "admin"  # by a reload: in force at once, for who is connected, too
        assert (await caller.ask(type="echo"))["source"] == "socket"
        role = "command"
        replies = [await caller.ask(type="echo") for _ in range(30)]
        assert {reply["status"] for reply in replies} == {"401"}, "and the connection goes on"
        await caller.stream.aclose()


async def test_root_and_the_gateways_own_user_may_do_all() -> None:
    """By what the kernel says of the peer, not by what it says of itself."""
    nothing = SocketGroup(lambda: "read", lambda role, type: False)
    assert {0, os.geteuid()} == nothing.trusted_users
    async with serving(group=nothing) as served:
        caller = await served.call()
        assert (await caller.ask(type="echo"))["status"] == "200"
        sock = caller.stream.socket  # type: ignore[attr-defined]
        assert user_of(sock) == os.geteuid()
        await caller.stream.aclose()


def test_what_is_no_operation_is_refused_by_its_name() -> None:
    for operation in OPERATIONS:
        assert may_by_socket("admin", operation)
    assert [may_by_socket("command", one) for one in ("start", "add", "upload")] == [
        True, False, False,
    ]  # fmt: skip
    for nothing in ("stort", None, 5, ["start"]):
        assert may_by_socket("read", nothing), "the 400 names those that there are"
