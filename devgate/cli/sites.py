"""`devgate sites`: the sites, how many machines each has, and where they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from devgate.cli.asking import answered
from devgate.cli.output import Where, common, emit, say, table

HEADER = ("SITE", "DEVICES", "OFFLINE", "LATITUDE", "LONGITUDE")


@click.command()
@common
def sites(where: Where) -> None:
    """List the sites: how many machines each has, how many of these are offline for more than an
    hour, and where it is, if one of its machines has a position in its record.

    \b
    Example:
      devgate sites --json | jq -r '.items[] | [.site, .latitude, .longitude] | @csv'
    """
    placed = answered(where, {"type": "places"})
    if where.as_json:
        return emit(placed)
    named = answered(where, {"type": "sites"})
    return say(_table(named, {one["site"]: one for one in placed["items"]}))


def _table(named: Mapping[str, Any], placed: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for one in named["items"]:
        at = placed.get(one["site"], {})
        rows.append(
            (one["site"], one["devices"], at.get("offline"), at.get("latitude"),
             at.get("longitude"))
        )  # fmt: skip
    return table(HEADER, rows)
