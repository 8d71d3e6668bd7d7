"""The life of a command: from an order to its outcome, and what a result belongs to."""
