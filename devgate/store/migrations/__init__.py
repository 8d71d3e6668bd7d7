"""How a database gets the tables of `schema`: Alembic, imported only when migrating."""
