"""An upgrade to a version whose schema is newer: its migration is made beside the gateway, over
rows that are there, or it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text
from upgrading.wheels import program

from devgate.store.engine import Database
from devgate.store.engines import make_engine
from devgate.store.migrating import version_of
from devgate.store.schema import SCHEMA
from tests.e2e.caller import Robot, knowing
from tests.e2e.harness import Gateway
from tests.upgrade.harness import refused, upgrade

IMEI = "860000000000001"
NEXT = f"{int(SCHEMA) + 1:04}"
MIGRATION = f'''
import sqlalchemy as sa
from alembic import op

revision = "{NEXT}"
down_revision = "{SCHEMA}"
beside = True


def upgrade() -> None:
    op.add_column("command", sa.Column("tried", sa.Text, nullable=False, server_default="no"))
    op.create_table("tried", sa.Column("command", sa.String(26), primary_key=True))
    op.execute("INSERT INTO tried SELECT id FROM command")
'''
ORDERS = 20
BROKEN = "        from devgate.errors import SetupError; raise SetupError('it is Friday')\n"


def with_a_migration(tree: Path) -> None:
    """Let the package in that folder have one schema more."""
    store = tree / "devgate" / "store"
    file = store / "schema.py"
    old = file.read_text("utf-8")
    file.write_text(old.replace(f'SCHEMA = "{SCHEMA}"', f'SCHEMA = "{NEXT}"'), "utf-8")
    assert file.read_text("utf-8") != old
    (store / "migrations" / "versions" / f"v{NEXT}_tried.py").write_text(MIGRATION, "utf-8")


class Newer:
    """A version with a newer schema, from a wheel."""

    def __init__(self, folder: Path) -> None:
        own = program("9.0.0", folder, with_a_migration)
        [self._package] = own.parents[1].glob("lib/python*/site-packages/devgate")
        self.program = folder / "devgate"  # and not the tree's, whose tests these are
        self.program.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec {own} "$@"\n', "utf-8")
        self.program.chmod(0o700)

    def with_(self, file: str, before: str, after: str) -> str:
        """Its path, with other words in one of its files."""
        path = self._package / file
        text = path.read_text("utf-8")
        assert before in text
        path.write_text(text.replace(before, after), "utf-8")
        return str(self.program)


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Newer:
    return Newer(tmp_path_factory.mktemp("newer"))


def start(gateway: Gateway, number: int) -> str:
    reply = gateway.ask({"type": "start", "imei": IMEI, "long": number, "key": f"order {number}"})
    assert reply["status"] == "200", reply
    return str(reply["command"])


def schema_of(url: str) -> str | None:
    database = Database(make_engine(url))
    try:
        with database.read() as conn:
            return version_of(conn)
    finally:
        database.close()


def test_a_migration_is_made_beside_the_gateway_over_its_rows(
    newer: Newer, database_url: str
) -> None:
    with knowing({}, database_url) as served, Robot(served, IMEI) as device:
        ids = [start(served, number) for number in range(1, ORDERS)]
        # One that the old version could not work with is refused, and changes nothing.
        migration = f"store/migrations/versions/v{NEXT}_tried.py"
        path = newer.with_(migration, "beside = True", "beside = False")
        assert f"the step to {NEXT} cannot be made while a gateway works" in refused(
            served, "--program", path
        )
        assert schema_of(database_url) == SCHEMA
        newer.with_(migration, "beside = False", "beside = True")
        # The new version fails once it is made: the old one goes on with the newer schema.
        taking = "        await successor.take_over(\n"
        newer.with_("loading.py", taking, BROKEN + taking)
        assert "it is Friday" in refused(served, "--program", path)
        assert schema_of(database_url) == NEXT
        ids.append(start(served, ORDERS))
        newer.with_("loading.py", BROKEN + taking, taking)
        reply = upgrade(served, "--program", path)
        assert (reply["version"], reply["connections"]) == ("9.0.0", 1)
        # All that was asked before is known, and what is asked now is done.
        assert [start(served, number) for number in range(1, ORDERS + 1)] == ids
        ids.append(start(served, ORDERS + 1))
        assert device.seen == [f"QD{number}" for number in range(1, ORDERS + 2)]
        database = Database(make_engine(database_url))
        with database.read() as conn:
            tried = conn.execute(text("SELECT tried, count(*) FROM command GROUP BY tried")).all()
            moved = conn.scalars(text("SELECT command FROM tried")).all()
        database.close()
        assert [tuple(row) for row in tried] == [("no", len(ids))]
        assert sorted(moved) == sorted(ids[: ORDERS - 1]), "those that were there"
