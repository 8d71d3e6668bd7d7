"""What a diagnosis reads: the newest events of one machine, and answers, with bounds."""

from __future__ import annotations

import pytest
from ulid import ULID

from devgate.model import Imei
from devgate.store import devices, diagnosis
from devgate.store.batch import Row
from devgate.store.device import Device
from devgate.store.diagnosis import CommandAnswer
from devgate.store.engine import Database
from devgate.store.journal import Journal
from tests.store.commands import EPOCH, command_row
from tests.store.plain import A, B, C


def test_what_is_read(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "MAX_EVENTS", 3)
    with database.write() as conn:
        for imei, model in ((A, "MC-4"), (B, "MC-4"), (C, None)):
            devices.add(conn, Device(Imei(imei), int(imei[-1]), model=model))
    journal = Journal(database)
    for n in range(5):
        at = EPOCH + n * 10
        journal.commit([Row("event", (at, "device.online", A, None, f'{{"n":{n}}}'))])
    journal.commit([Row("event", (EPOCH + 60, "device.online", B, None, "{}"))])
    ended: dict[str, object] = {"sent_at": EPOCH + 1, "ended_at": EPOCH + 1.5}
    changes: tuple[dict[str, object], ...] = (
        ended, {**ended, "status": "408"}, {**ended, "status": "404", "sent_at": None},
        {**ended, "late": True, "late_at": EPOCH + 31}, {**ended, "status": "201"},
        {"state": "sent", "status": "000", "ended_at": None},
    )  # fmt: skip
    for n, changed in enumerate(changes):
        id = str(ULID.from_timestamp(EPOCH + n))
        journal.commit([command_row(id, accepted_at=EPOCH + n, **changed)])
    journal.close()
    with database.read() as conn:
        found, complete = diagnosis.events_of(conn, A, EPOCH)
        assert ([at - EPOCH for at, _, _ in found], complete) == ([20, 30, 40], False)
        found, complete = diagnosis.events_of(conn, A, EPOCH + 25)
        assert ([at - EPOCH for at, _, _ in found], complete) == ([30, 40], True)
        assert diagnosis.answers_of(conn, A, EPOCH, 10) == [
            CommandAnswer("201", 0.5), CommandAnswer("200", 30.0),
            CommandAnswer("408", None), CommandAnswer("200", 0.5),
        ]  # fmt: skip
        assert diagnosis.answers_of(conn, A, EPOCH + 3.5, 10) == [CommandAnswer("201", 0.5)]
        assert diagnosis.others_of(conn, A, "MC-4") == [B]
