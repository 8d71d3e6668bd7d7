"""/metrics: the gateway's counts in the format of Prometheus, as they are at each scrape.

Nothing is labelled by device: with ten thousand of them a scrape would stall the loop. The values
are read on the loop, without a pause and in less than a millisecond, and formatted in a thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import trio
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from devgate import __version__
from devgate.gateway.command import COMMAND, MESSAGES
from devgate.gateway.counters import BEAT, HT, QR, TN, Histogram
from devgate.gateway.gateway import Gateway
from devgate.http import node_metrics
from devgate.http.problems import Problem
from devgate.http.process_metrics import Process
from devgate.http.web import Web
from devgate.protocol.frames import SHORT_404
from devgate.protocol.session import SAYS, Says

Labels = TypeVar("Labels", bound=tuple[str, ...])

PREFIX = "devgate_"
QUICK_COMMANDS = {"HT": HT, "TN": TN, "QR": QR}

# These series are there from the start: the first step of a series that begins at 1 is not seen.
END_STATUSES = ("200", *MESSAGES, "409")
LATE_STATUSES = ("200", "201", "202")
SENT_FRAMES = [("HT", s) for s in ("200", "300", "401")] + [
    *((c, s) for c in ("TN", "QR") for s in ("200", "300", "401")),
    *((c, s) for c in ("QD", "ST") for s in ("000", "200", "401")),
]
NO_COMMAND = ("none", SHORT_404[3:].decode())  # 006404 has no COMMAND


def routes(web: Web) -> list[BaseRoute]:
    """The metrics, in the format of Prometheus."""
    process = Process()

    async def metrics(request: Request) -> Response:
        caller = request.scope.get("devgate.caller")
        if not web.settings.metrics_public and caller is not None and caller.sites is not None:
            raise Problem("401", "who is limited to some sites sees no metrics of the whole")
        page = Scrape(list(gathered(web.gateway)), process)
        text = await trio.to_thread.run_sync(generate_latest, page)
        return Response(text, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    return [Route("/metrics", metrics)]


class Scrape(Collector):
    """What one scrape answers."""

    def __init__(self, families: list[Metric], process: Collector) -> None:
        self._families = families
        self._process = process

    def collect(self) -> Iterator[Metric]:
        """As Collector.collect()."""
        yield from self._families
        yield from self._process.collect()


def gathered(gateway: Gateway) -> Iterator[Metric]:
    """Everything that the gateway counts. Call it on the loop, and do not await in between."""
    info = InfoMetricFamily(PREFIX + "build", "The version that runs.")
    info.add_metric([], {"version": __version__})
    yield info
    yield from _devices(gateway)
    yield from _frames(gateway)
    yield from _commands(gateway)
    yield from _records(gateway)
    yield from _events(gateway)
    yield from _loop(gateway)
    yield from node_metrics.gathered(gateway.cluster)


def _devices(gateway: Gateway) -> Iterator[Metric]:
    yield _gauge("connections", "Connections of devices.", len(gateway.desk.connections))
    yield _gauge("devices_online", "Devices that are registered now.", len(gateway.presence))
    yield _gauge("devices_known", "Devices in the store.", len(gateway.directory))
    door = gateway.acceptor
    yield _gauge("connections_limit", "How many there may be.", door.limit)
    yield _gauge("accepting_paused", "1: no room or no descriptors for more.", door.paused)
    yield _counter("connections_accepted", "Connections accepted.", door.accepted)
    yield _counter("connections_refused", "Connections refused, for their address.", door.refused)
    yield _counter(
        "takeovers", "Devices that registered again on another connection.",
        gateway.presence.takeovers,
    )  # fmt: skip
    yield _counter(
        "flapping", "Bursts of takeovers: two devices may share one IMEI.", gateway.presence.flaps
    )
    yield _counter(
        "log_dropped", "Lines of the log that were not written: nobody took them.",
        gateway.log_dropped(),
    )  # fmt: skip
    yield _gauge("draining", "1: the gateway is stopping.", gateway.orders.closed)
    held = gateway.quarantine.held is not None
    yield _gauge("quarantine", "1: every start is refused, for a copy was restored.", held)


def _frames(gateway: Gateway) -> Iterator[Metric]:
    counts, sent_commands = gateway.desk.counts, gateway.dispatcher.counts.sent
    received, sent = dict(counts.received), dict.fromkeys([*SENT_FRAMES, NO_COMMAND], 0)
    for (code, number), count in counts.sent.items():
        sent[code.decode() or NO_COMMAND[0], number.decode()] = count
    for command, place in QUICK_COMMANDS.items():
        received[command, "000"] += counts.quick[place]
        sent[command, "200"] += counts.quick[place]
    for kind, command in COMMAND.items():
        sent[command, "000"] = sent_commands[kind]
    labels = ("command", "status")
    yield _counters("frames_received", "Good frames of devices.", labels, received)
    yield _counters("frames_sent", "Frames sent to devices.", labels, sent)
    yield _counter(
        "heartbeats", "Reads that held a heartbeat and no frame.",
        counts.beats + counts.quick[BEAT],
    )  # fmt: skip
    yield _counter("malformed", "Runs of bytes that are no frame.", counts.malformed)
    echoes = sum(counts.received[pair] for pair, says in SAYS.items() if says is Says.ECHO)
    yield _counter(
        "echoes", "Frames that only the gateway sends, come back.", counts.echoes + echoes
    )


def _commands(gateway: Gateway) -> Iterator[Metric]:
    dispatcher, counts = gateway.dispatcher, gateway.dispatcher.counts
    labels = ("type", "status")
    ended = {(kind, status): 0 for kind in COMMAND for status in END_STATUSES}
    late = {(kind, status): 0 for kind in COMMAND for status in LATE_STATUSES}
    yield _counters(
        "commands", "Commands that ended, by their status then (408: the outcome is unknown).",
        labels, ended | counts.ended,
    )  # fmt: skip
    yield _counters(
        "commands_late", "Results that came after the 408.", labels, late | counts.late
    )
    sent = {(kind,): counts.sent[kind] for kind in COMMAND}
    yield _counters("commands_sent", "Commands that went out.", ("type",), sent)
    yield _histogram(
        "command_sending_seconds",
        "From accepted to sent, without those kept for a device that is away.", counts.sending,
    )  # fmt: skip
    yield _histogram(
        "command_answering_seconds", "From sent to the device's result.", counts.answering
    )
    yield _gauge("commands_waiting", "Commands that are not sent yet.", dispatcher.waiting)
    yield _gauge(
        "commands_in_flight", "Commands being sent, or waiting for a result.",
        dispatcher.in_flight,
    )  # fmt: skip


def _records(gateway: Gateway) -> Iterator[Metric]:
    records = gateway.records
    yield _gauge("store_writable", "0: the journal cannot be written.", records.state == "ok")
    yield _gauge("writer_backlog", "Writes that wait for their commit.", records.backlog)
    yield _counter("rows_lost", "Rows given up while the database was away.", records.lost)
    yield _histogram("commit_seconds", "Time of a commit.", gateway.commits.seconds)
    yield _histogram("commit_rows", "Rows of a commit.", gateway.commits.rows)


def _events(gateway: Gateway) -> Iterator[Metric]:
    events = gateway.events
    yield _counter("events", "Events ever: the number of the newest.", events.last)
    yield _gauge("event_readers", "Who follows the events now.", events.readers)
    yield _gauge("event_lag", "Events that the slowest of them has yet to take.", events.lag)
    lag = GaugeMetricFamily(
        PREFIX + "webhook_lag", "Events not delivered yet.", labels=("webhook",)
    )
    failing = GaugeMetricFamily(
        PREFIX + "webhook_failing", "1: the last delivery failed.", labels=("webhook",)
    )
    for name, target in gateway.webhooks.targets.items():
        lag.add_metric((name,), max(0, events.last - target.window.position))
        failing.add_metric((name,), target.state != "ok")
    yield lag
    yield failing
    yield _counters(
        "requests", "What was asked of the gateway, by operation, way in and result.",
        ("operation", "way", "result"), gateway.requests.by_way(),
    )  # fmt: skip
    yield _counters(
        "refused", "Peers and requests turned away before anything was done.", ("door", "why"),
        gateway.refusals.counts.refused,
    )  # fmt: skip
    failed = sum(n for (_, _, result), n in gateway.requests.asked.items() if result == "failed")
    faults = {("operation",): failed, ("connection",): gateway.desk.counts.faults}
    yield _counters("faults", "Faults of the gateway; its log tells more.", ("part",), faults)


def _loop(gateway: Gateway) -> Iterator[Metric]:
    counts = gateway.desk.counts
    slow = counts.slow.counts
    rounds = [counts.rounds - sum(slow[1:]), *slow[1:]]
    yield _buckets(
        "poller_round_seconds", "Time in which a round of the poller read and answered.",
        counts.slow.bounds, rounds, counts.busy,
    )  # fmt: skip
    yield _counter("poller_arrivals", "Reads in all rounds of the poller.", counts.arrivals)
    yield _gauge(
        "poller_behind_seconds", "How long ago the poller was seen to keep up.",
        max(0.0, trio.current_time() - counts.progress),
    )  # fmt: skip
    yield _histogram("loop_lag_seconds", "How late the loop wakes a task that sleeps.", counts.lag)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, text, value=value)


def _counters(
    name: str, text: str, labels: tuple[str, ...], counts: Mapping[Labels, int]
) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, count)
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    return _buckets(name, text, histogram.bounds, histogram.counts, histogram.total)


def _buckets(
    name: str, text: str, bounds: Iterable[float], counts: Iterable[int], total: float
) -> Metric:
    """`counts`: one for each bound, and one for all above. Prometheus wants them added up."""
    buckets, count = [], 0
    for bound, more in zip((*(repr(float(b)) for b in bounds), "+Inf"), counts, strict=True):
        count += more
        buckets.append((bound, count))
    return HistogramMetricFamily(PREFIX + name, text, buckets=buckets, sum_value=total)
