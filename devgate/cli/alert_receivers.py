"""`devgate alert receiver`: who is notified, by which service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO

import click

from devgate.cli.asking import answer, first_line, given
from devgate.cli.help import Group
from devgate.cli.language import said
from devgate.cli.output import (
    YES,
    Where,
    certain,
    common,
    decorated,
    options,
    table,
    with_secret,
)

Reply = Mapping[str, Any]

MAX_URL = 4096  # characters of a line
RECEIVERS_HEADER = ("RECEIVER", "URL", "LANGUAGE", "ENABLED", "FAILURES", "ERROR")


@click.group(cls=Group)
@options
def receiver() -> None:
    """Manage the receivers: who is notified, by which service.

    \b
    Example:
      devgate alert receiver add ops wecombot://KEY --language zh
    """


@receiver.command("list")
@common
def receivers(where: Where) -> None:
    """List the receivers. Their URLs are shown without what is secret in them.

    \b
    Example:
      devgate alert receiver list
    """
    answer(where, {"type": "alert_receivers"}, _receivers)


_of_a_receiver = decorated(
    click.option("--url-file", metavar="FILE", type=click.File(encoding="utf-8"),
                 help="A file whose first line is the URL; - for stdin."),
    click.option("--language", type=click.Choice(("en", "zh")), help="Of its messages."),
)  # fmt: skip


@receiver.command("add")
@click.argument("name")
@click.argument("url", required=False)
@_of_a_receiver
@common
def add_receiver(
    where: Where, name: str, url: str | None, url_file: TextIO | None, language: str | None
) -> None:
    """Add the receiver NAME, reached at URL: one of Apprise, or https://... for a webhook.

    The URL is kept encrypted and is never shown again. With --url-file it is in no list of
    processes and in no history of a shell either. The secret that signs what a webhook gets is
    printed, this once. docs/manual.md, under Alerts, shows URLs of many services.

    \b
    Examples:
      devgate alert receiver add ops "mailtos://USER:PASSWORD@smtp.example.com?to=a@example.com"
      devgate alert receiver add ops wecombot://KEY --language zh
      devgate alert receiver add shop https://shop.example/alerts
      devgate alert receiver add ops --url-file ops.url
    """
    found = _url(url, url_file)
    if found is None:
        raise click.UsageError("Either URL or --url-file expected.")
    request = {"type": "alert_receiver_add", "name": name, "url": found}
    answer(where, {**request, **given(language=language)}, with_secret)


@receiver.command("edit")
@click.argument("name")
@click.option("--url", help="Another URL.")
@click.option("--enable/--disable", "enabled", default=None, help="Enable or disable it.")
@_of_a_receiver
@common
def edit_receiver(
    where: Where, /, name: str, url: str | None, url_file: TextIO | None, **of_receiver: Any
) -> None:
    """Change the receiver NAME: what is given, and nothing else.

    \b
    Examples:
      devgate alert receiver edit ops --language zh
      devgate alert receiver edit ops --disable
    """
    changes = given(url=_url(url, url_file), **of_receiver)
    if not changes:
        raise click.UsageError("Say what to change, --language or --url-file for example.")
    answer(where, {"type": "alert_receiver_edit", "name": name, **changes}, with_secret)


@receiver.command("remove")
@click.argument("name")
@YES
@common
def remove_receiver(where: Where, name: str, yes: bool) -> None:
    """Remove the receiver NAME. A rule must not name it any more.

    \b
    Example:
      devgate alert receiver remove ops --yes
    """
    certain(f"Remove the receiver {name}?", yes)
    answer(where, {"type": "alert_receiver_remove", "name": name})


@receiver.command()
@click.argument("name")
@common
def test(where: Where, name: str) -> None:
    """Send a test to the receiver NAME, at once, and tell what came of it.

    \b
    Example:
      devgate alert receiver test ops
    """
    answer(where, {"type": "alert_receiver_test", "name": name})


def _url(url: str | None, file: TextIO | None) -> str | None:
    if file is None:
        return url
    if url is not None:
        raise click.UsageError("Either URL or --url-file expected.")
    return first_line(file, "--url-file", MAX_URL)


def _receivers(reply: Reply) -> str:
    items = reply.get("items") or ()
    if not items:
        return said("no receivers: `devgate alert receiver add NAME URL` adds one")
    names = ("name", "url", "language", "enabled", "failures", "error")
    return table(RECEIVERS_HEADER, [[one[name] for name in names] for one in items])
