"""Receivers of events that were added by command, in both databases."""

from __future__ import annotations

from devgate.store import webhooks
from devgate.store.batch import Row
from devgate.store.engine import Database
from devgate.store.journal import Journal

SHOP = {
    "name": "shop", "url": "https://shop.example/a?b=c", "secret": "whsec_x",
    "events": "command,device.online", "added_at": 5.5,
}  # fmt: skip


def test_one_is_added_changed_and_removed(database: Database) -> None:
    with database.write() as conn:
        webhooks.add(conn, SHOP, "https://shop.example/a", 4711)
        webhooks.add(conn, {**SHOP, "name": "desk", "events": ""}, "https://shop.example/a", 0)
    with database.read() as conn:
        assert webhooks.added(conn) == [{**SHOP, "name": "desk", "events": ""}, SHOP]
        places = {row[0]: row for row in webhooks.all_targets(conn)}
        assert places["shop"] == (
            "shop", "https://shop.example/a", 4711, 0, None, None, None, None, 0, 0, ""
        )  # fmt: skip
    with database.write() as conn:
        webhooks.change(conn, "shop", {"url": "https://other.example/", "events": ""})
        assert webhooks.remove(conn, "desk")
        assert not webhooks.remove(conn, "desk")
        webhooks.forget(conn, "desk")
    with database.read() as conn:
        assert webhooks.added(conn) == [{**SHOP, "url": "https://other.example/", "events": ""}]
        assert [row[0] for row in webhooks.all_targets(conn)] == ["shop"]


def test_one_that_is_added_again_begins_where_it_is_told(database: Database) -> None:
    journal = Journal(database)
    values = ("shop", "u", 900, 3, 1.0, "gone", "error", 2.0, 5, 990, "1 17 40")
    journal.commit([Row("target", values)])
    journal.close()
    with database.write() as conn:
        assert webhooks.all_targets(conn) == [values]
        webhooks.add(conn, SHOP, "u", 4711)
        assert webhooks.all_targets(conn)[0][2:] == (4711, 0, None, None, None, None, 0, 0, "")
