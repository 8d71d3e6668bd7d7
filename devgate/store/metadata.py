"""The SQLAlchemy metadata of all tables."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, MetaData

metadata = MetaData()

# In SQLite only INTEGER makes a key the row's own number, without a second index.
NUMBER = BigInteger().with_variant(Integer(), "sqlite")
