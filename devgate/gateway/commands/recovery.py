"""After a start: what the journal says was under way when the gateway last ended."""

from __future__ import annotations

import json
import logging

import trio

from devgate.gateway.clock import time
from devgate.gateway.command import Command
from devgate.gateway.commands.dispatcher import Dispatcher
from devgate.gateway.commands.running import Running
from devgate.gateway.details import ended
from devgate.gateway.storage import Records
from devgate.model import Imei
from devgate.store import history

STOPPED = (
    "sent, and the gateway stopped before an answer came: the outcome is unknown, "
    "the device may have done it"
)
UNSENT = "the gateway stopped before it could be sent; nothing was sent"

log = logging.getLogger("devgate.recovery")


async def recover(dispatcher: Dispatcher, running: Running, records: Records) -> bool:
    """Give every command its right state, before the first door opens. Returns whether some have
    ended by that.

    What was `sent` is unknown and may still be settled; it is never sent again. What
    waited is sent only if its caller asked for that and its time has not passed.
    """
    now = time()
    until = await records.read(history.running, now)
    running.load({Imei(imei): at for imei, at in until.items()})
    window = dispatcher.settings.late_window
    found = await records.read(history.unknown_since, now - window)
    unfinished = [Command.of(row) for row in await records.read(history.unfinished)]
    # In the order of a counter: the clock may have gone back.
    unknown = sorted(map(Command.of, found), key=sent_before)
    sent = sorted((one for one in unfinished if one.state == "sent"), key=sent_before)
    for command in unknown:
        assert command.ended_at is not None, "a 408 has ended"
        dispatcher.reopen(command, ago(command.ended_at, now))
    dispatcher.number_above(*(one.sequence or 0 for one in (*unknown, *sent)))
    for command in sent:
        dispatcher.reopen(command, trio.current_time())
    ambiguous = await _restore(
        dispatcher, records, {one.id: one for one in (*unknown, *sent)}, now
    )
    for command in unfinished:
        _resume(command, dispatcher, records, now)
    for device, commands in ambiguous:
        dispatcher.ambiguous(device, commands)
    for imei, announced in await records.read(history.left_online):
        records.offline(Imei(imei), "the gateway stopped" if announced else None)
    return any(command.done for command in unfinished)


async def _restore(
    dispatcher: Dispatcher, records: Records, known: dict[str, Command], now: float
) -> list[tuple[Imei, list[Command]]]:
    """What open_results says of results that were held, and of 408s that had yielded.

    Returns the commands of each device that are ambiguous by this stop of the gateway.
    """
    ambiguous = []
    for id, text in await records.change(history.pop_open_results):
        imei, kind = id.split(":")
        detail = json.loads(text)
        for member in detail["group"]:
            if member not in known and (row := await records.read(history.by_id, member)):
                known[member] = Command.of(row)
        dispatcher.number_above(detail["closed"] or 0)
        newest = known.get(detail["group"][-1]) if detail["group"] else None
        ended_at = now if newest is None or newest.ended_at is None else newest.ended_at
        since = ago(ended_at, now)
        if commands := dispatcher.restore(Imei(imei), kind, detail, known, since):
            ambiguous.append((Imei(imei), commands))
    return ambiguous


def ago(at: float, now: float) -> float:
    """A time of the wall clock as time of trio's clock. A time later than now counts as now: the
    clock went back, and no window may get longer by that."""
    return trio.current_time() - max(0.0, now - at)


def sent_before(command: Command) -> tuple[int, float, str]:
    """The order of sending. Commands from before there was a counter come first, by their time."""
    return command.sequence or 0, command.sent_at or 0.0, command.id


def _resume(command: Command, dispatcher: Dispatcher, records: Records, now: float) -> None:
    remaining_seconds = None
    if command.expires_at is not None:
        remaining_seconds = min(command.expires_at - now, command.expires_at - command.accepted_at)
        if now < command.accepted_at:
            # The clock is wrong: nobody knows how much of its time has passed.
            remaining_seconds = 0.0
    if command.state == "sent":
        command.ends("408", now, STOPPED)
    elif remaining_seconds is None:
        command.ends("503", now, UNSENT)
    elif remaining_seconds <= 0 or not dispatcher.push(command, remaining_seconds):
        command.ends("410", now)
    else:
        log.info("command deferred command=%s imei=%s", command.id, command.imei)
        return
    command.set_done()
    dispatcher.counts.ended[command.type, command.status] += 1
    records.post_event(command, ended, now)
    log.info("command recovered command=%s status=%s", command.id, command.status)
