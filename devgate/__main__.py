"""`python -m devgate`: the same as `devgate`."""

from __future__ import annotations

from devgate.cli.main import cli

if __name__ == "__main__":
    cli(prog_name="devgate")
