"""A day that never was, for the screenshots: orders, faults and a power cut, in a new store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from random import Random
from time import time

from ulid import ULID

from devgate.alerts.engine import GATHER_SECONDS, Subject, Watch
from devgate.alerts.rule import Rule
from devgate.alerts.wording import words
from devgate.demo import SITES
from devgate.gateway.command import MESSAGES
from devgate.model import Imei
from devgate.simulator.options import imeis
from devgate.store import alerts
from devgate.store.batch import KINDS, Row
from devgate.store.device import Device
from devgate.store.devices import claim, insert_all
from devgate.store.history import Reading
from devgate.store.journal import Journal
from devgate.store.maintenance import IMEI, SITE, begin
from devgate.store.opening import open_database

DAY = 86400
# How many orders an hour brings, from midnight on, in a place eight hours east of Greenwich.
BUSY = (1, 1, 0, 0, 0, 0, 1, 3, 5, 6, 8, 11, 14, 13, 10, 9, 9, 10, 12, 15, 16, 13, 8, 3)
LONGS = (300, 600, 900, 900, 900, 1200, 1800)
REASONS = {"en": "new cushions", "zh": "更换坐垫"}
NAMES = {"en": "Massage chair {n}", "zh": "按摩椅 {n} 号"}
PLACES = {"en": SITES, "zh": ("中央火车站", "江滨购物中心", "机场 T2 航站楼", "北城医院")}
# Degrees north and east of these sites.
WHERE = ((31.25, 121.46), (30.58, 114.30), (39.90, 116.40), (23.13, 113.26))

Happened = tuple[float, str, str | None, str | None, dict[str, object]]


def fill(url: str, count: int, language: str) -> None:
    rng, now = Random(7), time()
    devices = [
        Device(
            imei,
            n,
            NAMES[language].format(n=n),
            PLACES[language][n % len(SITES)],
            model="MC-5" if n % 3 else "MC-4",
            serial=f"MC-{4000 + n}",
            iccid=f"8986001234567{n:07}",
            installed_on="2025-03-14",
            firmware="2.1",
            latitude=WHERE[n % len(SITES)][0],
            longitude=WHERE[n % len(SITES)][1],
        )
        for n, imei in enumerate(imeis(count), 1)
    ]
    database = open_database(url)
    try:
        with database.write() as conn:
            claim(conn)
            insert_all(conn, devices)
        told: list[Happened] = []
        commands: list[Row] = []
        for number in range(count * 7):
            commands += _order(rng, now, number, rng.choice(devices).imei, told)
        told += _connections(rng, now, devices)
        told.sort(key=lambda one: one[0])
        events = [
            Row("event", (*one[:4], json.dumps(one[4], separators=(",", ":")))) for one in told
        ]
        with database.write() as conn:
            begin(
                conn, IMEI, [devices[12].imei], REASONS[language], now + 5400, "web:li", now - 900
            )
            begin(
                conn, SITE, [PLACES[language][3]], REASONS[language], None, "web:anna", now - 7200
            )
        journal = Journal(database)
        journal.commit(commands)
        for start in range(0, len(events), 5000):
            journal.commit(events[start : start + 5000])
        journal.commit(list(_strangers(rng, now, devices)))
        journal.commit(list(_presence(devices, told)))
        journal.close()
        with database.write() as conn:
            _alerts(conn, now, language, commands, {one.imei: one for one in devices})
    finally:
        database.close()


def _alerts(
    conn: Reading, now: float, language: str, commands: list[Row], devices: Mapping[str, Device]
) -> None:
    """Rules, receivers, and the unknown outcomes of the day, of which a person was told."""
    shown = {"ops": "wecombot://b...6/", "night": "mailtos://gate:****@smtp.example.com/"}
    for name, url in {**shown, "shop": "https://shop.example/alerts"}.items():
        row = {"name": name, "url": url, "shown": url, "language": language, "added_at": now - DAY}
        alerts.add_receiver(conn, row)
    for rule in (
        Rule("away", "offline", ("ops",), minutes=15, quiet="22:00-07:00", zone="Asia/Shanghai"),
        Rule("dark", "site_outage", ("night", "ops"), repeat=60, enabled=False),
        Rule("certificates", "certificate", ("night",), days=21),
        Rule("unsure", "unknown_outcomes", ("ops", "shop"), minutes=30),
    ):
        alerts.add_rule(conn, {**rule.row(), "added_at": now - DAY})
    columns = KINDS["command"].columns
    found = [dict(zip(columns, row.values, strict=True)) for row in commands]
    watch = Watch(Rule("unsure", "unknown_outcomes", ("ops",), minutes=30, zone="Asia/Shanghai"))
    sent: list[dict[str, object]] = []
    for one in sorted(found, key=lambda one: one["ended_at"]):
        if one["status"] != "408" or one["type"] != "start" or one["ended_at"] > now - 1800:
            continue
        at, device = one["ended_at"] + 1800, devices[one["imei"]]
        label = f"{one['key']} · {device.name}"
        watch.found([Subject(one["id"], label, device.site, one["ended_at"])], at)
        message = watch.message(at)
        if message is None:  # another one was told just before
            at += GATHER_SECONDS
            message = watch.message(at)
        if message is None:
            continue
        watch.delivered(message, at)
        title, text = words(message, language)
        for receiver in ("ops", "shop"):
            id = str(ULID.from_timestamp(at))
            sent.append({"id": id, "at": at + 1, "receiver": receiver, "rule": "unsure",
                         "title": title, "text": text, "state": "sent", "tries": 1,
                         "error": None})  # fmt: skip
    alerts.save_firing(conn, [watch.row(id) for id in watch.firing], [])
    if sent:  # with few commands none may be unknown
        sent[-1] |= {"state": "waiting", "tries": 2, "error": "no answer within 15 s"}
        alerts.log_put(conn, sent)


def _when(rng: Random, now: float) -> float:
    """A moment of the last day, as likely as that hour is busy."""
    while True:
        at = now - 1900 - rng.random() * (DAY - 3600)
        if rng.random() * max(BUSY) < BUSY[int((at + 8 * 3600) % DAY // 3600)] + 0.3:
            return at


def _order(
    rng: Random, now: float, number: int, imei: Imei, told: list[Happened]
) -> Iterator[Row]:
    at = _when(rng, now)
    stop = rng.random() < 0.06
    long = None if stop else rng.choice(LONGS)
    status = rng.choices(("200", "201", "408", "404"), (960, 14, 4, 22))[0]
    sent = None if status == "404" else at + 0.004 + rng.random() * 0.01
    ended = at + {"404": 0.002, "408": 10.0}.get(status, 0.2 + rng.random() * 0.9)
    id, key = str(ULID.from_timestamp(at)), f"M{20261100000 + number * 37}"
    type = "stop" if stop else "start"
    what: dict[str, object] = {"kind": type, "long": long}
    message = MESSAGES.get(status, "stopped" if stop else "started")
    told.append((at, "command.accepted", imei, id, {**what, "key": key, "source": "socket:shop"}))
    if sent is not None:
        told.append((sent, "command.sent", imei, id, what))
    told.append((ended, "command.ended", imei, id, {**what, "status": status, "message": message}))
    spent = key if sent else None
    values: dict[str, object] = {
        "id": id, "imei": imei, "type": type, "long": long, "key": key, "spent": spent,
        "status": status, "state": "ended", "message": message, "source": "socket:shop",
        "accepted_at": at, "sent_at": sent, "ended_at": ended,
        "late": False, "running": False, "ambiguous": False, "new_address": False,
    }  # fmt: skip
    yield Row("command", tuple(values.get(name) for name in KINDS["command"].columns))


def _strangers(rng: Random, now: float, devices: list[Device]) -> Iterator[Row]:
    """Machines that tried to register: new ones, and one that says another's IMEI."""
    for n in range(5):
        network = f"10.22.{n}.{rng.randrange(1, 255)}"
        first, count = now - 3600 * (n * 5 + 2), 60 // (n + 1)
        reason, own = ("wrong", devices[51].imei) if n == 3 else ("unknown", None)
        address = f"{network}:{rng.randrange(2000, 60000)}"
        values = (f"8612340561{n * 1237 + 10117:05}", reason, address, network)
        yield Row("unknown", (*values, first, now - 40 - 700 * n, count, own))


def _presence(devices: list[Device], told: list[Happened]) -> Iterator[Row]:
    """Where each machine was last: without it, one with a full day reads "never seen"."""
    last = {imei: at for at, type, imei, _, _ in told if type == "device.offline"}
    address = {imei: what["address"] for _, type, imei, _, what in told if type == "device.online"}
    for device in devices:
        at = last[device.imei]
        yield Row("presence", (device.imei, False, at, at, address.get(device.imei), 0))


def _connections(rng: Random, now: float, devices: list[Device]) -> Iterator[Happened]:
    def away(imei: str, since: float, until: float, why: str) -> Iterator[Happened]:
        address = (
            f"10.21.{rng.randrange(256)}.{rng.randrange(1, 255)}:{rng.randrange(2000, 60000)}"
        )
        yield since, "device.offline", imei, None, {"reason": why}
        yield until, "device.online", imei, None, {"address": address}

    cut = now - 7.4 * 3600
    for n, device in enumerate(devices):
        free = [(now - DAY + 4000, cut - 4000), (cut + 6000, now - 4000)]
        for since, until in free:
            if rng.random() < 0.35:
                at = since + rng.random() * (until - since)
                yield from away(
                    device.imei, at, at + 60 + rng.random() * 1500, "silent for too long"
                )
        if n % 4 == 2:  # one site's power is cut, and noticed by each within a minute or two
            yield from away(
                device.imei, cut + rng.random() * 130, cut + 2300 + rng.random() * 200,
                "silent for too long",
            )  # fmt: skip
        yield now - 2, "device.offline", device.imei, None, {"reason": "the gateway stopped"}
    twin, wrong = devices[30].imei, devices[51].imei
    for n in range(6):
        at = now - 5000 - 20 * n
        yield at, "device.taken_over", twin, None, {"address": "10.21.7.9:4101"}
        yield at + 1, "device.flapping", twin, None, {"takeovers": 5, "within": 60.0}
    yield now - 9100, "device.mismatch", wrong, None, {"kind": "start", "named": devices[52].imei}
