"""`devgate bulk`: start, stop or change many machines at once, and see what came of each."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import click

from devgate.cli.language import said
from devgate.cli.maintenance import SAID, decorated, given
from devgate.cli.output import (
    YES,
    Where,
    certain,
    common,
    complain,
    emit,
    exit_code,
    finish,
    options,
    say,
    table,
)
from devgate.cli.params import Duration, ImeiType, Long
from devgate.control.client import Reply, ask
from devgate.model import Imei

LOOK_SECONDS = 0.5  # between two questions how far the job has come
PAGE = 500  # results that are read at once
HEADER = ("IMEI", "NAME", "SITE", "OUTCOME", "STATUS", "MESSAGE")
JOBS = ("JOB", "ACTION", "STATE", "DONE", "OF", "OUTCOMES", "BY", "ASKED")


@click.group()
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


def _which(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which machines are meant, and how it is done."""
    for decorate in reversed((
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
    )):  # fmt: skip
        command = decorate(command)
    return command


@bulk.command()
@click.argument("long", type=Duration())
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
    _run(where, {"type": "bulk_start", "long": long.number, "unit": unit}, which, "Start")


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
    _run(where, {"type": "bulk_stop", "cancel": cancel}, which, "Stop")


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
    changes = {
        "site": to_site, "enabled": enable, "tag": add_tag, "untag": untag, "model": set_model,
        "firmware": firmware,
    }  # fmt: skip
    given = {name: value for name, value in changes.items() if value is not None}
    if not given:
        raise click.UsageError(
            "Say what to change: --to-site, --enable, --tag or --model for example."
        )
    _run(where, {"type": "bulk_edit", **given}, which, "Change")


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
    details = given(reason, length, until)
    if off and details:
        raise click.UsageError("--off ends it: give no --reason, --for or --until.")
    verb = "End maintenance of" if off else "Put in maintenance"
    _run(where, {"type": "bulk_maintenance", "on": not off, **details}, which, verb)


def _run(
    where: Where, request: Mapping[str, Any], which: Mapping[str, Any], verb: str
) -> NoReturn:
    """Count, ask, have it done, follow it, and end with what came of it."""
    asked = {**request, **_selection(which)}
    if which["id"] is not None:
        asked["bulk"] = which["id"]
    if not which["yes"]:
        counted = ask(where.socket(), {**asked, "dry_run": True})
        if (
            exit_code(counted) or "online" not in counted
        ):  # refused, or a job that is there already
            _end(where, counted)
        question = (
            f"{verb} {counted['count']} machines ({counted['online']} online, "
            f"{counted['running']} running, {counted['disabled']} disabled)?"
        )
        certain(question, yes=False)
        asked["most"] = counted["count"]
    begun = ask(where.socket(), asked)
    if exit_code(begun) or which["no_wait"]:
        _end(where, begun)
    _end(where, _followed(where, begun))


def _selection(which: Mapping[str, Any]) -> dict[str, Any]:
    imeis: tuple[Imei, ...] = which["imeis"]
    names = ("q", "site", "online", "running", "enabled")
    match = {name: which[name] for name in names if which[name] is not None}
    if bool(imeis) + bool(match) + which["everything"] != 1:
        raise click.UsageError("Say which machines: IMEIs, filters such as --site, or --all.")
    return {"imeis": list(imeis)} if imeis else {"match": match}


def _followed(where: Where, job: Reply) -> Reply:
    """Wait until the job is over, with a bar on a terminal."""
    with click.progressbar(
        length=job["count"], label=job["action"], file=sys.stderr,
        hidden=where.as_json or not sys.stderr.isatty(),
    ) as bar:  # fmt: skip
        while True:
            bar.update(job["done"] - bar.pos)
            if job["state"] in ("ended", "cancelled", "broken"):
                return job
            time.sleep(LOOK_SECONDS)
            job = ask(where.socket(), {"type": "bulk", "bulk": job["bulk"], "limit": 1})
            if exit_code(job):
                return job


def _end(where: Where, job: Reply) -> NoReturn:
    """Print a job and what of it was not done; end with the first such status."""
    if exit_code(job) or "bulk" not in job:
        finish(job, where.as_json)
    failed = _results(where, job, failed=not where.as_json)
    if where.as_json:
        emit({**job, "items": failed, "next": None})
        failed = [one for one in failed if one["outcome"] != "done"]
    else:
        if failed:
            say(_rows(failed))
        say(_sentence(job))
    raise SystemExit(exit_code(failed[0]) if failed else 0 if job["state"] != "broken" else 12)


def _results(where: Where, job: Reply, *, failed: bool) -> list[Reply]:
    found: list[Reply] = []
    after: int | None = 0
    while after is not None:
        request = {"type": "bulk", "bulk": job["bulk"], "failed": failed, "after": after}
        page = ask(where.socket(), {**request, "limit": PAGE})
        if exit_code(page):
            finish(page, where.as_json)
        found += page["items"]
        after = page["next"]
    return found


def _rows(items: list[Reply]) -> str:
    names = ("imei", "name", "site", "outcome", "status", "message")
    rows = (
        {**one, "outcome": said(one["outcome"]), "message": said(one["message"])} for one in items
    )
    return table(HEADER, [[one[name] for name in names] for one in rows])


def _sentence(job: Mapping[str, Any]) -> str:
    outcomes = _outcomes(job)
    text = said(f"{job['bulk']}: {job['state']}, {job['done']} of {job['count']}")
    return f"{text} ({outcomes})" if outcomes else text


def _outcomes(job: Mapping[str, Any]) -> str:
    return ", ".join(f"{count} {said(name)}" for name, count in job["outcomes"].items())


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
    reply = ask(where.socket(), {"type": "bulk", "bulk": job, "limit": 1})
    if exit_code(reply):
        finish(reply, where.as_json)
    items = _results(where, reply, failed=failed)
    if where.as_json:
        return emit({**reply, "items": items, "next": None})
    if items:
        say(_rows(items))
    return say(_sentence(reply))


@bulk.command("list")
@common
def list_(where: Where) -> None:
    """List the jobs that the gateway remembers, newest first.

    \b
    Example:
      devgate bulk list --json | jq -r '.items[].bulk'
    """
    finish(ask(where.socket(), {"type": "bulks"}), where.as_json, _listed)


def _listed(reply: Mapping[str, Any]) -> str:
    if not reply["items"]:
        complain("there is none; the gateway forgets them when it stops")
    return table(JOBS, [
        (
            job["bulk"], job["action"], job["state"], job["done"], job["count"],
            _outcomes(job),
            job["source"], job["asked_at"],
        )
        for job in reply["items"]
    ])  # fmt: skip


@bulk.command()
@click.argument("job")
@common
def cancel(where: Where, job: str) -> None:
    """Ask nothing more of the machines of JOB. What was asked already goes on.

    \b
    Example:
      devgate bulk cancel opening-2026-11-26
    """
    finish(ask(where.socket(), {"type": "bulk_cancel", "bulk": job}), where.as_json, _sentence)
