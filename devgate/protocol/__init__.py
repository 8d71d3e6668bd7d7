"""The device protocol: bytes to events, events to answers. No I/O, no clock."""
