"""Metrics of the process, under the standard names of Prometheus."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from devgate.gateway.operations.status import memory

DESCRIPTORS = "/proc/self/fd"


class Process(Collector):
    """The figures of prometheus-client's own collectors.

    Those list all open files at every scrape: with 9,000 connections that took 20 ms, during which
    the loop stood still.
    """

    def __init__(self) -> None:
        self._garbage = CollectorRegistry()
        GCCollector(registry=self._garbage)
        families = ProcessCollector(registry=None).collect()
        self._never_changes = [f for f in families if f.name == "process_start_time_seconds"]

    def collect(self) -> Iterator[Metric]:
        """As Collector.collect(): memory, CPU, descriptors, garbage collection."""
        yield from self._never_changes
        virtual, resident = memory()
        yield GaugeMetricFamily("process_virtual_memory_bytes", "Address space.", virtual)
        yield GaugeMetricFamily("process_resident_memory_bytes", "Memory held.", resident)
        yield CounterMetricFamily(
            "process_cpu_seconds", "User and system CPU time.", time.process_time()
        )
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        yield GaugeMetricFamily("process_open_fds", "Open files and sockets.", open_files())
        yield GaugeMetricFamily("process_max_fds", "How many there may be.", limit)
        yield from self._garbage.collect()


def open_files() -> int:
    """How many descriptors are open."""
    return os.stat(DESCRIPTORS).st_size or listed()  # Linux before 6.2 only has the list


def listed() -> int:
    """How many descriptors are open."""
    return len(os.listdir(DESCRIPTORS)) - 1  # to read the list opens one more
