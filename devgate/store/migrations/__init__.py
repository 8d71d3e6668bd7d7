"""Migrations: how a database gets its tables. Alembic is imported only to migrate."""
