"""A simple model of commands: lists of what was sent and what came in.

It is written from protocol.md section 4 and shares nothing with the code under test.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from devgate.model import Imei

LATE_WINDOW = 60.0
ACK_TIMEOUT = 10.0


@dataclass(eq=False)
class Conn:
    """One connection of a device, from its registration to its end."""

    imei: Imei
    relayed: bool  # by a load balancer
    begins: float
    heard: float  # when bytes were last read
    over: bool = False
    forgotten: bool = False  # a restart forgot it


@dataclass(eq=False)
class Out:
    """One command that went out, or (after a crash) may have gone out."""

    id: str
    imei: Imei
    kind: str
    key: str | None
    sent: float  # trio's clock
    unknown: float  # without a result by then, it is a 408
    patience: float  # its own `timeout`; 0: it has none
    conn: Conn | None = None
    acked: float | None = None  # when the device's TCP acknowledged it
    seen: float | None = None  # when the gateway saw that
    lost: bool = False
    yielded: bool = False
    closed: bool = False  # no result settles it any more
    ambiguous: bool = False
    result: str | None = None
    late: bool = False

    def look(self, now: float) -> None:
        """The gateway looks whether it is acknowledged."""
        direct = self.conn is not None and not self.conn.relayed and not self.conn.over
        if self.seen is None and self.acked is not None and self.acked <= now and direct:
            self.seen = now


@dataclass(eq=False)
class Answer:
    """A result that is held."""

    status: str
    conn: Conn | None
    ack_sent: bool = False
    acked: bool = False
    may_repeat: bool = False


@dataclass(eq=False)
class Together:
    """Commands whose answers cannot be told apart."""

    outs: list[Out]
    answers: list[Answer] = field(default_factory=list)
    ambiguous_since: float | None = None


class Reference:
    """The commands that went out, of all runs, in the order in which they did."""

    def __init__(self) -> None:
        self.out: list[Out] = []
        self.conns: list[Conn] = []
        self.groups: dict[tuple[Imei, str], Together] = {}
        self.published: list[list[str]] = []  # the commands of each event command.ambiguous
        self.ack_timeout = ACK_TIMEOUT  # that is in force now

    # Connections

    def connects(self, imei: Imei, relayed: bool, now: float) -> Conn:
        conn = Conn(imei, relayed, now, now)
        self.conns.append(conn)
        return conn

    def ends(self, conn: Conn, now: float) -> None:
        self.pass_time(now)
        for out in self.out:
            if out.conn is conn and not out.conn.over:
                out.look(now)
                out.lost = not conn.relayed and out.seen is None
        for group in self.groups.values():
            for answer in group.answers:
                if answer.conn is conn:
                    unknown = conn.relayed and answer.ack_sent
                    answer.may_repeat = not unknown and not answer.acked
        conn.over = True

    def acknowledges(self, conn: Conn, now: float) -> None:
        """The device's TCP acknowledges all that was sent."""
        self.pass_time(now)
        for out in self.out:
            if out.conn is conn and out.acked is None:
                out.acked = now
        for group in self.groups.values():
            for answer in group.answers:
                if answer.conn is conn and answer.ack_sent:
                    answer.acked = True

    # Time

    def pass_time(self, now: float) -> None:
        """Deadlines that have passed, and windows."""
        for out in self.out:
            if out.result is None and out.unknown <= now:
                out.look(out.unknown)
        for place, group in list(self.groups.items()):
            newest = group.outs[-1]
            if group.ambiguous_since is None and newest.unknown <= now:
                if group.answers:
                    self.is_ambiguous(place, group, newest.unknown)
                else:
                    del self.groups[place]
            since = group.ambiguous_since
            if since is not None and now - since > LATE_WINDOW:
                self.groups.pop(place, None)

    def is_ambiguous(self, place: tuple[Imei, str], group: Together, at: float) -> None:
        group.ambiguous_since = at
        self.published.append([out.id for out in group.outs])
        for out in group.outs:
            out.ambiguous = True
        for out in self.out:
            if (out.imei, out.kind) == place and out.sent <= group.outs[-1].sent:
                out.closed = True

    def open(self, imei: Imei, kind: str, now: float) -> list[Out]:
        group = self.groups.get((imei, kind))
        members = group.outs if group is not None and group.ambiguous_since is None else []
        return [
            out
            for out in self.out
            if (out.imei, out.kind) == (imei, kind)
            and out.result is None
            and not out.closed
            and (now - out.unknown <= LATE_WINDOW or out in members)
        ]

    # Commands and results

    def sent(self, out: Out) -> None:
        now = out.sent
        self.pass_time(now)
        for other in self.out:
            assert other.id != out.id, "a command went out twice"
            assert other.key != out.key or out.key is None, "a key caused a second command"
            if other.imei == out.imei:
                over = other.result is not None or now >= other.unknown
                group = self.groups.get((other.imei, other.kind))
                held = group is not None and bool(group.answers)
                stop = (other.kind, out.kind) == ("QD", "ST") and held
                assert over or stop, "two commands of one device are in flight"
        members = []
        for other in self.open(out.imei, out.kind, now):
            other.look(now)
            other.yielded = other.yielded or self.yields(other)
            if not other.yielded:
                members.append(other)
        self.groups.pop((out.imei, out.kind), None)
        if members:
            self.groups[out.imei, out.kind] = Together([*members, out])
        self.out.append(out)

    def yields(self, out: Out) -> bool:
        patience = max(out.patience, self.ack_timeout)
        if out.lost:
            return True
        seen, conn = out.seen, out.conn
        if seen is not None and conn is not None and conn.heard > seen + patience:
            return True
        earlier = -1 if out.conn is None else self.conns.index(out.conn)
        return any(
            later.imei == out.imei and later.heard - later.begins > patience
            for later in self.conns[earlier + 1 :]
            if not later.forgotten
        )

    def says(self, imei: Imei, kind: str, status: str, conn: Conn | None, now: float) -> bool:
        """A device's result. Whether there is a command that claims it."""
        self.pass_time(now)
        place = (imei, kind)
        if (group := self.groups.get(place)) is not None:
            for answer in group.answers:
                if answer.may_repeat and answer.status == status:
                    answer.conn, answer.ack_sent, answer.acked = conn, False, False
                    answer.may_repeat = False
                    return True
            group.answers.append(Answer(status, conn))
            if len(group.answers) == len(group.outs):
                first = [out for out in group.outs if not out.lost]
                last = [out for out in group.outs if out.lost]
                for out, answer in zip(first + last, group.answers, strict=True):
                    self.settles(out, answer.status, now)
                del self.groups[place]
            return True
        some = self.open(imei, kind, now)
        flying = [out for out in some if now < out.unknown]
        expected = [out for out in some if not out.yielded]
        for out in flying or expected or some[-1:]:
            self.settles(out, status, now)
            return True
        return False

    def settles(self, out: Out, status: str, now: float) -> None:
        out.result, out.late, out.ambiguous = status, now >= out.unknown, False

    def holds(self, imei: Imei, kind: str) -> bool:
        return (group := self.groups.get((imei, kind))) is not None and bool(group.answers)

    # The gateway stops

    def gives_up(self, now: float) -> None:
        """The end of a drain is the deadline of all that is in flight."""
        for out in self.out:
            if out.result is None:
                out.unknown = min(out.unknown, now)
        self.pass_time(now)

    def restarts(self, ended: float, now: float) -> None:
        """A new run begins. It knows what is on disk, and nothing of acknowledgements. What was
        in flight when the last one ended is a 408 from now on."""
        for out in self.out:
            if out.result is None and out.unknown > ended:
                out.unknown = now
        for conn in self.conns:
            conn.over = conn.forgotten = True
        members = [out for group in self.groups.values() if group.answers for out in group.outs]
        for out in self.out:
            out.conn = out.seen = out.acked = None
            out.lost = out.lost and out in members
        for group in self.groups.values():
            for answer in group.answers:
                answer.conn, answer.ack_sent, answer.may_repeat = None, True, False
        self.pass_time(now)
