"""What `devgate service install` writes and `remove` deletes."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from devgate.config.credentials import named
from devgate.config.load import load
from devgate.config.locate import read
from devgate.errors import SetupError
from devgate.service.unit import unit

_CONFIGURATION = """\
# devgate's configuration; what is not here has its default. `devgate serve --check` looks at it.

[control]
socket = "/run/{name}/devgate.sock"   # its group may command machines: usermod -aG {user} www-data

[service]
phone = "400-500-5620"
qr = "http://csgxjk.com/qrcode/dev/{{id}}"

[store]
url = "sqlite:////var/lib/{name}/devgate.db"
"""


class Place(NamedTuple):
    """Where a service is. `root` is "/" or the root of an image that is being built."""

    root: Path
    name: str
    user: str

    @property
    def unit(self) -> Path:
        """The unit file."""
        return self.root / f"etc/systemd/system/{self.name}.service"

    @property
    def configuration(self) -> Path:
        """The file for --config."""
        return self.root / f"etc/{self.name}/gateway.toml"

    @property
    def live(self) -> bool:
        """Whether it is this machine, and not an image."""
        return self.root == Path("/")


Say = Callable[[str], None]


def install(place: Place, program: str, say: Say, *, start: bool) -> None:
    """Make user, configuration and unit, and start the service. An existing user and configuration
    stay. Raises SetupError for a step that fails."""
    if place.live and os.geteuid() != 0:
        raise SetupError("only root may install a service: use sudo")
    if place.unit.is_symlink():
        raise SetupError(
            f"{place.unit} is a link to {os.readlink(place.unit)}, which would be written to: if "
            f"the unit is masked, `systemctl unmask {place.name}`; else remove the link"
        )
    if place.live:
        _must_be_seen(program)
    _make_user(place, say)
    _write_configuration(place, say)
    config = "/" + str(place.configuration.relative_to(place.root))
    text = unit_for(
        place.configuration, {}, [program, "serve", "--config", config],
        name=place.name, user=place.user,
    )  # fmt: skip
    place.unit.parent.mkdir(parents=True, exist_ok=True)
    place.unit.write_text(text)
    place.unit.chmod(0o644)
    say(f"wrote {place.unit}")
    if place.live:
        _run(["systemctl", "daemon-reload"])
        _run(["systemctl", "enable", *(["--now"] if start else []), place.name])
        if start:
            _run(["systemctl", "restart", place.name])
            say(f"{place.name} runs; `journalctl -u {place.name} -f` shows its log")


def remove(place: Place, say: Say) -> None:
    """Stop the service and delete its unit. Configuration and database stay. Raises SetupError."""
    if place.live and os.geteuid() != 0:
        raise SetupError("only root may remove a service: use sudo")
    if not place.unit.exists():
        raise SetupError(f"there is no {place.unit}: nothing to remove")
    if place.live:
        _run(["systemctl", "disable", "--now", place.name])
    place.unit.unlink()
    if place.live:
        _run(["systemctl", "daemon-reload"])
    say(f"removed {place.unit}")
    state = place.root / f"var/lib/{place.name}"
    say(f"{place.configuration.parent}, {state} and the user {place.user} were left as they are")


def unit_for(
    config: Path | None, env: Mapping[str, str], command: Sequence[str], *, name: str, user: str
) -> str:
    """The unit's text for this configuration: with its ports, and the credentials that it names,
    which need not exist yet. Raises SetupError."""
    settings = load(config, env, password=False)
    listen = [*settings.device.listen, *settings.control.listen, *settings.http.listen]
    used = [*named(read(config)[1] if config else {}), *named(dict(env))]
    return unit(command, listen, name=name, user=user, credentials=used)


def configuration(name: str, user: str) -> str:
    """The lines of a configuration for a service of that name."""
    return _CONFIGURATION.format(name=name, user=user)


def _must_be_seen(program: str) -> None:
    """Raises SetupError if the unit would not find the program, or its Python."""
    python = os.path.realpath(sys.executable)
    if any(file.startswith(("/home/", "/root/")) for file in (program, python)):
        raise SetupError(
            f"the service cannot run {program}: its Python is {python}, and the unit hides /home "
            "and /root (ProtectHome=yes); make the environment in /opt with a Python that is not "
            "below them"
        )


def _make_user(place: Place, say: Say) -> None:
    if place.live:
        try:
            pwd.getpwnam(place.user)
        except KeyError:
            _run([
                "useradd", "--system", "--user-group", "--no-create-home",
                "--home-dir", f"/var/lib/{place.name}", "--shell", "/usr/sbin/nologin", place.user,
            ])  # fmt: skip
            say(f"made the user {place.user}")
        return
    file = place.root / f"usr/lib/sysusers.d/{place.name}.conf"  # systemd makes it at boot
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'u {place.user} - "devgate" /var/lib/{place.name}\n')
    say(f"wrote {file}")


def _write_configuration(place: Place, say: Say) -> None:
    file = place.configuration
    if file.exists():
        say(f"{file} is there and stays as it is")
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    # It may get passwords: only root may write it, and only the service may read it.
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(configuration(place.name, place.user))
    if place.live:
        shutil.chown(file, group=place.user)
        shutil.chown(file.parent, group=place.user)
    say(f"wrote {file}")


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as err:
        raise SetupError(f"{command[0]} cannot be run: {err.strerror}", status="503") from None
    if done.returncode:
        why = done.stderr.strip() or f"exit code {done.returncode}"
        raise SetupError(f"`{' '.join(command)}` failed: {why}", status="503")
