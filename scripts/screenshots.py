"""Make the screenshots of docs/screenshots again: a demo with a past, and a browser."""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from past import NAMES, PLACES, fill
from playwright.sync_api import Browser, Page, StorageState, sync_playwright
from script import run as run_script

from devgate.app import App
from devgate.config.oidc import OidcSettings
from devgate.demo import populate, throw_away
from devgate.process import serve

OUT = Path(__file__).parents[1] / "docs" / "screenshots"
DEVICES = 200
IMEI = "860000000000002"
TWIN = "/devices/860000000000031"  # with a bad day
DESKTOP, PHONE = (1360, 900), (390, 844)
BUSY = 150_000  # milliseconds: pages of a busy machine are drawn seldom
ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")

# name: path, language, colours, width and height (0: the whole page)
SHOTS: Mapping[str, tuple[str, str, str, tuple[int, int]]] = {
    "fleet": ("/", "en", "light", (DESKTOP[0], 0)),
    "fleet-dark-zh": ("/", "zh", "dark", (DESKTOP[0], 0)),
    "fleet-phone-zh": ("/", "zh", "light", PHONE),
    "devices": ("/devices", "en", "light", DESKTOP),
    "devices-zh": ("/devices", "zh", "light", DESKTOP),
    "devices-phone-dark": ("/devices?state=running", "en", "dark", PHONE),
    "device": (f"/devices/{IMEI}", "en", "light", (DESKTOP[0], 0)),
    "device-phone-dark-zh": (f"/devices/{IMEI}", "zh", "dark", PHONE),
    "record": (f"/devices/{IMEI}/edit", "en", "light", (DESKTOP[0], 0)),
    "record-zh": (f"/devices/{IMEI}/edit", "zh", "light", (DESKTOP[0], 0)),
    "confirm": ("/devices/860000000000005/start?long=15m", "en", "light", (DESKTOP[0], 620)),
    "confirm-zh": ("/devices/860000000000005/start?long=15m", "zh", "light", (DESKTOP[0], 620)),
    "order": ("/orders?key={unknown}", "en", "light", (DESKTOP[0], 760)),
    "order-zh": ("/orders?key={unknown}", "zh", "light", (DESKTOP[0], 760)),
    "order-dark-zh": ("/orders?key={done}", "zh", "dark", (DESKTOP[0], 760)),
    "unknown-devices": ("/unknown-devices", "en", "light", (DESKTOP[0], 620)),
    "unknown-devices-zh": ("/unknown-devices", "zh", "light", (DESKTOP[0], 620)),
    "alerts": ("/alerts", "en", "light", (DESKTOP[0], 0)),
    "alerts-zh": ("/alerts", "zh", "light", (DESKTOP[0], 0)),
    "alerts-phone-dark-zh": ("/alerts", "zh", "dark", PHONE),
    "alert-rule": ("/alerts/rules/away", "en", "light", DESKTOP),
    "users": ("/settings/people", "en", "light", (DESKTOP[0], 0)),
    "users-zh": ("/settings/people", "zh", "light", (DESKTOP[0], 0)),
    "tokens-dark-zh": ("/settings/tokens", "zh", "dark", (DESKTOP[0], 0)),
    "audit": ("/settings/audit", "en", "light", DESKTOP),
    "audit-zh": ("/settings/audit", "zh", "light", DESKTOP),
    "account": ("/settings/account", "en", "light", (DESKTOP[0], 0)),
    "account-zh": ("/settings/account", "zh", "light", (DESKTOP[0], 0)),
    "account-phone-zh": ("/settings/account", "zh", "light", PHONE),
    "unknown": ("/unknown?old=1", "en", "light", (DESKTOP[0], 700)),
    "unknown-zh": ("/unknown?old=1", "zh", "light", (DESKTOP[0], 700)),
    "import": ("/devices/import", "en", "light", DESKTOP),
    "import-zh": ("/devices/import", "zh", "light", DESKTOP),
    "bulk-start": ("/bulk?do=start&all=1&site={site}", "en", "light", (DESKTOP[0], 620)),
    "bulk-start-zh": ("/bulk?do=start&all=1&site={site}", "zh", "light", (DESKTOP[0], 620)),
    "bulk-dark-zh": ("/bulk?do=stop&all=1&site={site}", "zh", "dark", DESKTOP),
    "report": ("/reports?by=site", "en", "light", (DESKTOP[0], 0)),
    "report-zh": ("/reports?by=site", "zh", "light", (DESKTOP[0], 0)),
    "report-dark-zh": ("/reports?by=machine&sort=starts", "zh", "dark", DESKTOP),
    "begin": ("/settings/begin", "en", "light", (DESKTOP[0], 0)),
    "begin-zh": ("/settings/begin", "zh", "light", (DESKTOP[0], 0)),
    "examination-zh": ("/settings/doctor", "zh", "light", (DESKTOP[0], 700)),
    "maintenance": ("/maintenance", "en", "light", (DESKTOP[0], 0)),
    "maintenance-zh": ("/maintenance", "zh", "light", (DESKTOP[0], 0)),
    "diagnosis": (f"{TWIN}/diagnosis?days=7", "en", "light", (DESKTOP[0], 0)),
    "diagnosis-dark-zh": (f"{TWIN}/diagnosis?days=7", "zh", "dark", (DESKTOP[0], 0)),
    "map": ("/map", "en", "light", DESKTOP),
    "map-zh": ("/map", "zh", "light", DESKTOP),
    "labels": ("/labels?site={site}", "en", "light", DESKTOP),
    "login": ("/login", "en", "light", (DESKTOP[0], 620)),
    "login-zh": ("/login", "zh", "light", (DESKTOP[0], 620)),
}
LOGGED_OUT = ("login", "login-zh")
OF_A_USER = ("account", "account-zh", "account-phone-zh")  # the demo's own login is no user


@contextmanager
def demo(language: str) -> Iterator[str]:
    """A gateway with simulated devices and a past. Yields the URL that logs in once."""
    folder = Path(tempfile.mkdtemp(prefix="dg-"))
    url = f"sqlite:///{folder / 'past.db'}"
    fill(url, DEVICES, language)
    log = folder / "log"
    command = [sys.executable, "-m", "screenshots", "--serve", str(folder / "s.sock"), url]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=OUT.parents[1], stdout=out, stderr=out)
    try:
        while not (found := re.search(r"http://\S+once=[\w-]+", log.read_text("utf-8"))):
            assert process.poll() is None, log.read_text("utf-8")
            time.sleep(0.1)
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        shutil.rmtree(folder)


def serve_past(socket: str, url: str) -> None:
    """The demo with a database that has a past, which `serve --demo` never has. Its provider of
    logins is never asked."""
    oidc = OidcSettings(issuer="https://sso.example", client_id="devgate", label="SSO")

    async def on_ready(app: App) -> None:
        await populate(app, DEVICES)

    with throw_away(socket, url) as alone:
        http = alone.http.model_copy(update={"oidc": oidc})
        settings = alone.model_copy(update={"http": http})
        serve(settings, lambda: settings, on_ready)


def start_some(page: Page) -> None:
    """So that something runs, and stands among the latest commands."""
    for number, long in ((1, "15m"), (2, "30m"), (5, "1h"), (6, "20m"), (9, "15m")):
        page.goto(f"/devices/8600000000000{number:02}/start?long={long}")
        page.locator("form[data-once] button").click()
    page.wait_for_timeout(1500)


def let_in(page: Page, language: str) -> str:
    """Some who may use it, for their pages and the audit. Returns the first one's invitation."""
    place, shown = PLACES[language][2], list[str]()
    people = (
        {"en": "Anna Weber", "zh": "王芳"}[language],
        {"en": "Night shift", "zh": "夜班"}[language],
    )
    for path, name, role, sites in (
        ("people", people[0], "command", place), ("people", people[1], "read", ""),
        ("tokens", "shop", "command", ""), ("tokens", "screen", "read", place),
    ):  # fmt: skip
        page.goto(f"/settings/{path}")
        page.locator("#name").fill(name)
        page.locator("#role").select_option(role)
        if sites:
            page.locator("input[value=some]").check()
            page.locator("textarea[name=sites]").fill(sites)
        page.locator("form.fields button.main").click()
        shown.append(page.locator(".notice.done code").inner_text())
    return shown[0]


def accept(browser: Browser, invitation: str) -> StorageState:
    """The cookies of who was invited and has chosen a password."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(invitation)
    page.locator("input[name=password]").fill("a few words to keep in mind")
    page.locator("form[action='/invitation'] button").click()
    page.wait_for_url("**/")
    state = context.storage_state()
    context.close()
    return state


def watch(page: Page) -> None:
    """Have frames to show: a stop and a start, in another page."""
    page.locator("#frames > summary").click()
    page.locator("[data-watch]").click()
    page.locator(".frames[data-on]").wait_for()
    other = page.context.new_page()
    for what in ("stop", "start?long=45m"):
        other.goto(f"/devices/{IMEI}/{what}")
        other.locator("form[data-once] button").click()
        other.wait_for_timeout(1200)
    other.close()
    page.wait_for_timeout(2500)


def look_at_a_file(page: Page, places: str = "en") -> None:
    """What a file would change."""
    here, there = PLACES[places][2], PLACES[places][0]
    rows = "".join(
        f"8610000000000{n:02},{NAMES[places].format(n=200 + n)},{here}\n" for n in range(40)
    )
    text = f"imei,name,site\n{IMEI},{NAMES[places].format(n=2)},{there}\n{rows}".encode()
    page.locator("#file").set_input_files(
        {"name": "machines.csv", "mimeType": "text/csv", "buffer": text}
    )
    page.locator("form.fields button.main").click()
    page.locator("form[action='/devices/import/take']").wait_for()


def begin_a_job(page: Page) -> None:
    """Stop all of a site, and wait until each has its result."""
    page.locator("form[action='/bulk'] button").click()
    page.locator("[data-part=results] tbody tr").nth(9).wait_for(timeout=BUSY)
    page.wait_for_timeout(2500)


def shoot(browser: Browser, language: str, only: Sequence[str] = ()) -> None:
    with demo(language) as login:
        base = login[: login.index("/login")]
        locale = {"en": "en-GB", "zh": "zh-CN"}[language]
        first = browser.new_context(base_url=base, locale=locale, timezone_id="Asia/Shanghai")
        page = first.new_page()
        page.goto(login)
        page.wait_for_timeout(2000)
        start_some(page)
        user = accept(browser, let_in(page, language))
        page.goto("/")
        unknown = page.locator("[data-part=unknown] .key a").first.inner_text()
        done = page.locator("[data-part=latest] .key a", has_text="M2026").first.inner_text()
        names = {"unknown": unknown, "done": done, "site": PLACES[language][2]}
        for name, (path, spoken, scheme, size) in SHOTS.items():
            if spoken != language or (only and name not in only):
                continue
            context = browser.new_context(
                base_url=base, locale=locale, timezone_id="Asia/Shanghai",
                storage_state=user if name in OF_A_USER else
                None if name in LOGGED_OUT else first.storage_state(),
                color_scheme="dark" if scheme == "dark" else "light",
                viewport={"width": size[0], "height": size[1] or 900},
            )  # fmt: skip
            page = context.new_page()
            page.goto(path.format(**names))
            if name in DONE_FIRST:
                DONE_FIRST[name](page)
            page.wait_for_timeout(700)
            page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=OUT / f"{name}.png", full_page=not size[1])
            context.close()
        first.close()


DONE_FIRST: Mapping[str, Callable[[Page], None]] = {
    "device": watch, "bulk-dark-zh": begin_a_job, "import": look_at_a_file,
    "import-zh": lambda page: look_at_a_file(page, "zh"),
}  # fmt: skip


def main() -> None:
    """All of them, or those that are named."""
    parser = argparse.ArgumentParser(
        prog="scripts/screenshots",
        description=f"{__doc__} Needs chromium, and fonts with Chinese (fonts-noto-cjk).",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SHOTS)}")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)  # for the demo's own process
    args = parser.parse_args()
    if args.serve:
        serve_past(*args.serve)
        return
    for name in args.names:
        if name not in SHOTS:
            parser.error(f"there is no {name!r}: see --help")
    program = shutil.which("chromium")
    if program is None:
        sys.exit("screenshots: chromium is missing (on Debian: apt-get install chromium)")
    OUT.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        for language in ("en", "zh"):
            if any(SHOTS[name][1] == language for name in args.names or SHOTS):
                shoot(browser, language, args.names)
        browser.close()


if __name__ == "__main__":
    run_script("screenshots", main)
