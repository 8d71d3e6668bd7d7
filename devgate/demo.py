"""A gateway to look at: simulated devices and a store that is thrown away."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from devgate.app import App
from devgate.config.settings import Settings
from devgate.errors import SetupError
from devgate.model import Imei, host_port
from devgate.net.addresses import bind
from devgate.simulator.fleet import Fleet
from devgate.simulator.options import Habits, Options, imeis
from devgate.store.device import Device
from devgate.store.devices import among, claim, insert_all, next_id
from devgate.store.engine import Database

HABITS = Habits(delay=(0.1, 0.6))  # nobody's first start should fail by chance
DEVICES = "127.0.0.1:12306"  # or any free port if that is taken
PAGES = "127.0.0.1:8080"  # of the dashboard, likewise
ONLINE_SECONDS = 5.0  # seconds that somebody looks at a screen without a word what to do
SITES = ("Central Station", "Riverside Mall", "Airport T2", "North Hospital")

log = logging.getLogger("devgate")


@contextmanager
def throw_away(socket: str, store: str = "") -> Iterator[Settings]:
    """The settings of a demo: the control socket's path, and nothing that is configured.

    Every other value is a default, for a demo that worked by the settings of a real gateway
    would work on its database. All doors are on loopback. `store` is the URL of a database for
    scripts that have filled one; without it there is an empty one, removed at the end.
    """
    with TemporaryDirectory(prefix="devgate-demo-") as folder:
        yield Settings.model_validate(
            {
                "device": {"listen": _own(DEVICES)},
                "control": {"socket": os.path.abspath(socket)},
                "http": {"listen": _own(PAGES)},
                "store": {"url": store or f"sqlite:///{Path(folder, 'demo.db')}"},
            },
            context={"folder": Path(folder)},
        )


def _own(address: str) -> str:
    """That address, or any free port on loopback if somebody listens there at the moment."""
    try:
        for sock in bind([address]):
            sock.close()
    except SetupError:
        return "127.0.0.1:0"
    return address


def fill(database: Database, count: int) -> None:
    """Make the demo's devices known, but for those that are already. The caller has claimed
    the database."""
    with database.write() as conn:
        claim(conn)
        known = {device.imei for device in among(conn, imeis(count))}
        missing = [imei for imei in imeis(count) if imei not in known]
        numbers = enumerate(missing, next_id(conn))
        insert_all(conn, (_device(number, imei) for number, imei in numbers))


def _device(number: int, imei: Imei) -> Device:
    return Device(imei, number, f"Massage chair {number}", SITES[number % len(SITES)])


async def populate(app: App, count: int) -> None:
    """Run `count` simulated devices against the gateway's own door, beside it."""
    address = host_port(app.gateway.listens["device"][0])
    fleet = Fleet(address, Options(count=count, habits=HABITS, ends=2))
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
    with trio.move_on_after(ONLINE_SECONDS):
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
