"""Who is limited to some sites: what such a one may ask, and what of a reply is for him.

There is one place for all ways in: `entry.dispatch`. For each operation of `tokens.FOR_SITES`
there is a limit here: what it looks at before the operation is asked, and what it leaves of the
reply. A device elsewhere is answered like one that nobody knows. What has no limit is refused, so
an operation that is added is not open by mistake.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devgate.errors import CallerError
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments, status
from devgate.gateway.operations.arguments import OWN, Args
from devgate.gateway.operations.reply import Lines, Reply, Stream
from devgate.model import IMEI, Imei, Source, shown
from devgate.store import inbox

Sites = frozenset[str]
Answer = Reply | Stream
Look = Callable[[Gateway, Args, Source, Sites], Awaitable[Args]]
Keep = Callable[[Gateway, Answer, Source, Sites], Awaitable[Answer]]


async def _as_it_is(gateway: Gateway, answer: Answer, source: Source, sites: Sites) -> Answer:
    return answer


@dataclass(frozen=True, slots=True)
class Limit:
    """`look` raises CallerError for what is not for this one, and returns what is to be asked."""

    look: Look
    keep: Keep = _as_it_is


async def ask(
    gateway: Gateway,
    name: str,
    args: Args,
    source: Source,
    run: Callable[[Args], Awaitable[Answer]],
) -> Answer:
    """What `run` answers to this one, who is limited to some sites. Raises CallerError: 401 for an
    operation that is not for him, 300 for a device elsewhere."""
    sites, limit = source.sites, LIMITS.get(name)
    assert sites is not None
    if limit is None:
        raise CallerError("401", f"{_whose(source)} may not ask for {name}; nothing was done")
    return await limit.keep(
        gateway, await run(await limit.look(gateway, args, source, sites)), source, sites
    )


def _whose(source: Source) -> str:
    return f"{source.plain}, who is limited to some sites,"


def site_of(gateway: Gateway, imei: str | None) -> str | None:
    """Where a device stands; None if it is not known. It must have been learnt."""
    called = None if imei is None else gateway.directory.called(Imei(imei))
    return None if called is None else called.site


async def _must_own(gateway: Gateway, imeis: Sequence[Imei], sites: Sites) -> None:
    await gateway.knowledge.learn(imeis)
    for imei in imeis:
        if site_of(gateway, imei) not in sites:
            raise CallerError("300", f"no device with the IMEI {imei} is known")


def _must_be_own_site(args: Args, sites: Sites, *, required: bool = False) -> None:
    given = args.get("site")
    if given is None and not required:
        return
    if not (isinstance(given, str) and given in sites):
        raise CallerError(
            "401", f"site: one of {', '.join(sorted(sites)[:20])} expected, not {shown(given)}"
        )


# What is looked at before


async def _device(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    await _must_own(gateway, [arguments.device(args)], sites)
    return args


async def _devices(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    """Devices that are changed: they stay at his sites."""
    _must_be_own_site(args, sites)
    await _must_own(gateway, arguments.devices(args), sites)
    return args


async def _maintained(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    """A site as a whole, or devices."""
    if args.get("site") is None:
        return await _devices(gateway, args, source, sites)
    _must_be_own_site(args, sites)
    return args


async def _new_device(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    _must_be_own_site(args, sites, required=True)
    return args


async def _maybe_device(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    if (imei := arguments.maybe_device(args)) is not None:
        await _must_own(gateway, [imei], sites)
    return args


async def _tapped(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    if arguments.yes(args, "unregistered", False):
        raise CallerError("401", f"{_whose(source)} may tap devices by their IMEI alone")
    return await _device(gateway, args, source, sites)


async def _listed(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    """A list that the operation itself narrows."""
    _must_be_own_site(args, sites)
    if args.get("site") is not None:
        return args
    return {**args, OWN: sites}


async def _many(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    """A job for many devices. What it makes of malformed ones is the operation's to say."""
    _must_be_own_site(args, sites)
    if isinstance(match := args.get("match"), dict):
        _must_be_own_site(match, sites)
    if isinstance(imeis := args.get("imeis"), list):
        known = [one for one in imeis if isinstance(one, str) and IMEI.fullmatch(one)]
        await _must_own(gateway, [Imei(one) for one in known], sites)
    return {**args, OWN: sites}


async def _command(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    id = status.command_id(args)
    live = gateway.dispatcher.live.get(id)
    imei = live.imei if live is not None else (await status.row_of(gateway, id))["imei"]
    await gateway.knowledge.learn([imei])
    if site_of(gateway, imei) not in sites:
        raise CallerError("400", f"command: no command has the id {shown(id)}")
    return args


async def _commands(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    """Those that are to be resolved; malformed ones are the operation's to refuse."""
    given = args.get("commands")
    ids = given.split(",") if isinstance(given, str) else given if isinstance(given, list) else []
    asked = [one.strip() for one in ids if isinstance(one, str)][:1000]
    await gateway.records.flushed()
    rows = await gateway.records.read(inbox.by_ids, asked)
    await gateway.knowledge.learn([row["imei"] for row in rows.values()])
    for id, row in rows.items():
        if site_of(gateway, row["imei"]) not in sites:
            raise CallerError("400", f"commands: no command has the id {id}; none was resolved")
    return args


async def _job(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    """A job that he began himself."""
    id = args.get("bulk")
    job = gateway.bulk.get(id) if isinstance(id, str) else None
    if job is not None and job.source != source.plain:
        raise CallerError("400", f"bulk: no job has the id {shown(id)}")
    return args


async def _anything(gateway: Gateway, args: Args, source: Source, sites: Sites) -> Args:
    return args


# What is left of replies


async def _own_of(gateway: Gateway, imeis: Iterable[object], sites: Sites) -> set[object]:
    """Those of the IMEIs that stand at these sites."""
    found = {imei for imei in imeis if isinstance(imei, str)}
    await gateway.knowledge.learn(found)
    return {imei for imei in found if site_of(gateway, imei) in sites}


def _items(answer: Answer) -> list[Any]:
    assert isinstance(answer, dict)
    items: Any = answer["items"]
    return list(items)


async def _with_items(
    gateway: Gateway, answer: Answer, sites: Sites, imei_of: Callable[[Mapping[str, Any]], object]
) -> Answer:
    assert isinstance(answer, dict)
    items = _items(answer)
    own = await _own_of(gateway, map(imei_of, items), sites)
    return {**answer, "items": [one for one in items if imei_of(one) in own]}


async def _of_devices(gateway: Gateway, answer: Answer, source: Source, sites: Sites) -> Answer:
    return await _with_items(gateway, answer, sites, lambda one: one.get("imei"))


async def _of_records(gateway: Gateway, answer: Answer, source: Source, sites: Sites) -> Answer:
    return await _with_items(gateway, answer, sites, lambda one: one["record"]["imei"])


async def _of_sites(gateway: Gateway, answer: Answer, source: Source, sites: Sites) -> Answer:
    assert isinstance(answer, dict)
    return {**answer, "items": [one for one in _items(answer) if one["site"] in sites]}


async def _of_places(gateway: Gateway, answer: Answer, source: Source, sites: Sites) -> Answer:
    found = await _of_sites(gateway, answer, source, sites)
    assert isinstance(found, dict)
    return {**found, "unplaced": 0}  # of the others he hears nothing


async def _of_jobs(gateway: Gateway, answer: Answer, source: Source, sites: Sites) -> Answer:
    assert isinstance(answer, dict)
    own = [one for one in _items(answer) if one["source"] == source.plain]
    return {**answer, "items": own}


async def _found(gateway: Gateway, answer: Answer, source: Source, sites: Sites) -> Answer:
    assert isinstance(answer, dict)
    found: dict[str, Any] = answer
    devices = [one for one in found["devices"] if one["site"] in sites]
    exact = sum(one["site"] in sites for one in found["devices"][: found["exact"]])
    commands = [one for one in found["commands"] if one["site"] in sites]
    site = found["site"] if found["site"] in sites else None
    return {**found, "exact": exact, "devices": devices, "commands": commands, "site": site}


async def _stream(gateway: Gateway, answer: Answer, source: Source, sites: Sites) -> Answer:
    assert isinstance(answer, Stream)
    return Stream(answer.reply, _Own(gateway, answer.lines, sites))


class _Own:
    """The lines about devices of these sites, and those that are about no device's affairs: what
    was missed, and the end."""

    def __init__(self, gateway: Gateway, lines: Lines, sites: Sites) -> None:
        self._gateway = gateway
        self._lines = lines
        self._sites = sites

    def __aiter__(self) -> AsyncIterator[Reply]:
        return self

    async def __anext__(self) -> Reply:
        while True:
            line = await anext(self._lines)
            imei = line.get("imei")
            if isinstance(imei, str):
                await self._gateway.knowledge.learn([imei])
                if site_of(self._gateway, imei) in self._sites:
                    return line
            elif "missed" in line or "end" in line:
                return line

    async def aclose(self) -> None:
        await self._lines.aclose()


LIMITS: Mapping[str, Limit] = {
    "start": Limit(_device),
    "test_start": Limit(_device),
    "stop": Limit(_device),
    "cancel": Limit(_command),
    "status": Limit(_device),
    "device": Limit(_device),
    "day": Limit(_device),
    "diagnosis": Limit(_device),
    "tap": Limit(_tapped),
    "add": Limit(_new_device),
    "edit": Limit(_devices),
    "remove": Limit(_devices),
    "devices": Limit(_listed, _of_devices),
    "export": Limit(_listed, _stream),
    "history": Limit(_listed, _of_devices),
    "history_export": Limit(_listed, _stream),
    "unknown": Limit(_listed, _of_devices),
    "find": Limit(_listed, _found),
    "sites": Limit(_anything, _of_sites),
    "places": Limit(_anything, _of_places),
    "maintenance": Limit(_anything, _of_sites),
    "maintenance_on": Limit(_maintained),
    "maintenance_off": Limit(_maintained),
    "command": Limit(_command),
    "story": Limit(_command),
    "order": Limit(_anything, _of_records),
    "resolve": Limit(_commands),
    "events": Limit(_maybe_device, _of_devices),
    "watch": Limit(_maybe_device, _stream),
    "bulk_start": Limit(_many),
    "bulk_stop": Limit(_many),
    "bulk_edit": Limit(_many),
    "bulk_maintenance": Limit(_many),
    "bulk": Limit(_job),
    "bulk_cancel": Limit(_job),
    "bulks": Limit(_anything, _of_jobs),
    "report": Limit(_listed),
    "report_export": Limit(_listed),
    "zones": Limit(_anything, _of_sites),
    "password": Limit(_anything),
    "second_factor": Limit(_anything),
    "sessions": Limit(_anything),
    "session_end": Limit(_anything),
}
