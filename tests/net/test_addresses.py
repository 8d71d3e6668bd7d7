from __future__ import annotations

import os
import socket

import pytest

from devgate.errors import SetupError
from devgate.net.addresses import bind, host_of, parse, shown, spelled


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("0.0.0.0:12306", "0.0.0.0", 12306),
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("[::]:12306", "::", 12306),
        ("[::1]:65535", "::1", 65535),
        ("localhost:0", "localhost", 0),
        (" localhost:80 ", "localhost", 80),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert parse(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    ["", "12306", ":12306", "localhost", "localhost:", "localhost:http", "0.0.0.0:65536",
     "0.0.0.0:-1", "::1:12306", "[::1]", "[localhost]:1", "[]:1", "a b:1", "0.0.0.0:\u0661"],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_a_sample(text: str) -> None:
    with pytest.raises(SetupError, match=r"0\.0\.0\.0:12306") as caught:
        parse(text)
    assert repr(text) in str(caught.value)


def test_a_bound_socket_listens_without_blocking() -> None:
    (sock,) = bind(["127.0.0.1:0"])
    with sock:
        assert shown(sock).startswith("127.0.0.1:")
        assert not shown(sock).endswith(":0")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert not sock.get_inheritable()
        with pytest.raises(BlockingIOError):
            sock.accept()
        with socket.create_connection(sock.getsockname()):
            pass


def test_both_kinds_may_have_the_same_port() -> None:
    (four,) = bind(["0.0.0.0:0"])
    with four:
        port = four.getsockname()[1]
        (six,) = bind([f"[::]:{port}"])
        with six:
            assert shown(six) == f"[::]:{port}"
            with socket.create_connection(("::1", port)):
                accepted, peer = six.accept()
                accepted.close()
                assert spelled(peer).startswith("[::1]:")


def test_one_text_is_a_list_of_one() -> None:
    (sock,) = bind("127.0.0.1:0")
    sock.close()


def test_a_name_is_bound_at_all_its_addresses() -> None:
    sockets = bind(["localhost:0"])
    assert shown(sockets[0]).startswith(("127.0.0.1:", "[::1]:"))
    assert len({shown(sock) for sock in sockets}) == len(sockets)
    for sock in sockets:
        sock.close()


def test_a_port_in_use_is_named_and_all_else_is_closed_again() -> None:
    (taken,) = bind(["127.0.0.1:0"])
    with taken:
        (spare,) = bind(["127.0.0.1:0"])
        free = shown(spare)
        spare.close()
        with pytest.raises(SetupError, match="the port is in use; stop the program") as caught:
            bind([free, shown(taken)])
        assert shown(taken) in str(caught.value)
    (again,) = bind([free])
    again.close()


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(SetupError, match=r"192\.0\.2\.1:0: this machine has no such address"):
        bind(["192.0.2.1:0"])


def test_an_unknown_host_is_refused() -> None:
    with pytest.raises(SetupError, match="no such host"):
        bind([f"{'x' * 64}:0"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use all ports")
def test_a_port_that_one_may_not_use_is_refused() -> None:
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        if int(file.read()) < 2:
            pytest.skip("this machine gives low ports to everybody")
    with pytest.raises(SetupError, match="CAP_NET_BIND_SERVICE"):
        bind(["127.0.0.1:1"])


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (("1.2.3.4", 5678), "1.2.3.4:5678"),
        (("::1", 5678, 0, 0), "[::1]:5678"),
        (("::ffff:1.2.3.4", 5678, 0, 0), "1.2.3.4:5678"),
        (("::1.2.3.4", 5678, 0, 0), "[::1.2.3.4]:5678"),
        ("", ""),
    ],
)
def test_addresses_are_spelled_as_people_write_them(address: object, text: str) -> None:
    assert spelled(address) == text


def test_the_host_of_an_address() -> None:
    assert host_of("1.2.3.4:5678") == "1.2.3.4"
    assert host_of("[::1]:5678") == "::1"
    assert host_of("") == ""
