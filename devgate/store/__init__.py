"""What is kept: devices, presence, commands and events, in SQLite or PostgreSQL."""
