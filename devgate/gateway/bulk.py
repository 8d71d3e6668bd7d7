"""Jobs for many machines at once: what is asked of each, how far it has come, and the results.

They are in memory. What a job did is in the records and events of its machines. A job that ended
with the gateway is asked for again under its id, and no machine is started twice by it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, NoReturn

import trio

from devgate.errors import CallerError
from devgate.gateway.clock import time
from devgate.model import Imei, shown

MAX_MACHINES = 10_000  # of one job
MAX_JOBS = 16  # that are remembered; of those that have ended, the oldest is forgotten first
MAX_RUNNING = 2  # at the same time; others wait for their turn

log = logging.getLogger("devgate.bulk")

# cancelling: nothing more is asked, and what was asked is waited for.
State = Literal["waiting", "running", "cancelling", "ended", "cancelled", "broken"]


class MachineResult(NamedTuple):
    """The result of one machine."""

    status: str
    outcome: str
    message: str
    command: str | None = None  # its id, of a start or stop


@dataclass(slots=True, eq=False)
class Job:
    """One action on many machines."""

    id: str
    action: str  # start, stop, edit or maintenance
    source: str  # who asked
    asked: Mapping[str, Any]  # the fields of the request
    imeis: Sequence[Imei]
    asked_at: float = field(default_factory=time)  # wall clock
    ended_at: float | None = None
    state: State = "waiting"
    results: dict[Imei, MachineResult] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("ended", "cancelled", "broken")

    def note(self, imei: Imei, result: MachineResult) -> None:
        """Add the result of one machine."""
        self.results[imei] = result
        self.outcomes[result.outcome] += 1


Work = Callable[[Job], Awaitable[None]]


class Jobs:
    """All jobs of this gateway. `run` carries them out, some at a time."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}  # oldest first
        self._send, self._receive = trio.open_memory_channel[tuple[Job, Work]](MAX_JOBS)

    def __iter__(self) -> Iterator[Job]:
        """The newest first."""
        return iter(list(reversed(self._jobs.values())))

    def get(self, id: str) -> Job | None:
        """The job of that id, if it is still remembered."""
        return self._jobs.get(id)

    def find(self, id: str) -> Job:
        """The job of that id. Raises CallerError (400)."""
        job = self._jobs.get(id)
        if job is None:
            raise CallerError(
                "400", f"bulk: {shown(id)} is not known here, or no longer; what it did stands in "
                "the records of its machines",
            )  # fmt: skip
        return job

    def add(self, job: Job, work: Work) -> None:
        """Queue the job. Raises CallerError (429) if too many are under way."""
        if len(self._jobs) >= MAX_JOBS:
            ended = next((one for one in self._jobs.values() if one.over), None)
            if ended is None:
                raise CallerError("429", f"bulk: {MAX_JOBS} jobs are under way; try again later")
            del self._jobs[ended.id]
        self._jobs[job.id] = job
        self._send.send_nowait((job, work))
        log.info(
            "bulk job asked id=%s action=%s machines=%d source=%s",
            job.id, job.action, len(job.imeis), job.source,
        )  # fmt: skip

    async def run(self) -> NoReturn:
        """Carry out the jobs, until cancelled."""
        async with trio.open_nursery() as nursery:
            for _ in range(MAX_RUNNING):
                nursery.start_soon(self._work_off)
        raise AssertionError("it works for ever")

    async def _work_off(self) -> NoReturn:
        while True:
            job, work = await self._receive.receive()
            if job.over:  # cancelled while it waited
                continue
            job.state = "running"
            try:
                await work(job)
                whole = len(job.results) == len(job.imeis)
                job.state = "ended" if whole else "cancelled"
            except Exception as err:  # a fault of the gateway; the results so far stay
                job.state = "broken"
                log.error("bulk job broke off id=%s error=%s", job.id, err, exc_info=err)
            finally:
                job.ended_at = time()
            log.info(
                "bulk job ended id=%s state=%s machines=%d outcomes=%s",
                job.id, job.state, len(job.imeis),
                ",".join(f"{name}:{count}" for name, count in sorted(job.outcomes.items())),
            )  # fmt: skip

    def cancel(self, job: Job) -> None:
        """Ask nothing more of any machine. What was asked already goes on."""
        if job.state == "waiting":
            job.state, job.ended_at = "cancelled", time()
        elif job.state == "running":
            job.state = "cancelling"
