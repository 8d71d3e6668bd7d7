"""When the certificates of the gateway's doors expire: read rarely, in a thread."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import trio

LOOK_SECONDS = 600.0


class Certificate(NamedTuple):
    """The certificate of one door."""

    door: str  # its table: http.tls
    file: str
    expires: float  # wall clock; of a chain the first one that does


class Certificates:
    """Those of the files that are configured now."""

    def __init__(self, files: Callable[[], Mapping[str, str]]) -> None:
        """`files`: the certificate's file of each door."""
        self._files = files
        self._known: Sequence[Certificate] = ()
        self._until = -math.inf

    async def known(self) -> Sequence[Certificate]:
        """The certificates at the last look. Unreadable ones are left out: their doors report
        that."""
        files = dict(self._files())
        if files and monotonic() >= self._until:
            self._known = await trio.to_thread.run_sync(_look, files)
            self._until = monotonic() + LOOK_SECONDS
        return self._known


def _look(files: Mapping[str, str]) -> Sequence[Certificate]:
    from cryptography import x509

    found = []
    for door, file in files.items():
        try:
            chain = x509.load_pem_x509_certificates(Path(file).read_bytes())
        except (OSError, ValueError):
            continue
        expires = min(one.not_valid_after_utc for one in chain).timestamp()
        found.append(Certificate(door, file, expires))
    return found
