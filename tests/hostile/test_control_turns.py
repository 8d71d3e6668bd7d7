"""M3: how much of one turn of the loop unauthenticated peers at the control TCP port get."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from devgate.access.tokens import Tokens, add
from tests.control.harness import serving
from tests.control.test_tcp import listen
from tests.net.loop import LoopTurns

PEERS = 60
NO_EVENT = 0.05  # seconds: then the server has done all that it can do
WRONG = b'command{"type":"echo","token":"dg_wrong"}'


@pytest.mark.parametrize("wire", [b"", WRONG * 3], ids=["silent", "refused"])
async def test_not_all_peers_are_woken_at_once(
    tmp_path: Path, mock_clock: MockClock, wire: bytes
) -> None:
    """A byte of each of 60 in the same moment, before their first request or behind the one that
    ended their connection, woke 60 tasks in one turn of the loop; now it is one."""
    loop = LoopTurns()
    add(tmp_path / "tokens", "shop", "admin")
    async with serving(access=Tokens(tmp_path / "tokens")) as served:
        place = await listen(served)
        with ExitStack() as opened:
            peers = []
            for _ in range(PEERS):
                peer = opened.enter_context(socket.create_connection(place))
                peer.sendall(wire)
                peers.append(peer)
            await wait_all_tasks_blocked(NO_EVENT)
            trio.lowlevel.add_instrument(loop)
            for peer in peers:
                peer.send(b"c")
            await wait_all_tasks_blocked(NO_EVENT)
            trio.lowlevel.remove_instrument(loop)
            for peer in peers:
                peer.settimeout(0)
                if wire:
                    assert peer.recv(65536).count(b"401") == 3
                else:
                    with pytest.raises(BlockingIOError):
                        peer.recv(65536)
    assert sum(loop.steps.values()) >= PEERS
    assert max(loop.steps.values()) <= 5
