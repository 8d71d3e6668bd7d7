"""The first steps of an empty gateway: add machines, connect them, connect the shop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from starlette.responses import Response
from ulid import ULID

from devgate.errors import CallerError
from devgate.gateway.operations import at_hand
from devgate.http.api.endpoints import CALLS
from devgate.http.api.samples.every import SAMPLES
from devgate.http.api.snippets import curl, php
from devgate.http.pages.chosen import nothing
from devgate.http.pages.view import Visit
from devgate.model import host_port

PATH = "/settings/begin"
EXAMPLE_IMEI = "860000000000001"  # where no machine is known yet
START_SECONDS = 60  # of the start in the example
# Names for the token of the shop: the first one that is not used.
TOKEN_NAMES = ("shop", *(f"shop-{number}" for number in range(2, 21)))
TOKEN_PLACEHOLDER = "dg_..."  # in the examples until a token is made
EVERYWHERE = ("0.0.0.0", "::")  # what a door that listens at all addresses is bound to
# What a shop does with an answer. An unknown outcome is neither a start nor a reason to refund.
PHP_BRANCHES = """\
switch ($reply['outcome']) {
    case 'done': echo 'it runs', PHP_EOL; break;
    case 'refused':
    case 'failed': echo 'it does not run for this order', PHP_EOL; break;
    default: echo 'nobody knows yet: ask again with the same key', PHP_EOL;
}
"""


class DeviceDoor(NamedTuple):
    """An address to which machines connect."""

    host: str
    port: int
    tls: bool


async def make_token(visit: Visit) -> Response:
    """Make a token for the shop, and show the examples with it, once: on this answer."""
    await visit.form()
    for name in TOKEN_NAMES:
        try:
            made: Mapping[str, Any] = await visit.ask("token_add", name=name, role="command")
        except CallerError as err:
            if err.status != "409" or name == TOKEN_NAMES[-1]:
                raise
        else:
            return await show(visit, name, made["token"])
    raise AssertionError("the last name is made or refused")


async def show(visit: Visit, name: str = "", token: str = "") -> Response:
    """The three steps, and how far each of them is."""
    visit.must("add")
    gateway = visit.web.gateway
    page: Mapping[str, Any] = await visit.ask_or(
        at_hand.now(nothing), "devices", limit=1, sort="state", count=True
    )
    strangers: Mapping[str, Any] = await visit.ask_or(
        at_hand.now(at_hand.unknown_devices, gateway), "unknown_devices", limit=1
    )
    commands: Mapping[str, Any] = await visit.ask_or(
        at_hand.now(at_hand.history, gateway, limit=8), "history", limit=8
    )
    first = page["items"][0] if page["items"] else None
    imei = first["imei"] if first else EXAMPLE_IMEI
    return visit.page(
        "begin.html",
        title=visit.t("First steps"),
        known=page.get("count", len(page["items"])),
        online=len(gateway.presence),
        doors=_doors(visit),
        strangers=strangers["count"],
        ordered=any(not one["source"].startswith("web:") for one in commands["items"]),
        first=first,
        name=name,
        token=token,
        curl=curl_of(visit.base, imei, token or TOKEN_PLACEHOLDER),
        php=php_of(visit.base, imei, token or TOKEN_PLACEHOLDER),
    )


def _doors(visit: Visit) -> Sequence[DeviceDoor]:
    """The addresses of the door for devices, as they are set in machines. If it listens at all
    addresses, that is the host name by which this page was reached."""
    here = urlsplit(visit.base).hostname or ""
    tls = visit.web.gateway.settings.device.tls is not None
    found = []
    for address in visit.web.gateway.listens.get("device", ()):
        host, port = host_port(address)
        found.append(DeviceDoor(here if host in EVERYWHERE else host, port, tls))
    return list(dict.fromkeys(found))


def curl_of(base: str, imei: str, token: str) -> str:
    """A start, for a shell."""
    return f"export TOKEN='{token}'\n{curl(*_start(imei), base)}"


def php_of(base: str, imei: str, token: str) -> str:
    """A start, in PHP, and what a shop does with the answer."""
    code = php(*_start(imei), base).replace("<?php\n", f"<?php\nputenv('TOKEN={token}');\n", 1)
    return f"{code}{PHP_BRANCHES}"


def _start(imei: str) -> tuple[Any, Any]:
    call = next(one for one in CALLS if one.operation == "start")
    key = f"first-{str(ULID())[-8:].lower()}"  # another one each time: a key starts once
    sample = replace(
        SAMPLES["start"],
        place={"imei": imei}, head={"Idempotency-Key": key}, json={"long": START_SECONDS},
    )  # fmt: skip
    return call, sample
