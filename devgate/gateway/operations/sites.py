"""Callers who are limited to some sites: what they may ask for, and which part of a reply they
get.

`entry.dispatch` applies this for all ways in. For each operation of `tokens.FOR_SITES` there is a
limit here, which checks a request before it is carried out and reduces the reply. A device at
another site is answered like an unknown one. An operation without a limit is refused, so a new one
is not open by mistake.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from devgate.errors import CallerError, no_device
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments, own_replies, status
from devgate.gateway.operations.arguments import OWN_SITES, Args
from devgate.gateway.operations.own_replies import Answer, Sites, site_of
from devgate.model import IMEI, Imei, Source, shown
from devgate.store import devices, inbox
from devgate.store.device import MAX_ID

Look = Callable[[Gateway, Args, Source, Sites], Awaitable[Args]]
Keep = Callable[[Gateway, Answer, Source, Sites], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Limit:
    """`look` raises CallerError for what the caller may not ask, and returns the request to carry
    out. `keep` reduces the reply."""

    look: Look
    keep: Keep = own_replies.as_it_is


async def ask(
    gateway: Gateway,
    name: str,
    args: Args,
    source: Source,
    run: Callable[[Args], Awaitable[Answer]],
) -> Answer:
    """The reply of `run` for a caller who is limited to some sites. Raises CallerError: 401 for an
    operation that he may not ask for, 300 for a device at another site."""
    sites, limit = source.sites, LIMITS.get(name)
    assert sites is not None
    if limit is None:
        raise CallerError("401", f"{_whose(source)} may not ask for {name}; nothing was done")
    return await limit.keep(
        gateway, await run(await limit.look(gateway, args, source, sites)), source, sites
    )


def _whose(source: Source) -> str:
    return f"{source.plain}, who is limited to some sites,"


async def _must_own(gateway: Gateway, imeis: Sequence[Imei], sites: Sites) -> None:
    await gateway.knowledge.learn(imeis)
    for imei in imeis:
        if site_of(gateway, imei) not in sites:
            raise no_device(imei)


def _must_be_own_site(args: Args, sites: Sites, *, required: bool = False) -> None:
    given = args.get("site")
    if given is None and not required:
        return
    if not (isinstance(given, str) and given in sites):
        raise CallerError(
            "401", f"site: one of {', '.join(sorted(sites)[:20])} expected, not {shown(given)}"
        )


# Checks of requests


async def _device(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    await _must_own(gateway, [arguments.device(args)], sites)
    return args


async def _status(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    """The status of a device. That of the gateway concerns all sites."""
    if args.get("imei") is None:
        raise CallerError("401", f"{_whose(source)} may ask how devices are by their IMEI alone")
    return await _device(gateway, args, source, sites)


async def _devices(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    """Devices that are changed: they stay at sites of the caller."""
    _must_be_own_site(args, sites)
    await _must_own(gateway, arguments.devices(args), sites)
    await _must_be_free(gateway, args, sites)
    return args


async def _maintained(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    """A site as a whole, or devices."""
    if args.get("site") is None:
        return await _devices(gateway, args, source, sites)
    _must_be_own_site(args, sites)
    return args


async def _new_device(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    _must_be_own_site(args, sites, required=True)
    await _must_be_free(gateway, args, sites)
    return args


async def _must_be_free(gateway: Gateway, args: Args, sites: Sites) -> None:
    """Raises CallerError (409) for the number of a device at another site. The message does not
    have its IMEI, or all IMEIs could be had by counting."""
    number = args.get("id")
    if type(number) is int and 0 < number <= MAX_ID:
        owner = (await gateway.records.read(devices.owners, [number])).get(number)
        if owner is not None:
            await gateway.knowledge.learn([owner])
            if site_of(gateway, owner) not in sites:
                raise CallerError("409", f"id: {number} is another device's")


async def _maybe_device(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    if (imei := arguments.maybe_device(args)) is not None:
        await _must_own(gateway, [imei], sites)
    return args


async def _tapped(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    if arguments.yes(args, "unregistered", False):
        raise CallerError("401", f"{_whose(source)} may tap devices by their IMEI alone")
    return await _device(gateway, args, source, sites)


async def _listed(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    """A list that the operation itself limits to these sites."""
    _must_be_own_site(args, sites)
    if args.get("site") is not None:
        return args
    return {**args, OWN_SITES: sites}


async def _many(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    """A job for many devices. The operation refuses malformed IMEIs."""
    _must_be_own_site(args, sites)
    if isinstance(match := args.get("match"), dict):
        _must_be_own_site(match, sites)
    if isinstance(imeis := args.get("imeis"), list):
        known = [one for one in imeis if isinstance(one, str) and IMEI.fullmatch(one)]
        await _must_own(gateway, [Imei(one) for one in known], sites)
    return {**args, OWN_SITES: sites}


async def _command(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    id = status.command_id(args)
    imei = await status.imei_of(gateway, id)
    await gateway.knowledge.learn([imei])
    if site_of(gateway, imei) not in sites:
        raise CallerError("400", f"command: no command has the id {shown(id)}")
    return args


async def _commands(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    """Commands that are to be resolved. The operation refuses malformed ids."""
    given = args.get("commands")
    ids = given.split(",") if isinstance(given, str) else given if isinstance(given, list) else []
    texts = [one.strip() for one in ids if isinstance(one, str)][:1000]
    asked = list(filter(arguments.is_command_id, texts))  # others may be what no database takes
    await gateway.records.flushed()
    rows = await gateway.records.read(inbox.by_ids, asked)
    await gateway.knowledge.learn([row["imei"] for row in rows.values()])
    for id, row in rows.items():
        if site_of(gateway, row["imei"]) not in sites:
            raise CallerError("400", f"commands: no command has the id {id}; none was resolved")
    return args


async def _job(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    """A job that the caller began himself."""
    id = args.get("bulk")
    job = gateway.bulk.get(id) if isinstance(id, str) else None
    if job is not None and job.source != source.plain:
        raise CallerError("400", f"bulk: no job has the id {shown(id)}")
    return args


async def _anything(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    return args


async def _alerted(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    """Rules and receivers of alerts: the operation itself limits them to the caller's
    (`Keeper`)."""
    if args.get("site") != "":  # "" means all sites of the caller
        _must_be_own_site(args, sites)
    return args


LIMITS: Mapping[str, Limit] = {
    "start": Limit(_device, own_replies.of_order),
    "test_start": Limit(_device, own_replies.of_order),
    "stop": Limit(_device, own_replies.of_order),
    "cancel": Limit(_command),
    "status": Limit(_status),
    "device": Limit(_device),
    "day": Limit(_device),
    "diagnosis": Limit(_device),
    "tap": Limit(_tapped),
    "add": Limit(_new_device),
    "edit": Limit(_devices),
    "remove": Limit(_devices),
    "devices": Limit(_listed, own_replies.of_devices),
    "export": Limit(_listed, own_replies.stream),
    "history": Limit(_listed, own_replies.of_devices),
    "history_export": Limit(_listed, own_replies.stream),
    "unknown": Limit(_listed, own_replies.of_devices),
    "find": Limit(_listed, own_replies.found),
    "fleet": Limit(_listed),
    "trend": Limit(_listed),
    "sites": Limit(_anything, own_replies.of_sites),
    "places": Limit(_anything, own_replies.of_places),
    "maintenance": Limit(_listed, own_replies.of_sites),
    "maintenance_on": Limit(_maintained),
    "maintenance_off": Limit(_maintained),
    "command": Limit(_command),
    "story": Limit(_command),
    "order": Limit(_anything, own_replies.of_records),
    "resolve": Limit(_commands),
    "events": Limit(_maybe_device, own_replies.of_devices),
    "watch": Limit(_maybe_device, own_replies.stream),
    "bulk_start": Limit(_many),
    "bulk_stop": Limit(_many),
    "bulk_edit": Limit(_many),
    "bulk_maintenance": Limit(_many),
    "bulk": Limit(_job),
    "bulk_cancel": Limit(_job),
    "bulks": Limit(_anything, own_replies.of_jobs),
    "report": Limit(_listed),
    "report_export": Limit(_listed),
    "zones": Limit(_anything, own_replies.of_sites),
    "alerts": Limit(_alerted),
    "alert_log": Limit(_alerted),
    "alert_rules": Limit(_alerted),
    "alert_rule_add": Limit(_alerted),
    "alert_rule_edit": Limit(_alerted),
    "alert_rule_remove": Limit(_alerted),
    "alert_receivers": Limit(_alerted),
    "alert_receiver_add": Limit(_alerted),
    "alert_receiver_edit": Limit(_alerted),
    "alert_receiver_remove": Limit(_alerted),
    "alert_receiver_test": Limit(_alerted),
    "password": Limit(_anything),
    "second_factor": Limit(_anything),
    "sessions": Limit(_anything),
    "session_end": Limit(_anything),
}
