"""What a run says while it runs."""

from __future__ import annotations

import sys


def say(words: str) -> None:
    """One line for a person, on standard error."""
    print(words, file=sys.stderr, flush=True)
