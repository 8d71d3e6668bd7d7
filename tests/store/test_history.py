"""Pages of commands, what recovery reads, and trimming: on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from devgate.store import aged, history
from devgate.store.batch import Row
from devgate.store.engine import Database
from devgate.store.journal import Journal
from tests.store.commands import EPOCH, command_row, event
from tests.store.plain import A, B, C

Write = Callable[..., object]


@pytest.fixture
def write(database: Database) -> Iterator[Write]:
    journal = Journal(database)
    yield lambda *rows: journal.commit(rows)
    journal.close()


def ids(rows: Any) -> list[str]:
    return [row["id"] for row in rows]


def test_pages_are_newest_first(database: Database, write: Write) -> None:
    write(*(command_row(f"{n}", imei=A if n % 2 else B) for n in range(10)))
    with database.read() as conn:
        assert ids(history.page(conn, limit=3)) == ["9", "8", "7"]
        assert ids(history.page(conn, after="7", limit=3)) == ["6", "5", "4"]
        assert ids(history.page(conn, imei=A, after="7", limit=9)) == ["5", "3", "1"]
        assert ids(history.page(conn, after="0", limit=3)) == []


def test_pages_by_state_and_key(database: Database, write: Write) -> None:
    write(
        command_row("1", state="waiting", status="000", key="k"),
        command_row("2", key="k"),
        command_row("3", key="other"),
    )
    with database.read() as conn:
        assert ids(history.page(conn, state="waiting", limit=9)) == ["1"]
        assert ids(history.page(conn, key="k", limit=9)) == ["2", "1"]
        assert ids(history.page(conn, key="k", state="ended", limit=9)) == ["2"]


def test_a_key_finds_the_command_that_spent_it(database: Database, write: Write) -> None:
    write(command_row("1", key="k", status="404"), command_row("2", key="k", spent="k"))
    with database.read() as conn:
        found = history.by_key(conn, "k")
        assert found is not None
        assert found["id"] == "2"
        assert history.by_key(conn, "other") is None
        assert history.by_id(conn, "1") is not None
        assert history.by_id(conn, "3") is None


def test_what_was_under_way_comes_oldest_first(database: Database, write: Write) -> None:
    """In the order of the ids: times are the wall clock's, which may have gone back."""
    write(
        command_row("3", state="waiting", accepted_at=EPOCH),
        command_row("1", state="waiting", accepted_at=EPOCH + 1),
        command_row("2", state="sent", accepted_at=EPOCH - 1),
        command_row("0"),
    )
    with database.read() as conn:
        assert ids(history.unfinished(conn)) == ["1", "2", "3"]


def test_what_is_unknown_since_then(database: Database, write: Write) -> None:
    write(
        command_row("3", status="408", sent_at=EPOCH, ended_at=EPOCH + 10),
        command_row("1", status="408", sent_at=EPOCH + 11, ended_at=EPOCH + 21),
        command_row("2", status="408", sent_at=EPOCH - 90, ended_at=EPOCH - 80),
        command_row("4", status="200", late=True),
    )
    with database.read() as conn:
        assert sorted(ids(history.unknown_since(conn, EPOCH + 10))) == ["1", "3"]


def test_who_is_online_and_who_runs(database: Database, write: Write) -> None:
    write(
        Row("presence", (A, True, EPOCH, EPOCH, "1.2.3.4:5", 1)),
        Row("presence", (B, False, EPOCH, EPOCH, "1.2.3.4:6", 1)),
        Row("running", (A, EPOCH + 500)),
        Row("running", (C, EPOCH + 1)),
        Row("running", (B, None)),
    )
    with database.read() as conn:
        assert history.left_online(conn) == [(A, True)]
        assert history.running(conn, EPOCH + 1) == {A: EPOCH + 500}
        assert set(history.presence_of(conn, [A, C, "9" * 15])) == {A, C}


def test_a_device_whose_events_say_offline_already(database: Database, write: Write) -> None:
    """A trigger may refuse the row of presence alone: online and offline alternate even then."""
    write(
        Row("presence", (A, True, EPOCH, EPOCH, "1.2.3.4:5", 1)),
        Row("presence", (B, True, EPOCH, EPOCH, "1.2.3.4:6", 1)),
        *(event(f"device.{what}", imei=imei) for imei, what in (
            (A, "online"), (B, "offline"), (A, "offline"), (B, "online"), (B, "echoing"),
        )),
    )  # fmt: skip
    with database.read() as conn:
        assert sorted(history.left_online(conn)) == [(A, False), (B, True)]
    write(Row("offline", (B, False, EPOCH)))
    with database.read() as conn:
        assert sorted(history.left_online(conn)) == [(A, False), (B, True)], "its event says so"


def test_events_by_number_and_device(database: Database, write: Write) -> None:
    write(*(event(f"e{n}", EPOCH + n, A if n % 2 else None) for n in range(6)))
    with database.read() as conn:
        assert [row[-1] for row in history.events_after(conn, 2, 3)] == [3, 4, 5]
        assert [row[-1] for row in history.events_after(conn, 0, 9, imei=A)] == [2, 4, 6]
        assert history.events_after(conn, 6, 9) == []
        assert history.events_after(conn, 5, 9) == [(EPOCH + 5, "e5", A, None, "{}", 6)]


def trimmed(database: Database, trim: Callable[..., int], before: float) -> list[int]:
    """How many rows each step took."""
    counts: list[int] = []
    while not counts or counts[-1] == history.TRIM_ROWS:
        with database.write() as conn:
            counts.append(trim(conn, before))
    return counts


def taken(
    database: Database,
    find: Callable[..., Sequence[str]],
    take: Callable[..., int],
    before: float,
) -> int:
    """How many of those that are found are taken."""
    with database.write() as conn:
        return take(conn, find(conn, before, ""))


def test_old_events_go_oldest_first_in_small_steps(database: Database, write: Write) -> None:
    write(*(event(at=EPOCH + n) for n in range(1200)))
    assert trimmed(database, history.trim_events, EPOCH + 1100) == [500, 500, 100]
    with database.read() as conn:
        assert history.events_after(conn, 0, 1)[0][-1] == 1101


def test_the_newest_event_stays(database: Database, write: Write) -> None:
    """Its number is where the next run goes on."""
    write(*(event(at=EPOCH + n) for n in range(10)))
    assert trimmed(database, history.trim_events, EPOCH + 99) == [9]
    assert Journal(database).last == 10


def test_old_commands_go_and_what_is_under_way_stays(database: Database, write: Write) -> None:
    write(
        command_row("1"),
        command_row("2", state="waiting", ended_at=None),
        command_row("3", ended_at=EPOCH + 100),
        command_row("4", accepted_at=EPOCH + 100, ended_at=EPOCH + 100),
    )
    assert taken(database, aged.old_commands, aged.delete_commands, EPOCH + 50) == 1
    with database.read() as conn:
        assert ids(history.page(conn, limit=9)) == ["4", "3", "2"]


def test_old_keys_are_freed_and_their_commands_stay(database: Database, write: Write) -> None:
    write(
        command_row("1", key="old", spent="old"),
        command_row("2", key="new", spent="new", ended_at=EPOCH + 100),
        command_row("3", key="waits", spent="waits", state="waiting", ended_at=None),
    )
    assert taken(database, aged.old_keys, aged.free_keys, EPOCH + 50) == 1
    with database.read() as conn:
        assert history.by_key(conn, "old") is None
        assert history.by_key(conn, "new") is not None
        assert history.by_key(conn, "waits") is not None
        assert ids(history.page(conn, key="old", limit=9)) == ["1"]
