"""Which addresses events are posted to, and that it is those that were judged."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import httpcore
import pytest

from devgate.webhooks.connecting import Forbidden, GuardedBackend
from devgate.webhooks.public_addresses import is_public

PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::101:101", "2002:101:101::"]
PRIVATE = """
0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 127.255.0.9 169.254.169.254 172.16.0.1 172.31.255.255
192.0.2.7 192.168.1.1 198.18.0.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255
:: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 64:ff9b:1::1 2002:7f00:1:: 2001::1
2002:a00:1:: fc00::1 fd12:3456::1 fe80::1 fec0::1 ff02::1 2001:db8::1
"""


@pytest.mark.parametrize("text", PUBLIC)
def test_the_open_internet(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", PRIVATE.split())
def test_what_only_we_can_reach(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


class Names:
    """A name server that says something else of shop.example every time."""

    def __init__(self, patch: pytest.MonkeyPatch, *answers: list[str]) -> None:
        self.answers = list(answers)
        self._system = socket.getaddrinfo
        patch.setattr(socket, "getaddrinfo", self._look)

    def _look(self, host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host != "shop.example":
            return self._system(host, port, *args, **options)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in self.answers.pop(0)
        ]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def port(listener: socket.socket) -> int:
    number: int = listener.getsockname()[1]
    return number


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "017700000001", "[::1]", "0"]
)
async def test_no_spelling_of_this_machine_passes(listener: socket.socket, host: str) -> None:
    with pytest.raises(Forbidden, match="not a public address; set allow_private"):
        await GuardedBackend(allow_private=False).connect_tcp(host.strip("[]"), port(listener))


async def test_private_addresses_pass_where_they_are_allowed(listener: socket.socket) -> None:
    stream = await GuardedBackend(allow_private=True).connect_tcp("localhost", port(listener))
    assert stream.get_extra_info("server_addr") == ("127.0.0.1", port(listener))
    await stream.aclose()


async def test_one_private_address_among_public_ones_is_enough(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, ["1.1.1.1", "10.0.0.1"])
    with pytest.raises(Forbidden, match=r"shop\.example is 10\.0\.0\.1"):
        await GuardedBackend(allow_private=False).connect_tcp("shop.example", port(listener))


async def test_a_name_is_asked_for_once_and_the_judged_address_is_used(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that says a public address first and then ours gains nothing."""
    names = Names(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    judged: list[str] = []

    def judge(address: object) -> bool:
        judged.append(str(address))
        return True

    monkeypatch.setattr("devgate.webhooks.connecting.is_public", judge)
    stream = await GuardedBackend(allow_private=False).connect_tcp("shop.example", port(listener))
    assert stream.get_extra_info("server_addr")[0] == "127.0.0.1"
    assert judged == ["127.0.0.1"]
    assert names.answers == [["127.0.0.2"]], "nobody asked again"
    await stream.aclose()


async def test_the_next_address_is_tried(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    stream = await GuardedBackend(allow_private=True).connect_tcp("shop.example", port(listener))
    assert stream.get_extra_info("server_addr")[0] == "127.0.0.1"
    await stream.aclose()


async def test_a_name_that_nobody_knows() -> None:
    with pytest.raises(httpcore.ConnectError, match="cannot be resolved"):
        await GuardedBackend(allow_private=True).connect_tcp("no such name", 80)
