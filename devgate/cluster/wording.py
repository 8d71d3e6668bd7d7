"""Requests and replies of a link as bytes, and what a reply means. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from devgate.control.requests import MAX_REQUEST, WORD
from devgate.errors import CallerError, DevgateError
from devgate.gateway.membership import Reply, Unreachable
from devgate.model import to_ascii_json

MAX_LINE = 4 * 1024 * 1024  # bytes of one reply, or one line of a stream
PING_ID = 0  # requests are numbered from 1


def token_of(node: str, secret: str) -> str:
    """The token by which a node shows its name, and that it belongs to the cluster."""
    return f"{node}:{secret}"


def encoded(request: Mapping[str, object], id: int, token: str) -> bytes:
    """A request as it goes out. Raises CallerError (400) for one that is too long.

    The other side would end the link because of it, and all other requests with it.
    """
    data = WORD + to_ascii_json({**request, "id": id, "token": token}).encode()
    if len(data) > MAX_REQUEST:
        raise CallerError(
            "400", f"a request of more than {MAX_REQUEST} bytes between nodes; nothing was done"
        )
    return data


class LineReader:
    """Bytes in, lines out as objects."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._looked = 0  # no newline stands in front of it

    def feed(self, data: bytes) -> Iterator[Reply]:
        """The lines that these bytes complete. Raises ValueError for what is no line of ours."""
        self._data += data
        while (end := self._data.find(b"\n", self._looked)) >= 0:
            line = bytes(self._data[:end])
            del self._data[: end + 1]
            self._looked = 0
            _must_fit(end)
            reply: Any = json.loads(line)
            if not isinstance(reply, dict):
                raise ValueError("a JSON object in a line expected")
            yield reply
        self._looked = len(self._data)
        _must_fit(self._looked)


def _must_fit(size: int) -> None:
    if size > MAX_LINE:
        raise ValueError(f"a line of more than {MAX_LINE} bytes")


def meant(line: Reply) -> Reply:
    """The reply in a line: what the other node's operation gave.

    Raises DevgateError as the operation did, and Unreachable where the node let nobody in.
    """
    if isinstance(reply := line.get("reply"), dict):
        return reply
    if isinstance(refused := line.get("refused"), dict):
        raise _error(refused)
    if line.get("status") == "401":
        raise Unreachable(f"the node refused the secret: {line.get('message')}")
    if line.get("status") != "200":
        raise _error(line)
    return {name: value for name, value in line.items() if name != "id"}


def _error(line: Reply) -> DevgateError:
    more = {
        name: value
        for name, value in line.items()
        if name not in ("id", "status", "message", "outcome")
    }
    outcome = line.get("outcome")
    return DevgateError(
        str(line.get("status")),
        str(line.get("message")),
        outcome=str(outcome) if outcome is not None else None,
        more=more,
    )
