"""Which settings of a PostgreSQL server keep what the gateway confirms, also in a failover."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import text

from devgate.errors import SetupError
from devgate.store.engine import Database, opened

_SETTINGS = text(
    "SELECT name, setting FROM pg_settings WHERE name IN "
    "('fsync', 'full_page_writes', 'synchronous_commit', 'synchronous_standby_names')"
)


def look(url: str) -> Iterator[str]:
    """Sentences on the server's settings, or why they could not be read. SQLite has none."""
    if not url.startswith("postgres"):
        return
    found: dict[str, str] = {}

    def read(database: Database) -> None:
        with database.read() as conn:
            found.update((row.name, row.setting) for row in conn.execute(_SETTINGS))

    try:
        opened(url, read).close()
    except SetupError as err:
        yield f"warning: the server's settings were not looked at: {err}"
        return
    yield "PostgreSQL: " + ", ".join(f"{name} = '{found[name]}'" for name in sorted(found))
    for name in ("fsync", "full_page_writes"):
        if found[name] != "on":
            yield f"warning: {name} is {found[name]}: a power cut may lose confirmed orders"
    if not found["synchronous_standby_names"]:
        yield (
            "warning: synchronous_standby_names is empty: a standby that takes over may lack the "
            "last confirmed orders"
        )
