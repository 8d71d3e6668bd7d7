"""`devgate diagnose`: how well a machine's connection holds, and how soon it answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from devgate.cli.asking import answer
from devgate.cli.describe import span
from devgate.cli.language import said
from devgate.cli.moments import clock
from devgate.cli.output import Where, common, plain, table
from devgate.cli.params import ImeiType
from devgate.model import Imei

HEADER = ("DAY SINCE", "RECONNECTS", "SILENT", "AWAY")
RECORD_FIELDS = ("name", "site", "model", "serial", "firmware", "iccid")


@click.command()
@click.argument("imei", type=ImeiType())
@click.option(
    "--days", type=click.Choice(["1", "7", "30"]), default="7", show_default=True,
    help="Over this many days up to now.",
)  # fmt: skip
@common
def diagnose(where: Where, imei: Imei, days: str) -> None:
    """Say how well the connection of the machine IMEI holds, and how soon it answers.

    From its events and commands: how often it reconnects, how often it fell silent, why
    connections ended, how long it was away, and its answers beside others of its model. It
    can be sent to the maker as it is.

    \b
    Examples:
      devgate diagnose 123456787654321 --days 30 > report.txt
      devgate diagnose 123456787654321 --json | jq .answers.median
    """
    answer(where, {"type": "diagnosis", "imei": imei, "days": int(days)}, report)


def report(reply: Mapping[str, Any]) -> str:
    """The reply as a text that can be sent on."""
    return "\n".join(_lines(reply))


def _lines(reply: Mapping[str, Any]) -> Iterator[str]:
    yield f"{reply['imei']}, {clock(reply['since'])} – {clock(reply['until'])}"  # noqa: RUF001
    for name in RECORD_FIELDS:
        if reply[name]:
            yield f"  {name:<12} {plain(str(reply[name]))}"
    if not reply["complete"]:
        yield said("only its newest events: there are more than are looked at")
    yield ""
    yield said(
        f"{reply['reconnects']} reconnects, {reply['silences']} times silent, "
        f"away {span(reply['away_seconds'])}"
    )
    yield table(HEADER, [
        (clock(day["since"]), day["reconnects"], day["silences"], span(day["away_seconds"]))
        for day in reply["by_day"]
    ])  # fmt: skip
    for title, counts in (("why connections ended:", reply["reasons"]), ("odd:", reply["odd"])):
        if counts:
            yield f"\n{said(title)}"
            yield from (f"  {count:>6}  {said(plain(what))}" for what, count in counts.items())
    if reply["longest"]:
        yield "\n" + said("longest absences:")
        for one in reply["longest"]:
            until = clock(one["until"]) if one["until"] else said("now")
            yield (
                f"  {clock(one['since'])} – {until}  {span(one['seconds'])}, "  # noqa: RUF001
                f"{said(one['reason'])}"
            )
    yield "\n" + said("answers of this machine:")
    yield _answers(reply["answers"])
    if reply["model"]:
        yield said(f"answers of {reply['others']['devices']} others of its model:")
        yield _answers(reply["others"])


def _answers(of: Mapping[str, Any]) -> str:
    if not of["commands"]:
        return "  " + said("no command was sent")
    counts = f"{of['commands']} commands, {of['unanswered']} unanswered, {of['failed']} failed"
    if of["median"] is None:
        return "  " + said(counts)
    return "  " + said(
        f"{counts}; half within {of['median']:g} s, "
        f"nine in ten within {of['nine_in_ten']:g} s, the slowest {of['slowest']:g} s"
    )
