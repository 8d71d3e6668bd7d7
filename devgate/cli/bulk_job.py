"""A job for many machines at the command line: counted, confirmed, begun and followed."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any, NoReturn

import click

from devgate.cli.asking import given, pages
from devgate.cli.language import said
from devgate.cli.moments import clock
from devgate.cli.output import Where, certain, emit, exit_code, finish, print_error, say, table
from devgate.control.client import Reply, ask
from devgate.model import Imei

POLL_SECONDS = 0.5  # between two requests for the progress of the job
PAGE_SIZE = 500  # results that are read at once
HEADER = ("IMEI", "NAME", "SITE", "OUTCOME", "STATUS", "MESSAGE")
JOBS_HEADER = ("JOB", "ACTION", "STATE", "DONE", "OF", "OUTCOMES", "BY", "ASKED")


def run(where: Where, request: Mapping[str, Any], which: Mapping[str, Any], verb: str) -> NoReturn:
    """Count the machines, ask for a yes, begin the job, follow it, and end with its result."""
    asked = {**request, **_selection(which)}
    if which["id"] is not None:
        asked["bulk"] = which["id"]
    if not which["yes"]:
        counted = ask(where.socket(), {**asked, "dry_run": True})
        if (
            exit_code(counted) or "online" not in counted
        ):  # refused, or a job that is there already
            _end(where, counted)
        certain(_question(verb, counted), yes=False)
        asked["most"] = counted["count"]
    begun = ask(where.socket(), asked)
    if exit_code(begun) or which["no_wait"]:
        _end(where, begun)
    _end(where, _followed(where, begun))


def _question(verb: str, counted: Reply) -> str:
    machines = "1 machine" if counted["count"] == 1 else f"{counted['count']} machines"
    state = (
        f"{counted['online']} online, {counted['running']} running, {counted['disabled']} disabled"
    )
    return f"{verb} {machines} ({state})?"


def _selection(which: Mapping[str, Any]) -> dict[str, Any]:
    imeis: tuple[Imei, ...] = which["imeis"]
    names = ("q", "site", "online", "running", "enabled")
    match = given(**{name: which[name] for name in names})
    ways = bool(imeis) + bool(match) + which["everything"]
    if ways > 1:
        raise click.UsageError("Name IMEIs, or give filters, or --all: one of them, not several.")
    if not ways:
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
            time.sleep(POLL_SECONDS)
            job = ask(where.socket(), {"type": "bulk", "bulk": job["bulk"], "limit": 1})
            if exit_code(job):
                return job


def _end(where: Where, job: Reply) -> NoReturn:
    """Print a job and the machines that were not done; end with the first status of these."""
    if exit_code(job) or "bulk" not in job:
        finish(job, where.as_json)
    failed = results(where, job, failed=not where.as_json)
    if where.as_json:
        emit({**job, "items": failed, "next": None})
        failed = [one for one in failed if one["outcome"] != "done"]
    else:
        if failed:
            say(rows(failed))
        say(sentence(job))
    raise SystemExit(exit_code(failed[0]) if failed else 0 if job["state"] != "broken" else 12)


def results(where: Where, job: Reply, *, failed: bool) -> list[Reply]:
    """What came of each machine, or (`failed`) of those that were not done."""
    request = {"type": "bulk", "bulk": job["bulk"], "failed": failed, "after": 0}
    return [one for page in pages(where, request, PAGE_SIZE) for one in page["items"]]


def rows(items: list[Reply]) -> str:
    """A table of machines and what came of them."""
    names = ("imei", "name", "site", "outcome", "status", "message")
    shown = (
        {**one, "outcome": said(one["outcome"]), "message": said(one["message"])} for one in items
    )
    return table(HEADER, [[one[name] for name in names] for one in shown])


def sentence(job: Mapping[str, Any]) -> str:
    """How far it has come, with the outcomes so far."""
    outcomes = _outcomes(job)
    text = said(f"{job['bulk']}: {job['state']}, {job['done']} of {job['count']}")
    return f"{text} ({outcomes})" if outcomes else text


def _outcomes(job: Mapping[str, Any]) -> str:
    return ", ".join(f"{count} {said(name)}" for name, count in job["outcomes"].items())


def listed(reply: Mapping[str, Any]) -> str:
    """A table of jobs."""
    if not reply["items"]:
        print_error("there is none; the gateway forgets them when it stops")
    return table(JOBS_HEADER, [
        (
            job["bulk"], job["action"], job["state"], job["done"], job["count"],
            _outcomes(job),
            job["source"], clock(job["asked_at"]),
        )
        for job in reply["items"]
    ])  # fmt: skip
