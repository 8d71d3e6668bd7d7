"""A storm of starts under faults, with a checker. Run by scripts/faults."""
