"""devgate: a gateway that starts rented machines over TCP, each start at most once."""

from contextlib import suppress

__version__ = "0.1.0"
with suppress(ImportError):  # a working tree changes; a package knows its commit (hatch_build.py)
    from devgate._build import VERSION

    __version__ = VERSION
