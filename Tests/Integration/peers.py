# SPDX-License-Identifier: Apache-2.0
"""WebSocket servers that nobody here wrote, with one behaviour, each in a process of its own.

    peers.py websockets|aiohttp|uvicorn [--port PORT] [--compression] [--tls CHAIN KEY] [--ping SECONDS]

prints the port as its first line and ends when its standard input does. Paths:
    /echo                          sends back what comes
    /send?count=N&size=M&kind=K    sends N texts or binaries of M bytes (content: `payload`), then closes with 1000 "sent"
    /fragments?count=N&size=M      the same bytes as one message in N fragments (websockets only)
    /close?code=C&reason=R         closes
    /header?name=N                 sends the value of a header of the request
    /refused                       is refused with 403 and a body
"""
import argparse
import asyncio
import http
import os
import resource
import ssl
import sys
import urllib.parse

LARGEST = 64 << 20


def payload(index, size, kind):
    """`size` bytes that differ by index; for a text as str, with characters of several bytes."""
    if kind == "text":
        unit = f"{index:06} k\u00f6nnte \u20ac 1,\U0001F600;".encode()
        text = (unit * (size // len(unit) + 1))[:size]
        while text and text[-1] & 0xC0 == 0x80 or text and text[-1] >= 0xC0:
            text = text[:-1]
        return (text + b"." * (size - len(text))).decode()
    unit = bytes((index + i * 37 + (i >> 8)) & 255 for i in range(1021))
    return (unit * (size // len(unit) + 1))[:size]


async def behave(target, header, send, receive, close):
    """The behaviour, on top of what each library offers."""
    url = urllib.parse.urlsplit(target)
    query = dict(urllib.parse.parse_qsl(url.query))
    if url.path == "/echo":
        async for message in receive():
            await send(message)
    elif url.path == "/send":
        for index in range(int(query["count"])):
            await send(payload(index, int(query["size"]), query["kind"]))
        await close(1000, "sent")
    elif url.path == "/close":
        await close(int(query["code"]), query["reason"])
    elif url.path == "/header":
        await send(header(query["name"]) or "none")
        await close(1000, "")
    else:
        await close(4404, "no such path")


def websockets_server(options, context):
    from websockets.asyncio.server import serve

    async def handle(connection):
        target = connection.request.path
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(target).query))
        if target.startswith("/fragments"):
            whole = payload(0, int(query["size"]), "binary")
            step = len(whole) // int(query["count"])
            await connection.send(whole[i:i + step] for i in range(0, len(whole), step))
            await connection.close(1000, "sent")
            return
        await behave(target, connection.request.headers.get, connection.send, lambda: connection, connection.close)

    def gate(connection, request):
        if request.path == "/refused":
            return connection.respond(http.HTTPStatus.FORBIDDEN, "not for you\n")

    async def start():
        server = await serve(handle, "127.0.0.1", options.port, ssl=context,
                             compression="deflate" if options.compression else None, max_size=LARGEST,
                             ping_interval=options.ping, ping_timeout=options.ping, process_request=gate,
                             subprotocols=["v2.trading", "v1.trading"], backlog=2048,
                             select_subprotocol=lambda c, offered: "v1.trading" if "v1.trading" in offered else None)
        return server.sockets[0].getsockname()[1]

    return start


def aiohttp_server(options, context):
    from aiohttp import WSCloseCode, WSMsgType, web

    async def handle(request):
        if request.path == "/refused":
            return web.Response(status=403, text="not for you\n")
        ws = web.WebSocketResponse(compress=options.compression, max_msg_size=LARGEST, autoping=True,
                                   heartbeat=options.ping)
        await ws.prepare(request)

        async def send(message):
            await (ws.send_str(message) if isinstance(message, str) else ws.send_bytes(message))

        async def receive():
            async for message in ws:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    yield message.data

        async def close(code, reason):
            await ws.close(code=code, message=reason.encode())

        await behave(request.path_qs, request.headers.get, send, receive, close)
        await ws.close(code=WSCloseCode.OK)
        return ws

    async def start():
        application = web.Application()
        application.router.add_get("/{path:.*}", handle)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", options.port, ssl_context=context, backlog=2048)
        await site.start()
        return runner.addresses[0][1]

    return start


def uvicorn_server(options, _):
    """A FastAPI service, as a trading back end would have it."""
    import uvicorn
    from fastapi import FastAPI, WebSocket, WebSocketDisconnect

    service = FastAPI()

    @service.websocket("/{path:path}")
    async def handle(ws: WebSocket, path: str):
        if path == "refused":
            await ws.close(1008)  # before accept: 403
            return
        await ws.accept()

        async def send(message):
            await (ws.send_text(message) if isinstance(message, str) else ws.send_bytes(message))

        async def receive():
            while True:
                message = await ws.receive()
                if message["type"] == "websocket.disconnect":
                    return
                yield message["text"] if message.get("text") is not None else message["bytes"]

        try:
            await behave(f"/{path}?{ws.url.query}", ws.headers.get, send, receive, ws.close)
        except WebSocketDisconnect:
            pass

    async def start():
        chain, key = options.tls or (None, None)
        server = uvicorn.Server(uvicorn.Config(
            service, host="127.0.0.1", port=options.port, log_level="warning", ssl_certfile=chain, ssl_keyfile=key,
            ws_max_size=LARGEST, ws_per_message_deflate=options.compression, ws_ping_interval=options.ping,
            ws_ping_timeout=options.ping, backlog=2048, lifespan="off"))
        asyncio.get_running_loop().create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        return server.servers[0].sockets[0].getsockname()[1]

    return start


SERVERS = {"websockets": websockets_server, "aiohttp": aiohttp_server, "uvicorn": uvicorn_server}


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("server", choices=SERVERS)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--compression", action="store_true")
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("--ping", type=float, help="ping that often, and give up a client that does not answer that long")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    context = None
    if options.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*options.tls)
    print(await SERVERS[options.server](options, context)(), flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, lambda: os.read(0, 4096) or ended.set())
    await ended.wait()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
