"""`devgate doctor`: an examination of everything. Its modules are imported when it runs."""

from __future__ import annotations

import os
from collections import Counter

import click

from devgate.cli.language import said
from devgate.cli.output import Where, common, emit, say, tell, width
from devgate.model import EXIT

COLOURS = {"error": "red", "warning": "yellow", "ok": "green"}
WARNINGS = 1  # the exit code if there are warnings and no error


@click.command()
@click.option("--all", "everything", is_flag=True, help="Show what is right, too.")
@common
def doctor(where: Where, everything: bool) -> None:
    """Examine the machine, the configuration, the database and the gateway that runs.

    Limits and descriptors, ports, kernel settings, memory, disk and its speed, the database's
    health, growth and promises, the clock, secrets that lie open, certificates, webhook
    receivers, and keys of the configuration without effect. Errors come first, and each
    finding says what to do. Nothing is changed. It connects to the gateway's own ports and to
    the receivers of its webhooks, and to nothing else.

    \b
    Examples:
      devgate doctor
      sudo -u devgate devgate doctor --all --config /etc/devgate/gateway.toml
      devgate doctor --json | jq 'select(.severity == "error")'

    Exit codes: 0 nothing was found, 1 warnings only, 12 at least one error.
    """
    from devgate.config.locate import find_config
    from devgate.doctor.examine import examine, worst_first
    from devgate.doctor.finding import Severity

    config = find_config(where.config_option, os.environ)
    found = worst_first(examine(config, os.environ, where.socket()))
    counts = Counter(finding.severity for finding in found)
    for finding in found:
        if where.as_json:
            emit({**finding._asdict(), "severity": finding.severity.value})
        elif everything or finding.severity is not Severity.OK:
            name = finding.severity.value
            word = said(name)
            mark = click.style(word + " " * (8 - width(word)), fg=COLOURS[name])
            say(f"{mark}{said(finding.check)}: {said(finding.message)}")
            if finding.action:
                say(f"        {said(finding.action)}")
    errors, warnings = counts[Severity.ERROR], counts[Severity.WARNING]
    if not where.as_json:
        tell(f"errors: {errors}, warnings: {warnings}, right: {counts[Severity.OK]}")
    raise SystemExit(EXIT["503"] if errors else WARNINGS if warnings else 0)
