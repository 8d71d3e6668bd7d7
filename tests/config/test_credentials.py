"""Secrets in files that systemd gives a service, and the file of the database's password."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from devgate.config.credentials import named
from devgate.config.exposure import exposed
from devgate.config.load import load
from devgate.config.settings import Settings
from devgate.errors import SetupError
from devgate.store.postgres_url import parsed, shown

TEXT = """
[http]
secret = "$CREDENTIALS_DIRECTORY/devgate.http.secret"
tls = { certificate = "http.crt", key = "$CREDENTIALS_DIRECTORY/devgate.http.tls.key" }
[store]
url = "postgresql://devgate@db.example/devgate"
key_file = "$CREDENTIALS_DIRECTORY/devgate.store.key"
password_file = "$CREDENTIALS_DIRECTORY/devgate.store.password"
[[webhook]]
url = "https://shop.example/devgate"
secret_file = "$CREDENTIALS_DIRECTORY/shop.secret"
"""


def files_of(settings: Settings) -> list[str]:
    assert settings.http.tls is not None
    return [
        settings.http.secret, settings.http.tls.key, settings.store.key_file,
        settings.store.password_file, settings.webhook[0].secret_file,
    ]  # fmt: skip


def names_in(folder: Path) -> list[str]:
    return [
        str(folder / name)
        for name in ("devgate.http.secret", "devgate.http.tls.key", "devgate.store.key",
                     "devgate.store.password", "shop.secret")
    ]  # fmt: skip


def test_every_secret_may_be_a_credential(tmp_path: Path) -> None:
    """For the service where systemd says, for commands beside it where systemd has put them."""
    file = tmp_path / "devgate" / "gateway.toml"
    file.parent.mkdir()
    file.write_text(TEXT)
    given = tmp_path / "given"
    given.mkdir()
    (given / "devgate.store.password").write_text("a b&c/d?e%\n")
    there = load(file, {"CREDENTIALS_DIRECTORY": str(given)})
    assert files_of(there) == names_in(given)
    assert there.http.tls
    assert there.http.tls.certificate == str(file.parent / "http.crt"), "others stay relative"
    assert make_url(there.store.url).query["password"] == "a b&c/d?e%"
    assert "a%20b" not in shown(parsed(there.store.url))
    assert "a%20b" not in repr(there)
    beside = load(file, {}, password=False)
    assert files_of(beside) == names_in(Path("/run/credentials/devgate.service"))
    assert beside.store.url == "postgresql://devgate@db.example/devgate"
    with pytest.raises(SetupError) as refused:
        load(file, {})
    assert str(refused.value) == (
        f"{file}, line 8: store.password_file: "
        "/run/credentials/devgate.service/devgate.store.password can't be read: No such file or "
        "directory; systemd puts it there while the service runs, for the service and for root"
    )


@pytest.mark.parametrize("content", ["", "\n", "two\nlines\n", "x" * 1025, "\0"])
def test_a_file_without_a_password_is_refused_and_not_quoted(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret").write_text(content)
    env = {"DEVGATE_STORE__URL": "postgresql://a@b/c", "DEVGATE_STORE__PASSWORD_FILE": "secret"}
    (tmp_path / "gateway.toml").write_text("")
    with pytest.raises(SetupError) as refused:
        load(tmp_path / "gateway.toml", env)
    assert str(refused.value) == (
        f"DEVGATE_STORE__PASSWORD_FILE: {tmp_path}/secret: one line with a password expected, "
        "of at most 1024 bytes"
    )


@pytest.mark.parametrize("url", ["postgresql://a:b@c/d", "postgresql:///d?host=x&password=b"])
def test_a_password_is_given_once(url: str) -> None:
    with pytest.raises(SetupError, match="either a password in url or password_file expected"):
        load(None, {"DEVGATE_STORE__URL": url, "DEVGATE_STORE__PASSWORD_FILE": "x"})


def test_a_password_that_everybody_can_read_is_said(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("hush\n")
    file.chmod(0o644)
    env = {"DEVGATE_STORE__URL": "postgresql:///d", "DEVGATE_STORE__PASSWORD_FILE": str(file)}
    settings = load(None, env)
    assert settings.store.url == "postgresql:///d?password=hush"
    assert [words.split(":")[0] for words in exposed(settings)] == ["store.password_file"]


def test_the_credentials_that_a_configuration_names() -> None:
    data = {"a": [{"b": "$CREDENTIALS_DIRECTORY/x.y"}], "c": "$CREDENTIALS_DIRECTORY/../z", "d": 1}
    assert list(named(data)) == ["x.y"]
