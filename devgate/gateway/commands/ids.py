"""Ids of commands: ULIDs whose order is that of their making, even if the clock goes back."""

from __future__ import annotations

from secrets import randbits

from devgate.gateway.clock import time

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: no I, L, O, U
LETTER_PAIRS = tuple(a + b for a in ALPHABET for b in ALPHABET)  # ten bits each
VALUE_OF = {character: value for value, character in enumerate(ALPHABET)}
ID_LENGTH = 26
RANDOM_BITS = 80  # and 48 of the time
# Random bits in the first id of a millisecond. One bit less than there is room for, to count up.
FRESH_BITS = RANDOM_BITS - 1
SHIFTS = tuple(range(120, -1, -10))


class Ids:
    """Makes ids. Each is higher than all before it, those of earlier runs included."""

    def __init__(self) -> None:
        self.last = 0  # as a number of 128 bits

    def after(self, id: str | None) -> None:
        """All ids from now on are higher than this one, the highest in the database.

        They begin at a random place of the next millisecond. The run before may have told ids
        beyond the highest one whose rows were never written: none of them comes again.
        """
        if id is not None and (number := _number(id)) is not None:
            fresh = ((number >> RANDOM_BITS) + 1) << RANDOM_BITS | randbits(FRESH_BITS)
            self.last = max(self.last, fresh)

    def next(self, now: float | None = None) -> str:
        """26 characters: a time in milliseconds, not below that of any id before, and a number
        that is random, or one more than that of the id before where the time is the same. `now`:
        the wall clock's time, if the caller knows it."""
        number = int((time() if now is None else now) * 1000) << RANDOM_BITS
        if number >> RANDOM_BITS > self.last >> RANDOM_BITS:
            number |= randbits(FRESH_BITS)
        else:
            number = self.last + 1
        self.last = number
        return "".join([LETTER_PAIRS[number >> shift & 1023] for shift in SHIFTS])


def _number(id: str) -> int | None:
    """None: it is no ULID."""
    if len(id) != ID_LENGTH or id[0] > "7":
        return None
    number = 0
    for character in id:
        if (value := VALUE_OF.get(character)) is None:
            return None
        number = number << 5 | value
    return number
