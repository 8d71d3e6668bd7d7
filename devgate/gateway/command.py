"""A command to a device, from its order to its outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from devgate.errors import OUTCOMES, REFUSED
from devgate.gateway.command_record import record_outcome
from devgate.model import Imei
from devgate.protocol.frames import encode

COMMAND = {"start": "QD", "stop": "ST"}

# The message for people, by status. That of 200 depends on the type of the command (DONE).
MESSAGES: Mapping[str, str] = {
    "201": "the device says that it failed",
    "202": "the device says that the IMEI is not its own",
    "300": "no device with this IMEI is known; nothing was sent",
    "401": "the device is disabled; nothing was sent",
    "404": "the device is not connected; nothing was sent",
    "408": "sent, but no answer came in time: the outcome is unknown, the device may have done it",
    "410": "it could not be sent in time; nothing was sent",
    "429": "too many commands are waiting for this device; nothing was sent",
    "503": "the gateway is shutting down; nothing was sent",
}
COLUMNS = (
    "id", "imei", "type", "long", "key", "spent", "status", "state", "message", "late", "source",
    "accepted_at", "sent_at", "ended_at", "late_at", "expires_at", "timeout", "running",
    "sequence", "ambiguous", "why", "new_address", "group_id",
)  # fmt: skip
ANSWERS = frozenset({"200", "201", "202"})  # the device's own
AMBIGUOUS = (
    "sent, but fewer answers came than commands were sent: which of them the device carried out "
    "is unknown, it may have done this one"
)
CORRECTED = "the node of the device was frozen before it could be sent; nothing was sent"
DONE = {"start": "started", "stop": "stopped"}
TEST = "test"
# Follows the message of an outcome that is lost if the gateway is killed now.
NOT_ON_DISK = "; not on disk yet, for the database is away"
ELSEWHERE = (
    "the database is away, and another node may have taken the command by now: the outcome is "
    "unknown, ask again with the key"
)


@dataclass(frozen=True, slots=True)
class Order:
    """What a caller asks for. Its fields are checked; whether it can be carried out is not."""

    imei: Imei
    type: str  # start or stop
    long: int | None = None  # seconds or times; None for a stop
    key: str | None = None
    timeout: float | None = None  # seconds from sending to the device's answer
    expires: float | None = None  # seconds that it may wait before it is sent
    cancel: bool = False  # a stop that cancels the waiting starts
    source: str = "socket"
    id: str | None = None  # that the command is to have; None: a new one
    seconds: bool = False  # the caller says that `long` is a duration
    test: bool = False  # a start by staff: it goes to a machine in maintenance, too

    @property
    def content(self) -> tuple[str, str, int | None]:
        """What a key stands for: a second order with the key must ask for the same."""
        return self.imei, self.type, self.long


class Command:
    """One command. Changed only by the dispatcher, and never while it awaits."""

    __slots__ = (
        "_callers", "accepted_at", "accepting", "ambiguous", "done", "ended_at", "expires_at",
        "front", "group_id", "id", "imei", "key", "kind", "late", "late_at", "long", "message",
        "new_address", "noted", "outcome", "presumed", "recorded", "result", "running", "sent_at",
        "sequence", "source", "spent", "state", "status", "timeout", "type", "until", "unwritten",
        "why",
    )  # fmt: skip

    def __init__(self, id: str, order: Order, now: float) -> None:
        self.id = id
        self.imei = order.imei
        self.type = order.type
        self.kind = COMMAND[order.type]  # of its frame, and of the result that settles it
        self.long = order.long
        self.key = order.key
        self.spent = order.key is not None
        self.timeout = order.timeout
        self.source = order.source
        self.state = "waiting"
        self.status = "000"
        self.outcome = "pending"  # what a caller may branch on (`record_outcome`)
        self.message = "accepted"
        self.late = False
        self.running = False  # the device was running when this start went out
        self.sequence: int | None = None  # its place in the order of sending
        self.ambiguous = False  # a 408; fewer answers came than commands were sent
        self.group_id: str | None = None  # the newest command of those that were ambiguous with it
        # Of a 423: `running`, `flapping` or `maintenance`; of a start by staff: `test`.
        self.why: str | None = TEST if order.test else None
        self.new_address = False  # the answer came from another address than the one before
        self.accepted_at = now  # these are wall clock
        self.sent_at: float | None = None
        self.ended_at: float | None = None
        self.late_at: float | None = None
        self.expires_at: float | None = None if order.expires is None else now + order.expires
        # Trio's clock. Not sent by then, it is never sent; once it is: no answer by then, 408.
        self.until = 0.0
        self.result: str | None = None  # the device's status
        # What its events have in common, and what stood for its device then (Records.front).
        self.front: tuple[object, str] | None = None
        self.noted = False  # that it was accepted stands in the log of events
        self.accepting = False  # that it waits is being written, and may be on disk
        self.recorded = False  # it is on disk: accepted, sent or ended
        self.done = False  # it has ended, on disk; or it is deferred to a later run
        # At a node: why no row of it was written. Then there is no command, and its order is open.
        self.unwritten: str | None = None
        # At a node: whether its key is spent was not looked up; the write of its row will show it.
        self.presumed = False
        # Callbacks: with True they are called when it is done, with False when it is recorded.
        self._callers: list[tuple[bool, Callable[[Command], None]]] | None = None

    @property
    def content(self) -> tuple[str, str, int | None]:
        """As Order.content."""
        return self.imei, self.type, self.long

    @property
    def deferred(self) -> bool:
        """Whether it waits for a device that is not connected."""
        return self.expires_at is not None

    @property
    def may_be_on_disk(self) -> bool:
        """Whether there may be a row of it, by which it still waits."""
        return self.recorded or self.accepting

    def before_its_end(self) -> Command:
        """This command without its end, which is not on disk and never will be. Callers that wait
        for this one wait for the returned one from now on."""
        open_row = {"state": "waiting", "status": "000", "ended_at": None}
        found = Command.of({**self.row(), **open_row})
        found._callers, self._callers = self._callers, None
        return found

    def may_be_elsewhere(self) -> None:
        """Its end is not on disk, where another node may have it: nobody knows the outcome."""
        self.status, self.outcome, self.message = "503", "unknown", ELSEWHERE

    def on_settled(self, wait: bool, on_done: Callable[[Command], None]) -> None:
        """Call back once it has ended, or (not `wait`) as soon as it is recorded; at once if that
        is so. An end is reported when it is on disk: at a node, another one may have the command
        before that. Callbacks must neither await nor raise, and come in the order of the calls.

        When the gateway stops, a deferred command may be done before it is recorded: its callers
        are called when it is both.
        """
        if self.recorded and (self.done or not (wait or self.state == "ended")):
            on_done(self)
        elif self._callers is None:
            self._callers = [(wait, on_done)]
        else:
            self._callers.append((wait, on_done))

    @property
    def has_callers(self) -> bool:
        """Whether somebody waits to be called back."""
        return self._callers is not None

    def forget_callers(self) -> None:
        """Call nobody back: the callers have got an error for their order."""
        self._callers = None

    def set_recorded(self) -> None:
        """It is on disk. The second time does nothing."""
        self.recorded = True
        if self._callers is not None:
            self._call_back()

    def set_done(self) -> None:
        """Nothing more will happen to it in this run. The second time does nothing."""
        self.done = True
        if self._callers is not None and self.recorded:
            self._call_back()

    def _call_back(self) -> None:
        if self.state == "ended" and not self.done:
            return
        callers, self._callers = self._callers or [], None
        if not self.done:
            self._callers = [caller for caller in callers if caller[0]] or None
            callers = [caller for caller in callers if not caller[0]]
        for _, on_done in callers:
            on_done(self)

    def frame(self) -> bytes:
        """The frame that is sent to the device: QD with its number, or ST."""
        data = b"" if self.long is None else str(self.long).encode()
        return encode("000", self.imei, self.kind, data)

    def sends(self, now: float, running: bool, sequence: int) -> None:
        """It is about to be journalled as sent. Once it was sent, `sent_at` is set again."""
        self.state, self.sent_at, self.running = "sent", now, running
        self.sequence = sequence

    def unsent(self) -> None:
        """Back to waiting: it was journalled as sent, and no byte of it went out."""
        self.state, self.sent_at, self.running, self.sequence = "waiting", None, False, None

    def ends(self, status: str, now: float, message: str | None = None) -> None:
        """Its outcome. One that never left the gateway leaves its key free."""
        self.state, self.status, self.ended_at = "ended", status, now
        self.outcome = OUTCOMES.get(status, REFUSED)
        self.message = message or self._words(status)
        if status not in ("200", "201", "202", "408"):
            self.spent = False
            self.sent_at = self.sequence = None

    def corrected(self) -> None:
        """It ended as 408, and its node knows that no byte of it went out: its key is free."""
        self.status, self.outcome, self.message = "404", REFUSED, CORRECTED
        self.spent = self.ambiguous = False
        self.sent_at = self.sequence = None

    def is_ambiguous(self, newest: str) -> None:
        """A 408: there were fewer answers than commands (protocol.md section 4), of which that is
        the newest one's id."""
        self.ambiguous, self.message, self.group_id = True, AMBIGUOUS, newest

    def settles_late(self, status: str, now: float) -> None:
        """A result came after the 408."""
        self.status, self.late, self.late_at, self.ambiguous = status, True, now, False
        self.outcome = OUTCOMES.get(status, REFUSED)
        self.message = self._words(status) + ", the answer came late"

    def is_not_on_disk(self) -> None:
        """Its outcome is reported before it is on disk. The second time does nothing."""
        if not self.message.endswith(NOT_ON_DISK):
            self.message += NOT_ON_DISK

    def _words(self, status: str) -> str:
        if status == "200":
            words = DONE[self.type]
            return words + "; it was running already" if self.running else words
        return MESSAGES[status]

    def values(self) -> tuple[Any, ...]:
        """Its row in the table of commands: the values of COLUMNS."""
        spent = self.key if self.spent else None
        return (
            self.id, self.imei, self.type, self.long, self.key, spent, self.status, self.state,
            self.message, self.late, self.source, self.accepted_at, self.sent_at, self.ended_at,
            self.late_at, self.expires_at, self.timeout, self.running, self.sequence,
            self.ambiguous, self.why, self.new_address, self.group_id,
        )  # fmt: skip

    def row(self) -> dict[str, Any]:
        """The same by the columns' names."""
        return dict(zip(COLUMNS, self.values(), strict=True))

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Command:
        """The command of such a row."""
        order = Order(Imei(row["imei"]), row["type"], row["long"], row["key"], row["timeout"])
        command = cls(row["id"], order, row["accepted_at"])
        command.become(row)
        command.recorded = True
        command.done = command.state == "ended"
        return command

    def become(self, row: Mapping[str, Any]) -> None:
        """Take the values of this row. Nobody is called back."""
        for name in (
            "status", "state", "message", "late", "source", "sent_at", "ended_at", "late_at",
            "expires_at", "running", "sequence", "ambiguous", "why", "new_address", "group_id",
        ):  # fmt: skip
            setattr(self, name, row[name])
        self.outcome = record_outcome(self.state, self.status)
        self.spent = row["spent"] is not None
        self.noted = True
