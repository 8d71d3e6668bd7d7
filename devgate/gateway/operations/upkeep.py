"""Operations on the gateway itself: cancel a command, apply changes, confirm a loss, trim."""

from __future__ import annotations

import logging
from functools import partial

import trio

from devgate.errors import CallerError, StoreError
from devgate.gateway.command import Command
from devgate.gateway.completion import result_of
from devgate.gateway.gateway import Gateway
from devgate.gateway.log_level import LEVELS
from devgate.gateway.operations import arguments, status
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.gateway.trimming import MAX_ROWS
from devgate.store.late import parse

# In which a cancelled command must be on disk as such: the time of a commit, and the time that its
# end waits after that at a node of a cluster.
CANCEL_SECONDS = 8.0
NOT_CANCELLED_ON_DISK = (
    "the command is cancelled, but not on disk yet, for the database is away: a gateway that is "
    "killed now sends it later, and another node may have sent it; look at it again"
)
MAX_PATH = 4095  # characters of a program's path: what Linux has room for

log = logging.getLogger("devgate.commands")


async def cancel(gateway: Gateway, args: Args, source: str) -> Reply:
    """End a waiting command as 410. Raises CallerError (409) if it does not wait any more, and
    StoreError (503) while that is not on disk: it is sent after a kill, or by another node."""
    id = status.command_id(args)
    command = gateway.dispatcher.live.get(id)
    if command is None or not gateway.dispatcher.cancel(command, "on request"):
        raise _waits_no_more(command or await status.find(gateway, id))
    settled = None
    with trio.move_on_after(CANCEL_SECONDS):
        settled = await result_of(partial(command.on_settled, True))
    if settled is None or settled.outcome == "unknown":
        raise StoreError(NOT_CANCELLED_ON_DISK, outcome="unknown")
    if settled.status != "410":
        raise _waits_no_more(settled)  # another node had it by then
    return {**status.reply_of(command), "status": "200", "message": "cancelled; nothing was sent"}


def _waits_no_more(command: Command) -> CallerError:
    return CallerError(
        "409",
        f"command: {command.id} does not wait any more: {command.message}",
        more={"earlier": command.id, "earlier_outcome": command.outcome},
    )


async def refresh(gateway: Gateway, args: Args, source: str) -> Reply:
    """Put changed devices of the database into force now."""
    count = await gateway.knowledge.refresh()
    await gateway.records.flushed()
    return {
        "status": "200",
        "message": f"{count} changed devices are in force",
        "changed": count,
        "database": gateway.records.database,
    }


async def confirm_loss(gateway: Gateway, args: Args, source: str) -> Reply:
    """An operator confirms the loss: starts are accepted again."""
    lost = await gateway.records.confirm_loss()
    log.warning("loss of the database confirmed source=%s lost=%s", source, lost or "nothing")
    message = "nothing was lost, nothing is changed" if lost is None else f"confirmed: {lost}"
    return {"status": "200", "message": message, "lost": lost}


async def trim(gateway: Gateway, args: Args, source: str) -> Reply:
    """Trust the clock, and delete what is older than the settings say, up to MAX_ROWS."""
    gateway.trimming.clock.confirm()
    gateway.trimming.report_clock()
    await gateway.trimming.store_trusted_at()
    done = await gateway.trimming.once(MAX_ROWS)
    await gateway.records.flushed()
    more = max(done) >= MAX_ROWS
    log.info(
        "trimmed on request events=%s commands=%s keys=%s source=%s",
        done.events, done.commands, done.keys, source,
    )  # fmt: skip
    return {
        "status": "200",
        "message": f"deleted {done.events} events and {done.commands} commands, "
        f"and freed {done.keys} keys" + ("; there are more" if more else ""),
        **done._asdict(),
        "more": more,
    }


async def upgrade(gateway: Gateway, args: Args, source: str) -> Reply:
    """Let another program take over, with every connection. Returns when it serves.

    Raises CallerError and others where it does not: then nothing has changed.
    """
    program = arguments.text(args, "program", MAX_PATH)
    if program is not None and source != "socket":
        raise CallerError("401", "program: it can be named on the control socket alone")
    if gateway.upgrade is None:
        raise CallerError("503", "the gateway is starting: try again")
    log.info("upgrade asked for program=%s source=%s", program or "the same", source)
    return await gateway.upgrade(program)


async def log_level(gateway: Gateway, args: Args, source: str) -> Reply:
    """Log from this level on, until a reload or a restart; without `level`, tell it."""
    level, known = arguments.choice(args, "level", LEVELS), gateway.log_level
    if level is not None:
        known.say(level)
        log.warning("lines are logged from another level on now=%s source=%s", level, source)
    return {
        "status": "200",
        "message": f"lines are logged from the level {known.level} on",
        "level": known.level,
        "configured": known.configured,
    }


async def import_late(gateway: Gateway, args: Args, source: str) -> Reply:
    """Outcomes of a side file, as its lines: a head and commands."""
    lines = args.get("lines")
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        raise CallerError("400", "lines: a list of the file's lines expected")
    try:
        found = parse(lines)
    except ValueError as err:
        raise CallerError("400", f"lines: {err}") from None
    rejected = await gateway.late.import_lines(found)
    on_disk = await gateway.records.flushed()
    message = f"{len(found) - len(rejected)} outcomes are taken, {len(rejected)} do not count"
    if not on_disk:
        message += f"; not on disk yet ({gateway.records.state})"
    return {"status": "200" if on_disk else "503", "message": message, "left": rejected}
