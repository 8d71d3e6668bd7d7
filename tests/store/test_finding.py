"""Events found by their time and by their device: what reading all of them finds, too."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from ulid import ULID

from devgate.store import aged, finding, history, statistics
from devgate.store.batch import Numbering, Row
from devgate.store.engine import Database
from devgate.store.journal import Journal
from devgate.store.numbering import NEAR_SECONDS, floor_id
from tests.store.commands import EPOCH, command_row
from tests.store.plain import A, B

C = "860000000000003"


@pytest.fixture
def journal(database: Database) -> Iterator[Journal]:
    journal = Journal(database)
    yield journal
    journal.close()


def event(at: float, type: str, imei: str | None, command: str | None = None) -> Row:
    return Row("event", (at, type, imei, command, "{}"))


def ulid(at: float) -> str:
    return str(ULID.from_timestamp(at))


def by_device(database: Database) -> list[bool]:
    with database.read() as conn:
        return [
            bool(row[0]) for row in conn.execute(text("SELECT by_device FROM event ORDER BY n"))
        ]


def all_events(database: Database) -> list[tuple[Any, ...]]:
    with database.read() as conn:
        return history.events_after(conn, 0, 100_000)


class Clock:
    """Runs, and is set from time to time: by seconds, by hours, and by days into the future."""

    def __init__(self, dice: random.Random) -> None:
        self.now, self._dice = EPOCH, dice

    def __call__(self) -> float:
        self.now += self._dice.choice((0.0, 0.001, 0.5, 3.0, 40.0))
        if self._dice.random() < 0.03:
            self.now += self._dice.choice((-7200.0, -90.0, -2.0, 90.0, 86400.0))
        return self.now


def life(journal: Journal, dice: random.Random, steps: int) -> None:
    """Commands that are accepted, wait, go out, end and are answered late, amid other events."""
    clock = Clock(dice)
    open_: list[tuple[str, str]] = []
    for _ in range(steps):
        rows: list[Row] = []
        for _ in range(dice.randint(1, 4)):
            imei = dice.choice((A, B, C))
            act = dice.random()
            if act < 0.4:
                now = clock()
                id = ulid(now)
                rows += [
                    command_row(id, imei=imei, accepted_at=now),
                    event(now, "command.accepted", imei, id),
                ]
                if dice.random() < 0.7:
                    rows.append(event(clock(), "command.sent", imei, id))
                open_.append((id, imei))
            elif act < 0.75 and open_:
                id, imei = open_.pop(dice.randrange(len(open_)))
                if dice.random() < 0.8:
                    rows.append(command_row(id, imei=imei, accepted_at=EPOCH))
                rows.append(event(clock(), "command.ended", imei, id))
                if dice.random() < 0.3:
                    open_.append((id, imei))
            else:
                type = dice.choice(("device.online", "device.offline", "device.mismatch"))
                rows.append(event(clock(), type, dice.choice((imei, None))))
        journal.commit(rows)


@pytest.mark.parametrize("seed", range(6))
def test_searches_find_what_reading_everything_finds(
    database: Database, journal: Journal, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the clock does: by device, by number, by time, in pages of any size."""
    monkeypatch.setattr(finding, "MIN_READ", 2)  # many small steps
    dice = random.Random(seed)
    life(journal, dice, 60)
    everything = all_events(database)
    assert len(set(by_device(database))) == 2, "both kinds of events"
    times = [row[0] for row in everything]
    assert times == sorted(times)
    for _ in range(40):
        imei, limit = dice.choice((A, B, C)), dice.choice((1, 2, 5, 30, 1000))
        own = [row for row in everything if row[2] == imei]
        after = dice.randrange(len(everything) + 2)
        since = dice.choice(times) + dice.choice((-0.1, 0.0, 0.1))
        until = since + dice.choice((0.0, 1.0, 100.0, 90_000.0))
        with database.read() as conn:
            page = history.events_after(conn, after, limit, imei)
            spell = finding.in_time(conn, imei, since, until, limit)
            before = statistics.presence_before(conn, imei, since)
            number = finding.number_at(conn, since)
            both = finding.numbers_between(conn, since, until)
        assert page == [row for row in own if row[-1] > after][:limit]
        assert spell == [row for row in own if since <= row[0] <= until][:limit]
        told = [r for r in own if r[0] < since and r[1] in ("device.online", "device.offline")]
        assert before == (told[-1] if told else None)
        assert number == sum(at < since for at in times) + 1
        assert both == (number, sum(at <= until for at in times) + 1)


def test_events_stay_found_when_their_commands_are_trimmed(
    database: Database, journal: Journal
) -> None:
    """Commands may be kept for a shorter time than events."""
    life(journal, random.Random(7), 40)
    own = [row for row in all_events(database) if row[2] == A]
    with database.write() as conn:
        assert aged.delete_commands(conn, aged.old_commands(conn, 1e12, "")) > 0
    with database.read() as conn:
        assert history.events_after(conn, 0, 1000, A) == own
    assert all(by_device(database))


def test_numbers_that_are_missing_hide_no_other(database: Database, journal: Journal) -> None:
    journal.commit([event(EPOCH + n, "device.online", A) for n in range(20)])
    with database.write() as conn:
        conn.execute(text("DELETE FROM event WHERE n IN (1, 2, 3, 8, 9, 15)"))
    with database.read() as conn:
        assert finding.number_at(conn, EPOCH) == 4, "the first that is left"
        assert finding.number_at(conn, EPOCH + 7.5) in (8, 9)
        assert [row[-1] for row in finding.in_time(conn, A, EPOCH + 7, EPOCH + 10, 9)] == [
            10, 11,
        ]  # fmt: skip
        assert finding.number_at(conn, EPOCH + 99) == 21


def test_an_empty_log_has_no_times(database: Database) -> None:
    with database.read() as conn:
        assert finding.number_at(conn, EPOCH) == 0
        assert finding.in_time(conn, A, 0, EPOCH, 5) == []
        assert history.events_after(conn, 0, 5, A) == []
        assert history.events_after(conn, 2**63 - 1, 5, A) == []


def test_times_never_go_back(database: Database, journal: Journal) -> None:
    """Not within a commit, not between two, and not across a restart."""
    first = journal.commit([event(EPOCH, "a", A), event(EPOCH - 5, "b", A)])
    second = journal.commit([event(EPOCH - 1, "c", A), event(EPOCH + 1, "d", A)])
    assert [row[0] for row in first + second] == [EPOCH, EPOCH, EPOCH, EPOCH + 1]
    journal.close()
    again = Journal(database)
    assert [row[0] for row in again.commit([event(EPOCH - 3600, "e", A)])] == [EPOCH + 1]
    again.close()
    assert [row[0] for row in all_events(database)] == [EPOCH, EPOCH, EPOCH, EPOCH + 1, EPOCH + 1]


def test_an_event_far_from_its_command_is_found_by_its_device(
    database: Database, journal: Journal
) -> None:
    id = ulid(EPOCH)
    row = command_row(id)
    journal.commit([row, event(EPOCH, "command.accepted", A, id), event(EPOCH, "x", A)])
    journal.commit([row, event(EPOCH + NEAR_SECONDS - 2, "command.sent", A, id)])
    journal.commit([row, event(EPOCH + NEAR_SECONDS + 1, "command.ended", A, id)])
    journal.commit(
        [event(EPOCH + NEAR_SECONDS + 1, "command.late", A, ulid(EPOCH + NEAR_SECONDS))]
    )
    assert by_device(database) == [False, True, False, True, True]


def test_ids_of_a_second_are_in_order() -> None:
    assert floor_id(EPOCH) <= ulid(EPOCH) < floor_id(EPOCH + 0.001)
    assert floor_id(-5.0) == floor_id(0.0)


def test_an_event_that_got_another_time_is_known_again() -> None:
    """A COMMIT whose answer was lost may have been carried out: nothing is written twice."""
    numbering, newest = Numbering(), (EPOCH, "x", A, None, "{}", 7)
    told = [(EPOCH - 1, "a", A, None, "{}"), (EPOCH + 1, "b", A, None, "{}")]
    tried = numbering.number(told, newest)
    assert [(row[0], row[-1]) for row in tried] == [(EPOCH, 8), (EPOCH + 1, 9)]
    more = [*told, (EPOCH, "c", B, None, "{}")]
    assert numbering.number(more, newest, tried) == [(EPOCH + 1, "c", B, None, "{}", 10)]
    assert numbering.number(more, newest, tried[:1]) == [
        (EPOCH + 1, "b", A, None, "{}", 9),
        (EPOCH + 1, "c", B, None, "{}", 10),
    ], "a commit that fails again is tried again"
    assert [row[-1] for row in numbering.number(told, tried[-1])] == [10, 11], "it was done"
