"""Connections of HTTP, from the first byte to the last, within limits."""
