"""The answers of the server, as a table: protocol.md section 3.

A session has one state, the IMEI that is bound to it, or none. Only a good registration (`HT` 000
of a device that is known and enabled) binds one, and it is never bound to another one. So what a
frame means depends on two things only, and both are looked up:

- `SAYS` gives the kind of a frame by its COMMAND and STATUS. What is not in it is `Says.ODD`.
- `_who` compares its IMEI with the bound one: UNREGISTERED, OWN or OTHER.

`TABLE` has a rule for each of the 18 pairs; a test looks that none is missing. A rule returns an
Answer: the bytes to send, and news for the gateway (Registered, Result, Echoed). Rules do no I/O
and have no clock: react() gets the time. They look devices up in a Book, which answers from
memory.

                      REGISTER    ASKS         RESULT       NOT_ME       ECHO   ODD
    UNREGISTERED      register    who_are_you  who_are_you  who_are_you  echo   who_are_you
    OWN               welcome     text         result       result       echo   who_are_you
    OTHER             not_yours   not_yours    not_yours    result       echo   who_are_you

A session also has a count and times. `malformed` counts malformed runs and echoes since the last
good frame; the caller ends a connection with too many. The times limit answers, because a modem
that echoes would send them back for ever: malformed bytes are answered, and an unclaimed result is
acknowledged, at most once in QUIET_SECONDS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, Protocol

from devgate.model import Imei
from devgate.protocol.frames import SHORT_404, Event, Frame, Heartbeat, ShortEcho, encode

# Between two answers to malformed bytes, or two receipts for one unclaimed result.
QUIET_SECONDS = 1.0


class Who(Enum):
    """Whose IMEI a frame has, seen from the connection that it came on."""

    __hash__ = object.__hash__  # Enum's own is a Python function: two calls for each frame

    UNREGISTERED = "no IMEI is bound to the connection"
    OWN = "the bound IMEI"
    OTHER = "an IMEI that is not the bound one"


class Says(Enum):
    """What a frame says, by its COMMAND and STATUS (protocol.md section 3)."""

    __hash__ = object.__hash__  # as above

    REGISTER = auto()  # HT 000
    ASKS = auto()  # TN 000, QR 000
    RESULT = auto()  # QD or ST with 200 or 201
    NOT_ME = auto()  # QD or ST with 202
    ECHO = auto()  # what only the server sends
    ODD = auto()  # a COMMAND that nobody knows, or with a STATUS that it cannot have


SAYS: Mapping[tuple[str, str], Says] = {
    ("HT", "000"): Says.REGISTER,
    ("TN", "000"): Says.ASKS,
    ("QR", "000"): Says.ASKS,
    **{(c, s): Says.RESULT for c in ("QD", "ST") for s in ("200", "201")},
    **{(c, "202"): Says.NOT_ME for c in ("QD", "ST")},
    **{(c, s): Says.ECHO for c in ("HT", "TN", "QR") for s in ("200", "300", "401")},
    **{(c, s): Says.ECHO for c in ("QD", "ST") for s in ("000", "401")},
}


class Book(Protocol):
    """What is known of the devices, in memory: its methods must neither wait nor raise."""

    def admits(self, imei: Imei) -> bool | None:
        """Whether the device may register; None if nobody knows it."""

    def text(self, imei: Imei, command: str) -> bytes | None:
        """What TN or QR is answered with, at most 976 bytes; None if there is no such text."""


@dataclass(slots=True)
class Session:
    """What the protocol remembers of one connection.

    Plain values, so that it can be handed to another process. Changed only by react() and
    acknowledge(). Times are seconds of the clock that their callers use.
    """

    imei: Imei | None = None
    echoing: bool = False
    malformed: int = 0  # in a row, without a good frame
    malformed_answered: float = float("-inf")  # when malformed bytes were last answered
    # When a result that nothing claims was last acknowledged, by command and status.
    receipts: dict[tuple[str, str], float] | None = None


class Registered(NamedTuple):
    """The connection has been bound to this IMEI, by a good registration."""

    imei: Imei


class Result(NamedTuple):
    """A device reports the result of a start or stop: protocol.md section 4 says which command it
    settles.

    `command` is QD or ST, `status` 200, 201 or 202. `said` is the IMEI in the frame: only with 202
    it may differ from the device's.
    """

    imei: Imei  # the device's, not that of the frame
    command: str
    status: str
    said: Imei


class Echoed(NamedTuple):
    """The connection has sent back what only the server sends, for the first time."""

    imei: Imei | None


News = Registered | Result | Echoed


class Answer(NamedTuple):
    """What to send, and what the gateway has to act on besides.

    `wire` is one frame, or empty for silence. The acknowledgement of a Result is not in it:
    acknowledge() gives it once it is known whether a command claims the result.
    """

    wire: bytes
    news: News | None = None


SILENCE = Answer(b"")
WHO_ARE_YOU = Answer(SHORT_404)

Rule = Callable[[Session, Frame, Book], Answer]


def who_are_you(session: Session, frame: Frame, book: Book) -> Answer:
    """`006404`: the device must register, or its frame is unknown."""
    return WHO_ARE_YOU


def register(session: Session, frame: Frame, book: Book) -> Answer:
    """Bind the IMEI, if the device is known (else 300) and enabled (else 401)."""
    admitted = book.admits(frame.imei)
    if admitted is None:
        return Answer(encode("300", frame.imei, "HT"))
    if not admitted:
        return Answer(encode("401", frame.imei, "HT"))
    session.imei = frame.imei
    return Answer(encode("200", frame.imei, "HT"), Registered(frame.imei))


def welcome(session: Session, frame: Frame, book: Book) -> Answer:
    """A registered device registers again: 200, and nothing changes."""
    return Answer(encode("200", frame.imei, "HT"))


def text(session: Session, frame: Frame, book: Book) -> Answer:
    """The text that TN or QR asks for; 300 if the device has none."""
    found = book.text(frame.imei, frame.command)
    if found is None:
        return Answer(encode("300", frame.imei, frame.command))
    return Answer(encode("200", frame.imei, frame.command, found))


def result(session: Session, frame: Frame, book: Book) -> Answer:
    """A result goes to the gateway as news. With a 202 the frame may have another IMEI."""
    assert session.imei is not None, "the table asks for a result only of a registered device"
    return Answer(b"", Result(session.imei, frame.command, frame.status, frame.imei))


def not_yours(session: Session, frame: Frame, book: Book) -> Answer:
    """401: a registered device speaks for another one."""
    return Answer(encode("401", frame.imei, frame.command))


def echo(session: Session, frame: Frame, book: Book) -> Answer:
    """What only the server sends: no answer, and news the first time."""
    return _echo(session)


TABLE: Mapping[tuple[Who, Says], Rule] = {
    (Who.UNREGISTERED, Says.REGISTER): register,
    (Who.UNREGISTERED, Says.ASKS): who_are_you,
    (Who.UNREGISTERED, Says.RESULT): who_are_you,
    (Who.UNREGISTERED, Says.NOT_ME): who_are_you,
    (Who.OWN, Says.REGISTER): welcome,
    (Who.OWN, Says.ASKS): text,
    (Who.OWN, Says.RESULT): result,
    (Who.OWN, Says.NOT_ME): result,
    (Who.OTHER, Says.NOT_ME): result,
    (Who.OTHER, Says.REGISTER): not_yours,
    (Who.OTHER, Says.ASKS): not_yours,
    (Who.OTHER, Says.RESULT): not_yours,
    **{(who, Says.ECHO): echo for who in Who},
    **{(who, Says.ODD): who_are_you for who in Who},
}


def react(session: Session, event: Event, book: Book, now: float) -> Answer:
    """What an event means to this session: what to send, and what to act on (section 3).

    `now` is in seconds, of any clock that never goes back. Changes `session`. Raises nothing for
    any event of a Decoder; what `book` raises goes through.
    """
    if isinstance(event, Frame):
        says = SAYS.get((event.command, event.status), Says.ODD)
        if says is not Says.ECHO:
            session.malformed = 0
        return TABLE[_who(session, event.imei), says](session, event, book)
    if isinstance(event, Heartbeat):
        return SILENCE if session.imei else WHO_ARE_YOU
    if isinstance(event, ShortEcho):
        return _echo(session)
    session.malformed += 1
    return _answer_malformed(session, now)


def acknowledge(session: Session, of: Result, claimed: bool, now: float) -> bytes:
    """The receipt for a result: its frame with status 200 (section 3).

    Empty if the same result, which nothing claimed, had a receipt less than QUIET_SECONDS ago. A
    modem that echoes sends our own receipt back as a result: without a limit that would go on for
    ever. `now` is of the clock that react() gets.
    """
    if not claimed:
        if session.receipts is None:
            session.receipts = {}
        last = session.receipts.get((of.command, of.status))
        if last is not None and now < last + QUIET_SECONDS:
            return b""
        session.receipts[of.command, of.status] = now
    return encode("200", of.said, of.command)


def _who(session: Session, imei: Imei) -> Who:
    if session.imei is None:
        return Who.UNREGISTERED
    return Who.OWN if imei == session.imei else Who.OTHER


def _answer_malformed(session: Session, now: float) -> Answer:
    if now < session.malformed_answered + QUIET_SECONDS:
        return SILENCE
    session.malformed_answered = now
    return WHO_ARE_YOU


def _echo(session: Session) -> Answer:
    session.malformed += 1
    if session.echoing:
        return SILENCE
    session.echoing = True
    return Answer(b"", Echoed(session.imei))
