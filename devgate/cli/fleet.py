"""`devgate fleet`: what a person should look at, and how the last days were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from devgate.cli.asking import answer
from devgate.cli.describe import Reply, ago
from devgate.cli.language import said
from devgate.cli.moments import minute
from devgate.cli.output import Where, common, plain, table

# The sentence for each kind of `attention`, with blanks for the fields of the item.
SENTENCES: Mapping[str, str] = {
    "store": "the database: {detail}",
    "quarantine": "every start is refused: {detail}",
    "unknown_outcomes": "{count:,} commands have an unknown outcome",
    "site_outage": "{name}: {count:,} of {of:,} devices went offline together",
    "offline": "{of:,} devices are offline, {count:,} of them for more than a day",
    "failures": "{count:,} of {of:,} commands failed in the last 3 hours{usual}",
    "webhook": "the webhook {name} fails: {detail}",
    "certificate": "the certificate of [{name}] expires on {detail:.10}",
    "unknown_devices": "{count:,} unknown devices tried to register",
    "odd_devices": "{count:,} devices have problems",
}
HEADER = ("SINCE", "ONLINE", "STARTS", "STOPS", "DONE", "FAILED", "UNKNOWN", "UNSENT")
COUNTS = ("start", "stop", "done", "failed", "unknown", "unsent")
HOURS_OF_A_LINE = {1: 1, 7: 6, 30: 24}


@click.command()
@click.option(
    "--days", type=click.Choice(["1", "7", "30"]), help="The last days in numbers, instead."
)
@common
def fleet(where: Where, days: str | None) -> None:
    """Show what a person should look at in the whole fleet, worst first.

    These are unknown outcomes, sites that are offline, devices that are offline for long, more
    failures than usual, unknown devices, a certificate that expires, and a database or webhook
    that fails. With --days: how
    many devices were online, and what became of commands, by hours or days in UTC.

    \b
    Examples:
      devgate fleet
      devgate fleet --days 7
      devgate fleet --json | jq '.attention[] | select(.level == "critical")'
    """
    if days is None:
        answer(where, {"type": "fleet"}, _now)
    answer(where, {"type": "trend", "days": int(days)}, _trend)


def _now(reply: Reply) -> str:
    lines = [
        said(
            f"{reply['online']:,} online, {reply['offline']:,} offline, {reply['running']:,} "
            f"running of {reply['known']:,} devices"
        ),
        "",
    ]
    items = [f"{said(one['level']):8}  {sentence(one)}" for one in reply["attention"]]
    return "\n".join([*lines, *(items or [said("nothing needs attention")])])


def sentence(item: Mapping[str, Any]) -> str:
    """One thing to look at, in words."""
    usual = "" if item["usual"] is None else f" (usual are {item['usual']} %)"
    text = said(plain(SENTENCES[item["kind"]].format(**{**item, "usual": usual})))
    return text if item["since"] is None else said(f"{text}, since {ago(item['since'])}")


def _trend(reply: Reply) -> str:
    lines = table(HEADER, _rows(reply["hours"], HOURS_OF_A_LINE[reply["days"]]))
    return (
        lines
        if reply["complete"]
        else f"{lines}\n{said('older hours are still counted; ask again')}"
    )


def _rows(hours: list[dict[str, Any]], size: int) -> Iterator[tuple[object, ...]]:
    for start in range(0, len(hours), size):
        some = hours[start : start + size]
        known = [one for one in some if one["start"] is not None]
        counts = [sum(one[name] for one in known) if known else "" for name in COUNTS]
        online = some[-1]["online"]
        yield (minute(some[0]["at"]), "" if online is None else online, *counts)
