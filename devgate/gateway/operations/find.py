"""The operation that searches for orders, devices and sites by any of their names or numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from devgate.errors import CallerError
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments, status
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.device_list import MAX_SEARCH
from devgate.gateway.operations.history import named
from devgate.gateway.operations.reply import Reply
from devgate.model import Imei
from devgate.store import device_pages, history
from devgate.store import devices as stored
from devgate.store.device import MAX_ID, Device
from devgate.store.device_filters import WantedDevices
from devgate.store.history import Reading, Record

MAX_FOUND = 10  # devices, and commands, in a reply
MAX_WORDS = arguments.MAX_KEY_LENGTH  # characters
# A number alone, or as stickers have it.
STICKER_NUMBER = re.compile(r"(?:No\.|编号)?\s*([0-9]+)", re.IGNORECASE)


class SearchResult(NamedTuple):
    """What was found for the words of a search."""

    exact: Sequence[Device]  # those whose IMEI, number, serial number or ICCID they are
    near: Sequence[Device]  # those that have them in IMEI, name or site
    commands: Sequence[Record]
    presence: Mapping[str, Record]
    site: bool  # they are the name of a site


async def find(gateway: Gateway, args: Args, source: str) -> Reply:
    """Find orders, devices and a site by these words: a few of each."""
    words = (arguments.text(args, "q", MAX_WORDS) or "").strip()
    if not words:
        raise CallerError("400", "q: an order, an IMEI, a number, a name or a site expected")
    await gateway.records.flushed()
    found = await gateway.records.read(_find, words, arguments.own_sites(args))
    await gateway.knowledge.learn(Imei(row["imei"]) for row in found.commands)
    return {
        "status": "200",
        "q": words,
        "exact": len(found.exact),
        "devices": [
            status.item(gateway, device, found.presence.get(device.imei))
            for device in (*found.exact, *found.near)
        ],
        "commands": [named(gateway, row) for row in found.commands],
        "site": words if found.site else None,
    }


def _find(conn: Reading, words: str, sites: frozenset[str] | None) -> SearchResult:
    exact: list[Device] = []
    if written := STICKER_NUMBER.fullmatch(words):
        number = int(written[1])
        imeis = {words} | set(stored.owners(conn, [number] if number <= MAX_ID else []).values())
        exact = list(stored.among(conn, imeis))
    known = {device.imei for device in exact}
    exact += [one for one in stored.by_record(conn, words, MAX_FOUND) if one.imei not in known]
    commands = list(history.page(conn, key=words, limit=MAX_FOUND))
    if (one := history.by_id(conn, words.upper())) is not None:
        commands.insert(0, one)
    known = {device.imei for device in exact}
    near: list[Device] = []
    if len(words) <= MAX_SEARCH:
        rows = device_pages.find(conn, WantedDevices(text=words, sites=sites), MAX_FOUND).rows
        near = [row.device for row in rows if row.device.imei not in known]
    site = bool(device_pages.find(conn, WantedDevices(site=words), 1).rows)
    presence = history.presence_of(conn, [device.imei for device in (*exact, *near)])
    return SearchResult(exact, near, commands, presence, site)
