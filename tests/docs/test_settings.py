"""The shipped gateway.toml and the settings class say the same, key by key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli

from devgate.config.load import load
from devgate.config.settings import Settings
from devgate.config.table import Table, keys_of, needs_restart, table_of, tables_of
from devgate.config.webhook import WebhookSettings

ROOT = Path(__file__).parents[2]
FILE = ROOT / "gateway.toml"

# gateway.toml, line by line.
WRITTEN: dict[str, dict[str, Any]] = {
    "device": {
        "listen": "0.0.0.0:12306",
        "idle_timeout": 180,
        "register_timeout": 120,
        "partial_timeout": 10,
        "heartbeat_grace": 0.5,
        "max_connections": 0,
        "max_connections_per_address": 0,
        "max_malformed": 20,
        "max_outbox": 65536,
        "registration": "listed",
        "flapping": {"takeovers": 5, "within": 60, "starts": "refuse"},
        "proxy_protocol": False,
        "proxy_from": [],
    },
    "service": {
        "phone": "400-500-5620",
        "qr": "http://csgxjk.com/qrcode/dev/{id}",
    },
    "control": {
        "socket": "run/devgate.sock",
        "mode": "0660",
        "role": "command",
        "listen": "",
        "tokens": "",
        "private_webhooks": False,
        "plain": False,
    },
    "http": {
        "listen": "",
        "users": "",
        "secret": "",
        "public": "",
        "proxies": [],
        "metrics_public": False,
        "plain": False,
        "oidc": {
            "issuer": "",
            "client_id": "",
            "client_secret": "",
            "client_secret_file": "",
            "ca_file": "",
            "label": "",
            "scopes": ["openid", "profile"],
            "name_claim": "preferred_username",
            "role_claim": "groups",
            "read": [],
            "command": [],
            "admin": [],
            "sites_claim": "",
        },
    },
    "command": {
        "ack_timeout": 10,
        "late_window": 60,
        "queue_timeout": 30,
        "max_long": 86400,
        "max_waiting": 16,
        "require_key": False,
        "drain": 15,
        "while_running": "send",
        "keep_keys": "90d",
    },
    "store": {
        "url": "sqlite:///devgate.db",
        "password_file": "",
        "refresh": 30,
        "after_loss": "confirm",
        "key_file": "",
        "backups": "",
        "keep_events": "30d",
        "keep_commands": "365d",
        "max_size": 0,
    },
    "report": {
        "zone": "UTC",
        "keep": "1100d",
    },
    "cluster": {
        "node": "",
        "listen": "",
        "advertise": "",
        "share_ports": False,
        "plain": False,
    },
    "log": {
        "level": "info",
        "format": "auto",
    },
}
TLS = {"certificate", "key", "client_ca"}

OIDC = (
    "issuer", "client_id", "client_secret", "client_secret_file", "ca_file", "label", "scopes",
    "name_claim", "role_claim", "read", "command", "admin", "sites_claim",
)  # fmt: skip

RESTART = {
    *(f"http.oidc.{name}" for name in OIDC),
    "device.listen", "device.tls", "device.proxy_protocol", "device.proxy_from",
    "control.socket", "control.mode",
    "control.listen", "control.private_webhooks", "control.tls", "http.listen", "http.users",
    "http.secret", "http.public", "http.proxies", "http.metrics_public", "http.tls", "store.url",
    "store.key_file", "store.password_file", "control.plain", "http.plain",
    "cluster.node", "cluster.listen", "cluster.advertise", "cluster.share_ports",
    "cluster.plain", "cluster.tls",
    "log.format", "webhook",
}  # fmt: skip


def defaults(table: type[Table]) -> dict[str, Any]:
    """The defaults as one would write them, without the tables whose absence means something."""
    written: dict[str, Any] = {}
    for name, field in table.model_fields.items():
        inner = table_of(field)
        if tables_of(field):
            assert field.default == [], name
        elif inner is None:
            written[name] = field.default
        elif field.default is not None:
            written[name] = defaults(inner)
    return written


def fields(table: type[Table], around: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in table.model_fields.items():
        yield f"{around}{name}", field
        if inner := table_of(field) or tables_of(field):
            yield from fields(inner, f"{around}{name}.")


def test_the_settings_are_those_that_are_written_down() -> None:
    assert defaults(Settings) == WRITTEN


def test_the_shipped_file_has_every_key_at_its_default() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert tomli.loads(text) == WRITTEN
    kinds = re.findall(r"^(\w+) = (\S)", text, re.MULTILINE)
    assert len(kinds) == len(list(keys_of(Settings))) - 4 * len(TLS) - 2, "flapping is one line"


def test_loading_the_shipped_file_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert load(FILE, {}) == load(None, {})


def test_the_commented_tables_are_right(tmp_path: Path) -> None:
    lines = FILE.read_text(encoding="utf-8").split("\n")
    opened = [re.sub(r"^# (\[?\[[a-z.]+\]|[a-z_]+ = )", r"\1", line) for line in lines]
    assert sum(a != b for a, b in zip(lines, opened, strict=True)) == (
        4 * (1 + len(TLS)) + 1 + len(WebhookSettings.model_fields)
    )
    data = tomli.loads("\n".join(opened))
    for door in ("device", "control", "http", "cluster"):
        assert set(data[door]["tls"]) == TLS, door
    assert [set(table) for table in data["webhook"]] == [set(WebhookSettings.model_fields)]
    file = tmp_path / "gateway.toml"
    file.write_text("\n".join(opened), encoding="utf-8")
    got = load(file, {})
    assert got.control.tls is not None
    assert got.control.tls.client_ca == "", "what is commented out is a default, too"


def test_every_line_has_its_comment() -> None:
    lines = re.findall(r"^(?:# )?([a-z_]+ = .*)", FILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(lines) > 50
    for line in lines:
        assert re.search(r"\S +# \S", line), line


def test_the_file_says_what_needs_a_restart() -> None:
    marked: set[str] = set()
    table, announced = "", False
    for line in FILE.read_text(encoding="utf-8").split("\n"):
        if match := re.match(r"(?:# )?\[{1,2}([a-z.]+)\]{1,2}$", line):
            table = match[1]
            if announced:
                marked.add(table)
        elif "# (restart)" in line:
            marked.add(f"{table}.{line.partition(' ')[0]}")
        announced = line.startswith("#") and line.endswith("(restart)")
    assert marked == RESTART


def test_every_key_says_what_it_is_for() -> None:
    for name, field in fields(Settings):
        assert field.description, name
        assert field.description.endswith("."), name
    assert {name for name, field in fields(Settings) if needs_restart(field)} == RESTART


def test_nothing_can_be_changed_in_place() -> None:
    settings = Settings()
    for name, field in fields(Settings):
        if inner := table_of(field) or tables_of(field):
            assert inner.model_config.get("frozen"), name
            assert inner.model_config.get("extra") == "forbid", name
    assert settings.model_config.get("frozen")
