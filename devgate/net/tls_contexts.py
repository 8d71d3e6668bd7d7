"""Certificates that are renewed while they serve: their files are read again when they change.

A door works with one `ssl.SSLContext` from its first connection to its last. At each client's
hello it hands the connection on to the newest context of the same files, so that a certificate of
another kind, and other authorities for clients, are used as well. An existing connection keeps the
context that it was made with.
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


class RenewedContext:
    """One context, made again when its files have changed. `newest` may be read by any thread."""

    def __init__(self, name: str, files: Sequence[Path], make: Made) -> None:
        self.name = name
        self._files = files
        self._make = make
        self._seen = _state(files)
        self.newest = make()

    def look(self) -> bool:
        """Make it again if a file has changed; returns whether one has. Raises SetupError for
        files that are not usable: the context stays as it was, and the next look tries again."""
        now = _state(self._files)
        if now == self._seen:
            return False
        self.newest = self._make()
        self._seen = now
        return True


class TlsContexts:
    """The contexts of all doors, and of links that this node opens to other nodes."""

    def __init__(self) -> None:
        self._contexts: list[RenewedContext] = []

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

        renewed = self._add(name, (certificate, key, client_ca), make)
        served = renewed.newest

        def hello(connection: ssl.SSLObject, asked: str | None, served: object) -> None:
            connection.context = renewed.newest

        served.sni_callback = hello
        return served

    def client(
        self, name: str, certificate: Path, key: Path, client_ca: Path | None = None
    ) -> Made:
        """As `tls.client_context`. Returns a function that gives the newest context."""
        files = (certificate, key, client_ca)
        renewed = self._add(name, files, lambda: client_context(certificate, key, client_ca))
        return lambda: renewed.newest

    def _add(self, name: str, files: Sequence[Path | None], make: Made) -> RenewedContext:
        renewed = RenewedContext(name, [file for file in files if file], make)
        self._contexts.append(renewed)
        return renewed

    def look(self) -> None:
        """Read changed files again. Blocks: call it in a thread. Raises SetupError after all files
        were looked at."""
        wrong: SetupError | None = None
        for renewed in self._contexts:
            try:
                if renewed.look():
                    log.info("certificate renewed door=%s", renewed.name)
            except SetupError as err:
                wrong = SetupError(f"[{renewed.name}.tls]: {err}; the one before stays in use")
        if wrong is not None:
            raise wrong


def _state(files: Sequence[Path]) -> tuple[tuple[int, ...], ...]:
    """A value that changes when one of the files does, or the target of a symbolic link."""
    return tuple(_one(file) for file in files)


def _one(file: Path) -> tuple[int, ...]:
    try:
        found = os.stat(file)
    except OSError as err:
        return (err.errno or 0,)
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
