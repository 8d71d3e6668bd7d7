"""A real PostgreSQL server for the tests: its own cluster, on a Unix socket alone."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg

from tests.e2e.device import WAIT_SECONDS

servers: dict[str, Postgres] = {}  # that run, by the folder that is `host` in their URLs


def binaries() -> Path | None:
    """The newest installed PostgreSQL's programs."""
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = max(found, key=lambda path: int(path.parts[-3].split(".")[0]), default=None)
    if newest:
        return newest.parent
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path else None


class Postgres:
    """One server. It can be stopped and started again, as an operator would.

    With a primary it is an asynchronous replica of that one, until it is promoted.
    """

    def __init__(
        self,
        programs: Path,
        folder: Path,
        user: str | None,
        primary: Postgres | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`settings` are set at each start, and count more than those of the tests."""
        self._programs = programs
        self._settings = dict(settings or {})
        self.data = folder / "data"
        self._folder = folder  # short: a Unix socket's path has 107 bytes
        self._user = user  # PostgreSQL refuses to run as root
        self._server: subprocess.Popen[bytes] | None = None
        self._own: psycopg.Connection | None = None  # of execute()
        self._numbers = itertools.count(1)
        if primary is None:
            self._run(
                "initdb", "--auth=trust", "--username=devgate", "--no-sync", "--no-locale",
                "--encoding=UTF8", "--pgdata", str(self.data),
            )  # fmt: skip
        else:
            self._copy(primary)

    def _copy(self, primary: Postgres) -> None:
        self._run(
            "pg_basebackup", "--write-recovery-conf", "--no-sync", "--checkpoint=fast",
            "--pgdata", str(self.data), "--dbname", primary.url(),
        )  # fmt: skip

    def follow(self, primary: Postgres, *, rewind: bool) -> None:
        """Become a replica of the one that took over. It must not run.

        `rewind`: what the two have in common stays (pg_rewind, which needs `wal_log_hints` and
        `full_page_writes`); else all is copied.
        """
        assert self._server is None, "it runs"
        if rewind:
            self._run(
                "pg_rewind", "--write-recovery-conf", "--no-sync",
                "--target-pgdata", str(self.data), "--source-server", primary.url(),
            )  # fmt: skip
        else:
            shutil.rmtree(self.data)
            self._copy(primary)

    def url(self, other: Postgres | None = None) -> str:
        """With another one: whichever of the two may be written to."""
        url = f"postgresql://devgate@/postgres?host={self._folder}"
        if other is None:
            return url
        return f"{url}:5432&host={other._folder}:5432&target_session_attrs=read-write"

    def create_database(self) -> str:
        """The URL of what is an empty database to its user: a schema of its own.

        A real database of its own would take ten times as long to make and to drop.
        """
        name = f"test{next(self._numbers)}"
        self.execute(f"CREATE SCHEMA {name}")
        return f"{self.url()}&options=-csearch_path%3D{name}"

    def execute(self, script: str) -> tuple[object, ...] | None:
        """In one transaction. Returns the first row of the first statement, if it has any.

        The connection stays, for by then it knows the catalog: that saves a fifth of what tables
        cost.
        """
        if self._own is not None:
            try:
                return _row(self._own.execute(script.encode()))
            except psycopg.OperationalError:  # a test may have ended all connections
                self._own.close()
        self._own = psycopg.connect(self.url(), autocommit=True)
        return _row(self._own.execute(script.encode()))

    def start(self) -> None:
        """Return when the server answers."""
        assert self._server is None, "it runs already"
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [
                    self._programs / "postgres", "-D", self.data,
                    "-k", self._folder, "-c", "listen_addresses=", "-c", "fsync=off",
                    "-c", "full_page_writes=off", "-c", "max_connections=200",
                    "-c", "shared_buffers=32MB", "-c", "autovacuum=off",
                    *(f"--{name}={value}" for name, value in self._settings.items()),
                ],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self._folder,
                user=self._user, group=self._group(), extra_groups=self._groups(),
            )  # fmt: skip
        patience = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                psycopg.connect(self.url()).close()
                servers[str(self._folder)] = self
                return
            except psycopg.OperationalError:
                if self._server.poll() is not None or time.monotonic() > patience:
                    raise RuntimeError((self._folder / "log").read_text()) from None
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT breaks connections at once, SIGQUIT is a crash."""
        self._disconnect()
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(WAIT_SECONDS)
            self._server = None

    def crash(self, frozen: int) -> None:
        """End the server at once, and one process of it that does not react (SIGSTOP)."""
        self._disconnect()
        assert self._server is not None
        self._server.send_signal(signal.SIGQUIT)
        os.kill(frozen, signal.SIGKILL)
        self._server.wait(WAIT_SECONDS)
        self._server = None

    def kill(self) -> None:
        """End all of its processes at once, as the loss of its machine would."""
        self._disconnect()
        assert self._server is not None
        pids = [self._server.pid, *_children(self._server.pid)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._server.wait(WAIT_SECONDS)
        self._server = None
        patience = time.monotonic() + WAIT_SECONDS
        while any(_lives(pid) for pid in pids):
            assert time.monotonic() < patience, "a killed process stays"
            time.sleep(0.01)

    def configure(self, name: str, value: str) -> None:
        """Set one of its settings while it runs."""
        with psycopg.connect(self.url(), autocommit=True) as conn:
            conn.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            conn.execute("SELECT pg_reload_conf()")

    def restart(self, **settings: str) -> None:
        """End it and start it, from now on with these settings besides."""
        self.stop()
        self._settings.update(settings)
        self.start()

    def base_backup(self, target: Path) -> None:
        """Copy it as a whole while it runs, as docs/manual.md says."""
        self._run(
            "pg_basebackup", "--checkpoint=fast", "--pgdata", str(target), "--dbname", self.url()
        )

    def restore(self, base: Path, archive: Path, *, readable: bool) -> None:
        """Take the copy and all files of the archive in place of its data, and start. `readable`:
        the log in its data can still be read. Returns when it takes writes."""
        assert self._server is None, "it runs"
        lost = self.data.rename(self.data.with_name("lost"))
        shutil.copytree(base, self.data)
        if readable:
            for file in (lost / "pg_wal").glob("0*"):
                if not (self.data / "pg_wal" / file.name).exists():
                    shutil.copy(file, self.data / "pg_wal")
        with (self.data / "postgresql.auto.conf").open("a") as conf:
            conf.write(f"restore_command = 'cp {archive}/%f %p'\n")
        (self.data / "recovery.signal").touch()
        owner = self._folder.stat()
        for path in (self.data, *self.data.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
        self.start()
        patience = time.monotonic() + WAIT_SECONDS
        with psycopg.connect(self.url(), autocommit=True) as conn:
            while conn.execute("SELECT pg_is_in_recovery()").fetchone() != (False,):
                assert time.monotonic() < patience, "it does not come to the end of the archive"
                time.sleep(0.02)

    def _disconnect(self) -> None:
        servers.pop(str(self._folder), None)
        if self._own is not None:
            self._own.close()
            self._own = None

    def promote(self) -> None:
        """A replica becomes a primary."""
        with psycopg.connect(self.url(), autocommit=True) as conn:
            assert conn.execute("SELECT pg_promote()").fetchone() == (True,)

    def sender(self) -> int | None:
        """The process that sends the log to the replica, once that has all of it."""
        with psycopg.connect(self.url()) as conn:
            row = conn.execute(
                "SELECT pid FROM pg_stat_replication "
                "WHERE state = 'streaming' AND replay_lsn = pg_current_wal_lsn()"
            ).fetchone()
        return None if row is None else int(row[0])

    def is_running(self) -> bool:
        return self._server is not None

    def _run(self, program: str, *args: str) -> None:
        done = subprocess.run(
            [self._programs / program, *args],
            capture_output=True, text=True, check=False, cwd=self._folder,
            user=self._user, group=self._group(), extra_groups=self._groups(),
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr}")

    def _group(self) -> int | None:
        return pwd.getpwnam(self._user).pw_gid if self._user else None

    def _groups(self) -> list[int] | None:
        return [] if self._user else None


@contextlib.contextmanager
def running(
    programs: Path,
    primary: Postgres | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Postgres]:
    """A new server, gone with all it wrote when the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    try:
        user = None
        if os.geteuid() == 0:
            user = "postgres" if _exists("postgres") else "nobody"
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        server = Postgres(programs, folder, user, primary, settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _row(cursor: psycopg.Cursor[tuple[object, ...]]) -> tuple[object, ...] | None:
    return cursor.fetchone() if cursor.description else None


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _lives(pid: int) -> bool:
    """Whether there is such a process that is not merely waited for."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
