"""A receiver of webhooks: a real HTTP server on a real socket, in a thread of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.e2e.device import WAIT_SECONDS

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@dataclass(frozen=True, slots=True)
class Got:
    """One request."""

    path: str
    headers: Mapping[str, str]  # their names in lower case
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.body)["data"]
        return data

    @property
    def genuine(self) -> bool:
        """True if it is signed with SECRET."""
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        content = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        wanted = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
        return self.headers["webhook-signature"] == f"v1,{wanted}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered; `status` 0: nothing, the connection is closed."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterator[bytes] = b""


Behave = Callable[[Got], Answer]


class Receiver:
    """What came and was answered 2xx is in `taken`, all that came in `got`, in order."""

    def __init__(self, behave: Behave | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.behave = behave or (lambda got: Answer())
        self.got: list[Got] = []
        self.taken: list[Got] = []
        self.at_once = 0  # most requests at the same time
        self.connections = 0
        self._now = 0
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_POST(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers["content-length"]))
                answer = outer._answer(Got(self.path, headers, body))
                if not answer.status:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if isinstance(answer.body, bytes) and answer.status != 204:
                    self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                parts = [answer.body] if isinstance(answer.body, bytes) else answer.body
                for part in parts:
                    self.wfile.write(part)
                self.wfile.flush()

            def log_message(self, format: str, *args: object) -> None:
                """Tests look at `got`."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def get_request(self) -> tuple[socket.socket, Any]:
                outer.connections += 1
                connection, address = super().get_request()
                if tls is not None:
                    connection = tls.wrap_socket(
                        connection, server_side=True, do_handshake_on_connect=False
                    )
                return connection, address

            def handle_error(self, request: object, client_address: object) -> None:
                """Connections break in these tests: that is what they are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def url(self, path: str = "/hook", *, scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def _answer(self, got: Got) -> Answer:
        with self._changed:
            self.got.append(got)
            self._now += 1
            self.at_once = max(self.at_once, self._now)
            self._changed.notify_all()
        try:
            answer = self.behave(got)
        finally:
            with self._changed:
                self._now -= 1
        if 200 <= answer.status < 300:
            with self._changed:
                self.taken.append(got)
                self._changed.notify_all()
        return answer

    def wait(self, wanted: Callable[[Receiver], bool], patience: float = WAIT_SECONDS) -> None:
        """Until this is so, looked at whenever something came. Not for trio's thread."""
        with self._changed:
            came = self._changed.wait_for(lambda: wanted(self), patience)
        assert came, f"{len(self.got)} came, {len(self.taken)} taken"

    def numbers(self) -> list[int]:
        """Of the events that were taken, in the order in which they were."""
        return [got.event["event"] for got in self.taken]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def receiving(
    behave: Behave | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    receiver = Receiver(behave, tls)
    try:
        yield receiver
    finally:
        receiver.close()
