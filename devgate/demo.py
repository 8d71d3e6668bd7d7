"""A gateway to look at: simulated devices and a store that is thrown away."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from devgate.app import App
from devgate.config.settings import Settings
from devgate.errors import SetupError
from devgate.model import Imei
from devgate.net.addresses import bind
from devgate.simulator.fleet import Fleet
from devgate.simulator.options import Habits, Options, imeis
from devgate.store.device import Device
from devgate.store.devices import among, claim, insert_all, next_id
from devgate.store.engine import open_database

HABITS = Habits(delay=(0.1, 0.6))  # nobody's first start shall fail by a throw of dice
PAGES = "127.0.0.1:8080"  # of the dashboard, or any free port if that is taken
PATIENCE = 5.0  # seconds that somebody looks at a screen without a word what to do
SITES = ("Central Station", "Riverside Mall", "Airport T2", "North Hospital")

log = logging.getLogger("devgate")


@contextmanager
def throw_away(settings: Settings, count: int, env: Mapping[str, str]) -> Iterator[Settings]:
    """Settings with a store of its own that knows `count` devices, unless told otherwise."""
    with TemporaryDirectory(prefix="devgate-demo-") as folder:
        url = settings.store.url
        if "DEVGATE_STORE__URL" not in env:
            url = f"sqlite:///{Path(folder, 'demo.db')}"
        store = settings.store.model_copy(update={"url": url})
        http = settings.http
        if not http.listen and "DEVGATE_HTTP__LISTEN" not in env:
            http = http.model_copy(update={"listen": [PAGES if _free(PAGES) else "127.0.0.1:0"]})
        _fill(url, count)
        yield settings.model_copy(update={"store": store, "http": http})


def _free(address: str) -> bool:
    """True if nobody listens there at the moment."""
    try:
        for sock in bind([address]):
            sock.close()
    except SetupError:
        return False
    return True


def _fill(url: str, count: int) -> None:
    """Make the demo's devices known, but for those that are already."""
    database = open_database(url)
    try:
        with database.write() as conn:
            claim(conn)
            known = {device.imei for device in among(conn, imeis(count))}
            missing = [imei for imei in imeis(count) if imei not in known]
            numbers = enumerate(missing, next_id(conn))
            insert_all(conn, (_device(number, imei) for number, imei in numbers))
    finally:
        database.close()


def _device(number: int, imei: Imei) -> Device:
    return Device(imei, number, f"Massage chair {number}", SITES[number % len(SITES)])


async def populate(app: App, count: int) -> None:
    """Run `count` simulated devices against the gateway's own door, beside it."""
    host, _, port = app.gateway.listens["device"][0].rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))
    fleet = Fleet((host, int(port)), Options(count=count, habits=HABITS, ends=2))
    login = _login(app)

    def say() -> None:
        first, *_, last = [*imeis(count), imeis(count)[-1]]
        if not fleet.complete.is_set():
            log.info("devices are still coming online=%s", fleet.counters.registered)
        log.info("demo devices=%s first=%s last=%s", count, first, last)
        log.info("in a second terminal: devgate start %s 500", first)
        if login:
            log.info("in a browser, once and within an hour: %s", login)

    async with trio.open_nursery() as nursery:
        await nursery.start(fleet.run)
        await tell(fleet.complete, say)


async def tell(complete: trio.Event, say: Callable[[], None]) -> None:
    """Say it when all devices are online: their lines in the log would push it off the screen.

    Many, or some that cannot come, are not waited for very long; then it is said twice.
    """
    with trio.move_on_after(PATIENCE):
        await complete.wait()
    in_time = complete.is_set()
    say()
    if not in_time:
        await complete.wait()
        say()


def _login(app: App) -> str:
    """The address that lets a browser in once. Empty without the dashboard."""
    if app.web is None:
        return ""
    scheme, place = "https" if app.web.settings.tls else "http", app.gateway.listens["http"][0]
    return f"{scheme}://{place}/login?once={app.web.sessions.invite()}"
