"""Limits the rate of logins.

An address that fails often has to wait. An account that is tried often, from whatever addresses,
answers more and more slowly, but it always answers: else anybody could lock its owner out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from devgate.net.addresses import network

MAX_FAILURES, FAILURE_SECONDS = 10, 300.0  # of one address with one name, in this time
MAX_FAILURES_OF_ADDRESS = 50  # failures of one address with any names, in the same time
MAX_FREE_FAILURES = 10  # failures of an account, from all addresses, that do not slow it down
FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS = 0.5, 8.0  # of the next attempt; doubled with each
MAX_EVENTS, EVENTS_SECONDS = 20, 60.0  # refused logins that have an event, in this time
# Sessions of one account that begin, in this time: each has a row for half a day.
MAX_SESSIONS, SESSIONS_SECONDS = 300, 300.0
MAX_CODES, CODES_SECONDS = 10, 900.0  # wrong codes of a second factor, from anywhere, in this time
MAX_KEYS = 10_000  # keys that are remembered; the one that failed longest ago is forgotten first


class Failures:
    """Times of failures, by any key."""

    def __init__(self, max_times: int, within: float) -> None:
        """At most `max_times` times of a key are remembered, each for `within` seconds."""
        self._max_times, self._within = max_times, within
        self._times: OrderedDict[Hashable, list[float]] = OrderedDict()

    def recent(self, key: Hashable, now: float) -> list[float]:
        """The times of those that still count."""
        return [at for at in self._times.get(key, []) if at > now - self._within]

    def add(self, key: Hashable, now: float) -> None:
        """Note a failure."""
        times = [*self.recent(key, now), now][-self._max_times :]
        self._times[key] = times
        self._times.move_to_end(key)
        if len(self._times) > MAX_KEYS:
            self._times.popitem(last=False)

    def remove_last(self, key: Hashable) -> None:
        """The last attempt that was noted was no failure."""
        if times := self._times.get(key):
            times.pop()

    def wait(self, key: Hashable, tries: int, now: float) -> float:
        """Seconds until there are fewer than `tries` of them."""
        recent = self.recent(key, now)
        return 0.0 if len(recent) < tries else recent[-tries] + self._within - now


class LoginEvents:
    """Which refused logins have an event: one a minute of each address, and MAX_EVENTS in all."""

    def __init__(self) -> None:
        self._of_address = Failures(1, EVENTS_SECONDS)
        self._of_all = Failures(MAX_EVENTS, EVENTS_SECONDS)
        self._skipped = 0

    def turn(self, address: str, now: float) -> int | None:
        """None: this login has no event. Else the number of logins without one since the last."""
        origin = network(address)
        if (
            self._of_address.recent(origin, now)
            or len(self._of_all.recent(None, now)) >= MAX_EVENTS
        ):
            self._skipped += 1
            return None
        self._of_address.add(origin, now)
        self._of_all.add(None, now)
        skipped, self._skipped = self._skipped, 0
        return skipped


class LoginLimit:
    """The limits of logins. `now` is any clock that never goes back."""

    def __init__(self, tries: int = MAX_FAILURES, within: float = FAILURE_SECONDS) -> None:
        self._tries = tries
        self._by_both = Failures(tries, within)
        self._by_address = Failures(MAX_FAILURES_OF_ADDRESS, within)
        self._by_account = Failures(MAX_FREE_FAILURES + 16, within)
        # Codes of a second factor. Who enters one knows the password, so that an account may be
        # closed to further codes for a while.
        self._codes = Failures(MAX_CODES, CODES_SECONDS)
        self._begun = Failures(MAX_SESSIONS, SESSIONS_SECONDS)
        # The addresses from which an account's owner has logged in: they are not slowed down by
        # attempts from elsewhere.
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def wait(self, address: str, name: str, now: float) -> float:
        """Seconds until this address may try this name again; 0: now."""
        origin = network(address)
        return max(
            self._by_both.wait((origin, name), self._tries, now),
            self._by_address.wait(origin, MAX_FAILURES_OF_ADDRESS, now),
        )

    def delay(self, address: str, name: str, now: float) -> float:
        """Seconds that an attempt at this account takes now, before its answer."""
        if (network(address), name) in self._known:
            return 0.0
        over = len(self._by_account.recent(name, now)) - MAX_FREE_FAILURES
        return min(FIRST_DELAY_SECONDS * 2.0**over, MAX_DELAY_SECONDS) if over >= 0 else 0.0

    def begin(self, account: str, now: float) -> bool:
        """Whether one more session of this account may begin now."""
        if len(self._begun.recent(account, now)) >= MAX_SESSIONS:
            return False
        self._begun.add(account, now)
        return True

    def code(self, name: str, now: float) -> bool:
        """Whether one more code of this user may be tried; it counts until it was right."""
        if len(self._codes.recent(name, now)) >= MAX_CODES:
            return False
        self._codes.add(name, now)
        return True

    def code_fits(self, name: str) -> None:
        """The last code was right."""
        self._codes.remove_last(name)

    def failed(self, address: str, name: str, now: float) -> None:
        """An attempt from this address with this name has failed at `now` (trio's clock)."""
        origin = network(address)
        self._by_both.add((origin, name), now)
        self._by_address.add(origin, now)
        self._by_account.add(name, now)

    def not_looked_at(self, address: str, name: str) -> None:
        """The last attempt was not examined, because too many were: it does not count."""
        origin = network(address)
        self._by_both.remove_last((origin, name))
        self._by_address.remove_last(origin)
        self._by_account.remove_last(name)

    def succeeded(self, address: str, name: str) -> None:
        """The last attempt was the owner's: it does not count."""
        self.not_looked_at(address, name)
        origin = network(address)
        self._known[origin, name] = None
        self._known.move_to_end((origin, name))
        if len(self._known) > MAX_KEYS:
            self._known.popitem(last=False)
