"""A real SMTP server on loopback, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from tests.e2e.device import WAIT_SECONDS


class _Anywhere(Controller):
    """At a free port: the controller itself looks for its server at port 0."""

    def _trigger_server(self) -> None:
        server: Any = self.server
        self.port = server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


class Mailroom:
    """What came is in `got`."""

    def __init__(self, answer: str = "250 OK") -> None:
        self.answer = answer
        self.got: list[EmailMessage] = []
        self._changed = threading.Condition()
        self._controller = _Anywhere(self, hostname="127.0.0.1", port=0)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        with self._changed:
            if self.answer.startswith("250"):
                found = message_from_bytes(envelope.content, policy=policy.default)
                assert isinstance(found, EmailMessage)
                self.got.append(found)
            self._changed.notify_all()
        return self.answer

    def start(self) -> None:
        self._controller.start()
        self.port: int = self._controller.port

    def stop(self) -> None:
        self._controller.stop()

    @property
    def url(self) -> str:
        """As a receiver has it. The server asks for no password, and gets none."""
        return f"mailto://127.0.0.1:{self.port}?from=gate@example.com&to=anna@example.com"

    def wait(self, count: int) -> None:
        """Wait until this many messages have come. Not for trio's thread."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.got) >= count, WAIT_SECONDS)
        assert came, f"{len(self.got)} came"

    def subjects(self) -> list[str]:
        return [str(one["subject"]) for one in self.got]

    def text(self, number: int = -1) -> str:
        body = self.got[number].get_body(("plain", "html"))
        assert body is not None
        return str(body.get_content())


@contextmanager
def mailroom(answer: str = "250 OK") -> Iterator[Mailroom]:
    room = Mailroom(answer)
    room.start()
    try:
        yield room
    finally:
        room.stop()
