"""A Bloom filter of spent keys: most starts need no look into the database."""

from __future__ import annotations

import logging
import struct
from hashlib import blake2b

from devgate.gateway.background import Background
from devgate.gateway.storage import Records
from devgate.store import history

PAGE = 2000  # keys that are read at once; noting them takes about two milliseconds
BITS = 16  # of the filter for each key; a key that is new passes for a known one in 400
PROBES = 4  # of these bits each key sets: with BITS it is the usual bargain
MIN_BITS = 1 << 23  # bits: a megabyte, for half a million keys
PLACES = struct.Struct(f"<{PROBES}Q")

log = logging.getLogger("devgate.commands")


class Keys:
    """A Bloom filter over all spent keys, the database's and those of this run.

    It never calls a spent key new. That a new one passes for spent costs its caller a look into
    the database, as do all keys until those that are there have been read: that is done beside
    the service. What is spent from here on is noted before it is on disk, and nobody else
    spends keys in this database: the gateway has claimed it.
    """

    def __init__(self, records: Records, background: Background | None = None) -> None:
        self.ready = False
        self._background = background or Background()
        self._records = records
        self._count, self._after = 0, ""  # keys that were read, and the last of them
        self._make(0)

    def spend(self, key: str) -> None:
        """This key has been spent, or will be."""
        bits, mask = self._bits, self._mask
        for place in _places(key):
            place &= mask
            bits[place >> 3] |= 1 << (place & 7)

    def is_new(self, key: str) -> bool:
        """True if it was certainly never spent."""
        if not self.ready:
            return False
        bits, mask = self._bits, self._mask
        for place in _places(key):
            place &= mask
            if not bits[place >> 3] & 1 << (place & 7):
                return True
        return False

    async def prepare(self) -> None:
        """Make room for the keys that are there. Before the first one is spent."""
        self._make(await self._records.read(history.count_keys))

    async def load(self) -> None:
        """Note the keys that are on disk, beside the service."""
        await self._background.until_done("keys", self._load)
        self.ready = True
        log.info("keys known count=%s bytes=%s", self._count, len(self._bits))

    async def _load(self) -> None:
        """Go on from the page that was read last."""
        while found := await self._records.read(history.keys_after, self._after, PAGE):
            for key in found:
                self.spend(key)
            self._count, self._after = self._count + len(found), found[-1]

    def _make(self, count: int) -> None:
        """Room for twice as many, and for half a million at least."""
        size = max(MIN_BITS, 1 << (2 * count * BITS - 1).bit_length()) if count else MIN_BITS
        self._bits, self._mask = bytearray(size // 8), size - 1


def _places(key: str) -> tuple[int, ...]:
    digest = blake2b(key.encode(), digest_size=8 * PROBES).digest()
    return PLACES.unpack(digest)
