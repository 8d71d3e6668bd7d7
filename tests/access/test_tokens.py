"""The file of hashed tokens."""

from __future__ import annotations

import logging
import os
import stat
import threading
from pathlib import Path

import pytest

from devgate.access.tokens import NEEDS, Token, Tokens, add, entries, remove
from devgate.errors import SetupError
from devgate.gateway.operations.table import OPERATIONS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "etc" / "tokens"


def test_a_token_is_known_by_its_secret_alone(file: Path) -> None:
    shop, screen = add(file, "shop", "admin"), add(file, "screen", "read")
    assert shop.startswith("dg_")
    assert len(shop) == 46
    tokens = Tokens(file)
    for secret, name, role in ((shop, "shop", "admin"), (screen, "screen", "read")):
        token = tokens.check(secret)
        assert token is not None
        assert (token.name, token.role) == (name, role)
    assert shop not in file.read_text()


@pytest.mark.parametrize(
    "wrong", [None, 5, True, "", "shop", "dg_", [], {}, "\ud800", "x" * 70000]
)
def test_anything_else_is_nobody(file: Path, wrong: object) -> None:
    add(file, "shop", "admin")
    assert Tokens(file).check(wrong) is None


def test_not_even_the_hash_is_a_secret(file: Path) -> None:
    add(file, "shop", "admin")
    (token,) = entries(file)
    assert Tokens(file).check(token.digest) is None
    assert Tokens(file).check(f"sha256${token.digest}") is None


def test_a_missing_file_holds_no_tokens(file: Path) -> None:
    tokens = Tokens(file)
    assert tokens.check("dg_x") is None
    assert entries(file) == []
    secret = add(file, "shop", "admin")
    assert tokens.check(secret) is not None
    file.unlink()
    assert tokens.check(secret) is None


def test_changes_are_in_force_at_once(file: Path) -> None:
    first = add(file, "first")
    tokens = Tokens(file)
    second = add(file, "second")
    assert tokens.check(second) is not None
    remove(file, "first")
    assert tokens.check(first) is None
    assert tokens.check(second) is not None


@pytest.mark.parametrize("text", ["nonsense\n", "\xff", "shop owner now sha256$" + "0" * 64])
def test_a_file_that_breaks_leaves_the_tokens_and_is_told_once(
    file: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = add(file, "shop", "admin")
    tokens, good = Tokens(file), file.read_bytes()
    file.write_bytes(good + text.encode("latin-1"))
    for _ in range(3):
        assert tokens.check(secret) is not None
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert str(file) in record.getMessage()
    with pytest.raises(SetupError, match=str(file)):
        add(file, "other")
    assert file.read_bytes().endswith(text.encode("latin-1")), "it was not written over"
    with pytest.raises(SetupError):
        Tokens(file)
    file.write_bytes(b"# none\n")
    assert tokens.check(secret) is None


def test_the_file_is_for_its_owner_and_keeps_its_comments(file: Path) -> None:
    add(file, "shop", "admin")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text(f"# ours\n\n{file.read_text()}# behind\n")
    file.chmod(0o644)
    add(file, "screen", "read")
    remove(file, "shop")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    assert text.startswith("# ours\n\n# devgate tokens")
    assert "# behind\nscreen read 2" in text
    assert [path.name for path in file.parent.iterdir()] == ["tokens"]


def test_a_line_is_name_role_created_and_hash(file: Path) -> None:
    add(file, "shop", "command")
    (token,) = entries(file)
    line = file.read_text().splitlines()[-1]
    assert line == f"shop command {token.created} sha256${token.digest}"
    assert token.created.endswith("Z")


def test_a_link_stays_a_link(file: Path) -> None:
    add(file, "shop", "admin")
    link = file.parent / "link"
    link.symlink_to(file)
    add(link, "screen")
    assert link.is_symlink()
    assert [token.name for token in entries(file)] == ["shop", "screen"]


def test_a_name_is_taken_once(file: Path) -> None:
    add(file, "shop", "admin")
    with pytest.raises(SetupError, match=r"already.*remove it first"):
        add(file, "shop", "admin")
    with pytest.raises(SetupError, match="no token named other"):
        remove(file, "other")
    file.write_text(file.read_text() + file.read_text())
    with pytest.raises(SetupError, match="line 4: a second token named shop"):
        entries(file)


@pytest.mark.parametrize("name", ["", "a b", "#a", "-a", "a\nb", "ä", "x" * 65])
def test_what_is_no_name(file: Path, name: str) -> None:
    with pytest.raises(SetupError, match="a token's name is"):
        add(file, name)
    assert not file.exists()


def test_what_is_no_role(file: Path) -> None:
    with pytest.raises(SetupError, match="one of read, command, admin"):
        add(file, "shop", "owner")


def test_adding_at_once_loses_none(file: Path) -> None:
    threads = [threading.Thread(target=add, args=(file, f"t{i}")) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {token.name for token in entries(file)} == {f"t{i}" for i in range(16)}


def test_what_cannot_be_written_says_so() -> None:
    with pytest.raises(SetupError, match=r"/proc/none.*cannot be written"):
        add("/proc/none/tokens", "shop")


def test_a_folder_in_the_files_place(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be read"):
        Tokens(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_leaves_the_gateways_file_to_the_gateway(file: Path) -> None:
    add(file, "shop", "admin")
    os.chown(file, 12345, 12345)
    add(file, "screen")
    assert (file.stat().st_uid, file.stat().st_gid) == (12345, 12345)


@pytest.mark.parametrize(
    ("role", "may"),
    [("read", {"status", "tap"}), ("command", {"status", "tap", "start", "stop"}),
     ("admin", {"status", "tap", "start", "stop", "anything"})],
)  # fmt: skip
def test_roles(role: str, may: set[str]) -> None:
    token = Token("shop", role, "", "")
    asked: list[object] = ["status", "tap", "start", "stop", "anything"]
    assert {kind for kind in asked if token.may(kind)} == may
    if role != "admin":
        assert not any(token.may(kind) for kind in (None, 5, ["start"], {"a": 1}))


@pytest.mark.parametrize("role", ["read", "command", "admin"])
def test_who_is_limited_to_sites_may_not_ask_for_what_is_no_text(role: str) -> None:
    """At the TCP port of the control channel, `"type": []` with such a token was a traceback."""
    token = Token("shop", role, "", "", frozenset({"North"}))
    assert not any(token.may(kind) for kind in (None, 5, ["start"], {"a": 1}))
    assert token.may("status")


def test_each_operation_has_its_role() -> None:
    """A new operation must be given its place, or only `admin` may ask for it."""
    reads = {kind for kind in OPERATIONS if Token("", "read", "", "").may(kind)}
    commands = {kind for kind in OPERATIONS if Token("", "command", "", "").may(kind)}
    assert reads == {
        "status", "devices", "device", "export", "command", "history", "history_export",
        "find", "events", "fleet", "trend",
        "sites", "day", "order", "watch", "tap", "webhooks", "nodes", "unknown_devices",
        "alerts", "alert_log", "alert_rules", "alert_receivers",
        "bulk", "bulks", "story", "unknown", "quarantine", "password", "second_factor",
        "sessions", "session_end",
        "report", "report_export", "zones",
        "maintenance", "diagnosis", "places",
    }  # fmt: skip
    assert commands - reads == {
        "start", "stop", "cancel", "refresh", "approve", "dismiss", "bulk_start", "bulk_stop",
        "bulk_cancel", "resolve", "test_start", "maintenance_on", "maintenance_off",
        "bulk_maintenance",
    }  # fmt: skip
    assert set(OPERATIONS) - commands == {
        "confirm_loss", "take_late", "trim", "upgrade", "log_level",
        "quarantine_allow", "quarantine_lift",
        "add", "edit", "remove", "import", "upload", "webhook_add", "webhook_edit",
        "webhook_remove", "webhook_test", "webhook_replay", "node_drain", "node_remove",
        "alert_rule_add", "alert_rule_edit", "alert_rule_remove", "alert_receiver_add",
        "alert_receiver_edit", "alert_receiver_remove", "alert_receiver_test",
        "bulk_edit", "users", "user_add", "user_edit", "user_remove", "tokens", "token_add",
        "token_edit", "token_remove", "audit", "audit_export", "settings", "doctor", "zone",
    }  # fmt: skip
    assert set(NEEDS) == set(OPERATIONS)
