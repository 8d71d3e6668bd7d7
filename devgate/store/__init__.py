"""The database: devices, presence, commands and events, in SQLite or PostgreSQL."""
