"""A task written out as an object does what an async function would."""

from __future__ import annotations

import ast
import inspect
import logging
import os
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devgate.config.device import DeviceSettings
from devgate.gateway.devices import parked_task as module
from devgate.gateway.devices.desk import Desk
from devgate.gateway.devices.parked_task import (
    MakeTask,
    Parked,
    as_function,
    as_object,
    choose,
    probe,
)
from devgate.gateway.devices.presence import Presence
from devgate.gateway.devices.registry import Flapping
from devgate.net.limits import Crowds
from devgate.net.link import Link
from devgate.net.poller import Poller
from tests.gateway.rig import Rig


class Noting(Parked):
    def __init__(self, *, begins: bool = True) -> None:
        super().__init__()
        self.begins = begins
        self.notes: list[str] = []

    def begin(self) -> bool:
        self.notes.append(f"begin in {trio.lowlevel.current_task().name}")
        return self.begins

    def finish(self) -> None:
        self.notes.append(f"finish in {trio.lowlevel.current_task().name}")


@pytest.fixture(params=[as_object, as_function])
def make(request: pytest.FixtureRequest) -> MakeTask:
    """Both forms."""
    form: MakeTask = request.param
    return form


async def test_it_parks_until_it_is_woken(make: MakeTask) -> None:
    parked = Noting()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(make, parked, name="device")
        await wait_all_tasks_blocked()
        assert parked.notes == ["begin in device"]
        [task] = nursery.child_tasks
        assert [frame for frame, _ in task.iter_await_frames()], "it can be looked at"
        parked.wake()
        parked.wake()
    assert parked.notes == ["begin in device", "finish in device"]


async def test_objects_share_what_a_task_has_of_its_own_otherwise() -> None:
    """A context and a list of nurseries each took 128 bytes of a connected device."""
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(as_object, Noting())
        await wait_all_tasks_blocked()
        one, other = nursery.child_tasks
        assert one.context is other.context is nursery.parent_task.context
        assert one._child_nurseries is other._child_nurseries
        assert one.child_nurseries == []
        nursery.cancel_scope.cancel()


async def test_it_finishes_when_it_is_cancelled(make: MakeTask) -> None:
    parked = Noting()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(make, parked, name="device")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        parked.wake()  # too late: it is on its way
    assert parked.notes == ["begin in device", "finish in device"]
    assert nursery.cancel_scope.cancelled_caught


async def test_it_begins_and_finishes_under_a_cancelled_nursery(
    make: MakeTask,
) -> None:
    parked = Noting()
    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.cancel()
        nursery.start_soon(make, parked, name="device")
    assert parked.notes == ["begin in device", "finish in device"]


async def test_it_may_be_over_before_it_parks(make: MakeTask) -> None:
    parked = Noting(begins=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(make, parked, name="device")
    assert parked.notes == ["begin in device"]


async def test_a_fault_in_it_is_not_swallowed(make: MakeTask) -> None:
    class Faulty(Noting):
        def finish(self) -> None:
            raise ZeroDivisionError

    parked = Faulty()

    async def wakes() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(make, parked)
            await wait_all_tasks_blocked()
            parked.wake()

    with pytest.raises(ExceptionGroup) as caught:
        await wakes()
    assert caught.group_contains(ZeroDivisionError)


async def test_it_finishes_when_its_run_is_abandoned() -> None:
    parked = Noting()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: parked)
        await wait_all_tasks_blocked()
        with pytest.raises(KeyError):
            parked.throw(KeyError("x"))
        parked.close()
        assert len(parked.notes) == 2, "once"
        [task] = nursery.child_tasks
        trio.lowlevel.reschedule(task)


async def test_an_object_is_not_wrapped_in_a_coroutine_of_trios() -> None:
    parked = Noting()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(as_object, parked)
        await wait_all_tasks_blocked()
        [task] = nursery.child_tasks
        coro: object = task.coro
        assert coro is parked
        parked.wake()


async def test_it_cannot_be_awaited() -> None:
    with pytest.raises(TypeError, match="nursery"):
        await Noting()


def chosen(caplog: pytest.LogCaptureFixture) -> tuple[MakeTask, list[int]]:
    with caplog.at_level(logging.INFO, "devgate"):
        make = choose()
    return make, [record.levelno for record in caplog.records]


def test_objects_are_chosen_and_the_log_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    assert chosen(caplog) == (as_object, [logging.INFO])


def no_outcomes(parked: Parked, value: Any) -> object:
    """A trio that sends the value itself, with which it rescheduled the task."""
    return SEND(parked, None if value is None else value.unwrap())


def never_woken(parked: Parked, outcome: Any) -> object:
    """A trio that does not end a task by StopIteration."""
    try:
        return SEND(parked, outcome)
    except StopIteration:
        return SEND(parked, None)


SEND = Parked.send


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cr_frame", None),  # a trio that wraps it: it cannot be awaited
        ("send", no_outcomes),
        ("send", never_woken),
        ("__call__", lambda parked, raise_cancel: trio.lowlevel.Abort.FAILED),
    ],
)
def test_functions_are_chosen_where_trio_does_not_run_objects(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, value: object
) -> None:
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.2)
    monkeypatch.setattr(Parked, name, value)
    assert chosen(caplog) == (as_function, [logging.WARNING])


@pytest.mark.parametrize("form", [as_object, as_function])
def test_both_forms_pass_the_check(form: MakeTask) -> None:
    trio.run(probe, form)


async def test_a_socket_that_cannot_be_watched_costs_nobody_else(rig: Rig, tmp_path: Path) -> None:
    """The kernel refuses to watch too many; a file it refuses to watch at all."""
    presence = Presence(rig.records, Flapping(5, 60))
    settings = DeviceSettings()
    crowds = Crowds()
    desk = Desk(
        Poller(), settings, rig.directory, presence, rig.dispatcher, rig.records, crowds=crowds
    )
    crowd = crowds.enter("1.2.3.4:5")
    link = Link(os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR), "1.2.3.4:5", crowd)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.lifetimes.task_for, link)
    assert crowd is not None
    assert (crowd.inside, crowd.unregistered) == (0, 0)
    assert link.fd == -1, "it is closed"
    assert not desk.connections


def test_the_docstring_names_what_is_replaced_in_a_task() -> None:
    """What of trio's task an object sets, and what a name says is private."""
    nodes = list(ast.walk(ast.parse(inspect.getsource(module))))
    of_task = {
        one.attr for one in nodes
        if isinstance(one, ast.Attribute) and ast.unparse(one.value) in ("task", "nursery")
        and (isinstance(one.ctx, ast.Store) or one.attr.startswith("_"))
    }  # fmt: skip
    assert of_task == {"context", "_child_nurseries"}
    assert all(f"`{name}`" in (module.__doc__ or "") for name in of_task)
