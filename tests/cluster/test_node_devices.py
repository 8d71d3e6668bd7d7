"""What each node knows of devices and files, and who changes them."""

from __future__ import annotations

from tests.cluster.nodes import A, B, D, claimed, events, in_the_background
from tests.e2e.caller import eventually, obey
from tests.e2e.harness import Gateway, gateway
from tests.postgres import Postgres


def test_devices_and_webhooks_are_changed_at_the_leader_from_each_node(
    two: tuple[Gateway, Gateway],
) -> None:
    for one, imei in zip(two, ("860000000000011", "860000000000012"), strict=True):
        assert one.ask({"type": "add", "imei": imei, "name": "hall"})["status"] == "200"
        assert one.ask({"type": "device", "imei": imei})["name"] == "hall"
    for one in two:
        eventually(lambda one=one: one.ask({"type": "status"}), lambda s: s["devices"] == 5)  # type: ignore[misc]
    added = [n for n, name in events(two[0], events=["device.added"])]
    assert len(added) == len(set(added))


def test_a_change_of_a_device_is_told_once(two: tuple[Gateway, Gateway]) -> None:
    a, b = two
    a.add_devices([{"imei": "860000000000021"}])
    for one in two:
        eventually(lambda one=one: one.ask({"type": "status"})["devices"], lambda n: n == 4)  # type: ignore[misc]
    assert b.ask({"type": "edit", "imei": A, "name": "hall"})["status"] == "200"
    told = eventually(
        lambda: events(b, events=["device.changed"], imei=A), lambda found: bool(found)
    )
    assert len(told) == 1
    assert len(events(a, events=["device.added"], imei="860000000000021")) == 1


def test_a_change_of_a_device_is_in_force_at_the_node_that_has_it(
    two: tuple[Gateway, Gateway],
) -> None:
    """Neither node has loaded any device."""
    a, b = two
    with b.register(A) as device:
        claimed(a, A)
        assert a.ask({"type": "edit", "imei": A, "phone": "110"})["status"] == "200"

        def phone() -> bytes:
            device.send(f"023000{A}TN")
            return device.read(int(device.read(3)) - 3)

        eventually(phone, lambda said: said == f"200{A}TN110".encode())
        assert a.ask({"type": "edit", "imei": A, "enabled": False})["status"] == "200"
        device.expect_end()
    for node in two:
        with node.unregistered() as device:
            device.send(f"023000{A}HT")
            device.expect(f"023401{A}HT")
    assert b.ask({"type": "remove", "imei": A})["status"] == "200"
    for node in two:

        def answer(node: Gateway = node) -> bytes:
            with node.unregistered() as device:
                device.send(f"023000{A}HT")
                return device.read(6)

        eventually(answer, lambda said: said == b"023300")


def test_a_duration_is_none_for_a_device_that_counts_times(two: tuple[Gateway, Gateway]) -> None:
    a, b = two
    assert a.ask({"type": "add", "imei": D, "unit": "times"})["status"] == "200"
    order = {"type": "start", "imei": D, "long": 5, "unit": "seconds"}
    for node in two:  # nobody has it
        assert node.ask(order)["status"] == "400"
    with a.register(D):
        claimed(b, D)
        assert [node.ask(order)["status"] for node in two] == ["400", "400"]


def test_each_node_lists_the_devices_of_all(two: tuple[Gateway, Gateway]) -> None:
    a, b = two
    with a.register(A) as device, b.register(B):
        claimed(b, A)
        claimed(a, B)
        waited = in_the_background(a, type="start", imei=A, long=300)
        obey(device, A, "QD300")
        assert waited()["status"] == "200"
        for one in two:
            found = one.ask({"type": "devices", "online": True})["items"]
            assert [item["imei"] for item in found] == [A, B]
            assert all(item["online"] for item in found)
            [running] = one.ask({"type": "devices", "running": True})["items"]
            assert (running["imei"], bool(running["running_until"])) == (A, True)
            eventually(
                lambda one=one: one.ask({"type": "fleet"}),  # type: ignore[misc]
                lambda fleet: (fleet["online"], fleet["running"]) == (2, 1),
            )


def test_a_file_that_is_another_one_than_the_others_is_refused(postgres: Postgres) -> None:
    url = postgres.create_database()
    key = b"x" * 43 + b"="
    with gateway({"cluster": {"node": "a"}}, store=url, files={"devgate.key": key}) as a:
        other = Gateway({"cluster": {"node": "b"}}, store=url)
        done = other.cli("serve")
        assert done.returncode == 2
        assert "[store] key_file: the other nodes have this file" in done.stderr
        (other.folder / "devgate.key").write_bytes(key[1:] + b"y")
        done = other.cli("serve")
        assert "another one than that of the other nodes: copy it" in done.stderr
        (other.folder / "devgate.key").write_bytes(key)
        other.start()
        other.terminate()
        assert a.ask({"type": "status"})["status"] == "200"


def test_a_request_that_is_none_is_refused_before_a_node_is_looked_for(
    two: tuple[Gateway, Gateway],
) -> None:
    wrong: list[dict[str, object]] = [
        {"type": "status", "imei": "\0"},
        {"type": "device", "imei": "8600000000000011"},
        {"type": "tap", "imei": 860000000000001},
        {"type": "cancel", "command": "\0"},
        {"type": "cancel", "command": "\ud800"},
        {"type": ["status"]},
    ]
    for one in two:
        for request in wrong:
            assert one.ask(request)["status"] == "400", request
