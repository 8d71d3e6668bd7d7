"""The store, on real databases: each test runs on SQLite and on PostgreSQL."""
