"""protocol.md as tests. No I/O, no clock."""
