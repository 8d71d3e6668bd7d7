"""Validators, linters and generators read the document; what is generated starts a machine."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from devgate.http.api.openapi import openapi
from tests.e2e.caller import Robot
from tests.http.harness import Site

HERE = Path(__file__).parent / "generators"
PACKAGES = Path(sys.prefix) / "npm"  # what npm installs is kept beside what pip has installed
IMEI = "123456787654321"
# A request's body that is neither JSON nor a form is beyond this generator.
NOT_GENERATED = {"POST /api/command", "POST /api/devices/import"}
PYTHON = """
import sys
from devgate_client import AuthenticatedClient
from devgate_client.api.commands import start_device
from devgate_client.api.reports import get_fleet
from devgate_client.models import Fleet, Ordered, StartDeviceBody

url, token, imei = sys.argv[1:]
with AuthenticatedClient(url, token=token, verify_ssl=False) as client:
    body = StartDeviceBody(long=60)
    started = start_device.sync(imei, client=client, body=body, idempotency_key="from-python")
    assert isinstance(started, Ordered), started
    fleet = get_fleet.sync(client=client)
    assert isinstance(fleet, Fleet), fleet
    print(started.outcome.value, sum(hour.start for hour in fleet.hours))
"""


def run(*command: str | Path, cwd: Path, env: Mapping[str, str] = {}) -> str:
    """What a program says; it has to succeed."""
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True,
        timeout=150,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def document(tmp_path: Path) -> Path:
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(openapi("https://gate.devgate.dev"), indent=1))
    return file


def test_the_validator_finds_nothing() -> None:
    validator = pytest.importorskip("openapi_spec_validator", reason="pip install .[dev]")
    for public in ("", "https://gate.devgate.dev"):
        validator.validate(openapi(public))


def test_a_generated_python_client_starts_a_machine(
    served: Site, document: Path, tmp_path: Path
) -> None:
    pytest.importorskip("openapi_python_client", reason="pip install .[dev]")
    (tmp_path / "config.json").write_text('{"post_hooks": []}')
    generate = (
        f"exec {sys.executable} -m openapi_python_client generate --path {document} --meta none "
        "--output-path devgate_client --config config.json 2>&1"
    )
    said = run("sh", "-c", generate, cwd=tmp_path)
    left_out = {line.split(" within ")[0] for line in said.split("WARNING parsing ")[1:]}
    assert left_out == NOT_GENERATED, said
    run(sys.executable, "-m", "compileall", "-q", "devgate_client", cwd=tmp_path)
    modules = [
        ".".join(file.relative_to(tmp_path).with_suffix("").parts)
        for file in (tmp_path / "devgate_client").rglob("*.py")
        if file.name != "__init__.py"
    ]
    assert len(modules) > 60
    (tmp_path / "every.py").write_text("".join(f"import {name}\n" for name in modules))
    run(sys.executable, "every.py", cwd=tmp_path)
    (tmp_path / "start.py").write_text(PYTHON)
    started(served, [sys.executable, "start.py"], tmp_path)


def started(served: Site, command: list[str], cwd: Path) -> None:
    """A program that is given URL, token and IMEI starts the machine and says so."""
    served.ask({"type": "add", "imei": IMEI})
    try:
        with Robot(served, IMEI) as device:
            run(*command, served.url, served.tokens["command"], IMEI, cwd=cwd)
            assert device.seen == ["QD60"]
    finally:
        served.ask({"type": "remove", "imei": IMEI})


@pytest.fixture(scope="module")
def npm() -> Path:
    """A folder with what package-lock.json names, kept until that changes."""
    program = shutil.which("npm")
    if program is None:
        pytest.skip("npm is not installed (Debian: apt-get install npm)")
    lock = (HERE / "package-lock.json").read_bytes()
    folder = PACKAGES / hashlib.sha256(lock).hexdigest()[:16]
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        options = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
        done = subprocess.run(
            [program, "ci", *options], cwd=folder, capture_output=True, text=True, timeout=170
        )
        if done.returncode:
            pytest.skip(f"npm cannot install the linters here: {done.stderr.strip()[-200:]}")
        (folder / "done").touch()
    return folder


@pytest.mark.slow
def test_redocly_finds_nothing(npm: Path, document: Path) -> None:
    said = run(
        npm / "node_modules/.bin/redocly", "lint", "--extends", "recommended", "--format", "json",
        document.name,
        cwd=document.parent, env={"REDOCLY_TELEMETRY": "off", "CI": "1"},
    )  # fmt: skip
    assert json.loads(said)["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}, said


@pytest.mark.slow
def test_spectral_finds_nothing(npm: Path, document: Path) -> None:
    (document.parent / "rules.yaml").write_text('extends: ["spectral:oas"]\n')
    said = run(
        npm / "node_modules/.bin/spectral", "lint", "--ruleset", "rules.yaml", "--fail-severity",
        "hint", "--format", "json", document.name,
        cwd=document.parent,
    )  # fmt: skip
    found, _ = json.JSONDecoder().raw_decode(said)  # a sentence follows
    assert found == []


@pytest.mark.slow
def test_generated_typescript_compiles_and_starts_a_machine(
    served: Site, npm: Path, document: Path
) -> None:
    folder = document.parent
    for name in ("package.json", "start.ts", "tsconfig.json"):
        shutil.copy(HERE / name, folder)
    (folder / "node_modules").symlink_to(npm / "node_modules")
    programs = npm / "node_modules/.bin"
    run(programs / "openapi-typescript", document.name, "-o", "devgate.ts", cwd=folder)
    run(programs / "tsc", "-p", ".", cwd=folder)
    started(served, ["node", "out/start.js"], folder)
