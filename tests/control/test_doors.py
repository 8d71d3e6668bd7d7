"""The control socket's file: who may use it, and what may be in its place."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator

import pytest
import trio

from devgate.control.listeners import MAX_PATH, open_tcp, open_unix
from devgate.errors import SetupError
from tests.control.harness import serving, short_folder


@pytest.fixture
def path() -> Iterator[str]:
    with short_folder() as folder:
        yield f"{folder}/run/deep/devgate.sock"


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
async def test_the_folder_is_made_and_the_mode_is_as_asked(path: str, mode: int) -> None:
    before = os.umask(0o077)
    try:
        door = await open_unix(path, mode)
    finally:
        os.umask(before)
    info = os.stat(path)
    assert stat.S_ISSOCK(info.st_mode)
    assert stat.S_IMODE(info.st_mode) == mode
    door.close()
    assert not os.access(path, os.F_OK)
    door.close()


def test_the_mode_is_never_wider_than_asked(path: str) -> None:
    """What `open_unix` relies on: Linux gives the file the mode that the socket had."""
    os.makedirs(os.path.dirname(path))
    before = os.umask(0)
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            os.fchmod(sock.fileno(), 0o600)
            sock.bind(path)
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    finally:
        os.umask(before)


async def test_a_dead_gateways_socket_is_replaced(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    door = await open_unix(path, 0o660)
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(path)
    door.close()


async def test_a_live_gateways_socket_is_not() -> None:
    async with serving() as served:
        with pytest.raises(SetupError, match=f"running already.*{served.path}.*stop"):
            await open_unix(served.path, 0o660)
        assert await served.answers()


async def test_a_live_gateway_with_a_full_backlog_is_not_replaced(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as caller:
        busy.bind(path)
        busy.listen(0)
        caller.connect(path)
        with pytest.raises(SetupError, match="running already"):
            await open_unix(path, 0o660)
    assert os.access(path, os.F_OK)


async def test_of_two_that_start_at_once_one_is_told(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    doors, refusals = [], []

    async def one() -> None:
        try:
            doors.append(await open_unix(path, 0o660))
        except SetupError as err:
            refusals.append(str(err))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(one)
    assert len(doors) == 1
    assert len(refusals) == 3
    doors[0].close()


async def test_a_file_of_somebody_elses_is_left_at_the_end(path: str) -> None:
    door = await open_unix(path, 0o660)
    os.unlink(path)
    successor = await open_unix(path, 0o660)
    door.close()
    assert os.access(path, os.F_OK)
    successor.close()
    assert not os.access(path, os.F_OK)


async def test_what_is_no_socket_stays(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    notes = trio.Path(path)
    await notes.write_text("notes")
    with pytest.raises(SetupError, match="is no socket; move it"):
        await open_unix(path, 0o660)
    assert await notes.read_text() == "notes"


async def test_a_file_in_the_folders_place_is_named(path: str) -> None:
    folder = os.path.dirname(path)
    os.makedirs(os.path.dirname(folder))
    await trio.Path(folder).touch()
    with pytest.raises(SetupError, match=f"folder {folder} cannot be made"):
        await open_unix(path, 0o660)


async def test_a_path_too_long_says_how_long_it_may_be() -> None:
    with short_folder() as folder:
        longest = f"{folder}/".ljust(MAX_PATH, "s")
        (await open_unix(longest, 0o660)).close()
        with pytest.raises(SetupError, match=rf"longer than {MAX_PATH} bytes"):
            await open_unix(longest + "s", 0o660)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_folder_that_cannot_be_written(path: str) -> None:
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o500)
    with pytest.raises(SetupError, match=r"cannot listen on the control socket.*let this user"):
        await open_unix(path, 0o660)


async def test_a_folder_that_takes_no_files() -> None:
    with pytest.raises(SetupError, match=r"/proc/none"):
        await open_unix("/proc/none/devgate.sock", 0o660)
    with pytest.raises(SetupError, match=r"cannot listen on the control socket /proc/devgate"):
        await open_unix("/proc/devgate.sock", 0o660)


async def test_a_port_in_use_is_named_and_nothing_is_left_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (ours,) = await open_tcp(["127.0.0.1:0"])
        busy = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SetupError, match=rf"cannot listen on {busy}.*in use"):
            await open_tcp([ours, busy])
        assert ours.fileno() == -1


async def test_sockets_that_listen_already_are_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        assert await open_tcp([sock]) == [sock]
