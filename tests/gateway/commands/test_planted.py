"""Faults that are planted in the rules of results: the model must find each of them.

Three are not among them, for they change nothing that can be seen. That the one in flight claims
before a 408 that has not yielded: the two would be a group. That `late_window` keeps members of a
group open: a group has its members itself. That a command which was unacknowledged when its
connection ended claims last: TCP keeps order, and one of an earlier connection has yielded, so
that it is behind the others already (test_claims.py has marks that say otherwise).
"""

from __future__ import annotations

import inspect
from types import FunctionType, ModuleType
from typing import Any

import pytest

from devgate.gateway.commands import claims, results, settling
from tests.gateway.commands.programs import RULES, failure, search

PROGRAMS = 4000

FAULTS: dict[str, tuple[ModuleType, str, str]] = {
    "old rule: the first result settles the oldest": (
        claims, "if len(group.held) < len(group.members):", "if False:",
    ),
    "nothing yields": (claims, "entry.yielded = not", "entry.yielded = False and not"),
    "all yield": (claims, "entry.yielded = not", "entry.yielded = True or not"),
    "unacknowledged bytes do not matter": (claims, "self.lost = ", "self.lost = False and "),
    "bytes behind an acknowledgement do not matter": (
        claims, "heard > self.seen + patience", "heard > self.seen + 9e9",
    ),
    "the acknowledgement counts from the send": (
        claims, "heard > self.seen + patience", "heard > self.at + patience",
    ),
    "a later connection does not matter": (
        claims, "return later <= patience", "return True",
    ),
    "a connection that was registered long ago counts": (
        claims, "link is not self.link:", "True:",
    ),
    "the newest of a group is not in it": (
        claims, "Group([*members, new])", "Group(members)",
    ),
    "yields are decided again": (
        claims, "if not entry.yielded:\n                wait", "if True:\n                wait",
    ),
    "a yielded one claims before the newest": (
        claims, "return some[-1] if some else None", "return some[0] if some else None",
    ),
    "a yielded one is never settled": (
        claims, "return some[-1] if some else None", "return None",
    ),
    "a repeated result is another": (
        claims, "if held.may_repeat and", "if False and",
    ),
    "any result is a repeated one": (
        claims, "if held.may_repeat and held.status == status", "if held.status == status",
    ),
    "results that are held are thrown away at the deadline": (
        claims, "if not group.held:", "group.held.clear()\n        if not group.held:",
    ),
    "ambiguous ones stay open": (
        claims, "self.close(entry.kind, entry.sequence, now)", "pass",
    ),
    "older ones stay open behind ambiguous ones": (
        claims, "if e.kind != kind or e.sequence > sequence",
        "if kind not in self.groups or e not in self.groups[kind].members",
    ),
    "missing answers count for ever": (
        claims, "if group.since is not None and now - group.since > late_window:",
        "if False:",
    ),
    "missing answers count though another command was sent": (
        claims, "self.groups.pop(new.kind, None)", "pass",
    ),
    "what is held is not on disk": (
        settling, "if isinstance(found, HeldResult):\n            self.results.note(device, kind)",
        "if isinstance(found, HeldResult):\n            pass",
    ),
    "who yielded is not on disk": (
        results, "if entry.yielded", "if False",
    ),
    "a restart forgets what is held": (results, 'if not detail["held"]', "if True"),
    "a restart opens ambiguous ones again": (
        results, 'if detail["closed"] is not None:', "if False:",
    ),
    "a restart makes the window longer": (
        results, "restored.since = since", "restored.since = now",
    ),
    "any result may be the repeated one": (
        claims, "if held.may_repeat and held.status == status", "if held.may_repeat",
    ),
    "a 408 is open for ever": (
        claims, "or now - e.unknown_since <= late_window", "or True",
    ),
    "a stop waits while results are held": (
        claims, "group.since is None and bool(group.held)", "False",
    ),
    "the two kinds are one": (
        claims, "some = [entry for entry in self.open if entry.kind == kind]",
        "some = [entry for entry in self.open]",
    ),
    "the acknowledgement is not looked at when the time is up": (
        claims, "entry.unknown_since = now\n        entry.look(now)", "entry.unknown_since = now",
    ),
    "the end of the connection is no look at the acknowledgement": (
        claims, "if self.link is link:\n            self.look(now)", "if self.link is link:",
    ),
    "bytes of an earlier one of the later connections do not matter": (
        claims, "self.later = max(self.later, link.heard - registered)", "pass",
    ),
    "a command's own timeout does not count for T": (
        results, "max(command.timeout or 0.0, self.ack", "max(0.0, self.ack",
    ),
    "the device's own ack_timeout does not count": (
        results, "self.ack_timeout if seconds is None else seconds", "self.ack_timeout",
    ),
    "a held result is acknowledged before it is on disk": (
        settling, "self._records.flush(partial(_acknowledge, found, result))",
        "_acknowledge(found, result, True)",
    ),
    "one that has yielded has not after a restart, where it is alone": (
        results, "matters = len(open_) > 1 or (bool(open_) and open_[0].yielded)",
        "matters = len(open_) > 1",
    ),
}  # fmt: skip


# Whether a stop goes out at once is not for the reference to say.
UNSEEN = {"a stop waits while results are held"}


def plant(monkeypatch: pytest.MonkeyPatch, module: ModuleType, old: str, new: str) -> None:
    """Put methods of a changed copy of the module's source into the module's own classes."""
    source = inspect.getsource(module)
    assert source.count(old) == 1, old
    copy: dict[str, Any] = {"__name__": module.__name__}
    exec(compile(source.replace(old, new), module.__file__ or "", "exec"), copy)
    for name, made in list(copy.items()):
        real = getattr(module, name, None)
        if isinstance(real, FunctionType) and real.__module__ == module.__name__:
            monkeypatch.setattr(module, name, made)
        if not isinstance(real, type) or real.__module__ != module.__name__:
            continue
        for part, function in list(vars(made).items()):
            if isinstance(function, FunctionType) and part in vars(real):
                monkeypatch.setattr(real, part, function)
        copy[name] = real


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.usefixtures("clocks")
def test_is_found_by_a_rule_s_program(fault: str) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        plant(monkeypatch, *FAULTS[fault])
        assert any(failure(program.split()) is not None for program in RULES.values())


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in UNSEEN])
@pytest.mark.usefixtures("clocks")
def test_is_found_by_chance(fault: str) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        plant(monkeypatch, *FAULTS[fault])
        assert search(1, PROGRAMS) is not None
