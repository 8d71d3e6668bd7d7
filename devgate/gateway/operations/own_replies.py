"""Reduces replies for callers who are limited to some sites (see `sites`) to these sites."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import status
from devgate.gateway.operations.reply import Lines, Reply, Stream
from devgate.model import Imei, Source

Sites = frozenset[str]
Answer = Reply | Stream


async def as_it_is(gateway: Gateway, answer: Answer, source: Source, sites: Sites) -> Answer:
    """The whole reply: the request was only about devices of these sites."""
    return answer


def site_of(gateway: Gateway, imei: str | None) -> str | None:
    """The site of a device; None if it is not known. Call Knowledge.learn() for it first."""
    called = None if imei is None else gateway.directory.called(Imei(imei))
    return None if called is None else called.site


async def _at_sites(gateway: Gateway, imeis: Iterable[object], sites: Sites) -> set[object]:
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
    at_sites = await _at_sites(gateway, map(imei_of, items), sites)
    return {**answer, "items": [one for one in items if imei_of(one) in at_sites]}


async def of_devices(gateway: Gateway, answer: Answer, source: Source, sites: Sites) -> Answer:
    """Items about devices."""
    return await _with_items(gateway, answer, sites, lambda one: one.get("imei"))


async def of_order(gateway: Gateway, answer: Answer, source: Source, sites: Sites) -> Answer:
    """An order's reply: it names the command that has the key only if that is about a device of
    these sites."""
    assert isinstance(answer, dict)
    earlier = answer.get("earlier")
    if not isinstance(earlier, str):
        return answer
    imei = await status.imei_of(gateway, earlier)
    if imei in await _at_sites(gateway, [imei], sites):
        return answer
    others = {name: value for name, value in answer.items() if not name.startswith("earlier")}
    message = f"key: {answer['key']!r} was used for another command; nothing was sent"
    return {**others, "message": message}


async def of_records(gateway: Gateway, answer: Answer, source: Source, sites: Sites) -> Answer:
    """Items with records of commands."""
    return await _with_items(gateway, answer, sites, lambda one: one["record"]["imei"])


async def of_sites(gateway: Gateway, answer: Answer, source: Source, sites: Sites) -> Answer:
    """Items about sites."""
    assert isinstance(answer, dict)
    return {**answer, "items": [one for one in _items(answer) if one["site"] in sites]}


async def of_places(gateway: Gateway, answer: Answer, source: Source, sites: Sites) -> Answer:
    """Sites on a map."""
    found = await of_sites(gateway, answer, source, sites)
    assert isinstance(found, dict)
    return {**found, "unplaced": 0}  # the count would be about other sites


async def of_jobs(gateway: Gateway, answer: Answer, source: Source, sites: Sites) -> Answer:
    """Jobs for many devices: those that the caller began."""
    assert isinstance(answer, dict)
    begun = [one for one in _items(answer) if one["source"] == source.plain]
    return {**answer, "items": begun}


async def found(gateway: Gateway, answer: Answer, source: Source, sites: Sites) -> Answer:
    """What a search found."""
    assert isinstance(answer, dict)
    found: dict[str, Any] = answer
    devices = [one for one in found["devices"] if one["site"] in sites]
    exact = sum(one["site"] in sites for one in found["devices"][: found["exact"]])
    commands = [one for one in found["commands"] if one["site"] in sites]
    site = found["site"] if found["site"] in sites else None
    return {**found, "exact": exact, "devices": devices, "commands": commands, "site": site}


async def stream(gateway: Gateway, answer: Answer, source: Source, sites: Sites) -> Answer:
    """The lines of a stream."""
    assert isinstance(answer, Stream)
    return Stream(answer.reply, _LinesOfSites(gateway, answer.lines, sites))


class _LinesOfSites:
    """The lines about devices of these sites, and those about no device: what was missed, and the
    end."""

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
