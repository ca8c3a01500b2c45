# SPDX-License-Identifier: Apache-2.0
"""A local exchange over TLS: Binance-style market streams, or the replay of a captured session.

    exchange.py [--ready FILE] [--report FILE] [--capture FILE --speed N] ...

Paths: /ws, /ws/<stream>[/<stream>...] send bare messages; /stream[?streams=a/b] sends {"stream", "data"}. SUBSCRIBE,
UNSUBSCRIBE and LIST_SUBSCRIPTIONS come as {"method", "params", "id"}. Streams: <symbol>@bookTicker, <symbol>@kline_1m.
Two fields are added to what an exchange sends: `u` counts 1, 2, 3 ... per stream and connection (bookTicker has such
an id anyway), and `ns` is the send time in ns since 1970, so that a client can check completeness and measure. With
--numbers feed `u` is the symbol's update id, the same on all connections, as exchanges have it.

The first line on stdout, and the file --ready, is {"url", "port", "ca_file", "pid"}. SIGTERM or SIGINT ends it; --report is
then written: what every connection was sent. A client tells its name with the query ?client=NAME. An exchange that was
killed can be started again for the same clients: with its --port, and the same folder of --certificates.
"""
import argparse
import asyncio
import contextlib
import hashlib
import http
import json
import os
import pathlib
import re
import signal
import ssl
import sys
import tempfile
import time
import urllib.parse

import captures
import certificate
import market
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

STREAM = re.compile(r"^([a-z0-9]{3,20})@(bookTicker|kline_1m)$")
KLINE_INTERVAL = 0.25  # seconds; an exchange sends a candle about that often while it is open


class Exchange:
    def __init__(self, options):
        self.options = options
        self.symbols = {}
        self.sessions = []
        self.capture = captures.read(options.capture) if options.capture else None

    def symbol(self, name):
        if name not in self.symbols:
            self.symbols[name] = market.Symbol(name)
        return self.symbols[name]

    async def trade(self):
        """Moves all prices, at the rate of the book tickers."""
        while True:
            await asyncio.sleep(1 / self.options.rate)
            for symbol in self.symbols.values():
                symbol.step()

    def route(self, connection, request):
        """Refuses what an exchange would refuse, before the upgrade."""
        path = urllib.parse.urlsplit(request.path).path
        if self.capture is None and not re.match(r"^/(ws(/.*)?|stream)$", path):
            return connection.respond(http.HTTPStatus.NOT_FOUND, f"no such path: {path}\n")
        return None

    async def serve_client(self, connection):
        session = Session(self, connection)
        self.sessions.append(session)
        await session.run()

    def report(self):
        return {"connections": [session.report() for session in self.sessions]}


class Session:
    """One client's connection."""

    def __init__(self, exchange, connection):
        url = urllib.parse.urlsplit(connection.request.path)
        query = urllib.parse.parse_qs(url.query)
        self.exchange = exchange
        self.connection = connection
        self.client = query.get("client", [""])[0]
        self.combined = url.path == "/stream"
        self.subscribed = {}  # stream -> when it is due next
        self.sequence = {}    # stream -> the last `u`
        self.sent = 0
        self.sent_ns = []     # of a replay
        self.digest = hashlib.sha256()
        self.pings = self.pongs = 0
        self.changed = asyncio.Event()
        listed = query.get("streams", [""])[0] if self.combined else url.path.removeprefix("/ws").strip("/")
        self.wanted = [stream for stream in listed.split("/") if stream]

    async def run(self):
        pump = self.replay() if self.exchange.capture else self.stream()
        tasks = [asyncio.ensure_future(task) for task in (pump, self.heartbeat(), self.listen())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                try:
                    task.result()
                except ConnectionClosed:
                    pass
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def heartbeat(self):
        """Pings; a pong that comes too late ends the connection, as an exchange does."""
        while True:
            await asyncio.sleep(self.exchange.options.ping_interval)
            waiter = await self.connection.ping(str(time.time_ns()).encode())
            self.pings += 1
            try:
                await asyncio.wait_for(waiter, self.exchange.options.pong_deadline)
                self.pongs += 1
            except asyncio.TimeoutError:
                await self.connection.close(1008, "no pong in time")
                return

    async def listen(self):
        if self.exchange.capture is None:
            problem = self.subscribe(self.wanted)
            if problem:
                await self.connection.close(1008, problem)
                return
        async for text in self.connection:
            await self.connection.send(json.dumps(self.answer(text), separators=(",", ":")))

    def answer(self, text):
        def refuse(message, number=None):
            return {"error": {"code": 2, "msg": f"Invalid request: {message}"}, "id": number}

        try:
            request = json.loads(text)
            method, number, params = request["method"], request["id"], request.get("params", [])
        except (ValueError, KeyError, TypeError, AttributeError):
            return refuse("expected an object with method, params and id")
        if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
            return refuse("params must be a list of texts", number)
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": list(self.subscribed), "id": number}
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            return refuse(f"unknown method {method!r}", number)
        if self.exchange.capture is None:
            problem = self.subscribe(params) if method == "SUBSCRIBE" else self.unsubscribe(params)
            if problem:
                return refuse(problem, number)
        return {"result": None, "id": number}

    def subscribe(self, streams):
        for stream in streams:
            if not STREAM.match(stream):
                return f"unknown stream {stream[:60]!r}"
        for stream in streams:
            self.exchange.symbol(STREAM.match(stream)[1].upper())
            self.subscribed.setdefault(stream, time.monotonic())
        self.changed.set()
        return None

    def unsubscribe(self, streams):
        for stream in streams:
            self.subscribed.pop(stream, None)
        return None

    async def stream(self):
        """Sends what is subscribed, each stream at its own pace."""
        book_interval = 1 / self.exchange.options.rate
        while True:
            if not self.subscribed:
                self.changed.clear()
                await self.changed.wait()
            await asyncio.sleep(min(self.subscribed.values(), default=0) - time.monotonic())
            for stream, due in list(self.subscribed.items()):
                now = time.monotonic()
                if now < due or stream not in self.subscribed:
                    continue
                interval = KLINE_INTERVAL if stream.endswith("@kline_1m") else book_interval
                self.subscribed[stream] = max(due + interval, now)
                await self.send_tick(stream)

    async def send_tick(self, stream):
        name, kind = STREAM.match(stream).groups()
        symbol = self.exchange.symbol(name.upper())
        data = symbol.book_ticker() if kind == "bookTicker" else symbol.kline()
        before = self.sequence.get(stream, 0)
        data["u"] = before + 1 if self.exchange.options.numbers == "connection" else symbol.trade
        if data["u"] <= before:
            return  # nothing has happened since
        self.sequence[stream] = data["u"]
        data["ns"] = time.time_ns()
        self.sent += 1
        message = {"stream": stream, "data": data} if self.combined else data
        await self.connection.send(json.dumps(message, separators=(",", ":")))

    async def replay(self):
        speed = self.exchange.options.speed
        begin = time.monotonic()
        for offset, text in self.exchange.capture:
            if speed:
                await asyncio.sleep(max(0.0, begin + offset / speed - time.monotonic()))
            self.digest.update(text.encode())
            self.digest.update(b"\n")
            self.sent += 1
            self.sent_ns.append(time.time_ns())
            await self.connection.send(text)
        await self.connection.close(1000, "end of the capture")

    def report(self):
        return {"client": self.client, "messages": self.sent, "sequence": self.sequence, "pings": self.pings,
                "pongs": self.pongs, "sha256": self.digest.hexdigest(), "sent_ns": self.sent_ns,
                "close_code": self.connection.close_code}


def write_whole(path, value):
    """Whoever waits for the file finds it complete."""
    path = pathlib.Path(path)
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(value) + "\n")
    new.replace(path)


def parse_options():
    def speed(text):
        return 0.0 if text == "max" else float(text)

    parser = argparse.ArgumentParser(description="A local exchange for demos and tests.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 127.0.0.1 is announced as localhost")
    parser.add_argument("--port", type=int, default=0, help="0: a free one (default)")
    parser.add_argument("--plain", action="store_true", help="ws:// instead of wss://")
    parser.add_argument("--certificates", metavar="FOLDER",
                        help="with ca.pem, server.pem and server.key, made there if they are not; default: new ones")
    parser.add_argument("--compression", action="store_true", help="accept permessage-deflate")
    parser.add_argument("--rate", type=float, default=50.0, help="book tickers per second and symbol")
    parser.add_argument("--numbers", choices=("connection", "feed"), default="connection", help="what `u` counts")
    parser.add_argument("--ping-interval", type=float, default=3.0, help="seconds")
    parser.add_argument("--pong-deadline", type=float, default=5.0, help="seconds")
    parser.add_argument("--capture", default=os.environ.get("CAPTURE") or None, help="replay this session ($CAPTURE)")
    parser.add_argument("--speed", type=speed, default=os.environ.get("SPEED") or "1",
                        help="of the replay: 1 as it was, n times faster, 0 or max: at once ($SPEED)")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input does")
    parser.add_argument("--standby", action="store_true", help="wait for a line on standard input before it serves")
    parser.add_argument("--ready", help="file to write when it serves")
    parser.add_argument("--report", help="file to write at the end")
    options = parser.parse_args()
    if options.rate <= 0 or options.speed < 0:
        parser.error("--rate must be positive and --speed not negative")
    return options


async def main():
    options = parse_options()
    exchange = Exchange(options)
    if options.standby and not os.read(0, 1):
        return  # it is not needed any more
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if options.with_parent:
        asyncio.get_running_loop().add_reader(0, lambda: os.read(0, 4096) or stop.set())
    with contextlib.ExitStack() as stack:
        context, ca_file = None, None
        if not options.plain:
            folder = options.certificates or stack.enter_context(tempfile.TemporaryDirectory(prefix="exchange-"))
            ca_file, chain, key = certificate.find_or_make(folder)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(chain, key)
        server = await serve(exchange.serve_client, options.host, options.port, ssl=context,
                             process_request=exchange.route, compression="deflate" if options.compression else None,
                             ping_interval=None, close_timeout=2, max_size=1 << 20)
        async with server:
            port = server.sockets[0].getsockname()[1]
            host = "localhost" if options.host == "127.0.0.1" else options.host
            ready = {"url": f"{'ws' if options.plain else 'wss'}://{host}:{port}", "port": port,
                     "ca_file": str(ca_file) if ca_file else None, "pid": os.getpid()}
            if options.ready:
                write_whole(options.ready, ready)
            print(json.dumps(ready), flush=True)
            trading = asyncio.ensure_future(exchange.trade())
            await stop.wait()
            trading.cancel()
    if options.report:
        write_whole(options.report, exchange.report())


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (OSError, ValueError) as error:
        sys.exit(f"exchange: {error}")
