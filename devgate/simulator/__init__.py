"""Simulated devices, to try a gateway with: they use the protocol, and no code of the server."""
