"""`devgate serve`: run the gateway. The server is imported when it is run, not before."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from devgate.cli.output import Where, common, fail, print_error, tell

if TYPE_CHECKING:
    from devgate.config.settings import Settings


@click.command()
@click.option("--check", is_flag=True, help="Only check the configuration, and what it names.")
@click.option(
    "--demo",
    type=click.IntRange(min=1, max=100_000),
    metavar="N",
    help="Bring N simulated devices, and a throw-away store that knows them.",
)
@click.option(
    "--standby",
    is_flag=True,
    help="Wait while another gateway works with the same PostgreSQL, and take over after it.",
)
@click.option(
    "--nodes",
    type=click.IntRange(min=2, max=64),
    metavar="N",
    help="Run N processes as nodes of a cluster, at the same addresses.",
)
@common
def serve(where: Where, check: bool, demo: int | None, standby: bool, nodes: int | None) -> None:
    """Run the gateway until it is told to stop.

    A demo takes the control socket's path from the configuration or the
    environment, and nothing else: it never works with a real database.

    \b
      devgate serve                        # ./gateway.toml, or all defaults
      devgate serve --config FILE
      devgate serve --check                # is the configuration right?
      devgate serve --demo 20              # something to look at
      devgate serve --standby              # take over when the other one ends
      devgate serve --nodes 4              # as many processes, on PostgreSQL

    SIGTERM or Ctrl-C lets commands in flight finish first; a second one ends
    at once. SIGHUP reads the configuration again: what needs a restart is
    named in the log, and a wrong file changes nothing.

    A PostgreSQL server that cannot be reached is waited for. With --standby,
    so is another gateway: until it has ended, this one opens no door.

    Exit codes: 0 stopped as told, 2 the configuration is wrong, 12 it cannot
    start (a port in use, a folder that is not writable, no database), 70 it
    could not stop: the log says what did not end.
    """
    from devgate.early import importing, prepare

    prepare()
    with importing():
        from devgate.config.load import load
        from devgate.config.locate import find_config
        from devgate.errors import SetupError

    def read_settings() -> Settings:
        settings = load(find_config(where.config_option, os.environ), os.environ)
        if where.socket_option is not None:
            socket = os.path.abspath(where.socket_option)
            control = settings.control.model_copy(update={"socket": socket})
            settings = settings.model_copy(update={"control": control})
        return settings

    if demo is not None and standby:
        fail("a demo has a database of its own, and no standby: leave one of the two out", 2)
    if demo is not None and not check:
        _demo(where, demo)
        return
    if nodes is not None and (standby or demo is not None):
        fail("--nodes runs nodes of a cluster, without --standby and --demo", 2)
    settings = read_settings()
    if nodes is not None and not check:
        from devgate.supervisor import command_line, supervise

        try:
            raise SystemExit(supervise(settings, nodes, command_line(where.config_option)))
        except SetupError as err:
            fail(str(err), 2 if err.status == "400" else 12)
    if check:
        from devgate.process import check as look
        from devgate.process import open_to_others, promises, unreachable

        look(settings, standby=standby)
        for words in (*open_to_others(settings), *unreachable(settings)):
            print_error(f"warning: {words}")
        for words in promises(settings):
            tell(words)
        tell("the configuration is right")
        return
    try:
        _run(settings, read_settings, standby)
    except SetupError as err:
        fail(str(err), 2 if err.status == "400" else 12)


def _run(settings: Settings, read_settings: Callable[[], Settings], standby: bool) -> None:
    from devgate.early import importing

    with importing():
        from devgate.app import App
        from devgate.process import serve

    async def nothing_more(app: App) -> None:
        return

    serve(settings, read_settings, nothing_more, standby=standby, alone=True)


def _demo(where: Where, count: int) -> None:
    """Run a demo. Its socket is where the CLI in another terminal looks for one."""
    from devgate.app import App
    from devgate.demo import fill, populate, throw_away
    from devgate.errors import SetupError
    from devgate.process import serve

    async def on_ready(app: App) -> None:
        await populate(app, count)

    try:
        with throw_away(where.socket()) as settings:
            serve(settings, lambda: settings, on_ready, lambda database: fill(database, count))
    except SetupError as err:
        fail(str(err), 2 if err.status == "400" else 12)
