"""A real gateway with its HTTP door open, and clients with tokens."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

from devgate.access.tokens import ROLES, add
from tests.e2e.device import WAIT_SECONDS
from tests.e2e.harness import Gateway, address

Json = dict[str, Any]


class Site(Gateway):
    """A gateway that listens for HTTP, and knows a token of each role."""

    def __init__(self, settings: Mapping[str, Mapping[str, object]] | None = None) -> None:
        given = dict(settings or {})
        http = {"listen": "127.0.0.1:0", "secret": "secret", **given.pop("http", {})}
        control = {"tokens": "tokens", **given.pop("control", {})}
        super().__init__({**given, "http": http, "control": control})
        self.tokens = {role: add(self.folder / "tokens", role, role) for role in ROLES}
        self.at = ("", 0)

    def start(self, *arguments: str, stderr: int | None = None) -> None:
        super().start(*arguments, stderr=stderr)
        self.at = address(self.ask({"type": "status"})["listen"]["http"][0])

    @property
    def url(self) -> str:
        return f"http://{self.at[0]}:{self.at[1]}"

    def client(self, role: str | None = "admin", **options: Any) -> httpx.Client:
        """For the caller to close. None: without a token."""
        # Reading the system's authorities takes longer than most tests; plain HTTP needs none.
        options.setdefault("verify", False)
        headers = {} if role is None else {"Authorization": f"Bearer {self.tokens[role]}"}
        return httpx.Client(
            base_url=options.pop("base_url", self.url),
            headers=headers,
            timeout=WAIT_SECONDS,
            **options,
        )


@contextmanager
def site(
    settings: Mapping[str, Mapping[str, object]] | None = None,
    *arguments: str,
    devices: Sequence[Mapping[str, object]] = (),
) -> Iterator[Site]:
    """A running one that knows these devices. At the end it must stop well and have nothing odd
    in its log."""
    running = Site(settings)
    try:
        running.fill(devices)
        running.start(*arguments)
        yield running
        if running.process is not None and running.process.poll() is None:
            running.terminate()
        assert "Traceback" not in running.log(), running.log()
    finally:
        if running.process is not None and running.process.poll() is None:
            running.process.kill()
            running.process.wait()
        shutil.rmtree(running.folder)


class Sse:
    """A stream of server-sent events, read as a browser reads it."""

    def __init__(self, response: httpx.Response) -> None:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        self._lines = response.iter_lines()
        self.last_id = ""

    def __iter__(self) -> Iterator[tuple[str, Json]]:
        """(name, data) of each event."""
        name, data = "message", ""
        for line in self._lines:
            if line.startswith("id: "):
                self.last_id = line[4:]
            elif line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data += line[6:]
            elif not line and data:
                yield name, json.loads(data)
                name, data = "message", ""


@contextmanager
def streaming(
    client: httpx.Client, path: str, last_id: str | None = None, **query: object
) -> Iterator[Sse]:
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    params = {name: str(value) for name, value in query.items()}
    with client.stream("GET", path, params=params, headers=headers) as response:
        yield Sse(response)


def problem(response: httpx.Response, status: int, code: str) -> Json:
    """The problem that a response is; it must be one of this kind."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: Json = response.json()
    assert found["status"] == status
    assert found["code"] == code, found
    assert set(found) >= {"type", "title", "detail"}
    return found
