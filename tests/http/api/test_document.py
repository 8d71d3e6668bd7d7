"""The API's documents: one for programs, one for people."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from devgate.access.tokens import NEEDS
from devgate.gateway.operations.table import OPERATIONS
from devgate.http.api.endpoints import CALLS
from devgate.http.api.openapi import openapi
from devgate.http.api.samples.every import SAMPLES
from devgate.http.api.samples.sample import NEXT
from devgate.http.api.snippets import LANGUAGES
from devgate.http.pages.i18n import WORDS
from devgate.http.problems import STATUSES
from devgate.model import EXIT
from tests.e2e.caller import Robot
from tests.e2e.harness import environment
from tests.http.harness import Site


def test_every_call_is_an_operation_that_every_way_in_has() -> None:
    carried = {call.operation for call in CALLS if call.operation}
    assert carried <= set(OPERATIONS)
    assert carried <= set(NEEDS)


def test_every_status_has_its_place() -> None:
    assert set(STATUSES) == set(EXIT)
    for code, (http, _) in STATUSES.items():
        assert (http < 300) is (EXIT[code] == 0), code


def test_the_document_tells_of_every_call(client: httpx.Client) -> None:
    response = client.get("/api/openapi.json")
    assert response.headers["content-type"] == "application/json"
    document = response.json()
    assert document["openapi"].startswith("3.1")
    documented_calls = {
        (m.upper(), path) for path, calls in document["paths"].items() for m in calls
    }
    assert documented_calls == {(call.method, call.path) for call in CALLS}
    text = response.text
    for name in re.findall(r'"#/components/schemas/(\w+)"', text):
        assert name in document["components"]["schemas"]
    assert openapi("https://gate.example")["servers"] == [{"url": "https://gate.example"}]


def test_the_page_needs_nobody_else(served: Site, client: httpx.Client) -> None:
    response = client.get("/api/docs")
    assert response.headers["content-type"].startswith("text/html")
    page = response.text
    assert " style=" not in page
    for url in re.findall(r'(?:href|src)="([^"#]+)', page):
        assert url.startswith("/"), url
        assert client.get(url).status_code == 200
    for call in CALLS:
        assert f"<code>{call.path}</code>" in page
        assert f'id="{call.operation or "raw"}"' in page
    for code in STATUSES:
        assert f'id="{code}"' in page
    assert f"{served.url}/api/devices/123456787654321/start" in page
    assert 'href="/api/docs"' in client.get("/").text


def test_the_page_is_there_in_chinese(client: httpx.Client) -> None:
    page = client.get("/api/docs", headers={"Accept-Language": "zh"}).text
    assert '<html lang="zh-CN"' in page
    for call in CALLS:
        assert f">{WORDS['zh'][call.summary]}</h3>" in page


def test_a_problem_points_at_the_page(client: httpx.Client) -> None:
    assert client.get("/api/devices/5").json()["type"] == "/api/docs#400"


# The examples are code: each language runs its own against this gateway.
RUN: dict[str, tuple[str, ...]] = {"curl": ("sh",), "php": ("php",), "js": ("node",)}
ENDS = {"curl": ".sh", "php": ".php", "js": ".mjs"}
TRIED = ("start", "devices", "import", "export", "order", "dismiss", "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_examples_run(
    served: Site, client: httpx.Client, tmp_path: Path, language: str
) -> None:
    for program in (*RUN[language], *(["curl"] if language == "curl" else [])):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    imei = SAMPLES["start"].place["imei"]
    served.ask({"type": "add", "imei": imei})
    (tmp_path / "devices.csv").write_text(SAMPLES["import"].text)
    with served.unregistered() as stranger:
        stranger.send(f"023000{NEXT}HT")
        stranger.expect(f"023300{NEXT}HT")
    calls = {call.operation: call for call in CALLS}
    with Robot(served, str(imei)):
        for operation in TRIED:
            sample = SAMPLES[operation]
            if operation == "start":
                sample = replace(sample, head={"Idempotency-Key": f"in-{language}"})
            text = LANGUAGES[language][1](calls[operation], sample, served.url)
            file = tmp_path / f"example{ENDS[language]}"
            file.write_text(text)
            done = subprocess.run(
                [*RUN[language], file.name],
                cwd=tmp_path, env={**environment(tmp_path), "TOKEN": served.tokens["admin"]},
                capture_output=True, text=True, timeout=60,
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (0, ""), text
            if operation == "export":
                assert (tmp_path / "devices.csv").read_text().startswith("imei,id,name")
            else:
                assert json.loads(done.stdout)["status"] == "200", (text, done.stdout)
    for one in (imei, NEXT):
        served.ask({"type": "remove", "imei": one})
    ended = client.get("/api/commands", params={"key": f"in-{language}"}).json()["items"]
    assert [one["outcome"] for one in ended] == ["done"]
