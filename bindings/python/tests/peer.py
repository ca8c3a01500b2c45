# SPDX-License-Identifier: Apache-2.0
"""A server on the `websockets` package whose paths behave in different ways. As a program it prints its port."""

from __future__ import annotations

import asyncio
import http
import json
import threading
import time
from typing import Optional, Sequence
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

KINDS = ["text", b"binary", "", b"", "Grüße, 世界 \U0001f600", bytes(range(256)), "x" * 70_000, b"\xff" * 70_000]


async def behave(ws: ServerConnection) -> None:
    assert ws.request is not None
    target = urlsplit(ws.request.path)
    query = {name: values[0] for name, values in parse_qs(target.query).items()}
    name = target.path
    if name == "/echo":
        async for message in ws:
            await ws.send(message)
    elif name == "/push":
        pad = "." * int(query.get("pad", 0))
        for number in range(int(query["n"])):
            await ws.send(f"{number}{pad}")
        if "close" in query:
            await ws.close(int(query["close"]), query.get("reason", ""))
        await ws.wait_closed()
    elif name == "/kinds":
        for message in KINDS:
            await ws.send(message)
        await ws.wait_closed()
    elif name == "/close":
        await ws.send("last words")
        await ws.close(int(query["code"]), query.get("reason", ""))
    elif name == "/abort":
        await ws.send("last words")
        await ws.recv()
        ws.transport.abort()
    elif name == "/request":
        await ws.send(json.dumps([list(item) for item in ws.request.headers.raw_items()]))
        await ws.wait_closed()
    elif name == "/trickle":
        number = 0
        while True:
            await ws.send(str(number))
            number += 1
            await asyncio.sleep(float(query.get("every", 0.01)))
    elif name == "/wait":
        await ws.wait_closed()
    elif name == "/pinger":
        await pinger(ws, float(query["every"]), float(query["within"]), float(query["seconds"]))


async def pinger(ws: ServerConnection, every: float, within: float, seconds: float) -> None:
    """Pings; tells at the end how many were answered and the longest time it took, or closes at a late answer."""
    answered, slowest = 0, 0.0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.monotonic()
        try:
            await asyncio.wait_for(await ws.ping(), within)
        except asyncio.TimeoutError:
            await ws.close(4000, f"ping {answered} was not answered within {within} s")
            return
        answered, slowest = answered + 1, max(slowest, time.monotonic() - start)
        await asyncio.sleep(every)
    await ws.send(json.dumps({"answered": answered, "slowest": slowest}))
    await ws.wait_closed()


def before_upgrade(ws: ServerConnection, request: Request) -> Optional[Response]:
    if request.path.startswith("/refuse"):
        body = b"no entry: " + b"x" * 5000
        headers = Headers([("Content-Length", str(len(body))), ("X-Why", "token"), ("X-Twice", "a"), ("X-Twice", "b")])
        status = http.HTTPStatus.FORBIDDEN
        return Response(status.value, status.phrase, headers, body)
    return None


def choose_subprotocol(ws: ServerConnection, offered: Sequence[Subprotocol]) -> Optional[Subprotocol]:
    return next((name for name in (Subprotocol("quotes.v2"), Subprotocol("quotes.v1")) if name in offered), None)


async def guarded(ws: ServerConnection) -> None:
    try:
        await behave(ws)
    except ConnectionClosed:
        pass


async def run(started, stop: "asyncio.Future[None]", **options: object) -> None:
    async with serve(
        guarded,
        "127.0.0.1",
        0,
        process_request=before_upgrade,
        select_subprotocol=choose_subprotocol,
        ping_interval=None,
        max_size=None,
        close_timeout=2,
        **options,
    ) as server:
        started(server.sockets[0].getsockname()[1])
        await stop


class Peer:
    """The server in a thread of this process."""

    def __init__(self, **options: object) -> None:
        self._ready = threading.Event()
        self._options = options
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self._thread.start()
        assert self._ready.wait(20)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop: "asyncio.Future[None]" = self._loop.create_future()

        def started(port: int) -> None:
            self.port = port
            self._ready.set()

        await run(started, self._stop, **self._options)

    def url(self, target: str) -> str:
        return f"ws://127.0.0.1:{self.port}{target}"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set_result, None)
        self._thread.join(20)


if __name__ == "__main__":

    async def main() -> None:
        stop = asyncio.get_running_loop().create_future()
        await run(lambda port: print(port, flush=True), stop)

    asyncio.run(main())
