"""A gateway for trying out, with simulated devices and a database that is deleted at the end."""

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

HABITS = Habits(delay=(0.1, 0.6))  # no random failures: a user's first start should succeed
DEVICE_ADDRESS = "127.0.0.1:12306"  # or any free port if that is taken
PAGES_ADDRESS = "127.0.0.1:8080"  # of the dashboard, or any free port
ONLINE_SECONDS = 5.0  # until the hints are shown, even if devices are still coming online
SITES = ("Central Station", "Riverside Mall", "Airport T2", "North Hospital")

log = logging.getLogger("devgate")


@contextmanager
def throw_away(socket: str, store: str = "") -> Iterator[Settings]:
    """The settings of a demo: defaults, except the control socket's path.

    It uses no configuration, because a demo with the settings of a real gateway would use its
    database. All doors are on loopback. `store` is the URL of a database for scripts that have
    filled one; without it there is an empty one, which is removed at the end.
    """
    with TemporaryDirectory(prefix="devgate-demo-") as folder:
        yield Settings.model_validate(
            {
                "device": {"listen": _free_address(DEVICE_ADDRESS)},
                "control": {"socket": os.path.abspath(socket)},
                "http": {"listen": _free_address(PAGES_ADDRESS)},
                "store": {"url": store or f"sqlite:///{Path(folder, 'demo.db')}"},
            },
            context={"folder": Path(folder)},
        )


def _free_address(address: str) -> str:
    """That address, or any free port on loopback if somebody listens there at the moment."""
    try:
        for sock in bind([address]):
            sock.close()
    except SetupError:
        return "127.0.0.1:0"
    return address


def fill(database: Database, count: int) -> None:
    """Add the devices of the demo that are not known yet. The caller has claimed the database."""
    with database.write() as conn:
        claim(conn)
        known = {device.imei for device in among(conn, imeis(count))}
        missing = [imei for imei in imeis(count) if imei not in known]
        numbers = enumerate(missing, next_id(conn))
        insert_all(conn, (_device(number, imei) for number, imei in numbers))


def _device(number: int, imei: Imei) -> Device:
    return Device(imei, number, f"Massage chair {number}", SITES[number % len(SITES)])


async def populate(app: App, count: int) -> None:
    """Run `count` simulated devices in this process, which connect to the gateway's door."""
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
    """Show the hints once all devices are online: their log lines would push them off the screen.

    The wait for many devices is limited; then the hints are shown twice.
    """
    with trio.move_on_after(ONLINE_SECONDS):
        await complete.wait()
    in_time = complete.is_set()
    say()
    if not in_time:
        await complete.wait()
        say()


def _login(app: App) -> str:
    """The address with which a browser can log in once. Empty without the dashboard."""
    if app.web is None:
        return ""
    scheme, place = "https" if app.web.settings.tls else "http", app.gateway.listens["http"][0]
    return f"{scheme}://{place}/login?once={app.web.sessions.invite()}"
