"""Somebody with a browser without a script: pages, forms, cookies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import unescape
from urllib.parse import urljoin

import httpx

from tests.e2e.device import WAIT_SECONDS

NAME, PASSWORD = "wang", "correct horse battery"
FIELD = re.compile(r'<input[^>]*\bname="([^"]+)"[^>]*\bvalue="([^"]*)"')


class Visitor:
    """Follows no redirect by itself, so that a test sees each."""

    def __init__(self, url: str, **headers: str) -> None:
        self.client = httpx.Client(
            base_url=url,
            headers={"Accept": "text/html", **headers},
            timeout=WAIT_SECONDS,
            verify=False,  # as in harness.Site.client()
        )

    def get(self, path: str, status: int = 200) -> str:
        response = self.client.get(path)
        assert response.status_code == status, response.text
        return response.text

    def fields(self, path: str, action: str) -> dict[str, str]:
        """The fields that the form of that action on a page sends without input."""
        page = self.get(path)
        form = re.search(rf'<form[^>]*action="{re.escape(action)}".*?</form>', page, re.DOTALL)
        assert form, f"{path} has a form to {action}"
        return {name: unescape(value) for name, value in FIELD.findall(form[0])}

    def post(self, path: str, fields: Mapping[str, str], status: int = 303) -> str:
        """The address of a redirect, or the text of the page."""
        response = self.client.post(path, data=dict(fields))
        assert response.status_code == status, response.text
        return response.headers.get("location") or response.text

    def log_in(self, **given: str) -> str:
        given = given or {"name": NAME, "password": PASSWORD}
        return self.post("/login", {**self.fields("/login", "/login"), **given})

    def order(self, imei: str, what: str = "start", long: str = "15m") -> str:
        """Confirm a command. Returns the page behind it."""
        path = f"/devices/{imei}/{what}"
        fields = self.fields(f"{path}?long={long}", path)
        return self.get(self.post(path, fields))


@contextmanager
def visitor(url: str, **headers: str) -> Iterator[Visitor]:
    opened = Visitor(url, **headers)
    try:
        yield opened
    finally:
        opened.client.close()


def links(page: str, base: str = "/") -> set[str]:
    return {urljoin(base, unescape(found)) for found in re.findall(r'href="([^"#]+)"', page)}
