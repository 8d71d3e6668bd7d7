"""scripts/faults power: the power fails while starts flow; a gateway starts on what is left."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from crashing.callers import SENT
from crashing.processes import Json, World
from crashing.verdict import NOT_YET, may_be_now
from script import Broken

from faulting.disk import MODES, Disk, read_folder
from faulting.planted import NO_FSYNC
from faulting.storm import Storm, say
from faulting.world import StormWorld
from tests.faults.preload import preloaded
from tests.faults.preload.record import Entry, Kind, entries

START = re.compile(rb"(\d{3})000(\d{15})QD")
LIVES = 4  # of the gateway while the record is made: a kill, a stop and a kill between them


@dataclass
class Reported:
    """What callers and devices got before the power fails."""

    starts: set[tuple[str, int]] = field(default_factory=set)  # what devices were sent
    replies: list[Json] = field(default_factory=list)
    event: int = 0  # the newest that a reader of events got

    def read(self, data: bytes) -> None:
        """Read bytes that were written to a socket."""
        for match in START.finditer(data):
            body = data[match.end() : match.start() + int(match[1])]
            self.starts.add((match[2].decode(), int(body)))
        for line in data.split(b"\n"):
            if line.startswith(b'{"event":'):
                with contextlib.suppress(ValueError):
                    self.event = max(self.event, int(json.loads(line)["event"]))
            elif line.startswith(b'{"status":') and b'"command":"' in line:
                with contextlib.suppress(ValueError):
                    reply = json.loads(line)
                    if "items" not in reply and reply.get("type") in ("start", "stop"):
                        self.replies.append(reply)


@dataclass
class Cut:
    """One moment, and what is wrong with what was found after it."""

    index: int
    mode: str
    sentences: list[str]


def run(
    folder: Path, cuts: int, seconds: float, seed: int, plant: str, *, stop_at_breach: bool = False
) -> tuple[list[Cut], dict[str, object]]:
    """Record a storm without faults, then cut the power at `cuts` moments of it."""
    rng = Random(seed)
    record = folder / "record"
    began = time.monotonic()
    files, inodes = _recorded(folder, record, seconds, seed, plant)
    found = list(entries(record))
    say(f"{len(found)} operations recorded in {time.monotonic() - began:.0f} s")
    moments = dict.fromkeys(_moments(found, cuts, rng), 0)
    disk, reported = Disk(files, inodes), Reported()
    done: list[Cut] = []
    modes: Counter[str] = Counter()
    for index, entry in enumerate(found):
        disk.feed(index, entry)
        if entry.kind is Kind.SEND:
            reported.read(entry.data)
        if index in moments:
            mode = rng.choice(MODES)
            modes[mode] += 1
            left = disk.after_cut(rng, mode)
            done.append(Cut(index, mode, list(_look(folder / f"cut{index}", left, reported))))
            if stop_at_breach and done[-1].sentences:
                break
    counts = Counter(entry.kind.name.lower() for entry in found)
    return done, {
        "operations": ", ".join(f"{count} {name}" for name, count in counts.most_common()),
        "starts that devices were sent": len(reported.starts),
        "replies": len(reported.replies),
        "cuts": ", ".join(f"{count} x {mode}" for mode, count in modes.items()),
    }


def _recorded(
    folder: Path, record: Path, seconds: float, seed: int, plant: str
) -> tuple[dict[str, bytes], dict[str, int]]:
    """Let starts flow, with some ends of the gateway, while the library writes the record."""
    skips_fsync = plant == NO_FSYNC
    with preloaded(folder / "control", path="/devgate.db", record=record) as faults:
        world = StormWorld(
            folder, "sqlite:///data/devgate.db", 20, faults, seed, "" if skips_fsync else plant
        )
        storm = Storm(world, faults, seed, "sqlite", callers=12)
        try:
            world.add_devices()
            files, inodes = read_folder(world.database.parent)
            faults.set(recording=1)
            if skips_fsync:
                faults.set(fsync_skip=1, fsync_faults=-1)
            storm.begin()
            for life in range(1, LIVES + 1):
                time.sleep(seconds / LIVES)
                if life < LIVES:
                    _end(world, life)
                    world.launch()
                    world.ready()
            storm.book.closed = True
            world.kill()
        finally:
            faults.set(recording=0)
            world.end()
    return files, inodes


def _end(world: StormWorld, life: int) -> None:
    if life % 2:
        world.kill()
    else:
        world.stop()


def _moments(found: Sequence[Entry], cuts: int, rng: Random) -> list[int]:
    """Where to cut: often right behind something that was reported, and within a commit."""
    wheres: list[Callable[[Entry], bool]] = [
        lambda entry: entry.kind is Kind.SEND,
        lambda entry: entry.kind in (Kind.SYNC_BEGIN, Kind.WRITE),
        lambda entry: entry.kind in (Kind.TRUNCATE, Kind.UNLINK, Kind.RENAME, Kind.OPEN),
        lambda entry: True,
    ]
    pools = [[n for n, entry in enumerate(found) if where(entry)] for where in wheres]
    chosen: set[int] = set()
    while len(chosen) < min(cuts, len(found)):
        pool = rng.choices(pools, [4, 4, 1, 1])[0]
        if pool:
            chosen.add(rng.choice(pool))
    return sorted(chosen)


def _look(folder: Path, files: dict[str, bytes], reported: Reported) -> Iterator[str]:
    """Start a gateway on what is left, and compare it with what was reported."""
    data = folder / "data"
    data.mkdir(parents=True)
    for path, content in files.items():
        (data / Path(path).name).write_bytes(content)
    world = World(folder, "sqlite:///data/devgate.db", 0)
    try:
        world.launch()
        try:
            world.ready()
            records = list(world.history())
            last = world.ask({"type": "status"})["last_event"]
        except (Broken, OSError) as err:
            yield f"the gateway does not work: {err}"
            return
        finally:
            world.kill()
    finally:
        world.end()
    by_start = {
        (record["imei"], record["long"])
        for record in records
        if record["type"] == "start" and record["status"] in SENT and record["state"] == "ended"
    }
    for start in reported.starts - by_start:
        yield f"device {start[0]} was sent QD{start[1]}, and there is no record"
    by_id = {record["command"]: record for record in records}
    for reply in reported.replies:
        if sentence := _broken(reply, by_id.get(reply["command"])):
            yield sentence
    if reported.event > last:
        yield f"event {reported.event} was reported, and the log ends with {last}"
    with contextlib.closing(sqlite3.connect(data / "devgate.db")) as conn:
        sound = conn.execute("PRAGMA integrity_check").fetchone()[0]
        if sound != "ok":
            yield f"the database is damaged: {sound}"
        (gaps,) = conn.execute("SELECT max(n) - count(*) FROM event").fetchone()
        if gaps:
            yield f"{gaps} events are missing"


def _broken(reply: Json, record: Json | None) -> str:
    """What is wrong with a reply that was reported, seen from its record. Empty: nothing."""
    status = reply["status"]
    if NOT_YET in reply["message"] or status == "503":
        return ""
    if record is None:
        return f"{reply['command']} was reported {status}, and there is no record"
    if status == "000" or may_be_now(reply, record):
        return ""
    return f"{reply['command']} was reported {status}, and now: {record}"


def report(done: Sequence[Cut], figures: dict[str, object], took: float, seed: int) -> bool:
    print(f"\npower: {len(done)} cuts, {took:.0f} s, seed {seed}")
    for name, figure in figures.items():
        print(f"  {name}: {figure}")
    bad = [cut for cut in done if cut.sentences]
    print(f"cuts after which something was wrong: {len(bad)}")
    for cut in bad[:20]:
        print(f"  operation {cut.index}, unsynced writes {cut.mode}:")
        for sentence in cut.sentences[:5]:
            print(f"    {sentence}")
    return not bad
