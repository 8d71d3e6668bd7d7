"""The API's documents: one for programs, one for people."""

from __future__ import annotations

import re

import httpx

from devgate.access.tokens import NEEDS
from devgate.gateway.operations.table import OPERATIONS
from devgate.http.api.endpoints import CALLS
from devgate.http.api.openapi import openapi
from devgate.http.problems import STATUSES
from devgate.model import EXIT


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
    told = {(m.upper(), path) for path, calls in document["paths"].items() for m in calls}
    assert told == {(call.method, call.path) for call in CALLS}
    text = response.text
    for name in re.findall(r'"#/components/schemas/(\w+)"', text):
        assert name in document["components"]["schemas"]
    assert openapi("https://gate.example")["servers"] == [{"url": "https://gate.example"}]


def test_the_page_needs_nobody_else(client: httpx.Client) -> None:
    response = client.get("/api/docs")
    assert response.headers["content-type"].startswith("text/html")
    page = response.text
    assert "<script" not in page
    assert " style=" not in page
    for url in re.findall(r'(?:href|src)="([^"#]+)', page):
        assert url.startswith("/"), url
        assert client.get(url).status_code == 200
    for call in CALLS:
        assert f"<code>{call.path}</code>" in page
    for code in STATUSES:
        assert f'id="{code}"' in page
    assert client.get("/api/docs.css").headers["content-type"].startswith("text/css")


def test_a_problem_points_at_the_page(client: httpx.Client) -> None:
    assert client.get("/api/devices/5").json()["type"] == "/api/docs#400"
