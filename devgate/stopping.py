"""Stopping: the signals, and the order in which the gateway drains."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import trio

from devgate.gateway.gateway import Gateway
from devgate.net.poller import Poller

# Time limits while the gateway stops. Their sum, with STORE_SECONDS twice, is less than
# guard.AFTER_DRAIN_SECONDS.
FLUSH_SECONDS = 1.0  # for bytes that wait to be sent to devices
STORE_SECONDS = 4.0  # for rows that wait to be written
REPLIES_SECONDS = 4.0  # for callers to read their last replies

log = logging.getLogger("devgate")


async def act_on_signals(
    signals: AsyncIterator[int],
    stopping: trio.Event,
    at_once: trio.CancelScope,
    reload: Callable[[], None],
) -> None:
    """SIGHUP reloads; the first other signal sets `stopping`, each later one cancels `at_once`."""
    terminal = os.isatty(0)
    async for number in signals:
        # The kernel also sends SIGHUP when the terminal is closed: then isatty() is false.
        if number == signal.SIGHUP and os.isatty(0) == terminal:
            reload()
        elif not stopping.is_set():
            stopping.set()
        else:
            log.warning("stopping at once")
            at_once.cancel()


async def drain(
    gateway: Gateway,
    poller: Poller,
    drains: Sequence[Callable[[], Awaitable[None]]],
    patience: float,
) -> None:
    """Drain in the order of architecture.md section 6: each step has a time limit.

    `drains` end the doors for callers, and the webhooks. `patience`: seconds to wait for commands
    in flight.
    """
    dispatcher = gateway.dispatcher
    log.info("draining in_flight=%s patience=%s", dispatcher.in_flight, patience)
    gateway.orders.close()
    dispatcher.close()
    with trio.move_on_after(patience):
        await dispatcher.idle()
    dispatcher.give_up()
    with trio.move_on_after(STORE_SECONDS):
        await dispatcher.idle()
    with trio.move_on_after(REPLIES_SECONDS):
        async with trio.open_nursery() as replies:
            for one in drains:
                replies.start_soon(one)
    await poller.flush_all(trio.current_time() + FLUSH_SECONDS)
