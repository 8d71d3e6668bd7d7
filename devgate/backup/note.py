"""The note beside a backup (`<backup>.json`): how far it goes, its SHA-256, the key it needs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from devgate.errors import SetupError
from devgate.store.copies import Facts
from devgate.store.modes import new_file

READ_BYTES = 1 << 20


class Note(NamedTuple):
    """What is known of a backup without looking into it. Times are seconds since 1970."""

    version: str  # of the devgate that made it
    kind: str  # sqlite or postgresql
    source: str  # the database's URL, without its password
    made_at: float  # the moment that it shows
    size: int  # bytes
    sha256: str
    key_file: str  # opens the secrets that are in it
    key: str | None  # its fingerprint; None: it was not there
    facts: Facts


def path_of(file: Path) -> Path:
    """Where the note of a backup is."""
    return file.with_name(f"{file.name}.json")


def write(file: Path, note: Note) -> None:
    """Put the note beside the backup, for its owner alone, and onto the disk. Raises OSError."""
    path = path_of(file)
    fields = {"devgate_backup": 1, **note._asdict(), "facts": note.facts._asdict()}
    with os.fdopen(new_file(path), "w") as content:
        json.dump(fields, content, indent=1)
        content.write("\n")
        content.flush()
        os.fsync(content.fileno())


def read(file: Path) -> Note | None:
    """The note of a backup; None: it has none. Raises SetupError for one that is no note."""
    path = path_of(file)
    try:
        fields: Any = json.loads(path.read_bytes())
        if fields.pop("devgate_backup") != 1:
            raise ValueError
        return Note(**{**fields, "facts": Facts(**fields["facts"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise SetupError(
            f"{path}: no note of a backup; remove it, and the backup is taken without it",
            status="400",
        ) from None


def digest(file: Path, also: Callable[[bytes], object] = lambda content: None) -> str:
    """The SHA-256 of a file, in hexadecimal. `also` is given all of it. Raises OSError."""
    found = hashlib.sha256()
    with file.open("rb") as content:
        while part := content.read(READ_BYTES):
            found.update(part)
            also(part)
    return found.hexdigest()


def fingerprint(key_file: str) -> str | None:
    """Distinguishes key files, and tells nothing about the key. None: the file cannot be read."""
    with suppress(OSError):
        content = Path(key_file).read_bytes().strip()
        return hashlib.sha256(b"devgate key file\0" + content).hexdigest()[:16]
    return None


def in_folder(folder: Path) -> Iterator[Path]:
    """The backups in a folder that have a note, oldest first. Raises OSError."""
    notes = [path for path in folder.iterdir() if path.name.endswith(".json")]
    files = [path.with_name(path.name.removesuffix(".json")) for path in notes]
    yield from sorted(
        (file for file in files if file.name.startswith("devgate-") and file.exists()),
        key=lambda file: file.name,
    )
