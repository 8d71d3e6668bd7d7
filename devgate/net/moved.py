"""Callers' connections that another process of this gateway takes over."""

from __future__ import annotations

import socket
from typing import NamedTuple


class MovedCaller(NamedTuple):
    """One connection between two requests."""

    door: str  # unix or tcp
    sock: socket.socket
    begun: bytes  # of a request that has not come whole
    authenticated: bool  # it has shown a good token
