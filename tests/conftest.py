"""Fixtures for all tests: databases of both kinds, each test with its own."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import settings

from devgate.store.engine import Database
from devgate.store.opening import open_database
from tests import hashing as hashing
from tests.e2e import harness
from tests.faults.preload import Faults, library, preloaded
from tests.postgres import Postgres, binaries, running
from tests.stores import with_tables

# Processes that tests start, and the workers of xdist, compile devgate once and not each again: it
# takes 0.2 s. Some environments forbid Python to write beside the sources, or altogether.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["PYTHONPYCACHEPREFIX"] = str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
os.environ["DEVGATE_LANG"] = "en"  # whatever the locale of who runs the tests

# A shell ignores SIGINT for what it runs in the background, and so would all that tests start: a
# test that interrupts a command waited until its worker was ended.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# jsonschema imports it for the format `iri`, which no schema here has, and it builds its parsers
# then: 0.7 s in each process of pytest.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

# Hypothesis fails an example that takes more than 200 ms, which any can on a loaded machine.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """The garbage collector rests meanwhile, and never looks at what stays until the end: half a
    million objects in each process of pytest."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="module")
def new_interpreters() -> Iterator[None]:
    """Each process of devgate is a new interpreter, as it is in production: no fork of one that
    has imported devgate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harness, "forks", False)
        yield


@pytest.fixture(scope="session")
def demos_take_free_ports() -> Iterator[None]:
    """Somebody listens where a demo would. A demo looks whether it may and listens a moment later:
    that of another test did so in between."""
    from devgate import demo  # it imports all of the gateway
    from devgate.errors import SetupError
    from devgate.net.addresses import bind

    with ExitStack() as held:
        for address in (demo.DEVICE_ADDRESS, demo.PAGES_ADDRESS):
            with suppress(SetupError):  # another process of pytest holds it
                for sock in bind([address]):
                    held.enter_context(sock)
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    programs = binaries()
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed, and CI must test it")
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with running(programs) as server:
        yield server


@pytest.fixture
def postgres(postgres_server: Postgres) -> Iterator[Postgres]:
    """A server that runs: `stop()` and `start()` are the test's, and it runs afterwards."""
    yield postgres_server
    if not postgres_server.is_running():
        postgres_server.start()


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """An empty database on it."""
    return postgres.create_database()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'devgate.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database: the test runs once for each kind."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The same, opened and with its tables."""
    opened = open_database(with_tables(database_url))
    yield opened
    opened.close()


@pytest.fixture
def faults(tmp_path: Path) -> Iterator[Faults]:
    """A page of faults for processes that run with its `environment()`. Faults of files are
    those of devgate.db and the files beside it."""
    with _faults(tmp_path) as page:
        yield page


@pytest.fixture(scope="module")
def module_faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    """The same, for processes that all tests of a module share."""
    with _faults(tmp_path_factory.mktemp("faults")) as page:
        yield page


@contextmanager
def _faults(folder: Path) -> Iterator[Faults]:
    try:
        library()
    except OSError as err:
        pytest.skip(f"no preload library: {err.strerror}")
    with preloaded(folder / "control", path="/devgate.db") as page:
        yield page
