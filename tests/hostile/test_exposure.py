"""What a configuration exposes is reported, by `serve --check` and at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from devgate.config.exposure import exposed
from devgate.config.load import load
from tests.e2e.harness import gateway, run

TABLES = (
    '[control]\nlisten = "0.0.0.0:0"\ntokens = "tokens"\n{control}'
    '[http]\nlisten = "[::]:0"\n{http}'
)
TLS = 'tls = { certificate = "a.crt", key = "a.key" }\n'


def found(folder: Path, text: str) -> list[str]:
    file = folder / "gateway.toml"
    file.write_text(text)
    return list(exposed(load(file, {})))


def test_plain_text_off_loopback_is_told(tmp_path: Path) -> None:
    """M8: `serve --check` called tokens and no TLS on 0.0.0.0 right."""
    plain = TABLES.format(control="", http="")
    says = found(tmp_path, plain)
    assert [words.partition(":")[0] for words in says] == ["control.listen", "http.listen"]
    assert "plain text" in says[0]
    done = run(tmp_path, "serve", "--check")
    assert done.returncode == 0
    assert done.stderr.count("warning: ") == 2


@pytest.mark.parametrize(
    ("control", "http"),
    [
        ("plain = true\n", "plain = true\n"),
        (TLS, TLS),
        (TLS, 'public = "https://gateway.example"\n'),
    ],
)
def test_not_where_something_ends_tls(tmp_path: Path, control: str, http: str) -> None:
    """M8: TLS of our own, or a proxy's, of which the configuration says so."""
    assert found(tmp_path, TABLES.format(control=control, http=http)) == []


NODE = (
    '[store]\nurl = "postgresql:///devgate"\n[cluster]\nnode = "a"\n'
    'listen = ["127.0.0.1:1", "10.0.0.1:1"]\n{more}'
)


def test_plain_text_between_nodes_is_told(tmp_path: Path) -> None:
    [words] = found(tmp_path, NODE.format(more=""))
    assert words.startswith("cluster.listen: 10.0.0.1:1 is not loopback and speaks plain text")
    assert "the nodes' secret among it: set [cluster.tls], or plain = true in [cluster]" in words
    for more in ("plain = true\n", TLS):
        assert found(tmp_path, NODE.format(more=more)) == []
    assert found(tmp_path, '[cluster]\nlisten = "10.0.0.1:1"\n') == [], "no node: it is not opened"


def test_loopback_is_nobodys_business(tmp_path: Path) -> None:
    """M8."""
    assert found(tmp_path, '[control]\nlisten = "127.0.0.1:0"\n[http]\nlisten = "[::1]:0"\n') == []
    assert found(tmp_path, "") == []


def test_wide_modes_and_readable_secrets_are_told(tmp_path: Path) -> None:
    """M8: a socket of mode 0666 and a 0644 `[http] secret` were right, too."""
    text = (
        '[control]\nmode = "0666"\ntokens = "tokens"\n[http]\nsecret = "secret"\nusers = "users"\n'
        '[[webhook]]\nurl = "https://a.example/"\nsecret_file = "hook"\n'
    )
    files = ("tokens", "secret", "users", "hook", "devgate.db", "devgate.db.key")
    for name in files:
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o644)
    says = found(tmp_path, text)
    assert len(says) == 1 + len(files)
    for name in files:
        (tmp_path / name).chmod(0o640)
    [words] = found(tmp_path, text)
    assert words.startswith("control.mode: 0666")


def test_a_gateway_that_starts_says_so_in_its_log() -> None:
    """M8."""
    with gateway({"control": {"mode": "0666"}}) as served:
        assert '"warning"' in served.logged("exposed", "control.mode: 0666")
