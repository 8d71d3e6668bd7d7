"""Files that must be the same at every node of a cluster. Their SHA-256 is in the database."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Connection, text

_READ = text("SELECT files FROM cluster FOR UPDATE")
_WRITE = text("UPDATE cluster SET files = :files")


def fingerprint(path: str) -> str | None:
    """The SHA-256 of what is in the file, in hex; None: there is no such file. Raises OSError."""
    try:
        return hashlib.sha256(Path(path).read_bytes().strip()).hexdigest()
    except FileNotFoundError:
        return None


def compare(conn: Connection, here: Mapping[str, str | None]) -> list[str]:
    """Store the fingerprints of files that no other node had before. `here`: fingerprints by
    setting, None for a missing file. Returns a sentence for each file that differs from that of
    the other nodes."""
    known: dict[str, str] = json.loads(conn.scalar(_READ))
    wrong = []
    for name, digest in here.items():
        if name not in known:
            if digest is not None:
                known[name] = digest
        elif digest is None:
            wrong.append(
                f"{name}: the other nodes have this file, and here it is missing: copy it"
            )
        elif digest != known[name]:
            wrong.append(f"{name}: this file is another one than that of the other nodes: copy it")
    conn.execute(_WRITE, {"files": json.dumps(known, sort_keys=True)})
    return wrong
