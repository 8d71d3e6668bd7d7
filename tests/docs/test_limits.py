"""The numbers in the pages below docs/ are those of the program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from devgate.config.settings import Settings
from devgate.control.caller import MAX_WRONG_TOKENS
from devgate.control.limits import Limits
from devgate.control.outbox import MAX_READY_UNSENT, MAX_UNSENT
from devgate.control.requests import MAX_NESTED, MAX_REQUEST
from devgate.control.server import MAX_UNSENT_TCP, RECHECK_SECONDS
from devgate.gateway.devices import rounds, unregistered
from devgate.gateway.devices.connection import HANDSHAKE_SECONDS
from devgate.gateway.operations import arguments
from devgate.net import accepting, poller, queues
from devgate.net.limits import UNREGISTERED_PER_NETWORK
from devgate.protocol.frames import HEADER_SIZE, MAX_FRAME
from tests.docs.pages import ARCHITECTURE, CONTROL, PROTOCOL, read

DEVICE, COMMAND = Settings().device, Settings().command
KIB, MIB, DAY = 1024, 1024**2, 86400
ORDINALS = {3: "third", 5: "fifth"}

SENTENCES: tuple[tuple[Path, str], ...] = (
    (PROTOCOL, f"at most `partial_timeout` ({DEVICE.partial_timeout:g} s by default)"),
    (PROTOCOL, f"after `heartbeat_grace` ({DEVICE.heartbeat_grace:g} s by default)"),
    (PROTOCOL, f"at most one frame ({MAX_FRAME} bytes)"),
    (PROTOCOL, f"DATA | LEN - {HEADER_SIZE} |"),
    (PROTOCOL, f"more than {MAX_FRAME - HEADER_SIZE} bytes is refused"),
    (PROTOCOL, f"Both together have {HANDSHAKE_SECONDS:g} s"),
    (PROTOCOL, f"After `max_malformed` ({DEVICE.max_malformed}) malformed runs"),
    (
        PROTOCOL,
        f"(`[device] flapping`: {DEVICE.flapping.takeovers} within {DEVICE.flapping.within:g} s)",
    ),
    (PROTOCOL, f"for `idle_timeout` ({DEVICE.idle_timeout:g} s;"),
    (
        PROTOCOL,
        f"after `register_timeout` ({DEVICE.register_timeout:g} s; "
        f"{unregistered.REGISTER_SECONDS:g} s while",
    ),
    (PROTOCOL, f"at most `max_outbox` ({DEVICE.max_outbox:,} bytes)"),
    (
        PROTOCOL,
        f"After {unregistered.MAX_REFUSED} refused registrations (300 or 401) it is closed. "
        f"The {ORDINALS[unregistered.MAX_REFUSED]} one is answered.",
    ),
    (PROTOCOL, f"After {unregistered.MAX_BYTES:,} bytes without a good registration"),
    (
        PROTOCOL,
        f"After {unregistered.SLOW_AFTER} refused registrations from one network within "
        f"{unregistered.WINDOW_SECONDS:g} s, every registration from that network is answered "
        f"{unregistered.DELAY_SECONDS:g} s later",
    ),
    (PROTOCOL, f"A network may have {UNREGISTERED_PER_NETWORK} unregistered connections"),
    (PROTOCOL, f"older than {unregistered.CROWDED_SECONDS:g} s are closed"),
    (PROTOCOL, f"have been unregistered for {unregistered.OLD_SECONDS:g} s"),
    (PROTOCOL, f"`[command] ack_timeout` ({COMMAND.ack_timeout:g} s)"),
    (PROTOCOL, f"at most `late_window` ({COMMAND.late_window:g} s) ago"),
    (CONTROL, f"has at most {MAX_REQUEST // KIB} KiB, and nests at most {MAX_NESTED} deep"),
    (CONTROL, f"at most {Limits().outstanding:,} requests under way"),
    (CONTROL, f"more than {MAX_READY_UNSENT // KIB} KiB of replies unread"),
    (
        CONTROL,
        f"reads nothing for {Limits().patience:g} s, or leaves more than {MAX_UNSENT // MIB} MiB "
        f"(TCP: {MAX_UNSENT_TCP // MIB} MiB) unread",
    ),
    (CONTROL, f"good token has to come within {Limits().login:g} s"),
    (CONTROL, f"The {ORDINALS[MAX_WRONG_TOKENS]} request in a row without a good token"),
    (CONTROL, f"gets a 401 and ends within {RECHECK_SECONDS:g} s"),
    (CONTROL, f"a string of 1 to {arguments.MAX_KEY_LENGTH} printable characters"),
    (CONTROL, f"seconds, above 0 and at most {arguments.MAX_TIMEOUT_SECONDS:g}, as a number"),
    (CONTROL, f"at most {arguments.MAX_EXPIRES_SECONDS / DAY:g} days"),
    (CONTROL, f"1 to {arguments.MAX_LIMIT:,} items; default {arguments.DEFAULT_LIMIT}"),
    (CONTROL, f"`[command] keep_keys` ({COMMAND.keep_keys / DAY:g} days)"),
    (
        ARCHITECTURE,
        f"At most {poller.ROUND_LINKS} links a round and {queues.LINK_READS} reads of ",
    ),
    (ARCHITECTURE, f"reads of {queues.READ_SIZE:,} bytes of one link"),
    (ARCHITECTURE, f"{rounds.ROUND_IN_FLIGHT} links while a command is in flight"),
    (ARCHITECTURE, f"at most {accepting.ROUND_CONNECTIONS} connections a round"),
)


@pytest.mark.parametrize(("page", "words"), SENTENCES, ids=lambda one: str(one)[:40])
def test_the_number_is_that_of_the_program(page: Path, words: str) -> None:
    assert words in re.sub(r"\s+", " ", read(page))
