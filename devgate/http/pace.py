"""How often somebody may try to log in."""

from __future__ import annotations

from collections import OrderedDict

from devgate.net.addresses import network

TRIES, WITHIN = 10, 300.0  # failures of one address, in seconds
MOST = 10_000  # addresses that are remembered; the one that failed longest ago is forgotten first


class Pace:
    """Counts failures by address. `now` is any clock that never goes back."""

    def __init__(self, tries: int = TRIES, within: float = WITHIN) -> None:
        self._tries, self._within = tries, within
        self._failed: OrderedDict[str, list[float]] = OrderedDict()

    def wait(self, address: str, now: float) -> float:
        """Seconds until this address may try again; 0: now."""
        times = self._failed.get(network(address), [])
        recent = [at for at in times if at > now - self._within]
        return 0.0 if len(recent) < self._tries else recent[-self._tries] + self._within - now

    def failed(self, address: str, now: float) -> None:
        name = network(address)
        times = [at for at in self._failed.pop(name, []) if at > now - self._within]
        self._failed[name] = [*times, now][-self._tries :]
        if len(self._failed) > MOST:
            self._failed.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """The last attempt was none of a stranger: it does not count."""
        if times := self._failed.get(network(address)):
            times.pop()
