"""The configuration: every key, where its value is read, and the messages about errors in it."""
