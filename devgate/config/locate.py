"""Find the configuration and the gateway's socket; light enough for every command of the CLI.

control.md section 3 has the order: `--socket`, DEVGATE_SOCKET, `--config`, DEVGATE_CONFIG,
./gateway.toml, /etc/devgate/gateway.toml; in a configuration, its `[control] socket`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devgate.errors import WrongSettings
from devgate.model import shown

if TYPE_CHECKING:
    import tomli

PLACES = (Path("gateway.toml"), Path("/etc/devgate/gateway.toml"))
SOCKET = "run/devgate.sock"
MAX_FILE = 1024 * 1024  # bytes: a configuration has a few thousand; /dev/zero never ends


def find_config(option: str | None, env: Mapping[str, str]) -> Path | None:
    """The configuration that is named (`option`, DEVGATE_CONFIG) or lies in a usual place.

    Raises SetupError if one is named and is not there.
    """
    named = option if option is not None else env.get("DEVGATE_CONFIG")
    if named or option is not None:
        by = "--config" if option is not None else "DEVGATE_CONFIG"
        if not named:
            raise WrongSettings(f"{by}: a file expected, not an empty name")
        try:
            os.stat(named)
        except (OSError, ValueError) as err:
            raise WrongSettings(f"{by}: {_unreadable(Path(named), err)}") from None
        return Path(named)
    return next((place for place in PLACES if os.path.exists(place)), None)


def hides_another(socket: str | None, config: str | None, env: Mapping[str, str]) -> bool:
    """Whether no configuration was named, and one in the current folder is used instead of the
    service's: a clone of the repository has one. The options are as in find_socket()."""
    named = socket or config or env.get("DEVGATE_SOCKET") or env.get("DEVGATE_CONFIG")
    return not named and all(map(os.path.exists, PLACES))


def find_socket(socket: str | None, config: str | None, env: Mapping[str, str]) -> str:
    """The path of the gateway's socket; `socket` and `config` are the options, if given.

    Raises SetupError if the configuration that should name it is missing or broken.
    """
    if socket is not None:
        if not socket:
            raise WrongSettings("--socket: a path expected, not an empty one")
        return socket
    if env.get("DEVGATE_SOCKET"):
        return env["DEVGATE_SOCKET"]
    file = find_config(config, env)
    path: object = SOCKET
    key = "control.socket"
    if "DEVGATE_CONTROL__SOCKET" in env:
        key, path = "DEVGATE_CONTROL__SOCKET", env["DEVGATE_CONTROL__SOCKET"]
    elif file:
        key = f"{name_of(file)}: {key}"
        control = read(file)[1].get("control", {})
        if not isinstance(control, dict):
            raise WrongSettings(
                f"{name_of(file)}: control: a table expected, not {shown(control)}"
            )
        path = control.get("socket", SOCKET)
    if not isinstance(path, str) or not path or "\0" in path:
        raise WrongSettings(f"{key}: a path expected, not {shown(path)}")
    return str(folder_of(file) / path)


def folder_of(file: Path | None) -> Path:
    """The folder that a configuration's relative paths start from; without one, the current."""
    try:
        return file.absolute().parent if file else Path.cwd()
    except OSError as err:
        raise WrongSettings(f"the working directory can't be used: {err.strerror}") from None


def read(file: Path) -> tuple[str, dict[str, Any]]:
    """A configuration's text and its values, unchecked.

    Raises SetupError, one line with the file and if possible the line, for a file that cannot be
    read or is not TOML.
    """
    name = name_of(file)
    try:
        with open(file, "rb") as opened:
            raw = opened.read(MAX_FILE + 1)
    except (OSError, ValueError) as err:
        raise WrongSettings(_unreadable(file, err)) from None
    if len(raw) > MAX_FILE:
        raise WrongSettings(f"{name}: too long for a configuration: over {MAX_FILE} bytes")
    raw = raw.removeprefix(b"\xef\xbb\xbf")  # Windows editors put a byte order mark there
    try:
        text = raw.decode()
    except UnicodeDecodeError as err:
        line = raw.count(b"\n", 0, err.start) + 1
        raise WrongSettings(
            f"{name}, line {line}: not UTF-8 (byte {raw[err.start]:#04x}); save the file as UTF-8"
        ) from None
    import tomli  # here: a command that is given its socket reads no configuration

    try:
        return text, tomli.loads(text)
    except tomli.TOMLDecodeError as err:
        raise WrongSettings(f"{name}, line {err.lineno}: not TOML: {_said(err)}") from None
    except RecursionError:
        raise WrongSettings(f"{name}: not a configuration: nested too deeply") from None
    except ValueError as err:  # a number of thousands of digits, a day that no month has
        raise WrongSettings(f"{name}: not TOML: {str(err)[:200]}") from None


def name_of(file: Path) -> str:
    """A file's name as a message of one line can carry it."""
    name = str(file)
    return name if name.isprintable() else repr(name)


def _said(err: tomli.TOMLDecodeError) -> str:
    """The message of tomli, as a part of a sentence."""
    text = err.msg[:200]
    return f"{text[:1].lower()}{text[1:]} (column {err.colno})"


def _unreadable(file: Path, err: OSError | ValueError) -> str:
    # Of a name, ValueError says that it holds a NUL, in words that vary with Python's version.
    why = err.strerror if isinstance(err, OSError) else "no file's name has a NUL in it"
    return f"{name_of(file)}: can't be read: {why or 'unknown error'}"
