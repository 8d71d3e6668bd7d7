"""What is stored: devices, presence, commands and events, in SQLite or PostgreSQL."""
