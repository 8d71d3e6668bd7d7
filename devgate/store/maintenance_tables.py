"""The table of what is in maintenance: machines, and whole sites."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, String, Table, Text, false

from devgate.store.metadata import metadata

# A row stays for a while after it has ended: so every gateway sees that it has.
maintenance = Table(
    "maintenance",
    metadata,
    Column("kind", String(4), primary_key=True),  # `imei` or `site`
    Column("name", Text, primary_key=True),  # the IMEI, or the site's name
    Column("reason", Text, nullable=False),
    Column("since", Double, nullable=False),
    Column("until", Double),  # NULL: until somebody ends it
    Column("source", String(160), nullable=False),  # who has begun it
    Column("ended", Boolean, nullable=False, server_default=false()),
    Column("revision", BigInteger, nullable=False),  # of the change that wrote it: `revision`
)
Index(
    "maintenance_revision",
    maintenance.c.revision,
    maintenance.c.kind,
    maintenance.c.name,
)
