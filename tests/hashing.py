"""Passwords of tests are hashed at the least cost.

A hash of production takes 0.2 s of CPU, and each gateway with a dashboard makes one when it
starts. This counts in processes that have imported this module: those of pytest, and what
`tests/forked.py` forks. New interpreters hash as production does.
"""

from __future__ import annotations

from argon2 import PasswordHasher

from devgate.access import users

PRODUCTION = users._hasher
users._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
