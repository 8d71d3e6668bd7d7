"""uvloop with a Protocol per connection: `-m benchmark.peers.uvloop_protocol PORT SOCKET`."""

from __future__ import annotations

import asyncio
import sys

import uvloop  # type: ignore[import-not-found, unused-ignore]  # only in .venv-bench

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
DEVICES: dict[bytes, Device[asyncio.Transport]] = known_devices()


class DeviceProtocol(asyncio.Protocol):
    """One device connection."""

    __slots__ = ("exchange", "transport")

    transport: asyncio.Transport
    exchange: Exchange[asyncio.Transport]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # TCP gives a Transport
        self.exchange = Exchange(DEVICES, self.transport)

    def data_received(self, data: bytes) -> None:
        try:
            answer = self.exchange.answer(data)
        except ValueError:
            self.transport.close()
            return
        if answer:
            self.transport.write(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.exchange.close()


async def start(imei: bytes, seconds: int) -> str:
    """Start a device and wait for its result; the status for the caller."""
    device = DEVICES.get(imei)
    if device is None or device.link is None:
        return "404"
    confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle() -> None:
        if not confirmed.done():  # it may have come too late
            confirmed.set_result(None)

    device.confirmed = settle
    device.link.write(device.command(seconds))
    try:
        await asyncio.wait_for(confirmed, ACK_TIMEOUT)
    except TimeoutError:
        return "408"
    return "200"


async def serve_caller(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Obey a caller's lines, one after the other."""
    try:
        while line := await reader.readline():
            imei, seconds = request(line)
            writer.write(reply(await start(imei, seconds), imei))
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main(port: int, path: str) -> None:
    calm_collector()
    loop = asyncio.get_running_loop()
    devices = await loop.create_server(DeviceProtocol, sock=tcp_door(port), backlog=4096)
    callers = await asyncio.start_unix_server(serve_caller, sock=unix_door(path))
    await asyncio.gather(devices.serve_forever(), callers.serve_forever())


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
