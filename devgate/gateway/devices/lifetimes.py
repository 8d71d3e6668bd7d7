"""How the connections of devices begin and end. Nothing in here awaits."""

from __future__ import annotations

import math
from collections.abc import Coroutine, Iterable
from typing import Any

import trio

from devgate.gateway.commands.dispatcher import Dispatcher
from devgate.gateway.devices.connection import Connection, shared
from devgate.gateway.devices.effects import TAKEN_OVER
from devgate.gateway.devices.parked_task import MakeTask
from devgate.gateway.devices.presence import Presence
from devgate.gateway.devices.taps import Taps
from devgate.gateway.devices.unregistered import Unregistered
from devgate.gateway.devices.watch import Watch
from devgate.net.limits import Crowds
from devgate.net.link import Link, reason
from devgate.net.poller import Poller

STOPS = "the gateway stops"  # why a connection ends that has no reason of its own


class Lifetimes:
    """The owner of all connections: each has a task, which calls began() and ended()."""

    def __init__(
        self,
        connections: dict[Link, Connection],
        poller: Poller,
        presence: Presence,
        dispatcher: Dispatcher,
        unregistered: Unregistered,
        watch: Watch,
        taps: Taps,
        crowds: Crowds,
        make_task: MakeTask,
        *,
        relayed: bool,
    ) -> None:
        """`connections` are the desk's, by link. Each is added and removed here, by its own task;
        `make_task` makes that task (`parked_task`)."""
        self.relayed = relayed
        self._connections = connections
        self._poller = poller
        self._presence = presence
        self._dispatcher = dispatcher
        self._unregistered = unregistered
        self._watch = watch
        self._taps = taps
        self._crowds = crowds
        self._make_task = make_task
        self._connected = -math.inf  # when the last connection began
        self._to_begin = 0  # tasks of task_for() that have not begun yet
        self._changed: trio.Event | None = None  # for settled(): a task has begun or ended

    @property
    def changing(self) -> bool:
        """Whether the task of a connection is about to begin or to end."""
        return self._to_begin > 0 or any(one.why for one in self._connections.values())

    async def settled(self) -> None:
        """Wait until no task of a connection is about to begin or to end."""
        while self.changing:
            self._changed = trio.Event()
            await self._changed.wait()
        self._changed = None

    def task_for(self, link: Link) -> Coroutine[Any, Any, None]:
        """The task that owns a connection from its first byte to its end, for a nursery."""
        self._connected = shared(trio.current_time(), self._connected)
        self._to_begin += 1
        return self._make_task(Connection(link, self, self._connected))

    def began(self, connection: Connection) -> None:
        """A connection's task begins: poll its link. It ends if the kernel cannot watch more."""
        self._to_begin -= 1
        if self._changed is not None:
            self._changed.set()
        connection.tap = self._taps.get(None)
        self._connections[connection.link] = connection
        self._unregistered.began(connection)
        self.poll(connection)

    def moved(self, connection: Connection) -> None:
        """Add a connection that another process had until now. It is not read before poll()."""
        self._connections[connection.link] = connection
        if connection.session.imei is None:
            self._unregistered.began(connection)

    def poll(self, connection: Connection) -> None:
        """Read it from now on. It ends if the kernel cannot watch more."""
        try:
            self._poller.add(connection.link)
        except OSError as err:
            connection.end(reason(err))

    def poll_all(self, connections: Iterable[Connection]) -> None:
        """poll() very many connections. Those with bytes to read do not wait for the others."""
        for connection in connections:
            self.poll(connection)
        self._poller.look_through()

    def forget(self, connection: Connection) -> None:
        """Remove a connection that was moved() here and polled: it was replaced, or is gone."""
        del self._connections[connection.link]
        self._poller.forget(connection.link)

    def started(self, connection: Connection) -> Coroutine[Any, Any, None]:
        """The task of such a connection, for a nursery."""
        return self._make_task(connection)

    def hang_up(self, link: Link) -> None:
        """Close a connection in a process that is not the gateway any more: without an event."""
        self._poller.close(link)

    def close(self) -> None:
        """The gateway stops: end all connections, which costs less than cancelling each task."""
        for connection in list(self._connections.values()):
            connection.end(STOPS)

    def ended(self, connection: Connection) -> None:
        """A connection's task ends: remove it, and close its socket.

        The only place where a device's connection is closed, called once for each by its own task.
        """
        link, why = connection.link, connection.why or STOPS
        del self._connections[link]
        if connection.waits:
            self._watch.ended(connection)
        if not connection.request_start:
            self._unregistered.ended(connection)
        if connection.session.imei is not None:
            self._dispatcher.disconnected(connection.session.imei, connection)
        self._presence.ended(connection, why)
        self._poller.close(link, abort=why == TAKEN_OVER)
        if link.crowd is not None:
            self._crowds.leave(link.crowd, registered=bool(connection.request_start))
        if self._changed is not None:
            self._changed.set()

    def make_room(self, count: int) -> int:
        """For the acceptor: end at most `count` connections that have not registered. Returns how
        many."""
        return self._unregistered.make_room(count, trio.current_time(), self._poller.waits)

    def strict(self, address: str) -> bool:
        """For the acceptor: whether this address may have only its share of such connections."""
        return self._unregistered.slow(address, trio.current_time())
