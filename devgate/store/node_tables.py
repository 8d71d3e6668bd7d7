"""The tables of who may write: the owner of a database, and the nodes of a cluster."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, String, Table, Text, false

from devgate.store.metadata import metadata

# One row: which gateway may write. Each takeover raises the epoch by one, and every commit of a
# gateway compares it with its own within the same transaction.
owner = Table(
    "owner",
    metadata,
    Column("epoch", BigInteger, nullable=False),
    Column("database", String(32), nullable=False),  # the database's own id, 32 hexadecimal digits
    Column("holder", Text, nullable=False, server_default=""),  # who took over, for people
    Column("taken_at", Double, nullable=False),
    # Why no start is accepted until an operator has confirmed it: the database lost rows.
    Column("lost", Text),
    # The newest time that is trusted, as long as the wall clock is in doubt.
    Column("trusted_at", Double),
    # What ended before that, or has a lower id, is older than the inbox of unknown outcomes.
    Column("inbox_at", Double, nullable=False, server_default="0"),
    Column("inbox_id", String(26), nullable=False, server_default=""),
)

# The nodes of a cluster: one row for each that ever joined.
node = Table(
    "node",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("incarnation", BigInteger, nullable=False),  # another one at each start
    Column("beat", BigInteger, nullable=False),  # raised by each commit of the node
    Column("alive", Boolean, nullable=False),
    Column("address", Text, nullable=False),  # HOST:PORT where the other nodes reach it
    Column("draining", Boolean, nullable=False, server_default=false()),
    Column("version", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("devices", Integer, nullable=False, server_default="0"),  # that are connected to it
    Column("running", Integer, nullable=False, server_default="0"),
    Column("in_flight", Integer, nullable=False, server_default="0"),
    Column("pid", Integer),  # of PostgreSQL's process that its journal writes with
    # See `timelines`: the promotion on which it has looked for what was lost, whether its commits
    # were on a replica as well, and the number of the newest event that it had seen then.
    Column("timeline", String(8), nullable=False, server_default=""),
    Column("synchronous", Boolean, nullable=False, server_default=false()),
    Column("seen", BigInteger, nullable=False, server_default="0"),
)

# One row: what all nodes have in common.
cluster = Table(
    "cluster",
    metadata,
    Column("incarnation", BigInteger, nullable=False),  # the newest that was given
    Column("secret", Text, nullable=False),  # by which nodes prove themselves to one another
    Column("n", BigInteger, nullable=False),  # the number of the newest event
    Column("at", Double, nullable=False),  # its time
    # JSON: the SHA-256 of files that have to be the same at every node, by their setting.
    Column("files", Text, nullable=False, server_default="{}"),
    # The promotion of the database on which all living nodes have looked.
    Column("timeline", String(8), nullable=False, server_default=""),
)
