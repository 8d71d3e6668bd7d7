"""How a script in Python ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn


class Broken(Exception):
    """The run cannot go on. One sentence for a person."""


def run(name: str, main: Callable[[], int | None]) -> NoReturn:
    """Exit with what `main` returns, with 1 and its sentence after Broken, with 130 after Ctrl-C.

    A file or program that is missing is named, too.
    """
    try:
        sys.exit(main())
    except (Broken, FileNotFoundError) as err:
        print(f"{name}: {err}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
