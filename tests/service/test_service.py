"""`devgate service`: what it writes is what systemd accepts."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from devgate.cli.main import cli
from devgate.service.unit import unit

EXPOSURE = 2.0  # of `systemd-analyze security`, 0 to 10


def run(*args: str) -> Result:
    return CliRunner().invoke(cli, ["service", *args])


@pytest.fixture
def program() -> None:
    """The package may be run from its folder, with no program beside Python."""
    beside = Path(sys.executable).with_name("devgate")
    if not beside.exists() and shutil.which("devgate") is None:
        pytest.skip("the package is not installed")


@pytest.mark.usefixtures("program")
def test_install_writes_what_a_service_needs(tmp_path: Path) -> None:
    done = run("install", "--root", str(tmp_path))
    assert done.exit_code == 0, done.output
    config = tmp_path / "etc/devgate/gateway.toml"
    assert stat.S_IMODE(config.stat().st_mode) & 0o007 == 0
    assert "u devgate" in (tmp_path / "usr/lib/sysusers.d/devgate.conf").read_text()
    text = (tmp_path / "etc/systemd/system/devgate.service").read_text()
    assert "serve --config /etc/devgate/gateway.toml\n" in text
    assert "Type=notify\n" in text


@pytest.mark.usefixtures("program")
def test_the_unit_has_the_credentials_that_the_configuration_names(tmp_path: Path) -> None:
    """Each secret by its name, and a webhook's by the one that it has got. None is there yet."""
    config = tmp_path / "etc/devgate/gateway.toml"
    config.parent.mkdir(parents=True)
    config.write_text("""
[store]
url = "postgresql://devgate@db.example/devgate"
password_file = "$CREDENTIALS_DIRECTORY/devgate.store.password"
[[webhook]]
url = "https://shop.example/devgate"
secret_file = "$CREDENTIALS_DIRECTORY/shop.secret"
""")
    done = run("install", "--root", str(tmp_path))
    assert done.exit_code == 0, done.output
    text = (tmp_path / "etc/systemd/system/devgate.service").read_text()
    found = re.findall(r"^LoadCredential=(.*)$", text, re.MULTILINE)
    assert found == [
        "devgate.store.password", "devgate.store.key", "devgate.http.secret",
        "devgate.http.tls.key", "devgate.control.tls.key", "devgate.device.tls.key",
        "devgate.cluster.tls.key", "shop.secret",
    ]  # fmt: skip


@pytest.mark.usefixtures("program")
def test_a_masked_unit_is_not_written_through(tmp_path: Path) -> None:
    """systemd masks a unit by a link to /dev/null, which would get the unit's mode."""
    null = tmp_path / "null"
    null.touch()
    null.chmod(0o666)
    masked = tmp_path / "etc/systemd/system/devgate.service"
    masked.parent.mkdir(parents=True)
    masked.symlink_to(null)
    done = run("install", "--root", str(tmp_path))
    assert done.exit_code != 0
    assert "systemctl unmask devgate" in done.output
    assert (null.read_text(), stat.S_IMODE(null.stat().st_mode)) == ("", 0o666)


@pytest.mark.usefixtures("program")
def test_a_second_install_leaves_the_configuration(tmp_path: Path) -> None:
    """And the unit gets the capability that a port below 1024 needs."""
    assert run("install", "--root", str(tmp_path)).exit_code == 0
    config = tmp_path / "etc/devgate/gateway.toml"
    config.write_text('[http]\nlisten = "127.0.0.1:443"\n')
    assert run("install", "--root", str(tmp_path)).exit_code == 0
    assert config.read_text() == '[http]\nlisten = "127.0.0.1:443"\n'
    text = (tmp_path / "etc/systemd/system/devgate.service").read_text()
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE\n" in text


@pytest.mark.usefixtures("program")
def test_a_wrong_configuration_installs_nothing(tmp_path: Path) -> None:
    config = tmp_path / "etc/devgate/gateway.toml"
    config.parent.mkdir(parents=True)
    config.write_text("[device]\nlisten = 5\n")
    done = run("install", "--root", str(tmp_path))
    assert done.exit_code == 2
    assert "gateway.toml, line 2" in done.output
    assert not (tmp_path / "etc/systemd/system").exists()


@pytest.mark.usefixtures("program")
def test_remove_leaves_configuration_and_data(tmp_path: Path) -> None:
    assert run("install", "--root", str(tmp_path)).exit_code == 0
    assert run("remove", "--root", str(tmp_path)).exit_code == 2, "it asks first"
    assert run("remove", "--root", str(tmp_path), "--yes").exit_code == 0
    assert not (tmp_path / "etc/systemd/system/devgate.service").exists()
    assert (tmp_path / "etc/devgate/gateway.toml").exists()
    again = run("remove", "--root", str(tmp_path), "--yes")
    assert again.exit_code == 2
    assert "nothing to remove" in again.output


def test_only_root_installs_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for args in (["install"], ["remove", "--yes"]):
        done = run(*args)
        assert done.exit_code == 2
        assert "use sudo" in done.output


def test_a_path_with_signs_that_mean_something_to_systemd() -> None:
    text = unit(["/opt/a b%c$d/devgate", "serve"], [], name="devgate", user="devgate")
    assert "ExecStart='/opt/a b%%c$$d/devgate' serve\n" in text


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """It has no complaint, and rates the exposure below 2 of 10."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    file = tmp_path / "devgate.service"
    text = unit([sys.executable, "-m", "devgate", "serve"], [], name="devgate", user="root")
    file.write_text(text)
    looked = subprocess.run(
        [analyze, "verify", "--man=no", str(file)], capture_output=True, text=True, check=False
    )
    assert (looked.returncode, looked.stderr) == (0, "")
    rated = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"exposure level for devgate.service: ([\d.]+)", rated.stdout)
    assert found is not None, rated.stdout + rated.stderr
    assert float(found[1]) < EXPOSURE
