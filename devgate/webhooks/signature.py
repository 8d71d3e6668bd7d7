"""The body and the signature of a posted event: Standard Webhooks, version 1."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

from devgate.events.kinds import Event
from devgate.model import iso, to_json


def id_of(event: Event) -> str:
    """The id by which a receiver recognises a repeated event: the same at every try.

    It has the time, because numbers begin again with a new database.
    """
    return f"evt_{event.n}_{int(event.at * 1000):x}"


def body_of(event: Event) -> bytes:
    """The body of an event: body() of its type, time and line."""
    return body(event.type, event.at, event.line())


def body(type: str, at: float, data: Mapping[str, object]) -> bytes:
    """What is posted: JSON with the three fields that Standard Webhooks has."""
    return to_json({"type": type, "timestamp": iso(at), "data": data}).encode()


def signed(key: bytes, id: str, timestamp: int, body: bytes) -> dict[bytes, bytes]:
    """The headers that go with a body. `timestamp`: whole seconds, of this try."""
    content = b"%s.%d.%s" % (id.encode(), timestamp, body)
    digest = base64.b64encode(hmac.digest(key, content, hashlib.sha256))
    return {
        b"webhook-id": id.encode(),
        b"webhook-timestamp": b"%d" % timestamp,
        b"webhook-signature": b"v1," + digest,
    }
