"""`devgate doctor` on a machine with many things broken on purpose, and on a sound one."""

from __future__ import annotations

import datetime
import json
import resource
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from devgate.store.opening import open_database
from tests.e2e.caller import knowing

DESCRIPTORS = 300  # for the program: enough for 225 devices


def certificate(folder: Path, days: int) -> tuple[Path, Path]:
    """A certificate that is valid for this many days from now, and its key."""
    now = datetime.datetime.now(datetime.UTC)
    issued = trustme.CA().issue_cert(
        "localhost",
        not_before=now - datetime.timedelta(days=90),
        not_after=now + datetime.timedelta(days=days),
    )
    files = folder / "cert.pem", folder / "key.pem"
    issued.cert_chain_pems[0].write_to_path(files[0])
    issued.private_key_pem.write_to_path(files[1])
    return files


def doctor(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run it in the folder, with few descriptors."""
    return subprocess.run(
        [sys.executable, "-m", "devgate", "doctor", *options],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(filter(None, sys.path))},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that somebody else listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def fill(file: Path) -> None:
    """A database with more devices than descriptors, a missing index, and a future event."""
    open_database(f"sqlite:///{file}").close()
    with sqlite3.connect(file) as conn:
        conn.execute("DROP INDEX device_site")
        conn.executemany(
            "INSERT INTO device (imei, id) VALUES (?, ?)",
            [(f"86{n:013d}", n) for n in range(1, 301)],
        )
        conn.execute(
            "INSERT INTO event (n, at, type) VALUES (1, ?, 'gateway.started')",
            (time.time() + 3600,),
        )
    conn.close()


def test_what_is_broken_is_found(tmp_path: Path, taken: str) -> None:
    """Twelve faults at once, each with a sentence and with what to do."""
    fill(tmp_path / "x.db")
    cert, key = certificate(tmp_path, days=-1)
    (tmp_path / "tokens.toml").write_text("")
    (tmp_path / "tokens.toml").chmod(0o644)
    (tmp_path / "gateway.toml").write_text(f"""
[device]
listen = "{taken}"
proxy_from = ["10.0.0.1"]
[http]
users = "users.toml"
[control]
listen = "127.0.0.1:0"
mode = "0666"
tokens = "tokens.toml"
tls = {{ certificate = "{cert}", key = "{key}" }}
[store]
url = "sqlite:///x.db"
[[webhook]]
url = "http://127.0.0.1:9/hook"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
""")
    done = doctor(tmp_path, "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = [one for one in found if one["severity"] != "ok"]
    assert all(one["action"] for one in wrong)
    words = [f"{one['severity']} {one['check']}: {one['message']}" for one in wrong]
    for part in (
        "warning configuration: device.proxy_from has no effect",
        "warning configuration: http.users has no effect",
        "warning gateway: no gateway answers",
        "error database: the index device_site is missing",
        "error clock: the newest event is",
        "error descriptors: this user's limit of 300 open files is enough for",
        f"error ports: device.listen: cannot listen on {taken}: the port is in use",
        "warning webhooks: the receiver of the webhook 127.0.0.1-9, 127.0.0.1:9, cannot be",
        "error certificates: [control.tls]:",
        "warning exposure: control.mode: 0666",
        "warning exposure: control.tokens:",
        "warning exposure: control.tls.key:",
    ):
        assert any(line.startswith(part) for line in words), "\n".join([part, "", *words])
    assert sum(line.startswith("error database") for line in words) == 1
    assert done.returncode == 12, done.stderr
    assert not (tmp_path / "x.db-wal").exists(), "nothing is left behind"


def test_a_wrong_configuration_ends_the_examination(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text("[device]\nlisten = 5\n[nothing]\n")
    done = doctor(tmp_path)
    assert done.returncode == 12
    assert done.stdout.count("error   configuration: gateway.toml, line ") == 2


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    """The pages of a table are overwritten, and SQLite's own check sees it."""
    fill(tmp_path / "x.db")
    with sqlite3.connect(tmp_path / "x.db") as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = conn.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'device'"
        ).fetchone()
        (size,) = conn.execute("PRAGMA page_size").fetchone()
    conn.close()
    with open(tmp_path / "x.db", "r+b") as file:
        file.seek((page - 1) * size + 100)
        file.write(b"\xff" * 300)
    (tmp_path / "gateway.toml").write_text('[store]\nurl = "sqlite:///x.db"\n')
    done = doctor(tmp_path)
    assert done.returncode == 12
    assert "error   database: " in done.stdout
    assert "damaged" in done.stdout


def test_a_new_gateway_has_no_error(tmp_path: Path) -> None:
    """Before its first start: nothing is made, and only warnings of this machine may be there."""
    (tmp_path / "gateway.toml").write_text('[device]\nlisten = "127.0.0.1:0"\n')
    done = doctor(tmp_path, "--all")
    errors = [line for line in done.stdout.splitlines() if line.startswith("error ")]
    # The disk of a busy machine may be slow, which is one.
    assert [line for line in errors if "fsyncs took" not in line] == []
    assert done.returncode in ((12,) if errors else (0, 1)), done.stderr
    assert "devgate.db is not there yet" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gateway.toml"]


def test_another_configuration_than_the_gateways_own_is_said() -> None:
    """What was examined was neither the gateway's file nor its database, and nothing said so."""
    with knowing({}) as served:
        own, link = served.folder / "gateway.toml", served.folder / "link.toml"
        other = served.folder / "other.toml"
        other.write_text(own.read_text().replace("devgate.db", "other.db"))
        link.symlink_to(own)
        for file, said in ((own, 0), (link, 0), (other, 2)):
            done = served.cli("--config", str(file), "doctor", "--json")
            found = [json.loads(line) for line in done.stdout.splitlines()]
            words = [
                one["message"] for one in found
                if one["severity"] == "warning" and "the gateway works " in one["message"]
            ]  # fmt: skip
            assert len(words) == said, words
        folder = served.folder.resolve()
        assert words == [
            f"the gateway works by {own}, and what is examined here is {other}",
            f"the gateway works with the database sqlite:///{folder}/devgate.db, and the "
            f"configuration that is examined names sqlite:///{folder}/other.db",
        ]
