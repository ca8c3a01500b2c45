# SPDX-License-Identifier: Apache-2.0
"""Exchanges that a test holds in its hand: they go and come back, fall silent, refuse symbols, and say a price when told to."""
import contextlib
import itertools
import json
import socket
import threading

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

PATIENCE = 20


class Venue:
    """Speaks as Binance does."""

    def __init__(self, refused=()):
        self.refused = set(refused)
        self.requests = []  # (method, key), in order
        self.live = {}  # connection -> the keys that it has subscribed
        self.connections = 0
        self.number = itertools.count(1)
        self.news = threading.Condition()
        self.port = 0
        self.server = None
        self.begin()

    def begin(self):
        """Listens, at the same port as before."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen()
        self.port = listener.getsockname()[1]
        self.server = serve(self.handle, sock=listener)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}/stream"

    def cut(self):
        """Ends all connections, without a word."""
        with self.news:
            connections = list(self.live)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)
        self.wait_for(lambda: not self.live)

    def end(self):
        """Nobody listens any more."""
        if self.server:
            self.server.shutdown()
            self.thread.join()
            self.server = None
        self.cut()

    def handle(self, connection):
        with self.news:
            self.connections += 1
            self.live[connection] = set()
            self.news.notify_all()
        try:
            for message in connection:
                self.take(connection, json.loads(message))
        except ConnectionClosed:
            pass
        finally:
            with self.news:
                del self.live[connection]
                self.news.notify_all()

    def take(self, connection, request):
        self.note(connection, request["method"], request["params"], self.refused.intersection(map(self.symbol, request["params"])))
        if self.refused.intersection(map(self.symbol, request["params"])):
            answer = {"error": {"code": 2, "msg": "Invalid request"}, "id": request["id"]}
        else:
            answer = {"result": None, "id": request["id"]}
        connection.send(json.dumps(answer))

    def note(self, connection, method, keys, is_refused):
        with self.news:
            self.requests += [(method, key) for key in keys]
            if method == "SUBSCRIBE" and not is_refused:
                self.live[connection].update(keys)
            elif method == "UNSUBSCRIBE":
                self.live[connection].difference_update(keys)
            self.news.notify_all()

    @staticmethod
    def symbol(key):
        return key.split("@")[0].upper()

    def say(self, symbol, price):
        """Tells whoever has subscribed the symbol; to how many that was."""
        return self.tell(symbol, lambda _, key: json.dumps(self.message(key, symbol, price)))

    def tell(self, symbol, text):
        """Sends what `text` gives for a connection and its key."""
        with self.news:
            connections = [(connection, key) for connection, keys in self.live.items() for key in keys if self.symbol(key) == symbol]
        told = 0
        for connection, key in connections:
            with contextlib.suppress(ConnectionClosed, OSError):
                connection.send(text(connection, key))
                told += 1
        return told

    def message(self, key, symbol, price):
        return {"stream": key, "data": {"u": next(self.number), "s": symbol, "b": str(price), "B": "1", "a": str(price), "A": "1"}}

    @property
    def keys(self):
        """What is subscribed now."""
        with self.news:
            return sorted(key for keys in self.live.values() for key in keys)

    def wait_for(self, condition):
        with self.news:
            assert self.news.wait_for(condition, PATIENCE), (self.requests, self.live.values(), self.connections)

    def wait_for_keys(self, *keys):
        self.wait_for(lambda: sorted(key for keys in self.live.values() for key in keys) == sorted(keys))


class Kraken(Venue):
    """Speaks as Kraken does: it answers for each symbol. `mute`: it does not."""

    def __init__(self, refused=(), mute=False):
        self.channels = []  # of each request, with what stands beside the symbols
        self.mute = mute
        super().__init__(refused)

    def take(self, connection, request):
        if request["method"] == "ping":
            connection.send(json.dumps({"method": "pong", "req_id": request["req_id"]}))
            return
        symbols = request["params"].pop("symbol")
        with self.news:
            self.channels.append(request["params"])
        self.note(connection, request["method"].upper(), [symbol for symbol in symbols if symbol not in self.refused], False)
        for symbol in [] if self.mute else symbols:
            answer = {"method": request["method"], "success": symbol not in self.refused, "req_id": request["req_id"],
                      "time_in": "2026-11-30T10:00:00.000001Z", "time_out": "2026-11-30T10:00:00.000002Z"}
            if symbol in self.refused:
                answer |= {"error": f"Currency pair not supported {symbol}", "symbol": symbol}
            else:
                answer["result"] = {**request["params"], "snapshot": True, "symbol": symbol}
            connection.send(json.dumps(answer))

    @staticmethod
    def symbol(key):
        return key

    def message(self, key, symbol, price):
        return {"channel": "ticker", "type": "update", "data": [{"symbol": symbol, "bid": price, "ask": price}]}

    def candle(self, symbol, start, interval, figures):
        """`start`: RFC 3339; `figures`: open, high, low, close and volume, as they are to stand there."""
        first, high, low, last, volume = figures
        return self.tell(symbol, lambda *_: (
            f'{{"channel":"ohlc","type":"update","timestamp":"2026-11-30T10:00:07.123456789Z","data":[{{"symbol":"{symbol}","open":{first},'
            f'"high":{high},"low":{low},"close":{last},"trades":3,"volume":{volume},"vwap":{last},"interval_begin":"{start}",'
            f'"interval":{interval},'
            '"timestamp":"2026-11-30T10:01:00.000000Z"}]}'))

    def trade(self, symbol, number, price, quantity):
        return self.tell(symbol, lambda *_: (
            f'{{"channel":"trade","type":"update","data":[{{"symbol":"{symbol}","side":"sell","price":{price},"qty":{quantity},'
            f'"ord_type":"market","trade_id":{number},"timestamp":"2026-11-30T10:00:07.123456Z"}}]}}'))


class Coinbase(Venue):
    """Speaks as Coinbase does: it names the channels, refuses a request as a whole, and numbers the messages of a connection."""

    def __init__(self, refused=(), mute=False):
        self.channels = []
        self.mute = mute
        self.numbers = {}  # connection -> that of its next message
        super().__init__(refused)

    def numbered(self, connection, channel, event):
        number = self.numbers[connection] = self.numbers.get(connection, -1) + 1
        return (f'{{"channel":"{channel}","client_id":"","timestamp":"2026-11-30T10:00:07.123456789Z","sequence_num":{number},'
                f'"events":[{event}]}}')

    def take(self, connection, request):
        channel, products = request["channel"], request.get("product_ids", [])
        is_refused = bool(self.refused.intersection(products))
        if products:
            with self.news:
                self.channels.append({"channel": channel})
        self.note(connection, request["type"].upper(), products, is_refused)
        if is_refused:
            connection.send(json.dumps({"type": "error", "message": "failure to subscribe: not a valid product"}))
        elif not self.mute or not products:
            connection.send(self.numbered(connection, "subscriptions", json.dumps({"subscriptions": {channel: products}})))

    @staticmethod
    def symbol(key):
        return key

    def candle(self, symbol, start, figures, kind="update"):
        """`start`: seconds since 1970."""
        first, high, low, last, volume = figures
        return self.tell(symbol, lambda connection, _: self.numbered(
            connection, "candles", f'{{"type":"{kind}","candles":[{{"start":"{start}","high":"{high}","low":"{low}","open":"{first}",'
            f'"close":"{last}","volume":"{volume}","product_id":"{symbol}"}}]}}'))

    def trade(self, symbol, number, price, quantity):
        return self.tell(symbol, lambda connection, _: self.numbered(
            connection, "market_trades", f'{{"type":"update","trades":[{{"trade_id":"{number}","product_id":"{symbol}","price":"{price}",'
            f'"size":"{quantity}","side":"SELL","time":"2026-11-30T10:00:07.123456Z"}}]}}'))
