"""Those who look at the gateway of `scripts/bench web`: dashboards, and what scrapes metrics."""

from __future__ import annotations

import http.client
import itertools
import re
import selectors
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from html import unescape
from typing import Self
from urllib.parse import urlencode

from benchmark.errors import BenchError
from benchmark.servers import FIRST_IMEI
from benchmark.watched import PASSWORD, USER

SCRAPE_SECONDS = 0.2  # seconds between two scrapes
ANSWER_SECONDS = 30.0
FORM = re.compile(r'name="form" value="([^"]+)"')
LIVE = re.compile(r'data-live="([^"]+)"')


def logged_in(port: int) -> str:
    """The cookies of one who has logged in. All pages share them: logins are rate-limited."""
    page, cookies = _ask(port, "GET", "/login")
    form = FORM.search(page)
    if form is None:
        raise BenchError("the page for logging in has no form")
    fields = {"form": form[1], "name": USER, "password": PASSWORD, "next": "/"}
    _, more = _ask(port, "POST", "/login", cookies, urlencode(fields))
    return f"{cookies}; {more}"


def _ask(port: int, method: str, path: str, cookies: str = "", body: str = "") -> tuple[str, str]:
    """The page, and the cookies that it sets."""
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    headers = {"Accept": "text/html", "Cookie": cookies}
    if body:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    asked.request(method, path, body or None, headers)
    response = asked.getresponse()
    text = response.read().decode()
    asked.close()
    if response.status not in (200, 303):
        raise BenchError(f"{method} {path} was answered with {response.status}")
    set_by = response.headers.get_all("set-cookie") or []
    return text, "; ".join(cookie.partition(";")[0] for cookie in set_by)


class Viewers:
    """Open dashboards: each has loaded its page, as live.js does follows it, and shows nothing."""

    def __init__(self, port: int, cookies: str, count: int, pages: Sequence[str]) -> None:
        self.read = 0  # bytes in all
        self._port, self._cookies = port, cookies
        self._stopping = threading.Event()
        self._selector = selectors.DefaultSelector()
        self.broken = ""
        turns = itertools.cycle(pages)
        for number, page in zip(range(count), turns, strict=False):
            self._open(page.replace("{imei}", str(FIRST_IMEI + number)))

    def _open(self, path: str) -> None:
        page, _ = _ask(self._port, "GET", path, self._cookies)
        live = LIVE.search(page)
        if live is None:
            raise BenchError(f"{path} is no page that lives")
        sock = socket.create_connection(("127.0.0.1", self._port), ANSWER_SECONDS)
        head = f"GET {unescape(live[1])} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
        head += f"Accept: text/event-stream\r\nCookie: {self._cookies}\r\n\r\n"
        sock.sendall(head.encode())
        self._selector.register(sock, selectors.EVENT_READ)

    @classmethod
    @contextmanager
    def running(cls, port: int, cookies: str, count: int, pages: Sequence[str]) -> Iterator[Self]:
        made = cls(port, cookies, count, pages)
        thread = threading.Thread(target=made._follow, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made._stopping.set()
            thread.join(ANSWER_SECONDS)
            for key in list(made._selector.get_map().values()):
                assert isinstance(key.fileobj, socket.socket), "only sockets are there"
                key.fileobj.close()
            made._selector.close()
        if made.broken:
            raise BenchError(made.broken)

    def _follow(self) -> None:
        while not self._stopping.is_set():
            for key, _ in self._selector.select(0.1):
                assert isinstance(key.fileobj, socket.socket), "only sockets are there"
                data = key.fileobj.recv(65536)
                self.read += len(data)
                if not data or b"HTTP/1.1 4" in data:
                    self.broken = f"a page can be followed no longer: {data[:200]!r}"
                    self._selector.unregister(key.fileobj)


class Scraping:
    """Something that reads /metrics far more often than anybody should."""

    @classmethod
    @contextmanager
    def running(cls, port: int, cookies: str) -> Iterator[None]:
        stopping = threading.Event()

        def scrape() -> None:
            asked = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
            began = time.monotonic()
            for number in itertools.count(1):
                with suppress(http.client.HTTPException):
                    asked.request("GET", "/metrics", headers={"Cookie": cookies})
                    asked.getresponse().read()
                if stopping.wait(max(0.0, began + number * SCRAPE_SECONDS - time.monotonic())):
                    break
            asked.close()

        thread = threading.Thread(target=scrape, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join(ANSWER_SECONDS)
