"""How a gateway stops: the signals that ask for it, and the order in which it drains."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import trio

from devgate.gateway.gateway import Gateway
from devgate.net.poller import Poller

FLUSH = 1.0  # seconds for what still waits in the outboxes of devices, when the gateway stops
# Together with FLUSH less than guard.AFTER_DRAIN_SECONDS, LAST_WORDS being waited for twice.
LAST_WORDS = 4.0  # ... and for what still waits for the database
REPLIES = 4.0  # ... and for callers to take their last replies

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
        # The same signal says that the terminal was closed; then it is one no longer.
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
    """architecture.md section 6: from the doors inwards, each step for a bounded time.

    `drains` end the doors for callers, and the webhooks. `patience`: seconds for the commands
    that are in flight.
    """
    dispatcher = gateway.dispatcher
    log.info("draining in_flight=%s patience=%s", dispatcher.in_flight, patience)
    gateway.orders.close()
    dispatcher.close()
    with trio.move_on_after(patience):
        await dispatcher.idle()
    dispatcher.give_up()
    with trio.move_on_after(LAST_WORDS):
        await dispatcher.idle()
    with trio.move_on_after(REPLIES):
        async with trio.open_nursery() as replies:
            for one in drains:
                replies.start_soon(one)
    await poller.flush_all(trio.current_time() + FLUSH)
