"""Three nodes on one PostgreSQL under faults at random. Run by scripts/jepsen."""
