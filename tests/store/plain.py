"""The database as another program sees it: plain SQL over a connection of its own."""

from __future__ import annotations

import sqlite3
from typing import Any

import psycopg

A, B, C = "100000000000001", "100000000000002", "100000000000003"

Other = sqlite3.Connection | psycopg.Connection[Any]


def connect(url: str) -> Other:
    """A connection outside of devgate; the caller commits and closes it."""
    if url.startswith("sqlite:///"):
        return sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0, isolation_level=None)
    return psycopg.connect(url)


def run(url: str, *statements: str) -> None:
    """Each statement in a transaction of its own."""
    other = connect(url)
    try:
        for statement in statements:
            other.execute(statement)
            other.commit()
    finally:
        other.close()
