"""The `devgate` command: groups, global options, and commands that are imported when used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click

from devgate import __version__
from devgate.cli.help import Formatter, reworded
from devgate.cli.output import (
    INTERRUPTED,
    USAGE,
    Where,
    exit_code,
    fail,
    options,
    print_error,
    printing,
)
from devgate.control.client import NoGateway
from devgate.errors import DevgateError, SetupError
from devgate.model import NO_GATEWAY


class CommandEntry(NamedTuple):
    """The function of a command, and its line in the help. So the help imports no command."""

    target: str  # "module:attribute", below devgate.cli
    summary: str


SECTIONS: Mapping[str, Mapping[str, CommandEntry]] = {
    "Machines": {
        "start": CommandEntry("device:start", "Start a device and wait for its answer."),
        "stop": CommandEntry("device:stop", "Stop a device and wait for its answer."),
        "status": CommandEntry("device:status", "Show how the gateway or one device is."),
        "devices": CommandEntry("local.devices:devices", "Manage the list of known devices."),
        "bulk": CommandEntry("bulk:bulk", "Start, stop or change many machines at once."),
        "maintenance": CommandEntry(
            "maintenance:maintenance", "Keep customers from starting machines."
        ),
        "labels": CommandEntry("local.labels:labels", "Make A4 sheets of QR stickers."),
    },
    "What happened": {
        "find": CommandEntry("commands:find", "Find an order, a device or a site."),
        "history": CommandEntry("commands:history", "List commands, newest first."),
        "commands": CommandEntry("commands:commands", "Look up or cancel single commands."),
        "fleet": CommandEntry("fleet:fleet", "Show what needs attention, worst first."),
        "report": CommandEntry(
            "report:report", "Report what machines did, by day, month or site."
        ),
        "unknown": CommandEntry("inbox:unknown", "Resolve commands whose outcome is unknown."),
        "sites": CommandEntry("sites:sites", "List the sites, and where they are."),
        "diagnose": CommandEntry(
            "diagnose:diagnose", "Report how stable a machine's connection is."
        ),
        "top": CommandEntry("top:top", "Show what is going on, on one screen."),
        "watch": CommandEntry("follow:watch", "Follow events as they happen."),
        "tap": CommandEntry("follow:tap", "Follow the frames of a device as they pass."),
        "replay": CommandEntry("replay:replay", "Play a saved tap against a gateway."),
    },
    "The gateway": {
        "serve": CommandEntry("local.serve:serve", "Run the gateway."),
        "simulate": CommandEntry("local.simulate:simulate", "Run a fleet of simulated devices."),
        "settings": CommandEntry(
            "settings:settings", "Show the configuration that the gateway works by."
        ),
        "webhooks": CommandEntry("webhooks:webhooks", "Manage the receivers of events."),
        "alert": CommandEntry("alert:alert", "Alert people when something needs attention."),
        "zones": CommandEntry("report:zones", "Manage the time zones of sites."),
        "nodes": CommandEntry("nodes:nodes", "Manage the nodes of a cluster."),
        "backup": CommandEntry("local.backup:backup", "Back up the database and verify it."),
        "restore": CommandEntry("local.backup:restore", "Restore the database from a backup."),
        "check": CommandEntry("local.backup:check", "Check that a backup is whole."),
        "quarantine": CommandEntry(
            "local.quarantine:quarantine", "Refuse starts after a restore."
        ),
        "db": CommandEntry("local.db:db", "Manage the gateway's database."),
        "token": CommandEntry("local.token:token", "Manage the tokens of web applications."),
        "user": CommandEntry("local.user:user", "Manage the people who may use the dashboard."),
        "audit": CommandEntry("audit:audit", "List who changed what and who logged in."),
        "service": CommandEntry("local.service:service", "Run the gateway under systemd."),
        "doctor": CommandEntry(
            "local.doctor:doctor", "Examine machine, database and gateway for faults."
        ),
        "upgrade": CommandEntry(
            "upgrade:upgrade", "Let another version take over, with every connection."
        ),
        "trim": CommandEntry("trim:trim", "Confirm the clock, and delete old records."),
        "log-level": CommandEntry("log_level:log_level", "Show or set the log level."),
        "send": CommandEntry("device:send", "Send a raw request, for scripts."),
        "completion": CommandEntry("completion:completion", "Print shell completion code."),
    },
}
click.Context.formatter_class = Formatter  # of every command, also of those in groups
ENTRIES = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class Lazy(click.Group):
    """A group that imports a command when it is used, and turns our errors into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, without importing one."""
        return list(ENTRIES)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one command; None if there is none of that name."""
        if name not in ENTRIES:
            # click looks here for commands with a similar name.
            self.commands = {known: click.Command(known) for known in ENTRIES}
            return None
        module, _, attribute = ENTRIES[name].target.partition(":")
        command: click.Command = getattr(import_module(f"devgate.cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """All commands with a summary of each, in sections, without importing one."""
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.summary) for name, entry in section.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's; an error is in the reader's language."""
        try:
            with printing():  # --help and --version are printed here
                return super().parse_args(ctx, args)
        except click.ClickException as err:
            raise reworded(err) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Only here errors that people can correct become messages without a
        traceback."""
        try:
            with printing():
                return super().invoke(ctx)
        except click.ClickException as err:
            raise reworded(err) from None
        except SetupError as err:
            # 500 stands for no status: what was given has to be corrected.
            fail(str(err), USAGE if err.status == "500" else exit_code({"status": err.status}))
        except NoGateway as err:
            if ctx.ensure_object(Where).hides_another():
                print_error(
                    "the gateway.toml in this folder was taken, and not "
                    "/etc/devgate/gateway.toml: name the one that is meant with --config"
                )
            fail(str(err), NO_GATEWAY)
        except DevgateError as err:
            fail(str(err), exit_code({"status": err.status}))
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED) from None


@click.group(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@options
@click.version_option(__version__, prog_name="devgate", message="%(prog)s %(version)s")
def cli() -> None:
    """Start and stop rented machines, see what they do, or be their gateway.

    \b
    A first look, with nothing but this:
      devgate serve --demo 20              # a gateway and 20 simulated devices
      devgate devices list                 # in a second terminal
      devgate start 860000000000001 15m
      devgate status 860000000000001

    The gateway is found by --socket, DEVGATE_SOCKET, --config, DEVGATE_CONFIG,
    ./gateway.toml or /etc/devgate/gateway.toml, in this order. These options may
    stand in front of the command or behind it.
    """
