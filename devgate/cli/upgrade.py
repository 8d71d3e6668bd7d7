"""`devgate upgrade`: another version takes over from the gateway that runs."""

from __future__ import annotations

import os

import click

from devgate.cli.asking import answer
from devgate.cli.output import Where, common

REPLY_SECONDS = 600.0  # a new version may have tables to change before it is ready


@click.command()
@click.option(
    "--program",
    metavar="PATH",
    help="The devgate that takes over; without it, the one that runs, as it is on disk now.",
)
@common
def upgrade(where: Where, program: str | None) -> None:
    """Let another version take over from the gateway that runs, with every connection.

    The running gateway starts the new program, which reads the database and gets
    all sockets: no device and no caller of the control socket is disconnected,
    no frame is lost, and commands go on where they are. Devices wait for a moment,
    which the reply tells. Connections with TLS cannot be handed over: they are
    closed within some seconds, and come back.

    Where anything is wrong with the new program, the running gateway goes on, and
    the reply says why. PATH must belong to root or to the gateway's own user.

    \b
    Examples:
      pip install --upgrade devgate && devgate upgrade
      devgate upgrade --program /opt/devgate-2/bin/devgate
    """
    request: dict[str, object] = {"type": "upgrade"}
    if program is not None:
        request["program"] = os.path.abspath(program)
    answer(where, request, reply_seconds=REPLY_SECONDS)
