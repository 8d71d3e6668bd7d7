"""Replies as lines, and the bytes that wait to be sent on one control connection."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import trio

from devgate.control.requests import Args
from devgate.control.transport import Transport
from devgate.errors import DevgateError
from devgate.model import to_ascii_json, to_json

Reply = dict[str, object]

DEVICE_COMMANDS = ("start", "stop", "test_start")
COMMAND_FIELDS = ("status", "message", "imei", "type", "long", "command")

log = logging.getLogger(__name__)

# With more bytes unsent than this, no new request of the peer is begun: it reads too slowly.
MAX_READY_UNSENT = 65536
# With more bytes unsent than this, the peer is dropped: it does not read. Fifty of the longest
# replies.
MAX_UNSENT = 16 * 1024 * 1024
MAX_SEND_BYTES = 65536  # bytes handed to one send


def _nobody(why: str) -> None:
    """In place of `lost` once the connection has ended."""


class Outbox:
    """Sends lines at once if the socket takes them, otherwise in the background.

    `say` never waits. `lost` is called once if the peer takes nothing for `patience` seconds,
    leaves MAX_UNSENT bytes unread, or is gone.
    """

    def __init__(
        self,
        transport: Transport,
        nursery: trio.Nursery,
        patience: float,
        lost: Callable[[str], None],
        max_unsent: int = MAX_UNSENT,
    ) -> None:
        self._max_unsent = max_unsent
        self._transport = transport
        self._nursery = nursery
        self._patience = patience
        self._lost = lost
        self._unsent = bytearray()
        self.full = False  # the peer is slower than its replies: no new request of it is begun
        self._flushing = False
        self._broken = False
        self._room = trio.lowlevel.ParkingLot()

    def say(self, line: bytes) -> None:
        """Send it, now or as soon as the peer takes it."""
        if self._broken:
            return
        if not self._flushing:
            try:
                sent = self._transport.send_now(line)
            except OSError as err:
                self._break(f"send failed: {err}")
                return
            if sent == len(line):
                return
            line = line[sent:]
        self._unsent += line
        self.full = len(self._unsent) > MAX_READY_UNSENT
        if len(self._unsent) > self._max_unsent:
            self._slow(f"more than {self._max_unsent} bytes unread")
        elif not self._flushing:
            self._flushing = True
            self._nursery.start_soon(self._flush)

    @property
    def empty(self) -> bool:
        """Whether all lines were sent."""
        return not self._unsent

    def close(self) -> None:
        """Send nothing any more, and do not call `lost`. Drops the reference to it."""
        self._broken = True
        self._lost = _nobody

    async def room(self) -> None:
        """Wait until the peer has read enough of what it was sent."""
        while self.full and not self._broken:
            await self._room.park()

    async def _flush(self) -> None:
        while self._unsent and not self._broken:
            sent = 0
            with trio.move_on_after(self._patience):
                try:
                    sent = await self._transport.send(bytes(self._unsent[:MAX_SEND_BYTES]))
                except OSError as err:
                    self._break(f"send failed: {err}")
                    return
            if not sent:
                self._slow(f"nothing read for {self._patience:g} s")
                return
            del self._unsent[:sent]
            self.full = len(self._unsent) > MAX_READY_UNSENT
            if not self.full:
                self._room.unpark_all()
        self._flushing = False

    def _slow(self, why: str) -> None:
        log.info("control connection dropped reason=%r", why)
        self._break(why)

    def _break(self, why: str) -> None:
        self._broken = True
        self._unsent.clear()
        self.full = False
        self._room.unpark_all()
        self._lost(why)


class PendingRequest(NamedTuple):
    """One request, on its way to its reply."""

    request: Args
    args: Args  # without its `id` and `token`
    source: str
    reply: Callable[[Reply], None]


def line(reply: Reply, request: Args) -> bytes:
    r"""The reply to this request as it goes out: UTF-8, with its `\n`.

    The request's `id`, if it had one, replaces a field of that name. It comes last, except in
    replies to start and stop, which have a fixed order: there it follows `command`.
    Raises TypeError or ValueError for a reply that cannot be written as JSON, which is a bug.
    """
    if "id" in request:
        fields = {**reply, "id": request["id"]}
        first = COMMAND_FIELDS if request.get("type") in DEVICE_COMMANDS else ()
        id = fields.pop("id")
        reply = {name: fields.pop(name) for name in first if name in fields}
        reply = {**reply, "id": id, **fields} if reply else {**fields, "id": id}
    try:
        return to_json(reply).encode() + b"\n"
    except UnicodeEncodeError:
        return to_ascii_json(reply).encode() + b"\n"


def refusal(request: Args, err: DevgateError) -> Reply:
    """The reply to a request that ended in an error.

    For a device's command it has the fields of every reply to one, if they are known.
    """
    reply: Reply = {"status": err.status, "message": str(err)}
    last: Reply = {"outcome": err.outcome, **err.more}
    kind = request.get("type")
    if isinstance(kind, str) and kind in DEVICE_COMMANDS:
        reply["imei"] = request.get("imei")
        reply["type"] = kind
        reply["long"] = request.get("long")
        reply["command"] = None
    return {**reply, **last}
