# SPDX-License-Identifier: Apache-2.0
"""Applications with a hub, and uvicorn with them in the event loop of the test."""

import asyncio
import json
import socket

import pulsews
import pytest
import uvicorn
import websockets
from conftest import until
from fastapi import FastAPI, WebSocket
from pulsews.asgi import HubMiddleware

HUB_PROTOCOL = "pulsews.asgi:HubProtocol"


def make_application(hub, path="/ws", **options):
    """Routes of FastAPI with a hub beside them."""
    app = FastAPI()
    app.add_middleware(HubMiddleware, hub=hub, path=path, **options)

    @app.get("/plain")
    def plain(price: str = "1"):
        return {"offset": hub.publish("t", {"price": price, "from": "plain"})}

    @app.get("/async")
    async def from_async(price: str = "1"):
        return {"offset": hub.publish("t", {"price": price, "from": "async"})}

    @app.websocket("/echo")
    async def echo(ws: WebSocket):
        await ws.accept(subprotocol=next(iter(ws.scope["subprotocols"]), None))
        try:
            while True:
                await ws.send_text("echo " + await ws.receive_text())
        except Exception:  # the peer has gone
            return

    return app


def make_hub(**options):
    """A hub that listens nowhere by itself."""
    hub = pulsews.Hub(**options)
    hub.topic("**", history=100)
    return hub


class Serving:
    """uvicorn with an application, at a free port or a Unix socket."""

    def __init__(self, app, http="httptools", ws=HUB_PROTOCOL, uds=None, **options):
        self._config = uvicorn.Config(app, http=http, ws=ws, log_config=None, lifespan=options.pop("lifespan", "on"), **options)
        self.server = uvicorn.Server(self._config)
        if uds is None:
            self.socket = socket.create_server(("127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(str(uds))

    async def __aenter__(self):
        self._task = asyncio.ensure_future(self.server.serve([self.socket]))
        await until(lambda: self.server.started or self._task.done())
        return self

    async def __aexit__(self, *_):
        self.server.should_exit = True
        await asyncio.wait_for(self._task, 20)

    def connect(self, path="/ws/stream", pulse=True, scheme="ws", **options):
        protocols = ["pulse.v1"] if pulse else None
        return websockets.connect(f"{scheme}://{self.address}{path}", subprotocols=protocols, proxy=None, **options)

    async def ask(self, target, method="GET", body=b"", headers="", tls=None):
        """Status, headers and body of an answer."""
        host, _, port = self.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), ssl=tls)
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        writer.write(f"{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}{length}\r\n".encode() + body)
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        await writer.wait_closed()
        head, _, rest = answer.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        return int(first.split()[1]), pulsews.Headers(line.split(": ", 1) for line in lines), rest

    async def raw(self):
        host, _, port = self.address.rpartition(":")
        return await asyncio.open_connection(host, int(port))


async def get(ws):
    return json.loads(await asyncio.wait_for(ws.recv(), 20))


async def subscribed(ws, topic="t"):
    """Past the greeting and the answer."""
    assert (await get(ws))["type"] == "welcome"
    await ws.send(json.dumps({"type": "subscribe", "topics": [topic]}))
    answer = await get(ws)
    assert answer["type"] == "subscribed", answer
    return answer


def ways(hub):
    """How many connections came by each way."""
    status, = hub.status()["asgi"]
    return {name: status[name] for name in ("handed_over", "relayed", "pumped")}


async def close_of(ws):
    """The code and reason with which the other end closes."""
    with pytest.raises(websockets.ConnectionClosed) as end:
        while True:
            await asyncio.wait_for(ws.recv(), 20)
    return (end.value.rcvd.code, end.value.rcvd.reason) if end.value.rcvd else (1006, "")
