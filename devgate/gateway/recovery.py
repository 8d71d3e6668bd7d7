"""After a start: what the journal says was under way when the gateway last ended."""

from __future__ import annotations

import logging
from time import time

import trio

from devgate.gateway.command import Command
from devgate.gateway.dispatcher import Dispatcher
from devgate.gateway.lines import ended
from devgate.gateway.records import Records
from devgate.gateway.running import Running
from devgate.model import Imei
from devgate.store import history

STOPPED = (
    "sent, and the gateway stopped before an answer came: the outcome is unknown, "
    "the device may have done it"
)
UNSENT = "the gateway stopped before it could be sent; nothing was sent"

log = logging.getLogger("devgate.recovery")


async def recover(dispatcher: Dispatcher, running: Running, records: Records) -> None:
    """Give every command its honest state, before the first door opens.

    What was `sent` is unknown and may still be settled; it is never sent again. What
    waited is sent only if its caller asked for that and its time has not passed.
    """
    now = time()
    until = await records.read(history.running, now)
    running.load({Imei(imei): at for imei, at in until.items()})
    window = dispatcher.settings.late_window
    # Read before the next loop makes new ones of the same kind.
    unknown = await records.read(history.unknown_since, now - window)
    for row in unknown:
        command = Command.of(row)
        assert command.ended_at is not None, "a 408 has ended"
        dispatcher.reopen(command, trio.current_time() - (now - command.ended_at))
    for row in await records.read(history.unfinished):
        _resume(Command.of(row), dispatcher, records, now)
    for imei in await records.read(history.left_online):
        records.offline(Imei(imei), "the gateway stopped")


def _resume(command: Command, dispatcher: Dispatcher, records: Records, now: float) -> None:
    left = None if command.expires_at is None else command.expires_at - now
    if command.state == "sent":
        command.ends("408", now, STOPPED)
        dispatcher.reopen(command, trio.current_time())
    elif left is None:
        command.ends("503", now, UNSENT)
    elif left <= 0 or not dispatcher.push(command, left):
        command.ends("410", now)
    else:
        log.info("command kept command=%s imei=%s", command.id, command.imei)
        return
    command.done.set()
    dispatcher.counts.ended[command.type, command.status] += 1
    records.post(command, ended(command))
    log.info("command recovered command=%s status=%s", command.id, command.status)
