"""The control channel: a Unix socket and TCP, both ends of it."""
