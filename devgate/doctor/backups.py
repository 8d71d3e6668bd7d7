"""Checks the age of the newest backup, and whether the key file that it needs has changed."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from devgate.backup import note as notes
from devgate.config.settings import Settings
from devgate.doctor import database
from devgate.doctor.finding import Finding, Findings, error, ok, warning
from devgate.errors import SetupError
from devgate.store.health import Health
from devgate.store.server_health import Archive

CHECK = "backups"
OLD_HOURS, TOO_OLD_HOURS = 36.0, 7 * 24.0  # a nightly backup is younger than the first
MAKE = "run `devgate backup` each night: a timer of systemd, or cron"


def examine(settings: Settings, found: Health | None, now: float | None = None) -> Findings:
    """The newest backup in the folder that the configuration names, and the archive of
    PostgreSQL's log. `found`: the database, if it could be looked at. `now`: seconds since
    1970."""
    archive = found.postgresql.archive if found and found.postgresql else None
    if archive is not None:
        yield _archive(archive)
    if not settings.store.backups:
        if archive is None:
            yield _without(settings, found)
        return
    yield from _newest(settings, time.time() if now is None else now)


def _newest(settings: Settings, now: float) -> Findings:
    folder = Path(settings.store.backups)
    if not folder.is_dir():
        yield error(CHECK, f"[store] backups: there is no folder {folder}", f"make it, and {MAKE}")
        return
    newest = list(notes.in_folder(folder))[-1:]
    if not newest:
        yield error(CHECK, f"there is no backup in {folder}", MAKE)
        return
    try:
        note = notes.read(newest[0])
    except SetupError as err:
        yield warning(CHECK, str(err), MAKE)
        return
    assert note is not None, "those without one are not listed"
    hours = (now - note.made_at) / 3600
    words = f"the newest backup, {newest[0]}, is {hours:.0f} hours old"
    if newest[0].stat().st_size != note.size:
        yield error(CHECK, f"{newest[0]} has not the size that was written", "make another one")
    elif hours > TOO_OLD_HOURS:
        yield error(CHECK, words, MAKE)
    elif hours > OLD_HOURS:
        yield warning(CHECK, words, MAKE)
    else:
        yield ok(CHECK, words)
    here = notes.fingerprint(settings.store.key_file)
    if note.facts.sealed and note.key != here:
        yield warning(
            CHECK,
            f"secrets in the newest backup need another key file than {settings.store.key_file} "
            "is now",
            "make another backup, and keep a copy of the key file elsewhere",
        )


def _archive(archive: Archive) -> Finding:
    if archive.fails:
        return error(
            CHECK,
            f"PostgreSQL cannot archive its write-ahead log, since {archive.file}: what comes "
            "after the last file could not be restored, and the disk fills up",
            "mend archive_command; the server's log says why it fails",
        )
    if archive.done is None:
        return warning(
            CHECK,
            "PostgreSQL has archived nothing of its write-ahead log yet",
            "SELECT pg_switch_wal(), then look at pg_stat_archiver",
        )
    return ok(CHECK, f"PostgreSQL archives its write-ahead log; the last file at {_at(archive)}")


def _at(archive: Archive) -> str:
    return f"{datetime.fromtimestamp(archive.done or 0, UTC):%Y-%m-%d %H:%M} UTC"


def _without(settings: Settings, found: Health | None) -> Finding:
    """The finding if the configuration names no folder of backups."""
    file = database.file_of(settings)
    if file is not None and file.with_name(f".{file.name}-litestream").is_dir():
        return ok(CHECK, f"Litestream follows {file}")
    if found is None or not found.events:
        return ok(CHECK, "[store] backups names no folder: how old a backup is, is not looked at")
    return warning(
        CHECK,
        "no backup is known of: [store] backups names no folder, and nothing follows the database",
        f"{MAKE}, and name its folder",
    )
