"""How old the newest backup is, and whether the key file that it needs is another one by now."""

from __future__ import annotations

import time
from pathlib import Path

from devgate.backup import note as notes
from devgate.config.settings import Settings
from devgate.doctor.finding import Findings, error, ok, warning
from devgate.errors import SetupError

CHECK = "backups"
OLD_HOURS, TOO_OLD_HOURS = 36.0, 7 * 24.0  # whoever copies each night has done so by then
MAKE = "run `devgate backup` each night: a timer of systemd, or cron"


def examine(settings: Settings, now: float | None = None) -> Findings:
    """The newest backup in the folder that the configuration names. `now`: seconds since 1970."""
    if not settings.store.backups:
        yield ok(CHECK, "[store] backups names no folder: how old a backup is, is not looked at")
        return
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
    hours = ((time.time() if now is None else now) - note.made_at) / 3600
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
