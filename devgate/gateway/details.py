"""The rows of events: what each says besides its device and its time, as a JSON object.

A start has three events, which are largely equal. The equal part is encoded once for a command and
stored with it (`Command.front`): to encode it for each event cost more than all other rows of a
start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring as quoted

from devgate.errors import outcome_of
from devgate.gateway.clock import time
from devgate.gateway.command import Command
from devgate.model import Called, Imei, in_unicode, to_json
from devgate.store.batch import Row

JSON_BOOL = ("false", "true")  # False and True in JSON


def encoded(detail: Mapping[str, object]) -> str:
    """A JSON object. Names are our own, and most values are text or integers: the general encoder
    takes three times as long.

    Text of other servers may have half a surrogate pair. Databases refuse it, and a refused row
    stops the journal.
    """
    text = (
        "{"
        + ",".join([
            f'"{name}":{quoted(value)}' if type(value) is str
            else f'"{name}":{value}' if type(value) is int
            else f'"{name}":{to_json(value)}'
            for name, value in detail.items()
        ])
        + "}"
    )  # fmt: skip
    return text if text.isascii() else in_unicode(text)


def event_row(
    type: str, imei: Imei | None, command: str | None = None, /, **detail: object
) -> Row:
    """The row of an event of now. `detail` becomes its JSON object."""
    return Row("event", (time(), type, imei, command, encoded(detail)))


def online(imei: Imei, at: float, address: str, number: int) -> Row:
    """The event device.online: `at` is the wall clock's time, `number` the connection's.

    The gateway writes the address, and the reason in offline(): they have no half surrogate pair.
    """
    detail = f'{{"address":{quoted(address)},"connection":{number}}}'
    return Row("event", (at, "device.online", imei, None, detail))


def offline(imei: Imei, at: float, reason: str, number: int) -> Row:
    """The event device.offline. `at` and `number` are as in online()."""
    detail = f'{{"reason":{quoted(reason)},"connection":{number}}}'
    return Row("event", (at, "device.offline", imei, None, detail))


def device_front(called: Called | None) -> str:
    """The device's id, name and site, as the beginning of a JSON object."""
    if called is None:
        return '{"id":null,"name":null,"site":null'
    return f'{{"id":{called.id},"name":{quoted(called.name)},"site":{quoted(called.site)}'


def name_of(called: Called | None) -> str:
    """The device's name for a log line; empty if it has none."""
    return "" if called is None else called.name


def command_front(command: Command, called: Called | None) -> str:
    """The part that all events of a command share, as the beginning of a JSON object."""
    return (
        f'{device_front(called)},"kind":"{command.type}","long":{_optional(command.long)},'
        f'"key":{_text(command.key)},"source":{quoted(command.source)}'
    )


# The events of a command. `front` is its command_front(), `at` the wall clock's time.


def accepted(command: Command, front: str, at: float) -> Row:
    """The event command.accepted."""
    return _of_command("command.accepted", command, front, at)


def sent(command: Command, front: str, at: float) -> Row:
    """The event command.sent."""
    return _of_command("command.sent", command, front, at)


def ended(command: Command, front: str, at: float) -> Row:
    """The event command.ended, with the status and its message."""
    return _of_command(
        "command.ended", command, front, at,
        f',"status":"{command.status}","message":{quoted(command.message)},'
        f'"why":{_text(command.why)},"new_address":{JSON_BOOL[command.new_address]}',
    )  # fmt: skip


def settled_late(command: Command, front: str, at: float) -> Row:
    """A result came after the 408."""
    return _of_command(
        "command.late", command, front, at,
        f',"status":"{command.status}","new_address":{JSON_BOOL[command.new_address]}',
    )  # fmt: skip


def corrected(command: Command, front: str, at: float) -> Row:
    """A 408 of which nothing was sent, as its node knew."""
    return _of_command(
        "command.corrected", command, front, at,
        f',"status":"{command.status}","message":{quoted(command.message)}',
    )  # fmt: skip


def resolved(
    id: str, imei: Imei, front: str, at: float, status: str, verdict: Mapping[str, object]
) -> Row:
    """What a person said of a 408; `status` is what was known then, `front` the command's, and
    `verdict` has the verdict, the note, and by whom."""
    outcome, late = outcome_of(status), status != "408"
    detail = (
        f'{front},"outcome":"{outcome}","late":{JSON_BOOL[late]},"status":"{status}",'
        f"{encoded(verdict)[1:]}"
    )
    return Row("event", (at, "command.resolved", imei, id, detail))


def ambiguous(commands: Sequence[Command], called: Called | None) -> Row:
    """Fewer answers came than these commands were sent; the last one is the newest."""
    newest = commands[-1]
    shared = encoded({
        "commands": [{"command": command.id, "key": command.key} for command in commands],
        "source": newest.source, "outcome": "unknown", "late": False,
    })  # fmt: skip
    detail = f"{device_front(called)},{shared[1:]}"
    return Row("event", (time(), "command.ambiguous", newest.imei, newest.id, detail))


def _of_command(type: str, command: Command, front: str, at: float, more: str = "") -> Row:
    detail = f'{front},"outcome":"{command.outcome}","late":{JSON_BOOL[command.late]}{more}}}'
    return Row("event", (at, type, command.imei, command.id, detail))


def _text(value: str | None) -> str:
    return "null" if value is None else quoted(value)


def _optional(value: int | None) -> str:
    return "null" if value is None else str(value)
