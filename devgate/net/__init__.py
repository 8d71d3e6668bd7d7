"""Sockets: bytes in, bytes out. This package does not know what the bytes mean."""
