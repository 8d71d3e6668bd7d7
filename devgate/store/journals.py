"""The interface of all journals: of one gateway, and of a node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from devgate.config.store import StoreSettings


class Writes(Protocol):
    """A journal, as far as all kinds of gateways use it."""

    @property
    def last(self) -> int:
        """The number of the newest event that is known to be on disk."""

    def apply(self, settings: StoreSettings) -> None:
        """Work by these settings from now on."""

    def close(self) -> None:
        """Give the connection back. The journal can be used again."""
