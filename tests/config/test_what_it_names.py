"""What only `devgate serve` checks of a configuration: errors have file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from devgate.config.load import load
from devgate.errors import SetupError
from devgate.process import check, unreachable
from tests.net.papers import Papers
from tests.webhooks.receiver import SECRET

HOOK = f"[[webhook]]\nurl = 'https://one.example/'\nsecret = '{SECRET}'\n"
FILE = f"{HOOK}[[webhook]]\nurl = 'https://two.example/'\nsecret_file = 'hush'\n"


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path)


def said(folder: Path, text: str, env: dict[str, str] | None = None) -> SetupError:
    """What is said of this file, with its folder cut off."""
    file = folder / "gateway.toml"
    file.write_text(text)
    with pytest.raises(SetupError) as caught:
        check(load(file, env or {}))
    return SetupError(str(caught.value).replace(f"{folder}/", ""), caught.value.status)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            f"{HOOK}{HOOK.replace('one', 'two')}events = ['device.onlin']",
            "gateway.toml, line 7: webhook.events: no event is called 'device.onlin'; "
            "did you mean device.online?",
        ),
        (
            FILE,
            "gateway.toml, line 6: webhook.secret_file: hush: can't be read: "
            "No such file or directory",
        ),
    ],
)
def test_a_webhook_of_no_use_is_told_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    assert str(said(tmp_path, text)) == says


@pytest.mark.parametrize(
    "text",
    [
        f"{HOOK}events = ['device.onlin']",
        FILE,
        "[device.tls]\ncertificate = 'nowhere'\nkey = 'nowhere'",
        "[control]\ntokens = 'gateway.toml'",
        "[http]\nusers = 'gateway.toml'",
    ],
)
def test_what_it_names_is_a_part_of_the_configuration(tmp_path: Path, text: str) -> None:
    """The status of control.md section 3, with which `serve` ends: systemd does not start it again
    and again."""
    assert said(tmp_path, text).status == "400"


@pytest.mark.parametrize(
    ("key", "line", "says"),
    [
        ("certificate", 3, "TLS certificate nowhere: no such file or directory; "),
        ("key", 4, "TLS private key nowhere: no such file or directory; "),
        ("client_ca", 5, "TLS client_ca nowhere: no such file or directory; "),
    ],
)
def test_a_file_of_tls_is_told_with_its_line(
    tmp_path: Path, papers: Papers, key: str, line: int, says: str
) -> None:
    files = {"certificate": papers.certificate, "key": papers.key, "client_ca": papers.certificate}
    files[key] = tmp_path / "nowhere"
    lines = "\n".join(f'{name} = "{file}"' for name, file in files.items())
    text = str(said(tmp_path, f"[http]\n[http.tls]\n{lines}\n"))
    assert text.startswith(f"gateway.toml, line {line}: http.tls.{key}: {says}")
    assert (
        load(tmp_path / "gateway.toml", {}).where("http.tls.key").endswith("line 4: http.tls.key")
    )


def test_a_variable_is_told_where_it_names_the_file(tmp_path: Path) -> None:
    env = {"DEVGATE_HTTP__TLS__CERTIFICATE": "nowhere", "DEVGATE_HTTP__TLS__KEY": "nowhere"}
    text = str(said(tmp_path, "", env))
    assert text.startswith("DEVGATE_HTTP__TLS__CERTIFICATE: TLS certificate nowhere: no such")


def test_a_webhook_that_nothing_can_be_posted_to_is_warned_of(tmp_path: Path) -> None:
    """It is no error: a gateway that starts with it today goes on to start."""
    file = tmp_path / "gateway.toml"
    private = HOOK.replace("one.example", "10.0.0.1")
    allowed = f"{HOOK.replace('one.example', '10.0.0.2')}allow_private = true\n"
    file.write_text(f"{HOOK}{private}{allowed}{HOOK.replace('one.example', 'localhost')}")
    settings = load(file, {})
    check(settings)
    assert [words.replace(f"{file}, ", "") for words in unreachable(settings)] == [
        f"line {line}: webhook.url: {host} is not a public address; "
        "set allow_private = true to post to it anyway"
        for line, host in ((5, "10.0.0.1"), (12, "localhost"))
    ]
