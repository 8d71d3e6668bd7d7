"""What a disk holds after its power was cut, from a record of operations on files.

What was synced is there. Of what was not, each write may be there, be lost, or be torn: some of
its sectors are new and some old; and in any order. Where a file had grown, a sector that was lost
may hold what was on the disk before. Names follow the same rule: one is certain once its file or
its folder was synced.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.faults.preload.record import Entry, Kind

SECTORS = (512, 4096)
MODES = ("lost", "kept", "first ones", "some", "torn")
UNNEEDED = ("-shm", ".lock")  # shared memory and a lock: nothing that is to survive


@dataclass(frozen=True)
class Change:
    """One write or truncation that is not certain yet."""

    index: int
    file: int
    offset: int
    data: bytes | None  # None: the file is cut or grown to `offset` bytes


@dataclass(frozen=True)
class Naming:
    index: int
    path: str
    file: int | None  # None: the name is gone


class Disk:
    """Feed it the entries of a record in their order; `after_cut` may be asked between any two."""

    def __init__(self, files: Mapping[str, bytes], inodes: Mapping[str, int]) -> None:
        self._certain = {inodes[path]: bytearray(data) for path, data in files.items()}
        self._names: dict[str, int] = dict(inodes)  # as they are
        self._certain_names: dict[str, int] = dict(inodes)
        self._changes: list[Change] = []
        self._namings: list[Naming] = []
        self._begun: dict[tuple[int, int, bytes], int] = {}  # syncs under way: since which index

    def feed(self, index: int, entry: Entry) -> None:
        match entry.kind:
            case Kind.OPEN:
                self._open(index, os.fsdecode(entry.data), entry.file, entry.offset)
            case Kind.WRITE:
                self._changes.append(Change(index, entry.file, entry.offset, entry.data))
            case Kind.TRUNCATE:
                self._changes.append(Change(index, entry.file, entry.offset, None))
            case Kind.SYNC_BEGIN:
                self._begun[entry.thread, entry.file, entry.data] = index
            case Kind.SYNC_END:
                begun = self._begun.pop((entry.thread, entry.file, entry.data))
                self._synced(entry.file, os.fsdecode(entry.data), begun)
            case Kind.UNLINK:
                self._names_now(index, os.fsdecode(entry.data), None)
            case Kind.RENAME:
                old, new = os.fsdecode(entry.data).split("\n")
                self._names_now(index, new, self._names.get(old))
                self._names_now(index, old, None)
            case Kind.SEND:
                pass

    def after_cut(self, rng: Random, mode: str) -> dict[str, bytes]:
        """The files by their paths, if the power fails now. `mode` is one of MODES."""
        chosen: list[tuple[Change, int]] = []  # with its sectors' size; 0: as a whole
        first = rng.randint(0, len(self._changes))
        for place, change in enumerate(self._changes):
            some = mode == "some" and rng.random() < 0.5
            if mode == "kept" or some or (mode == "first ones" and place < first):
                chosen.append((change, 0))
            elif mode == "torn":
                chosen.append((change, rng.choice(SECTORS)))
        content = {file: bytearray(data) for file, data in self._certain.items()}
        for change, sector in chosen:
            if change.data is None:
                if not sector or rng.random() < 0.5:
                    _resize(content.setdefault(change.file, bytearray()), change.offset)
            else:
                _write(content.setdefault(change.file, bytearray()), change, sector, rng)
        names = dict(self._certain_names)
        for naming in self._namings:
            if mode == "kept" or (mode != "lost" and rng.random() < 0.5):
                _name(names, naming)
        return {
            path: bytes(content.get(file, b""))
            for path, file in names.items()
            if not path.endswith(UNNEEDED)
        }

    def _open(self, index: int, path: str, file: int, flags: int) -> None:
        if self._names.get(path) != file:
            if file not in self._names.values():  # a new file, perhaps with an old one's number
                self._certain[file] = bytearray()
                self._changes = [change for change in self._changes if change.file != file]
            self._names_now(index, path, file)
        if flags & os.O_TRUNC:
            self._changes.append(Change(index, file, 0, None))

    def _names_now(self, index: int, path: str, file: int | None) -> None:
        naming = Naming(index, path, file)
        _name(self._names, naming)
        self._namings.append(naming)

    def _synced(self, file: int, folder: str, begun: int) -> None:
        """All that was done to this file, or to the names of this folder, before `begun`."""
        later = []
        for change in self._changes:
            if change.file == file and change.index < begun:
                data = self._certain.setdefault(file, bytearray())
                if change.data is None:
                    _resize(data, change.offset)
                else:
                    _write(data, change, 0, None)
            else:
                later.append(change)
        self._changes = later
        uncertain = []
        for naming in self._namings:
            mine = naming.file == file if not folder else str(Path(naming.path).parent) == folder
            if mine and naming.index < begun:
                _name(self._certain_names, naming)
            else:
                uncertain.append(naming)
        self._namings = uncertain


def read_folder(folder: Path) -> tuple[dict[str, bytes], dict[str, int]]:
    """Contents and inodes of what lies in a folder, by resolved paths: where a record begins."""
    files = [path.resolve() for path in _files(folder)]
    return (
        {str(path): path.read_bytes() for path in files},
        {str(path): path.stat().st_ino for path in files},
    )


def _files(folder: Path) -> Iterable[Path]:
    return [path for path in folder.iterdir() if path.is_file() and not path.is_symlink()]


def _name(names: dict[str, int], naming: Naming) -> None:
    if naming.file is None:
        names.pop(naming.path, None)
    else:
        names[naming.path] = naming.file


def _resize(data: bytearray, size: int) -> None:
    if size < len(data):
        del data[size:]
    else:
        data.extend(bytes(size - len(data)))


def _write(data: bytearray, change: Change, sector: int, rng: Random | None) -> None:
    assert change.data is not None, "the caller has looked"
    end = change.offset + len(change.data)
    grown_from = len(data)
    if end > len(data):
        data.extend(bytes(end - len(data)))
    if not sector or rng is None:
        data[change.offset : end] = change.data
        return
    at = change.offset
    while at < end:
        upto = min(end, at - at % sector + sector)
        if rng.random() < 0.5:
            data[at:upto] = change.data[at - change.offset : upto - change.offset]
        elif at >= grown_from and rng.random() < 0.5:
            data[at:upto] = rng.randbytes(upto - at)  # what the disk had there before
        at = upto
