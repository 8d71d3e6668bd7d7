"""Limits the rate of logins.

An address that fails often has to wait. An account that is tried often, from whatever addresses,
answers more and more slowly, and never not at all: or anybody could lock its owner out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from devgate.net.addresses import network

TRIES, WITHIN = 10, 300.0  # failures of one address with one name, in seconds
TRIES_OF_ADDRESS = 50  # failures of one address with any names, in the same time
FREE_TRIES = 10  # failures of an account, from all addresses, that cost no time
DELAY, MAX_DELAY = 0.5, 8.0  # seconds for the next one, doubled with each, and at most
MAX_EVENTS, EVENTS_WITHIN = 20, 60.0  # refused logins that have an event, in that many seconds
# Sessions of one account that begin, in that many seconds: each has a row for half a day.
BEGUN, BEGUN_WITHIN = 300, 300.0
CODES, CODES_WITHIN = 10, 900.0  # wrong codes of a second factor, from anywhere, in seconds
MAX_KEYS = 10_000  # that are remembered; the one that failed longest ago is forgotten first


class Failures:
    """Times of failures, by any key."""

    def __init__(self, keep: int, within: float) -> None:
        """At most `keep` times of a key are kept, each for `within` seconds."""
        self._keep, self._within = keep, within
        self._times: OrderedDict[Hashable, list[float]] = OrderedDict()

    def recent(self, key: Hashable, now: float) -> list[float]:
        """The times of those that still count."""
        return [at for at in self._times.get(key, []) if at > now - self._within]

    def add(self, key: Hashable, now: float) -> None:
        """Note a failure."""
        times = [*self.recent(key, now), now][-self._keep :]
        self._times[key] = times
        self._times.move_to_end(key)
        if len(self._times) > MAX_KEYS:
            self._times.popitem(last=False)

    def remove_last(self, key: Hashable) -> None:
        """The last failure was none."""
        if times := self._times.get(key):
            times.pop()

    def wait(self, key: Hashable, tries: int, now: float) -> float:
        """Seconds until there are fewer than `tries` of them."""
        recent = self.recent(key, now)
        return 0.0 if len(recent) < tries else recent[-tries] + self._within - now


class LoginEvents:
    """Which refused logins have an event: one a minute of each address, and MAX_EVENTS in all."""

    def __init__(self) -> None:
        self._of_address = Failures(1, EVENTS_WITHIN)
        self._of_all = Failures(MAX_EVENTS, EVENTS_WITHIN)
        self._skipped = 0

    def turn(self, address: str, now: float) -> int | None:
        """None: this one has no event. Else how many had none since the last event."""
        place = network(address)
        if (
            self._of_address.recent(place, now)
            or len(self._of_all.recent(None, now)) >= MAX_EVENTS
        ):
            self._skipped += 1
            return None
        self._of_address.add(place, now)
        self._of_all.add(None, now)
        skipped, self._skipped = self._skipped, 0
        return skipped


class LoginLimit:
    """The brake of logins. `now` is any clock that never goes back."""

    def __init__(self, tries: int = TRIES, within: float = WITHIN) -> None:
        self._tries = tries
        self._by_both = Failures(tries, within)
        self._by_address = Failures(TRIES_OF_ADDRESS, within)
        self._by_account = Failures(FREE_TRIES + 16, within)
        # Of a second factor: who comes to it knows the password, so it may be closed for a while.
        self._codes = Failures(CODES, CODES_WITHIN)
        self._begun = Failures(BEGUN, BEGUN_WITHIN)
        # From where an account's owner has come: nobody else's attempts slow that one down.
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def wait(self, address: str, name: str, now: float) -> float:
        """Seconds until this address may try this name again; 0: now."""
        place = network(address)
        return max(
            self._by_both.wait((place, name), self._tries, now),
            self._by_address.wait(place, TRIES_OF_ADDRESS, now),
        )

    def delay(self, address: str, name: str, now: float) -> float:
        """Seconds that an attempt at this account takes now, before its answer."""
        if (network(address), name) in self._known:
            return 0.0
        over = len(self._by_account.recent(name, now)) - FREE_TRIES
        return min(DELAY * 2.0**over, MAX_DELAY) if over >= 0 else 0.0

    def begin(self, account: str, now: float) -> bool:
        """Whether one more session of this account may begin now."""
        if len(self._begun.recent(account, now)) >= BEGUN:
            return False
        self._begun.add(account, now)
        return True

    def code(self, name: str, now: float) -> bool:
        """Whether one more code of this user may be tried; it counts until it was right."""
        if len(self._codes.recent(name, now)) >= CODES:
            return False
        self._codes.add(name, now)
        return True

    def code_fits(self, name: str) -> None:
        """The last code was right."""
        self._codes.remove_last(name)

    def failed(self, address: str, name: str, now: float) -> None:
        """An attempt from this address with this name has failed at `now` (trio's clock)."""
        place = network(address)
        self._by_both.add((place, name), now)
        self._by_address.add(place, now)
        self._by_account.add(name, now)

    def not_looked_at(self, address: str, name: str) -> None:
        """There was no turn for the last attempt: it does not count."""
        place = network(address)
        self._by_both.remove_last((place, name))
        self._by_address.remove_last(place)
        self._by_account.remove_last(name)

    def succeeded(self, address: str, name: str) -> None:
        """The last attempt was the owner's: it does not count."""
        self.not_looked_at(address, name)
        place = network(address)
        self._known[place, name] = None
        self._known.move_to_end((place, name))
        if len(self._known) > MAX_KEYS:
            self._known.popitem(last=False)
