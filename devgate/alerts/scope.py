"""Which rules and receivers a caller may see and change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from devgate.model import Source

Sites = frozenset[str] | None  # None: all


class Keeper(NamedTuple):
    """A caller that manages rules and receivers: name, and the sites that it may see."""

    owner: str = ""  # "user:NAME" or "token:NAME"; nothing: somebody who sees all
    sites: Sites = None

    @classmethod
    def of(cls, source: str) -> Keeper:
        """The one who asks."""
        who = Source.of(source)
        if who.sites is None:
            return cls()
        name = f"user:{who.person}" if who.person else f"token:{who.plain.partition(':')[2]}"
        return cls(name, who.sites)

    def sees(self, sites: Sites) -> bool:
        """Whether it may see and change rules and receivers of an owner with these sites."""
        return self.sites is None or (sites is not None and sites <= self.sites)


def stored_sites(sites: Sites) -> str | None:
    """Sites in the column of a row."""
    return None if sites is None else json.dumps(sorted(sites), ensure_ascii=False)


def with_sites(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a rule or a receiver, with its sites as they are asked for."""
    found = row["sites"]
    return {**row, "sites": None if found is None else frozenset(json.loads(found))}
