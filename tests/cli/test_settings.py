"""`devgate settings`: what is asked of the gateway, and what is said of its reply."""

from __future__ import annotations

import pytest

from tests.cli.answering import Answering, Reply
from tests.cli.conftest import Run


def key(name: str, value: object, origin: str, **more: object) -> Reply:
    return {
        "key": name, "value": value, "from": origin, "secret": False, "unit": None,
        "restart": False, "about": "", **more,
    }  # fmt: skip


def test_what_is_set_is_listed(
    run: Run, gateway: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply: Reply = {
        "status": "200",
        "file": "/etc/devgate/gateway.toml",
        "items": [
            key("command.keep_keys", 7776000.0, "file", unit="seconds"),
            key("command.require_key", False, "default"),
            key("http.listen", ["127.0.0.1:80", "[::1]:80"], "file", restart=True),
            key("oidc.secret", None, "environment", secret=True),
        ],
    }
    gateway.answer = lambda request: [reply]
    assert run("settings").stdout.splitlines() == [
        "read from /etc/devgate/gateway.toml",
        "",
        "SETTING            VALUE                   SET BY       RESTART",
        "command.keep_keys  90 d                    file",
        "http.listen        127.0.0.1:80, [::1]:80  file         restart",
        "oidc.secret        (secret)                environment",
    ]
    assert "command.require_key  false" in run("settings", "--all").stdout
    assert gateway.requests == [{"type": "settings"}] * 2
    monkeypatch.setenv("DEVGATE_LANG", "zh")
    file, _, _, *rows = run("settings").stdout.splitlines()
    assert file == "读自 /etc/devgate/gateway.toml"
    assert [row.split()[2:] for row in (rows[0], rows[2])] == [["d", "文件"], ["环境变量"]]
    assert rows[1].split()[3:] == ["文件", "须重启"]


def test_nothing_is_set(run: Run, gateway: Answering) -> None:
    gateway.answer = lambda request: [{"status": "200", "file": None, "items": []}]
    assert run("settings").stdout == "no file was read; every key is at its default\n"
