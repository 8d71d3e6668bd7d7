"""What Alembic runs to migrate: on the connection and in the transaction of `store.engine`."""

from alembic import context

from devgate.store.schema import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
