"""`devgate bulk`: start, stop or change many machines at once, and see what came of each."""

from __future__ import annotations

from typing import Any

import click

from devgate.cli.asking import answer, answered, given
from devgate.cli.bulk_job import listed, results, rows, run, sentence
from devgate.cli.help import Group
from devgate.cli.maintenance import SAID, said_of
from devgate.cli.output import YES, Where, common, decorated, emit, options, say
from devgate.cli.params import DurationType, ImeiType, Long


@click.group(cls=Group)
@options
def bulk() -> None:
    """Start, stop or change many machines at once.

    Name IMEIs, or say which machines are meant: --site, --search, --online and so on, all of
    which have to fit; or --all. What would be done is counted and asked for first. The
    gateway does it a few machines at a time; the command waits and tells what was not done.

    \b
    Examples:
      devgate bulk start 15m --site north --online
      devgate bulk edit --site north --to-site south
      devgate bulk stop 860000000000001 860000000000002 --yes
    """


# The options that say which machines are meant, and how it is done.
_which = decorated(
    click.argument("imeis", metavar="[IMEI]...", type=ImeiType(), nargs=-1),
    click.option("--search", "q", help="Those with this text in IMEI, name or site."),
    click.option("--site", help="Those of one site."),
    click.option("--online/--offline", default=None, help="Those that are, or are not."),
    click.option("--running/--idle", default=None, help="Those that run, or do not."),
    click.option("--enabled/--disabled", default=None, help="Those that are, or are not."),
    click.option("--all", "everything", is_flag=True, help="All machines there are."),
    click.option("--id", "id", help="Your own name for the job: it is done once."),
    click.option("--no-wait", is_flag=True, help="Only begin it; `bulk show` tells the rest."),
    YES,
)  # fmt: skip


@bulk.command()
@click.argument("long", type=DurationType())
@click.option("--times", is_flag=True, help="LONG counts times, and so do the machines.")
@_which
@common
def start(where: Where, /, long: Long, times: bool, **which: Any) -> None:
    """Start machines for LONG: a number, or a duration like `15m`.

    A number means seconds, and machines that count times are refused; with --times it is
    the other way round. The key of each start is the job's name, a dash and the IMEI.

    \b
    Examples:
      devgate bulk start 15m --site north --online
      devgate bulk start 900 860000000000001 860000000000002 --id opening-2026-11-26
    """
    if times and long.seconds:
        raise click.UsageError("LONG: a number expected with --times, not a duration.")
    unit = "times" if times else "seconds"
    run(where, {"type": "bulk_start", "long": long.number, "unit": unit}, which, "Start")


@bulk.command()
@_which
@click.option("--cancel", is_flag=True, help="Also cancel the starts that wait.")
@common
def stop(where: Where, /, cancel: bool, **which: Any) -> None:
    """Stop machines.

    \b
    Example:
      devgate bulk stop --site north --running
    """
    run(where, {"type": "bulk_stop", "cancel": cancel}, which, "Stop")


@bulk.command()
@_which
@click.option("--to-site", help="Move them there.")
@click.option("--enable/--disable", default=None, help="Let them register again, or refuse them.")
@click.option("--tag", "add_tag", metavar="TAGS", help="Tags to add.")
@click.option("--untag", metavar="TAGS", help="Tags to take away.")
@click.option("--model", "set_model", metavar="MODEL", help="Their model.")
@click.option("--firmware", help="The version of their firmware.")
@common
def edit(
    where: Where,
    /,
    to_site: str | None,
    enable: bool | None,
    add_tag: str | None,
    untag: str | None,
    set_model: str | None,
    firmware: str | None,
    **which: Any,
) -> None:
    """Move machines to another site, enable, disable or tag them.

    \b
    Examples:
      devgate bulk edit --site north --to-site "North, hall 2"
      devgate bulk edit --site closed --disable
      devgate bulk edit --site north --tag "leather,2026"
    """
    changes = given(
        site=to_site, enabled=enable, tag=add_tag, untag=untag, model=set_model, firmware=firmware
    )
    if not changes:
        raise click.UsageError(
            "Say what to change: --to-site, --enable, --tag or --model for example."
        )
    run(where, {"type": "bulk_edit", **changes}, which, "Change")


@bulk.command()
@_which
@click.option("--off", is_flag=True, help="End it.")
@decorated(*SAID)
@common
def maintenance(
    where: Where,
    /,
    off: bool,
    reason: str | None,
    length: float | None,
    until: int | None,
    **which: Any,
) -> None:
    """Put machines in maintenance: customers cannot start them; or end that.

    A whole site is better named by `devgate maintenance on --site`: that holds for machines
    that come there later, too.

    \b
    Examples:
      devgate bulk maintenance --search "Hall 2" --reason "power works" --for 3h
      devgate bulk maintenance --search "Hall 2" --off
    """
    details = said_of(reason, length, until)
    if off and details:
        raise click.UsageError("--off ends it: give no --reason, --for or --until.")
    verb = "End maintenance of" if off else "Put in maintenance"
    run(where, {"type": "bulk_maintenance", "on": not off, **details}, which, verb)


@bulk.command()
@click.argument("job")
@click.option("--failed", is_flag=True, help="Only the machines that were not done.")
@common
def show(where: Where, job: str, failed: bool) -> None:
    """Show how far JOB has come, and what came of each machine.

    \b
    Example:
      devgate bulk show opening-2026-11-26 --failed
    """
    reply = answered(where, {"type": "bulk", "bulk": job, "limit": 1})
    items = results(where, reply, failed=failed)
    if where.as_json:
        return emit({**reply, "items": items, "next": None})
    if items:
        say(rows(items))
    return say(sentence(reply))


@bulk.command("list")
@common
def list_(where: Where) -> None:
    """List the jobs that the gateway remembers, newest first.

    \b
    Example:
      devgate bulk list --json | jq -r '.items[].bulk'
    """
    answer(where, {"type": "bulks"}, listed)


@bulk.command()
@click.argument("job")
@common
def cancel(where: Where, job: str) -> None:
    """Ask nothing more of the machines of JOB. What was asked already goes on.

    \b
    Example:
      devgate bulk cancel opening-2026-11-26
    """
    answer(where, {"type": "bulk_cancel", "bulk": job}, sentence)
