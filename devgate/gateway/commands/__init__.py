"""Commands: from an order to its outcome, and which command a result settles."""
