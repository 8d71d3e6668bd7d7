"""A Unix socket that speaks the reply format of control.md, with the answers of a test."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Request = dict[str, Any]
Reply = dict[str, Any]
# The replies to one request. None: the gateway dies; an empty list: it never answers.
Answer = Callable[[Request], Iterable[Reply] | None]

IMEI = "123456787654321"
OTHER = "000000000000001"
ID = "01K3Z6T5A9Q8W7E6R5T4Y3U2I1"


def started(request: Request) -> Iterable[Reply]:
    """The answer of a gateway whose devices carry out all commands."""
    word = "stopped" if request.get("type") == "stop" else "started"
    reply: Reply = {"status": "200", "message": word}
    reply.update((key, request[key]) for key in ("imei", "type", "long") if key in request)
    return [{**reply, "command": ID}]


@dataclass
class Answering:
    """Listens at `path` and notes what it is asked in `requests`, and the bytes in `raw`."""

    path: str
    answer: Answer = started
    requests: list[Request] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    asked: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)  # a caller hung up
    hold: bool = False  # connections stay open behind their replies, until the caller leaves
    doors: list[socket.socket] = field(default_factory=list)
    first: list[Request] = field(default_factory=list)  # the first request of each connection

    def listen(self) -> None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen(64)
        self.doors.append(listener)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def close(self) -> None:
        for door in self.doors:
            with contextlib.suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)
            door.close()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = listener.accept()
                self.doors.append(caller)
                threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        lines: Iterable[Reply] | None = ()
        silent = False
        with contextlib.suppress(OSError):
            for request in self._requests(caller):
                lines = self.answer(request)
                silent = True
                for line in lines or ():
                    if "id" in request:
                        line.setdefault("id", request["id"])
                    caller.sendall(json.dumps(line).encode() + b"\n")
                    silent = False
                ends = request.get("type") in ("watch", "tap") and not self.hold
                if lines is None or (ends and not silent):
                    break
            if lines is None or not silent:
                caller.shutdown(socket.SHUT_RDWR)
        self.gone.set()

    def _requests(self, caller: socket.socket) -> Iterator[Request]:
        text, decoder, asked = "", json.JSONDecoder(), False
        while data := caller.recv(65536):
            self.raw += data
            text = (text + data.decode()).lstrip()
            while text:
                try:
                    request, end = decoder.raw_decode(text, text.index("{"))
                except ValueError:
                    break
                text = text[end:].lstrip()
                self.requests.append(request)
                if not asked:
                    self.first.append(request)
                    asked = True
                self.asked.set()
                yield request
