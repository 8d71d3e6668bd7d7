"""Known devices: the directory in memory, and what keeps it equal to the database."""
