# SPDX-License-Identifier: Apache-2.0
"""Hubs for tests, and their peers."""

import asyncio
import json

import pulsews
import websockets

ANYWHERE = "127.0.0.1:0"


def make_hub(**options):
    """A hub at a free port, with history for all topics."""
    hub = pulsews.Hub(ANYWHERE, **options)
    hub.topic("**", history=100)
    return hub


def url(hub, path="/ws/stream", scheme="ws"):
    return f"{scheme}://{hub.addresses[0]}{path}"


class Peer:
    """A peer that speaks pulse.v1, or is plain."""

    def __init__(self, hub, path="/ws/stream", pulse=True, **options):
        protocols = ["pulse.v1"] if pulse else None
        self._connecting = websockets.connect(url(hub, path), subprotocols=protocols, proxy=None, **options)

    async def __aenter__(self):
        self.ws = await self._connecting
        self.welcome = await self.get()
        assert self.welcome["type"] == "welcome"
        return self

    async def __aexit__(self, *_):
        await self.ws.close()

    async def text(self):
        return await asyncio.wait_for(self.ws.recv(), 20)

    async def get(self):
        return json.loads(await self.text())

    async def send(self, message):
        await self.ws.send(message if isinstance(message, (str, bytes)) else json.dumps(message))

    async def subscribe(self, *topics):
        """The first answer."""
        await self.send({"type": "subscribe", "id": 1, "topics": list(topics)})
        return await self.get()

    async def closed(self):
        """The code and reason with which the hub closes."""
        while True:
            try:
                await self.text()
            except websockets.ConnectionClosed as end:
                return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (1006, "")


class Seen:
    """What handlers were called with."""

    def __init__(self):
        self._queue = asyncio.Queue()

    def __call__(self, *arguments):
        self._queue.put_nowait(arguments)

    async def next(self):
        return await asyncio.wait_for(self._queue.get(), 20)

    def is_empty(self):
        return self._queue.empty()


async def ask(hub, method="GET", target="/", body=b"", headers=""):
    """Status, headers and body of an answer."""
    host, _, port = hub.addresses[0].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    await writer.wait_closed()
    head, _, rest = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), pulsews.Headers(line.split(": ", 1) for line in lines), rest
