"""Sockets: bytes in, bytes out, and no idea of what they mean."""
