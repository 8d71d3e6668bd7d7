"""Files that are right, files that are wrong, and the words for what is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from devgate.config.load import differences, load
from devgate.config.settings import Settings
from devgate.errors import SetupError


def settings(folder: Path, text: str) -> Settings:
    file = folder / "gateway.toml"
    file.write_text(text, encoding="utf-8")
    return load(file, {})


def refusal(folder: Path, text: str | bytes) -> str:
    """What is said of this file, with its name cut off each line."""
    file = folder / "gateway.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(SetupError) as caught:
        load(file, {})
    lines = str(caught.value).split("\n")
    assert all(line.startswith(str(file)) for line in lines), "every line names the file"
    return "\n".join(line.removeprefix(str(file)) for line in lines)


def test_an_empty_file_serves_like_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings(tmp_path, "") == load(None, {})
    assert load(None, {}).control.socket == str(tmp_path / "run/devgate.sock")


def test_values_come_out_as_the_gateway_uses_them(tmp_path: Path) -> None:
    got = settings(
        tmp_path,
        """
        [device]
        listen = ["[::]:12306", "127.0.0.1:0", "localhost:09"]
        idle_timeout = "3m"
        flapping.within = "1h30m"
        proxy_protocol = true
        proxy_from = "10.0.0.7"
        tls = { certificate = "a.crt", key = "/etc/a.key" }
        [control]
        mode = "600"
        listen = "127.0.0.1:12307"
        [command]
        while_running = "refuse"
        keep_keys = "2d"
        """,
    )
    assert got.device.listen == ["[::]:12306", "127.0.0.1:0", "localhost:9"]
    assert got.device.idle_timeout == 180.0
    assert got.device.flapping.within == 5400.0
    assert got.device.flapping.takeovers == 5
    assert got.device.proxy_protocol is True
    assert got.device.tls is not None
    assert got.device.tls.certificate == str(tmp_path / "a.crt")
    assert got.device.tls.key == "/etc/a.key"
    assert got.device.tls.client_ca == ""
    assert got.control.mode == 0o600
    assert got.control.listen == ["127.0.0.1:12307"]
    assert got.control.tls is None
    assert got.command.while_running == "refuse"
    assert got.command.keep_keys == 172800.0


def test_relative_paths_start_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    monkeypatch.chdir(tmp_path)
    file = Path("etc/gateway.toml")
    file.write_text('[store]\nurl = "sqlite:///data/x.db"\n[control]\ntokens = "tokens"\n')
    got = load(file, {})
    assert got.store.url == f"sqlite:///{tmp_path}/etc/data/x.db"
    assert got.control.tokens == str(tmp_path / "etc/tokens")
    assert got.control.socket == str(tmp_path / "etc/run/devgate.sock")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////var/lib/devgate.db",
        "postgresql://devgate:p%40ss@db.example/devgate",
        "postgresql+psycopg:///devgate",
    ],
)
def test_these_databases_are_taken_as_they_are(tmp_path: Path, url: str) -> None:
    assert settings(tmp_path, f'[store]\nurl = "{url}"').store.url == url


def test_a_byte_order_mark_and_windows_lines_do_no_harm(tmp_path: Path) -> None:
    got = settings(tmp_path, "\ufeff[device]\r\nmax_malformed = 7\r\n")
    assert got.device.max_malformed == 7


MISTAKES = (Path(__file__).parent / "mistakes.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("case", [line for line in MISTAKES if not line.startswith("#")])
def test_each_mistake_is_named_with_its_key_and_line(tmp_path: Path, case: str) -> None:
    text, said = case.split(" | ")
    assert refusal(tmp_path, text.replace(" / ", "\n")) == f", line {said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"[device]\nidle_timeout = {'9' * 400}", f"to 7d expected, not {'9' * 57}..."),
        (f"[device]\nidle_timeout = '{'9' * 400}d'", f"to 7d expected, not '{'9' * 56}..."),
        (f"[device]\nmax_malformed = {'9' * 400}", f"to 1000000 expected, not {'9' * 57}..."),
        (f"[service]\nphone = '{'x' * 977}'", "at most 976 bytes fit into a frame, not 977"),
        (f"[service]\nphone = '{'电' * 326}'", "at most 976 bytes fit into a frame, not 978"),
        (f"[service]\nqr = '{{id}}{'x' * 958}'", "at most 976 bytes fit into a frame, not 977"),
        (f"[log]\n{'x' * 400} = 1", f"log.'{'x' * 56}...: unknown key; known here: level, format"),
    ],
    ids=lambda text: text[:24],
)
def test_what_is_long_is_not_quoted_at_length(tmp_path: Path, text: str, said: str) -> None:
    assert refusal(tmp_path, text).endswith(said)


def test_the_longest_texts_that_fit_are_taken(tmp_path: Path) -> None:
    phone, qr = "电" * 325 + "x", "{imei}{id}" + "x" * (976 - 15 - 19)
    got = settings(tmp_path, f"[service]\nphone = '{phone}'\nqr = '{qr}'")
    assert (got.service.phone, got.service.qr) == (phone, qr)


def test_a_socket_that_linux_would_not_bind_is_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, f"[control]\nsocket = '/{'x' * 107}'")
    assert "a path of at most 107 bytes expected" in said
    assert "not 108 bytes: '/xxx" in said
    assert settings(tmp_path, f"[control]\nsocket = '/{'x' * 106}'").control.socket[-1] == "x"


@pytest.mark.parametrize(
    "address", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.org:1", "[::ffff:10.0.0.1]:1"]
)
def test_control_tcp_needs_a_token_file(tmp_path: Path, address: str) -> None:
    text = f"[control]\nmode = '0600'\nlisten = ['127.0.0.1:2', '{address}']\n"
    assert refusal(tmp_path, text) == (
        ", line 3: control.listen: without a token file devgate listens for control only on "
        f"loopback, not on {address}: set control.tokens or change control.listen"
    )
    assert settings(tmp_path, text + "tokens = 't'").control.listen[1] == address


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "127.9.9.9:0", "[::1]:1", "localhost:1", "[::ffff:127.0.0.1]:1"]
)
def test_loopback_needs_none(tmp_path: Path, address: str) -> None:
    got = settings(tmp_path, f"[control]\nlisten = '{address}'")
    assert got.control.listen == [address]


def test_two_free_ports_on_one_address_are_no_mistake(tmp_path: Path) -> None:
    got = settings(tmp_path, "[device]\nlisten = ['127.0.0.1:0', '127.0.0.1:0']")
    assert len(got.device.listen) == 2


def test_all_mistakes_are_named_in_the_order_of_the_file(tmp_path: Path) -> None:
    said = refusal(tmp_path, "[log]\nlevel = 1\nx = 1\n[device]\nlisten = 1\n[control]\nmode = 1")
    assert [line.split(":")[0] for line in said.split("\n")] == [
        ", line 2", ", line 3", ", line 5", ", line 7",
    ]  # fmt: skip


def test_a_wrong_file_altogether_gets_a_screenful(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("[device]\n" + "".join(f"x{n} = 1\n" for n in range(1000)))
    with pytest.raises(SetupError) as caught:
        load(file, {})
    lines = str(caught.value).split("\n")
    assert len(lines) == 21
    assert lines[-1] == "and 980 more"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"[device]\nlisten = \n", ", line 2: not TOML: invalid value (column 10)"),
        (b"[device\n", ", line 1: not TOML: expected ']' at the end of a table declaration"),
        (b"a = 1\na = 2\n", ", line 2: not TOML: cannot overwrite a value (column 6)"),
        (b"a = 1\n\nb = '\xff'\n", ", line 3: not UTF-8 (byte 0xff); save the file as UTF-8"),
        (b"\xef\xbb\xbf\xff", ", line 1: not UTF-8 (byte 0xff); save the file as UTF-8"),
        (b"#" * (1024 * 1024 + 1), ": too long for a configuration: over 1048576 bytes"),
    ],
)  # fmt: skip
def test_files_that_are_no_toml(tmp_path: Path, raw: bytes, said: str) -> None:
    assert refusal(tmp_path, raw).startswith(said)


@pytest.mark.parametrize("raw", [b"a = " + b"[" * 9999, b"a = " + b"9" * 9999, b"a=2024-02-31"])
def test_toml_that_no_reader_takes_is_one_line(tmp_path: Path, raw: bytes) -> None:
    assert "\n" not in refusal(tmp_path, raw)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, why in [
        (tmp_path, "Is a directory"),
        (tmp_path / "none.toml", "No such file or directory"),
        (tmp_path / "a\nb", "No such file or directory"),
        (Path("/dev/null/x"), "Not a directory"),
        (Path("a\0b"), "no file's name has a NUL in it"),
    ]:
        with pytest.raises(SetupError) as caught:
            load(path, {})
        name = str(path) if str(path).isprintable() else repr(str(path))
        assert str(caught.value) == f"{name}: can't be read: {why}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.touch(mode=0o000)
    with pytest.raises(SetupError, match="can't be read: Permission denied"):
        load(file, {})


def test_a_folder_that_no_database_url_can_name(tmp_path: Path) -> None:
    (tmp_path / "a?b").mkdir()
    assert "a folder without ? in its name expected" in refusal(tmp_path / "a?b", "")


def test_a_password_shows_in_no_repr(tmp_path: Path) -> None:
    got = settings(tmp_path, "[store]\nurl = 'postgresql://u:hush@h/d'")
    assert "hush" not in repr(got)
    assert "hush" in got.store.url


def test_what_changed_is_told_apart(tmp_path: Path) -> None:
    old = settings(tmp_path, "")
    assert differences(old, settings(tmp_path, "[log]\nlevel = 'info'")) == ([], [])
    new = settings(
        tmp_path,
        """
        [device]
        listen = "0.0.0.0:1"
        idle_timeout = 1
        flapping = { takeovers = 6 }
        tls = { certificate = "a", key = "b" }
        [service]
        phone = "1"
        [control]
        mode = "0600"
        tokens = "t"
        [store]
        keep_events = 1
        [log]
        level = "debug"
        format = "json"
        """,
    )
    assert differences(old, new) == (
        ["device.idle_timeout", "device.flapping.takeovers", "service.phone", "control.tokens",
         "store.keep_events", "log.level"],
        ["device.listen", "device.tls", "control.mode", "log.format"],
    )  # fmt: skip


def test_another_key_of_tls_is_a_restart_too(tmp_path: Path) -> None:
    text = "[control.tls]\ncertificate = 'a'\nkey = '%s'"
    assert differences(settings(tmp_path, text % "b"), settings(tmp_path, text % "c")) == (
        [],
        ["control.tls"],
    )


def test_an_open_door_keeps_its_tokens_until_the_restart(tmp_path: Path) -> None:
    old = settings(tmp_path, "[control]\nlisten = '0.0.0.0:1'\ntokens = 't'")
    new = settings(tmp_path, "")
    assert differences(old, new) == ([], ["control.listen", "control.tokens"])
    closed = settings(tmp_path, "[control]\nlisten = '127.0.0.1:1'\ntokens = 't'")
    assert differences(closed, settings(tmp_path, "[control]\nlisten = '127.0.0.1:1'")) == (
        ["control.tokens"],
        [],
    )
