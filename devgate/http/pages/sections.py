"""The sections of the settings, and which of them the viewer may open.

A page of one of them has a line in SECTIONS, and its template extends `settings.html` and fills
the block `section`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Section(NamedTuple):
    """One section, in the order of the navigation."""

    path: str
    title: str  # a key of the translations
    operation: str  # who may ask for it may open the section


SECTIONS: tuple[Section, ...] = (
    Section("/settings/configuration", "Configuration", "settings"),
    Section("/settings/texts", "Texts", "settings"),
    Section("/settings/zones", "Sites", "zones"),
    Section("/settings/webhooks", "Webhooks", "webhooks"),
    Section("/settings/doctor", "Examination", "doctor"),
    Section("/settings/upgrade", "Upgrade", "upgrade"),
    Section("/settings/begin", "First steps", "token_add"),
    Section("/settings/people", "Users", "users"),
    Section("/settings/tokens", "Tokens", "tokens"),
    Section("/settings/audit", "Audit", "audit"),
    Section("/settings/account", "Your account", "sessions"),
)


def sections(may: Callable[[str], bool]) -> list[Section]:
    """Those that the viewer may open; `may` says whether the viewer may ask for an operation."""
    return [one for one in SECTIONS if may(one.operation)]
