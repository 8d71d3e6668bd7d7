"""Files that callers upload in parts, to check them first and to import them afterwards."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

import trio

from devgate.errors import CallerError, StoreError
from devgate.model import shown

MAX_FILES = 8
MAX_BYTES = 256 * 1024 * 1024  # of all of them together: some million devices
UNUSED_SECONDS = 1800.0  # since its last use: then a file is deleted


@dataclass(slots=True)
class Upload:
    """One file without a name in the temporary folder."""

    id: str
    file: IO[bytes]
    used: float  # when it was used last: trio's clock
    size: int = 0  # bytes
    busy: bool = False  # somebody reads or writes it at the moment
    progress: tuple[str, int, int] = ("waiting", 0, 0)

    def note(self, what: str, done: int, total: int) -> None:
        """Record how far an import is. May be called from any thread."""
        self.progress = (what, done, total)


@dataclass(slots=True)
class Uploads:
    """At most MAX_FILES, with at most MAX_BYTES together. Files that nobody uses are deleted."""

    _files: dict[str, Upload] = field(default_factory=dict)

    async def add(self, id: str | None, data: bytes) -> Upload:
        """Append this to the file; without an `id`, begin a new one.

        Raises CallerError: 400 for a file that is not there, 429 if there is no room, and
        StoreError (503) if the temporary folder cannot take it.
        """
        self._forget_old()
        if sum(one.size for one in self._files.values()) + len(data) > MAX_BYTES:
            raise CallerError(
                "429", f"upload: all files together may have {MAX_BYTES} bytes; try again later"
            )
        one = self._new() if id is None else self.find(id)
        with self._using(one):
            one.size += len(data)
            try:
                await trio.to_thread.run_sync(_append, one.file, data)
            except OSError as err:
                self.drop(one.id)
                raise StoreError(
                    f"the temporary folder cannot take the file: {err.strerror}; make room, or "
                    "set TMPDIR to a folder that has it"
                ) from None
        return one

    def find(self, id: str) -> Upload:
        """The file of this id. Raises CallerError (400) if it is not there (any more)."""
        self._forget_old()
        one = self._files.get(id)
        if one is None:
            raise CallerError("400", f"upload: {shown(id)} is not here any more; send it again")
        return one

    @contextmanager
    def reading(self, id: str) -> Iterator[Upload]:
        """The file, from its beginning. Raises CallerError: 400 as find(), 409 if it is read
        already."""
        one = self.find(id)
        with self._using(one):
            one.file.seek(0)
            yield one

    @contextmanager
    def _using(self, one: Upload) -> Iterator[None]:
        if one.busy:
            raise CallerError("409", f"upload: {one.id} is being read or written already")
        one.busy, one.used = True, trio.current_time()
        try:
            yield
        finally:
            one.busy, one.used = False, trio.current_time()

    def drop(self, id: str) -> None:
        """It is needed no longer."""
        if (one := self._files.pop(id, None)) is not None:
            one.file.close()

    def _new(self) -> Upload:
        if len(self._files) >= MAX_FILES:
            raise CallerError(
                "429", f"upload: {MAX_FILES} files are here already; try again later"
            )
        id = secrets.token_urlsafe(18)
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by drop()
        one = self._files[id] = Upload(id, file, trio.current_time())
        return one

    def _forget_old(self) -> None:
        oldest = trio.current_time() - UNUSED_SECONDS
        for one in [one for one in self._files.values() if one.used < oldest and not one.busy]:
            self.drop(one.id)


def _append(file: IO[bytes], data: bytes) -> None:
    file.seek(0, 2)
    file.write(data)
