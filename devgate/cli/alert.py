"""`devgate alert`: what fires, what was sent, and who is notified of what.

All commands ask the running gateway: a rule has an effect only there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from devgate.cli.alert_receivers import receiver
from devgate.cli.asking import answer, given
from devgate.cli.describe import ago, span
from devgate.cli.help import Group
from devgate.cli.language import said
from devgate.cli.output import YES, Where, certain, common, decorated, options, table

Reply = Mapping[str, Any]

KINDS = (
    "offline", "site_outage", "unknown_outcomes", "failures", "unknown_devices", "webhook",
    "store", "certificate",
)  # fmt: skip
FIRING_HEADER = ("SINCE", "RULE", "KIND", "WHAT", "SITE", "NOTIFIED")
SENT_HEADER = ("AT", "RECEIVER", "RULE", "STATE", "TRIES", "TITLE", "ERROR")
RULES_HEADER = ("RULE", "KIND", "SITE", "TAG", "AFTER", "RECEIVERS", "QUIET", "REPEAT", "ENABLED")


@click.group(cls=Group)
@options
def alert() -> None:
    """Alert people when something needs attention: by mail, WeCom, Slack, a webhook and more.

    A rule says what people are notified of, and by which receivers. Both are kept in the
    database, and are in force at once.

    \b
    Examples:
      devgate alert receiver add ops "mailtos://USER:PASSWORD@smtp.example.com?to=a@example.com"
      devgate alert receiver test ops
      devgate alert rule add away --kind offline --minutes 15 --to ops
      devgate alert list
    """


@alert.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), help="At most that many.")
@click.option("--after", metavar="PLACE", help="Go on there: `next` of a page.")
@common
def list_(where: Where, limit: int | None, after: str | None) -> None:
    """List what fires now, the newest first.

    NOTIFIED is when the receivers of the rule had it. It is empty while that waits, in quiet hours
    for example.

    \b
    Example:
      devgate alert list --json | jq '.items[] | select(.kind == "offline") | .subject'
    """
    answer(where, {"type": "alerts", **given(limit=limit, after=after)}, _firing)


@alert.command()
@click.option("--receiver", metavar="NAME", help="Only to this one.")
@click.option("--limit", type=click.IntRange(1, 1000), help="At most that many.")
@click.option("--after", metavar="ID", help="Go on behind this one: `next` of a page.")
@common
def log(where: Where, receiver: str | None, limit: int | None, after: str | None) -> None:
    """List the messages that were sent, or were to be sent, the newest first.

    STATE is `sent`, `failed`, or `waiting` where it is tried again.

    \b
    Example:
      devgate alert log --receiver ops --limit 20
    """
    request = {"type": "alert_log", **given(receiver=receiver, limit=limit, after=after)}
    answer(where, request, _sent)


@alert.group()
@options
def rule() -> None:
    """Manage the rules: what people are notified of, for which site or tag, and how soon.

    \b
    Example:
      devgate alert rule add dark --kind site_outage --to ops
    """


@rule.command("list")
@common
def rules(where: Where) -> None:
    """List the rules.

    \b
    Example:
      devgate alert rule list
    """
    answer(where, {"type": "alert_rules"}, _rules)


_of_a_rule = decorated(
    click.option("--site", help='Only of this site; "" for all.'),
    click.option("--tag", help='Only of machines with this tag; "" for any.'),
    click.option("--minutes", type=click.IntRange(0), help="How long it has to last."),
    click.option("--days", type=click.IntRange(1), help="Before a certificate expires."),
    click.option("--to", "receivers", metavar="A,B", help="The receivers."),
    click.option("--quiet", metavar="HOURS",
                 help='Nobody is notified from 22:00-07:00, for example; "" for never.'),
    click.option("--zone", metavar="ZONE",
                 help='Of quiet hours and times: Asia/Shanghai; "" for that of the site.'),
    click.option("--repeat", type=click.IntRange(0), metavar="MINUTES",
                 help="Tell it again as long as it lasts; 0: once."),
    click.option("--all-clear/--no-all-clear", default=None, help="Tell its end, too."),
)  # fmt: skip


@rule.command("add")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="What it is about.")
@_of_a_rule
@common
def add_rule(where: Where, /, name: str, kind: str, **of_rule: Any) -> None:
    """Add the rule NAME. What is true already when it is added is not reported.

    \b
    Examples:
      devgate alert rule add away --kind offline --minutes 15 --to ops
      devgate alert rule add berlin --kind offline --site "Berlin Hbf" --minutes 5 --to anna \\
          --quiet 22:00-07:00 --zone Europe/Berlin --repeat 240
      devgate alert rule add vip --kind offline --tag vip --minutes 5 --to ops
      devgate alert rule add certs --kind certificate --days 21 --to ops
    """
    answer(where, {"type": "alert_rule_add", "name": name, "kind": kind, **given(**of_rule)})


@rule.command("edit")
@click.argument("name")
@click.option("--enable/--disable", "enabled", default=None, help="Enable or disable it.")
@_of_a_rule
@common
def edit_rule(where: Where, /, name: str, **of_rule: Any) -> None:
    """Change the rule NAME: what is given, and nothing else.

    \b
    Examples:
      devgate alert rule edit away --minutes 30
      devgate alert rule edit away --disable
    """
    if not (changes := given(**of_rule)):
        raise click.UsageError("Say what to change, --minutes or --to for example.")
    answer(where, {"type": "alert_rule_edit", "name": name, **changes})


@rule.command("remove")
@click.argument("name")
@YES
@common
def remove_rule(where: Where, name: str, yes: bool) -> None:
    """Remove the rule NAME. No more messages are sent for it, not even that something is over.

    \b
    Example:
      devgate alert rule remove away --yes
    """
    certain(f"Remove the rule {name}?", yes)
    answer(where, {"type": "alert_rule_remove", "name": name})


alert.add_command(receiver)


def _firing(reply: Reply) -> str:
    items = reply.get("items") or ()
    if not items:
        return said("nothing fires")
    rows = [
        [ago(one["fired_at"]), one["rule"], one["kind"], one["label"], one["site"],
         ago(one["told_at"]) if one["told_at"] else ""]
        for one in items
    ]  # fmt: skip
    return _more(reply, table(FIRING_HEADER, rows))


def _sent(reply: Reply) -> str:
    items = reply.get("items") or ()
    if not items:
        return said("nothing was sent")
    names = ("receiver", "rule", "state", "tries", "title", "error")
    rows = [[ago(one["at"]), *(one[name] for name in names)] for one in items]
    return _more(reply, table(SENT_HEADER, rows))


def _more(reply: Reply, text: str) -> str:
    if not reply.get("next"):
        return text
    more = said(f"more with --after {reply['next']}")
    return f"{text}\n{more}"


def _rules(reply: Reply) -> str:
    items = reply.get("items") or ()
    if not items:
        return said("no rules: `devgate alert rule add NAME --kind KIND --to RECEIVER` adds one")
    return table(RULES_HEADER, [_rule(one) for one in items])


def _rule(one: Mapping[str, Any]) -> list[object]:
    days = one["kind"] == "certificate"
    after = span(86400 * one["days"] if days else 60 * one["minutes"])
    quiet = f"{one['quiet']} {one['zone']}" if one["quiet"] else ""
    repeat = span(60 * one["repeat"]) if one["repeat"] else ""
    site = one["site"] or ", ".join(one.get("sites") or ())
    return [
        one["name"], one["kind"], site, one.get("tag"), after, ", ".join(one["receivers"]), quiet,
        repeat, one["enabled"],
    ]  # fmt: skip
