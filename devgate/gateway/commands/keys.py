"""A Bloom filter of spent keys: most starts need no look into the database."""

from __future__ import annotations

import logging
import struct
from hashlib import blake2b

from devgate.gateway.background import Background
from devgate.gateway.storage import Records
from devgate.store import history

PAGE_KEYS = 2000  # that one read returns; to note them takes about two milliseconds
BITS_A_KEY = 16  # of the filter: one new key in 400 seems to be spent
PROBES = 4  # bits that each key sets: a usual choice for BITS_A_KEY
MIN_BITS = 1 << 23  # a megabyte, for half a million keys
PLACES_FORMAT = struct.Struct(f"<{PROBES}Q")

log = logging.getLogger("devgate.commands")


class Keys:
    """A Bloom filter over all spent keys, the database's and those of this run.

    It never says that a spent key is new. If a new key seems to be spent, it is looked up in the
    database. So are all keys until the keys in the database have been read, which is done beside
    the service. A key is noted here before it is on disk, and no other program spends keys in this
    database, because the gateway owns it.
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
        """Read the next pages, from the last one on."""
        while found := await self._records.read(history.keys_after, self._after, PAGE_KEYS):
            for key in found:
                self.spend(key)
            self._count, self._after = self._count + len(found), found[-1]

    def _make(self, count: int) -> None:
        """Make room for twice as many keys, and for at least half a million."""
        size = max(MIN_BITS, 1 << (2 * count * BITS_A_KEY - 1).bit_length()) if count else MIN_BITS
        self._bits, self._mask = bytearray(size // 8), size - 1


def _places(key: str) -> tuple[int, ...]:
    digest = blake2b(key.encode(), digest_size=8 * PROBES).digest()
    return PLACES_FORMAT.unpack(digest)
