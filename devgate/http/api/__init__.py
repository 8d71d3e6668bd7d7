"""The API: one table of endpoints, from which routes, checks and documents are made."""
