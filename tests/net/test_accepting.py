"""The accept loop: what it hands on; a fault in what takes a connection is not the door's."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest
import trio

from devgate.net.accepting import Accepting, Listener, accept, as_socket

log = logging.getLogger("devgate.test")


class Documented:
    """A listening socket that has the documented methods alone."""

    def __init__(self, sock: socket.socket) -> None:
        self.accept = sock.accept
        self.fileno = sock.fileno


@pytest.mark.parametrize("form", [lambda sock: sock, Documented], ids=["socket", "documented"])
def test_a_descriptor_is_accepted_with_and_without_the_undocumented_method(
    form: Callable[[socket.socket], Listener],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()) as device:
            fd, peer = accept(form(listener))
            assert peer == device.getsockname()
        assert not os.get_blocking(fd)
        assert not os.get_inheritable(fd)
        with socket.socket(fileno=fd) as accepted:
            assert accepted.getpeername() == peer


def test_the_socket_is_found_to_have_the_undocumented_method() -> None:
    assert hasattr(socket.socket, "_accept"), "else accept() is called: 2 us more for each device"


def test_f9_a_connection_that_cannot_be_taken_does_not_end_the_door(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """F9 (d): a MemoryError while a connection was taken ended all doors, and the gateway."""
    taken: list[socket.socket] = []
    faults = [MemoryError(), OSError(28, "No space left on device"), None]

    def take(sock: socket.socket, peer: Any) -> None:
        if (fault := faults.pop(0)) is not None:
            raise fault
        taken.append(sock)

    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            door = Accepting(lambda: 8, lambda: "", as_socket(take), log, name="test accept")
            callers = [socket.create_connection(listener.getsockname()) for _ in range(3)]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(door.run, listener)
                with trio.fail_after(60):
                    while not taken:  # noqa: ASYNC110 (a callback of the door)
                        await trio.sleep(0.01)
                nursery.cancel_scope.cancel()
            for caller in callers[:2]:
                assert caller.recv(1) == b"", "it is closed"
            for sock in (*callers, *taken):
                sock.close()

    with caplog.at_level(logging.ERROR):
        trio.run(run)
    assert caplog.text.count("a connection was lost") == 1, "told once"
