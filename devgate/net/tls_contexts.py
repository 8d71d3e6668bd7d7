"""Certificates that are renewed while they serve: their files are read again when they change.

A door works with one `ssl.SSLContext` from its first connection to its last. At each client's
hello it hands the connection on to the newest context of the same files, so that a certificate of
another kind, and other authorities for clients, are taken up as well. A connection that is there
keeps what it was made with.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Callable, Sequence

from devgate.errors import SetupError
from devgate.net.tls import Path, client_context, context

log = logging.getLogger("devgate.net")

Made = Callable[[], ssl.SSLContext]


class Kept:
    """One context, made again when its files have changed. `newest` may be read by any thread."""

    def __init__(self, name: str, files: Sequence[Path], make: Made) -> None:
        self.name = name
        self._files = files
        self._make = make
        self._seen = _state(files)
        self.newest = make()

    def look(self) -> bool:
        """Make it again if a file has changed; True if that was so. Raises SetupError for files
        that are not usable: what was there stays, and they are looked at again the next time."""
        now = _state(self._files)
        if now == self._seen:
            return False
        self.newest = self._make()
        self._seen = now
        return True


class TlsContexts:
    """Those of all doors, and of this side of links to other nodes."""

    def __init__(self) -> None:
        self._kept: list[Kept] = []

    def door(
        self,
        name: str,
        certificate: Path,
        key: Path,
        client_ca: Path | None = None,
        protocols: Sequence[str] = (),
    ) -> ssl.SSLContext:
        """As `tls.context`, for a door that is called `[name.tls]`; `protocols` are for ALPN."""

        def make() -> ssl.SSLContext:
            made = context(certificate, key, client_ca)
            if protocols:
                made.set_alpn_protocols(list(protocols))
            return made

        kept = self._keep(name, (certificate, key, client_ca), make)
        served = kept.newest

        def hello(connection: ssl.SSLObject, asked: str | None, served: object) -> None:
            connection.context = kept.newest

        served.sni_callback = hello
        return served

    def client(
        self, name: str, certificate: Path, key: Path, client_ca: Path | None = None
    ) -> Made:
        """As `tls.client_context`: what is returned gives the newest one."""
        files = (certificate, key, client_ca)
        kept = self._keep(name, files, lambda: client_context(certificate, key, client_ca))
        return lambda: kept.newest

    def _keep(self, name: str, files: Sequence[Path | None], make: Made) -> Kept:
        kept = Kept(name, [file for file in files if file], make)
        self._kept.append(kept)
        return kept

    def look(self) -> None:
        """Take up what has changed; it blocks, for a thread. Raises SetupError, once all were
        looked at."""
        wrong: SetupError | None = None
        for kept in self._kept:
            try:
                if kept.look():
                    log.info("certificate renewed door=%s", kept.name)
            except SetupError as err:
                wrong = SetupError(f"[{kept.name}.tls]: {err}; the one before stays in use")
        if wrong is not None:
            raise wrong


def _state(files: Sequence[Path]) -> tuple[tuple[int, ...], ...]:
    """Changes when one of the files does, also one that a link leads to."""
    return tuple(_one(file) for file in files)


def _one(file: Path) -> tuple[int, ...]:
    try:
        found = os.stat(file)
    except OSError as err:
        return (err.errno or 0,)
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
