"""Operations on receivers of alerts. Their URLs are secret: no reply, event or log has one."""

from __future__ import annotations

import logging
from typing import Any

import trio

from devgate.alerts import wording
from devgate.alerts.letters import test_letter
from devgate.alerts.receiver import Receiver
from devgate.alerts.rule import MAX_RECEIVERS, NAME, Rule
from devgate.alerts.schemes import WEBHOOK, scheme_of
from devgate.alerts.scope import Keeper, stored_sites
from devgate.config.webhook import new_secret, url_of
from devgate.errors import CallerError, DevgateError, NotThere, StoreError
from devgate.gateway.added_webhooks import closed
from devgate.gateway.clock import time
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import alerts, arguments
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.model import iso, shown
from devgate.store import alerts as stored
from devgate.store import sealed
from devgate.store.seal import SealError
from devgate.webhooks.public_addresses import literal, not_public
from devgate.webhooks.webhooks import PERMIT_ADDED

CHANGES = ("url", "language", "enabled")

log = logging.getLogger("devgate.alerts")


async def alert_receivers(gateway: Gateway, args: Args, source: str) -> Reply:
    """All receivers that the caller may see, and how their deliveries go."""
    found = await alerts.receivers(gateway, Keeper.of(source))
    return {"status": "200", "items": [_item(gateway, one) for one in found], "next": None}


def _item(gateway: Gateway, receiver: Receiver) -> dict[str, object]:
    box = gateway.alerts.mailboxes.get(receiver.name)
    return {
        "name": receiver.name,
        "url": receiver.shown,
        "language": receiver.language,
        "enabled": receiver.enabled,
        "added_at": iso(receiver.added_at),
        "sites": None if receiver.sites is None else sorted(receiver.sites),
        "owner": receiver.owner,
        "failures": box.failures if box else 0,
        "error": box.error if box else None,
    }


async def alert_receiver_add(gateway: Gateway, args: Args, source: str) -> Reply:
    """Add a receiver. Raises CallerError: 400, or 409 if the name is taken."""
    name, url = arguments.text(args, "name"), _url(args)
    if name is None or not NAME.fullmatch(name):
        raise CallerError(
            "400", "name: 1 to 64 letters, digits, dots, dashes and underlines expected, not "
            f"{'nothing' if name is None else shown(name)}",
        )  # fmt: skip
    if url is None:
        raise CallerError("400", "url: a string expected, not nothing")
    values: dict[str, Any] = {
        "name": name, "language": arguments.choice(args, "language", wording.LANGUAGES) or "en",
        "enabled": arguments.yes(args, "enabled", True), "added_at": time(),
    }  # fmt: skip
    keeper = Keeper.of(source)
    values |= {"owner": keeper.owner, "sites": stored_sites(keeper.sites)}
    secret, described = await _sealed(gateway, url, values)
    with trio.CancelScope(shield=True):
        async with gateway.alerts.changing:
            there = await alerts.receivers(gateway, Keeper())
            if any(one.name == name for one in there):
                raise CallerError("409", f"name: there is a receiver {name}; edit or remove it")
            alerts.must_have_room("receivers", [r.sites for r in there], MAX_RECEIVERS, keeper)
            await gateway.records.change(stored.add_receiver, values)
            await gateway.alerts.reload()
    log.info("alert receiver added receiver=%s url=%s source=%s", name, values["shown"], source)
    return {"status": "200", "message": f"added the receiver {name} ({described})", "name": name,
            "url": values["shown"], "secret": secret}  # fmt: skip


async def alert_receiver_edit(gateway: Gateway, args: Args, source: str) -> Reply:
    """Change what is given. Raises CallerError: 400."""
    if not any(field in args for field in CHANGES):
        raise CallerError("400", f"nothing to change: one of {', '.join(CHANGES)} expected")
    values: dict[str, Any] = {}
    if (language := arguments.choice(args, "language", wording.LANGUAGES)) is not None:
        values["language"] = language
    if (enabled := arguments.maybe(args, "enabled")) is not None:
        values["enabled"] = enabled
    keeper, secret = Keeper.of(source), None
    receiver = await _found(gateway, args, keeper)
    if (url := _url(args)) is not None:
        secret, _ = await _sealed(gateway, url, values)
    with trio.CancelScope(shield=True):
        async with gateway.alerts.changing:
            receiver = await _found(gateway, args, keeper)
            if values:
                await gateway.records.change(stored.change_receiver, receiver.name, values)
            await gateway.alerts.reload()
    log.info("alert receiver changed receiver=%s source=%s", receiver.name, source)
    return {"status": "200", "message": f"changed the receiver {receiver.name}",
            "name": receiver.name, "url": values.get("shown", receiver.shown),
            "secret": secret}  # fmt: skip


async def alert_receiver_remove(gateway: Gateway, args: Args, source: str) -> Reply:
    """Remove a receiver. Raises CallerError: 400, or 409 while a rule names it."""
    with trio.CancelScope(shield=True):
        async with gateway.alerts.changing:
            keeper = Keeper.of(source)
            receiver = await _found(gateway, args, keeper)
            rules = map(Rule.of, await gateway.records.read(stored.rules))
            if using := [one for one in rules if receiver.name in one.receivers]:
                seen = ", ".join(one.name for one in using if keeper.sees(one.sites))
                raise CallerError(
                    "409",
                    f"the rules {seen or 'of others'} tell {receiver.name}: change them first",
                )
            await gateway.records.change(stored.remove_receiver, receiver.name)
            await gateway.alerts.reload()
    log.info("alert receiver removed receiver=%s source=%s", receiver.name, source)
    return {"status": "200", "message": f"removed the receiver {receiver.name}",
            "name": receiver.name}  # fmt: skip


async def alert_receiver_test(gateway: Gateway, args: Args, source: str) -> Reply:
    """Send a test, once. Raises DevgateError (503) if it is not taken."""
    receiver = await _found(gateway, args, Keeper.of(source))
    letter = test_letter(receiver.name, receiver.language)
    try:
        url, secret = await gateway.alerts.opened(receiver)
    except SealError as err:
        raise StoreError(f"secret: {err}") from None
    result = await gateway.alerts.courier.send(url, secret, letter)
    gateway.alerts.record.note(receiver.name, letter, result, 1, True)
    await gateway.alerts.record.write()
    if not result.ok:
        raise DevgateError(
            "503", f"{receiver.name} did not take the test: {result.text}", outcome="failed"
        )
    message = f"{receiver.name} took the test: {result.text}"
    return {"status": "200", "message": message, "name": receiver.name}


def _url(args: Args) -> str | None:
    """The URL of the request. No message may quote it."""
    given = args.get("url")
    if given is None:
        return None
    try:
        if not isinstance(given, str):
            raise ValueError("url: a string expected")
        if scheme_of(given) in WEBHOOK:
            _posted_to(given)
    except ValueError as err:
        raise CallerError("400", str(err)) from None
    return given


def _posted_to(url: str) -> None:
    """Raises ValueError for the URL of a webhook that nothing can be posted to."""
    try:
        url_of(url)
    except ValueError as err:
        raise ValueError(f"url: {err}") from None


async def _sealed(gateway: Gateway, url: str, values: dict[str, Any]) -> tuple[str | None, str]:
    """Put the URL into the values of a row, encrypted. Returns the secret that was made for a
    webhook, and what the receiver is. Raises CallerError (400) for a URL of no use, and StoreError
    where it cannot be encrypted: it is not stored in the clear."""
    secret = None
    if scheme_of(url) in WEBHOOK:
        if not gateway.settings.control.private_webhooks and (host := literal(url)):
            raise CallerError("400", f"url: {not_public(host, PERMIT_ADDED)}")
        described, values["shown"], secret = "webhook", url.partition("?")[0], new_secret()
    else:
        found = await gateway.alerts.courier.look(url)
        if not found.ok:
            raise CallerError("400", f"url: {found.text}")
        described, values["shown"] = found.text, found.shown
    try:
        rows = await gateway.records.read(sealed.secrets)
        values["url"] = await closed(gateway.seal, url, rows)
        values["secret"] = (
            await closed(gateway.seal, secret, [{"secret": values["url"]}]) if secret else ""
        )
    except SealError as err:
        raise StoreError(f"url: {err}") from None
    return secret, described


async def _found(gateway: Gateway, args: Args, keeper: Keeper) -> Receiver:
    name = arguments.text(args, "name")
    known = await alerts.receivers(gateway, keeper)
    if not known:
        raise NotThere("name: there is no receiver; `devgate alert receiver add` adds one")
    return alerts.named(name, known)
