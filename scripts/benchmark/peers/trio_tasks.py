"""trio with a reading task per connection, tuned: `-m benchmark.peers.trio_tasks PORT SOCKET`.

What devgate would be without its one poller. It reads and writes the plain sockets itself, and
asks trio only to wait: the streams of trio cost about half as much again.
"""

from __future__ import annotations

import socket
import sys

import trio

from benchmark.peers.exchange import (
    Device,
    Exchange,
    calm_collector,
    known_devices,
    reply,
    request,
    tcp_door,
    unix_door,
)

ACK_TIMEOUT = 10.0
ACCEPT_AT_ONCE = 64  # then the other tasks have their turn
DEVICES: dict[bytes, Device[socket.socket]] = known_devices()


def send(sock: socket.socket, wire: bytes) -> None:
    """Send at once; a device that leaves a full buffer unread loses its connection."""
    try:
        sent = sock.send(wire)
    except OSError:
        sent = 0
    if sent != len(wire):
        sock.shutdown(socket.SHUT_RDWR)


async def serve_device(sock: socket.socket) -> None:
    """Read one device until it goes."""
    exchange = Exchange(DEVICES, sock)
    try:
        while True:
            await trio.lowlevel.wait_readable(sock)
            try:
                data = sock.recv(4096)
            except BlockingIOError:
                continue
            if not data:
                return
            if answer := exchange.answer(data):
                send(sock, answer)
    except (OSError, ValueError):
        return
    finally:
        exchange.close()
        trio.lowlevel.notify_closing(sock)
        sock.close()


async def accept_devices(door: socket.socket, nursery: trio.Nursery) -> None:
    """Accept for ever."""
    while True:
        await trio.lowlevel.wait_readable(door)
        for _ in range(ACCEPT_AT_ONCE):
            try:
                sock, _address = door.accept()
            except BlockingIOError:
                break
            sock.setblocking(False)
            nursery.start_soon(serve_device, sock)


async def start(imei: bytes, seconds: int) -> str:
    """Start a device and wait for its result; the status for the caller."""
    device = DEVICES.get(imei)
    if device is None or device.link is None:
        return "404"
    confirmed = trio.Event()
    device.confirmed = confirmed.set
    send(device.link, device.command(seconds))
    with trio.move_on_after(ACK_TIMEOUT):
        await confirmed.wait()
        return "200"
    return "408"


async def serve_caller(stream: trio.SocketStream) -> None:
    """Obey a caller's lines, one after the other."""
    rest = b""
    async for data in stream:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            imei, seconds = request(line)
            await stream.send_all(reply(await start(imei, seconds), imei))


async def main(port: int, path: str) -> None:
    calm_collector()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept_devices, tcp_door(port), nursery)
        callers = trio.SocketListener(trio.socket.from_stdlib_socket(unix_door(path)))
        await trio.serve_listeners(serve_caller, [callers])


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]), sys.argv[2])
