"""DEVGATE_<TABLE>__<KEY> over the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from devgate.config.load import load
from devgate.errors import SetupError


def refusal(env: dict[str, str], file: Path | None = None) -> str:
    with pytest.raises(SetupError) as caught:
        load(file, env)
    return str(caught.value)


def test_every_kind_of_value_can_come_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("[device]\nidle_timeout = 5\nmax_malformed = 5\n")
    got = load(
        file,
        {
            "DEVGATE_DEVICE__LISTEN": "127.0.0.1:1, [::1]:2",
            "DEVGATE_DEVICE__IDLE_TIMEOUT": "3m",
            "DEVGATE_DEVICE__HEARTBEAT_GRACE": "0.25",
            "DEVGATE_DEVICE__MAX_CONNECTIONS": "100",
            "DEVGATE_DEVICE__PROXY_PROTOCOL": "true",
            "DEVGATE_DEVICE__FLAPPING__WITHIN": "90",
            "DEVGATE_DEVICE__TLS__KEY": "a.key",
            "DEVGATE_DEVICE__TLS__CERTIFICATE": "/a.crt",
            "DEVGATE_SERVICE__PHONE": "",
            "DEVGATE_CONTROL__LISTEN": "",
            "DEVGATE_CONTROL__MODE": "0600",
            "DEVGATE_STORE__URL": "postgresql://u:secret@h/d",
            "DEVGATE_CLUSTER__NODE": "a",
            "DEVGATE_CLUSTER__LISTEN": "10.0.0.1:12309, [::1]:0",
            "DEVGATE_CLUSTER__ADVERTISE": "node-a.example:12309",
            "DEVGATE_CLUSTER__PLAIN": "true",
            "DEVGATE_CLUSTER__TLS__CERTIFICATE": "/node.crt",
            "DEVGATE_CLUSTER__TLS__KEY": "node.key",
            "DEVGATE_LOG__LEVEL": "debug",
            "DEVGATE_SOCKET": "elsewhere",
            "DEVGATE_CONFIG": "elsewhere",
            "DEVGATE_SERVICE_HOST": "10.0.0.1",
            "DEVGATE_PORT_12306_TCP": "tcp://10.0.0.1:12306",
            "PATH": "/bin",
        },
    )
    assert got.device.listen == ["127.0.0.1:1", "[::1]:2"]
    assert got.device.idle_timeout == 180.0
    assert got.device.heartbeat_grace == 0.25
    assert got.device.max_connections == 100
    assert got.device.max_malformed == 5, "from the file"
    assert got.device.proxy_protocol is True
    assert got.device.flapping.within == 90.0
    assert got.device.tls is not None
    assert got.device.tls.key == str(tmp_path / "a.key")
    assert got.device.tls.certificate == "/a.crt"
    assert got.service.phone == ""
    assert got.control.listen == []
    assert got.control.mode == 0o600
    assert got.store.url == "postgresql://u:secret@h/d"
    assert type(got.store.url) is str
    assert (got.cluster.node, got.cluster.advertise) == ("a", "node-a.example:12309")
    assert type(got.cluster.node) is str
    assert got.cluster.listen == ["10.0.0.1:12309", "[::1]:0"]
    assert got.cluster.plain is True
    assert got.cluster.tls is not None
    assert got.cluster.tls.certificate == "/node.crt"
    assert got.cluster.tls.key == str(tmp_path / "node.key")
    assert got.log.level == "debug"


def test_a_table_of_the_file_is_completed(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("[device.tls]\ncertificate = 'a'\n")
    got = load(file, {"DEVGATE_DEVICE__TLS__KEY": "b"})
    assert got.device.tls is not None
    assert got.device.tls.key == str(tmp_path / "b")


MISTAKES = """\
DEVGATE_DEVICE__MAX_CONNECTIONS=many: a whole number from 0 to 10000000 expected, not 'many'
DEVGATE_DEVICE__MAX_CONNECTIONS=: a whole number from 0 to 10000000 expected, not ''
DEVGATE_DEVICE__PROXY_PROTOCOL=1: true or false expected, not '1'
DEVGATE_DEVICE__LISTEN=: at least one "HOST:PORT" expected, not nothing
DEVGATE_DEVICE__LISTEN=[::1]:1,: "HOST:PORT" expected, not ''
DEVGATE_DEVICE__LSTEN=: no such setting; did you mean DEVGATE_DEVICE__LISTEN?
DEVGATE_device__listen=: no such setting; did you mean DEVGATE_DEVICE__LISTEN?
DEVGATE_CLUSTER__NODES=a: no such setting; did you mean DEVGATE_CLUSTER__NODE?
DEVGATE_CLUSTER_NODE=a: two underscores between levels expected: DEVGATE_CLUSTER__NODE
DEVGATE_CLUSTER__ADVERTISE=a: "HOST:PORT" expected, not 'a'
DEVGATE_X__Y=: no such setting
DEVGATE_DEVICE_LISTEN=: two underscores between levels expected: DEVGATE_DEVICE__LISTEN
DEVGATE_COMMAND_DRAIN=: two underscores between levels expected: DEVGATE_COMMAND__DRAIN
DEVGATE_LOG=: a table, set its keys one by one: DEVGATE_LOG__LEVEL, DEVGATE_LOG__FORMAT
DEVGATE_DEVICE__TLS__KEY=b: device.tls.certificate: missing: [device.tls] needs certificate and key
DEVGATE_SERVICE__PHONE=\udcff: UTF-8 expected
"""


@pytest.mark.parametrize("case", MISTAKES.splitlines(), ids=ascii)
def test_the_variable_is_named(case: str) -> None:
    name, _, rest = case.partition("=")
    value, _, said = rest.partition(": ")
    assert refusal({name: value}) == f"{name}: {said}"


def test_values_that_do_not_go_together() -> None:
    assert refusal({"DEVGATE_CONTROL__LISTEN": "0.0.0.0:1"}) == (
        "DEVGATE_CONTROL__LISTEN: without a token file devgate listens for control only on "
        "loopback, not on 0.0.0.0:1: set control.tokens or change control.listen"
    )
    assert refusal({"DEVGATE_COMMAND__KEEP_KEYS": "900d"}) == (
        "DEVGATE_COMMAND__KEEP_KEYS: at least as long as command.keep_keys expected: a key whose "
        "command is forgotten could start a device twice"
    )
    assert refusal({"DEVGATE_CLUSTER__NODE": "a"}) == (
        "DEVGATE_CLUSTER__NODE: the nodes of a cluster share one PostgreSQL: "
        "a URL postgresql://... expected"
    )


def test_errors_in_variables_and_lines_are_reported_together(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("device = 5\n[log]\nlevel = 5\n")
    said = refusal(
        {"DEVGATE_DEVICE__FLAPPING__WITHIN": "1", "DEVGATE_STORE__REFRESH": "x"}, file
    ).split("\n")
    assert [line.partition(": ")[0] for line in said] == [
        "DEVGATE_STORE__REFRESH",
        f"{file}, line 1",
        f"{file}, line 3",
    ]


def test_a_secret_is_not_quoted() -> None:
    assert "secret" not in refusal({"DEVGATE_STORE__URL": "oracle://u:secret@h"})
