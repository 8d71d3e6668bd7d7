"""The machines of an alert rule."""

from __future__ import annotations

from typing import Any, NamedTuple


class Scope(NamedTuple):
    """Which machines a rule is for: those of one site or of all, with a tag or with any, and
    within the sites of who made it."""

    site: str = ""
    tag: str = ""
    sites: frozenset[str] | None = None  # None: all

    def has_site(self, site: str) -> bool:
        """Whether that site is among its sites."""
        return self.site in ("", site) and (self.sites is None or site in self.sites)

    def has(self, site: str, tags: str | None) -> bool:
        """Whether a machine is among them. `tags` are as they are stored."""
        return self.has_site(site) and (not self.tag or self.tag in (tags or "").split(","))

    def condition(self, values: dict[str, Any]) -> str:
        """The same of a device `d`, for a statement with these values.

        The statement finds devices by what it looks for: were these conditions to be of use to an
        index, SQLite would begin with all devices of a site and all that they ever did.
        """
        parts, at = [], "coalesce(d.site, '')"
        if self.site:
            values["site"] = self.site
            parts.append(f"{at} = :site")
        if self.sites is not None:
            named = {f"own{n}": site for n, site in enumerate(sorted(self.sites))}
            values |= named
            parts.append(f"{at} IN ({', '.join(f':{name}' for name in named) or 'NULL'})")
        if self.tag:
            values["tag"] = f",{self.tag},"
            tags = "',' || d.tags || ','"
            # In both databases it minds the case of letters; LIKE does in one.
            parts.append(f"replace({tags}, :tag, '') <> {tags}")
        return "".join(f" AND {part}" for part in parts)
