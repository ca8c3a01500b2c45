# SPDX-License-Identifier: Apache-2.0
"""An exchange with candles, by stream and by REST from one list, in the forms of several."""
import datetime
import gzip
import http.server
import json
import threading
import time
import urllib.parse

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

MINUTE = 60_000
BEGIN = 1_796_000_040_000  # of the candle number 0: a minute's begin
PATIENCE = 20


def start_of(number):
    return BEGIN + number * MINUTE


def figures(number, base=100):
    """Open, high, low, close and volume of a candle, as texts."""
    price = base + number
    return f"{price}.00000012", f"{price + 1}.50", f"{price - 1}.10", f"{price}.22313256", f"{number}.0"


class Form:
    """What most have in common."""
    length, rest = MINUTE, "/api/klines"

    @staticmethod
    def begin():
        """Of the candle number 0."""
        return BEGIN

    @staticmethod
    def keys(request):
        return request.get("params", [json.dumps(request)])

    @staticmethod
    def most(query):
        return int(query["limit"])


class Binance(Form):
    """As Binance's spot and futures speak."""
    path, symbol, topic = "/stream", "SOLUSDT", "candle.SOL.1m"

    @staticmethod
    def answer(text):
        request = json.loads(text)
        return json.dumps({"result": None, "id": request["id"]})

    @staticmethod
    def update(symbol, begin, texts, closed):
        keys = dict(zip("ohlcv", texts))
        return json.dumps({"stream": f"{symbol.lower()}@kline_1m", "data": {"e": "kline", "E": begin + 1, "s": symbol, "k": {
            "t": begin, "T": begin + MINUTE - 1, "s": symbol, "i": "1m", **keys, "x": closed}}})

    @staticmethod
    def window(query):
        return int(query.get("startTime", 0)), int(query.get("endTime", 1 << 60)), query["symbol"], query["interval"]

    @staticmethod
    def body(_symbol, rows):
        return [[begin, *texts, begin + MINUTE - 1, "0", 5, "0", "0", "0"] for begin, texts, _ in rows]


class Bybit(Form):
    path, symbol, topic = "/v5/public/spot", "SOLUSDT", "candle.SOL.1m"

    @staticmethod
    def answer(text):
        request = json.loads(text)
        return json.dumps({"op": request["op"], "success": True, "ret_msg": "", "req_id": request["req_id"]})

    @staticmethod
    def update(symbol, begin, texts, closed):
        keys = dict(zip(("open", "high", "low", "close", "volume"), texts))
        return json.dumps({"topic": f"kline.1.{symbol}", "type": "snapshot", "ts": begin + 1, "data": [{
            "start": begin, "end": begin + MINUTE - 1, "interval": "1", **keys, "confirm": closed, "timestamp": begin + 1}]})

    @staticmethod
    def window(query):
        return int(query.get("start", 0)), int(query.get("end", 1 << 60)), query["symbol"], query["interval"]

    @staticmethod
    def body(symbol, rows):
        listed = [[str(begin), *texts, "0"] for begin, texts, _ in reversed(rows)]
        return {"retCode": 0, "retMsg": "OK", "result": {"category": "spot", "symbol": symbol, "list": listed}}


class OKX(Form):
    path, symbol, topic = "/ws/v5/public", "SOL-USDT", "candle.SOL.1m"

    @staticmethod
    def answer(text):
        return json.dumps({"event": "subscribe", "arg": json.loads(text)["args"][0]})

    @staticmethod
    def update(symbol, begin, texts, closed):
        row = [str(begin), *texts, "0", "0", "1" if closed else "0"]
        return json.dumps({"arg": {"channel": "candle1m", "instId": symbol}, "data": [row]})

    @staticmethod
    def window(query):
        return int(query.get("before", -1)) + 1, int(query.get("after", 1 << 60)) - 1, query["instId"], query["bar"]

    @staticmethod
    def body(_symbol, rows):
        return {"code": "0", "msg": "", "data": [
            [str(begin), *texts, "0", "0", "1" if closed else "0"] for begin, texts, closed in reversed(rows)]}


class Dated(Form):
    """Asked by times, and not by how many: number 30 is the candle that is open now. Their streams do not say what is closed."""
    length = 5 * MINUTE
    figures = ("open", "high", "low", "close", "volume")

    @classmethod
    def begin(cls):
        now = time.time_ns() // 1_000_000
        return now - now % cls.length - 30 * cls.length

    @staticmethod
    def most(_query):
        return 1 << 30


class Coinbase(Dated):
    path, rest, symbol, topic = "/", "/market/products/{symbol}/candles", "SOL-USD", "candle.SOL.5m"

    @staticmethod
    def answer(text):
        request = json.loads(text)
        return json.dumps({"channel": "subscriptions", "events": [{"subscriptions": {request["channel"]: request.get("product_ids", [])}}]})

    @staticmethod
    def keys(request):
        return request.get("product_ids", [])

    @classmethod
    def update(cls, symbol, begin, texts, _closed):
        candle = {"start": str(begin // 1000), **dict(zip(cls.figures, texts)), "product_id": symbol}
        return json.dumps({"channel": "candles", "timestamp": "2026-11-30T10:00:07.123456789Z", "events": [
            {"type": "update", "candles": [candle]}]})

    @staticmethod
    def window(query):
        first, last = int(query["start"]), int(query["end"])
        assert query["granularity"] == "FIVE_MINUTE" and (last - first) // 300 <= 350
        return first * 1000, last * 1000 - 1, None, None

    @classmethod
    def body(cls, _symbol, rows):
        return {"candles": [{"start": str(begin // 1000), **dict(zip(cls.figures, texts))} for begin, texts, _ in reversed(rows)]}


class Kraken(Dated):
    path, symbol, topic = "/v2", "SOL/USD", "candle.SOL.5m"

    @staticmethod
    def answer(text):
        request = json.loads(text)
        if request["method"] == "ping":
            return json.dumps({"method": "pong", "req_id": request["req_id"]})
        result = {**request["params"], "symbol": request["params"]["symbol"][0]}
        return json.dumps({"method": request["method"], "success": True, "result": result, "req_id": request["req_id"]})

    @staticmethod
    def keys(request):
        return request.get("params", {}).get("symbol", [])

    @classmethod
    def update(cls, symbol, begin, texts, _closed):
        figures = ",".join(f'"{name}":{text}' for name, text in zip(cls.figures, texts))
        moment = datetime.datetime.fromtimestamp(begin // 1000, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.000000000Z")
        return (f'{{"channel":"ohlc","type":"update","timestamp":"{moment}","data":[{{"symbol":"{symbol}",{figures},"interval":5,'
                f'"interval_begin":"{moment}"}}]}}')

    @staticmethod
    def window(query):
        return (int(query.get("since", -1)) + 1) * 1000, 1 << 60, query["pair"], query["interval"]

    @staticmethod
    def body(_symbol, rows):
        listed = [[begin // 1000, *texts[:4], "0", texts[4], 7] for begin, texts, _ in rows[-720:]]
        return {"error": [], "result": {"SOLUSD": listed, "last": 0}}


class Deribit(Dated):
    path, symbol, topic = "/ws/api/v2", "SOL-PERPETUAL", "candle.SOL-PERPETUAL.5m"

    @staticmethod
    def answer(text):
        request = json.loads(text)
        return json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": request["params"].get("channels", "ok")})

    @staticmethod
    def keys(request):
        return request["params"].get("channels", [])

    @classmethod
    def update(cls, symbol, begin, texts, _closed):
        figures = ",".join(f'"{name}":{text}' for name, text in zip(cls.figures, texts))
        return (f'{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"chart.trades.{symbol}.5","data":{{"tick":{begin},'
                f'{figures},"cost":1}}}}}}')

    @staticmethod
    def window(query):
        return int(query["start_timestamp"]), int(query["end_timestamp"]), query["instrument_name"], query["resolution"]

    @classmethod
    def body(cls, _symbol, rows):
        columns = {"ticks": [str(begin) for begin, _, _ in rows]}
        columns |= {name: [texts[place] for _, texts, _ in rows] for place, name in enumerate(cls.figures)}
        listed = ",".join(f'"{name}":[{",".join(column)}]' for name, column in columns.items())
        return f'{{"jsonrpc":"2.0","result":{{"status":"{"ok" if rows else "no_data"}",{listed}}},"usIn":1,"testnet":false}}'


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.exchange.handle_get(self)

    def log_message(self, *_):
        pass

    def send(self, status, body, headers=()):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class CandleExchange:
    """`form` says how it speaks. `fault(handler)` answers requests by REST in its place, if it returns true."""

    def __init__(self, form=Binance, tls=None):
        self.form = form
        self.begin = form.begin()
        self.candles = {}  # (symbol, start) -> texts, closed
        self.requests = []  # when, and the query
        self.connections = []
        self.opened = 0
        self.subscribed = []
        self.fault = None
        self.news = threading.Condition()
        self.stream = serve(self.handle_stream, "127.0.0.1", 0)
        self.rest = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.rest.exchange = self
        self.rest.daemon_threads = True
        if tls:
            self.rest.socket = tls.wrap_socket(self.rest.socket, server_side=True)
        self.threads = [threading.Thread(target=server.serve_forever) for server in (self.stream, self.rest)]
        for thread in self.threads:
            thread.start()
        self.url = f"ws://127.0.0.1:{self.stream.socket.getsockname()[1]}{form.path}"
        scheme = "https" if tls else "http"
        self.history_url = f"{scheme}://127.0.0.1:{self.rest.server_address[1]}{form.rest}"

    # ---- the list

    def start_of(self, number):
        return self.begin + number * self.form.length

    def put(self, numbers, closed=True, symbol=None, base=100):
        for number in numbers:
            self.candles[symbol or self.form.symbol, self.start_of(number)] = figures(number, base), closed

    def push(self, number, closed=False, symbol=None, base=100):
        """Puts a candle into the list, and sends it."""
        symbol = symbol or self.form.symbol
        self.put([number], closed, symbol, base)
        self.send(self.form.update(symbol, self.start_of(number), figures(number, base), closed))

    def send(self, text):
        with self.news:
            connections = list(self.connections)
        for connection in connections:
            connection.send(text)

    # ---- the stream

    def handle_stream(self, connection):
        with self.news:
            self.connections.append(connection)
            self.opened += 1
        try:
            for message in connection:
                if message != "ping":
                    connection.send(self.form.answer(message))
                    with self.news:
                        request = json.loads(message)
                        self.subscribed += [(request.get("method"), key) for key in self.form.keys(request)]
                        self.news.notify_all()
        except ConnectionClosed:
            pass  # cut by a test, or by the daemon's end
        with self.news:
            self.connections.remove(connection)
            self.news.notify_all()

    @property
    def subscriptions(self):
        return [key for method, key in self.subscribed if method != "UNSUBSCRIBE"]

    def wait_for_subscriptions(self, count):
        with self.news:
            assert self.news.wait_for(lambda: len(self.subscriptions) >= count, PATIENCE), self.subscribed

    def wait_for_end_of(self, key):
        with self.news:
            assert self.news.wait_for(lambda: ("UNSUBSCRIBE", key) in self.subscribed, PATIENCE), self.subscribed

    def wait_for_rest(self):
        """Until nobody is connected."""
        with self.news:
            assert self.news.wait_for(lambda: not self.connections, PATIENCE)

    def cut(self):
        """Ends all connections; returns when they have gone."""
        with self.news:
            connections = list(self.connections)
        for connection in connections:
            connection.close_socket()
        with self.news:
            assert self.news.wait_for(lambda: not any(one in self.connections for one in connections), PATIENCE)

    # ---- REST

    def handle_get(self, handler):
        place = urllib.parse.urlsplit(handler.path)
        query = dict(urllib.parse.parse_qsl(place.query))
        with self.news:
            self.requests.append((time.monotonic(), query))
            self.news.notify_all()
        if self.fault and self.fault(handler):
            return
        first, last, symbol, _ = self.form.window(query)
        symbol = symbol or place.path.split("/")[-2]
        rows = sorted((begin, *candle) for (name, begin), candle in list(self.candles.items()) if name == symbol and first <= begin <= last)
        body = self.form.body(symbol, rows[-self.form.most(query):])
        body = gzip.compress((body if isinstance(body, str) else json.dumps(body)).encode(), 1)
        handler.send(200, body, {"Content-Type": "application/json", "Content-Encoding": "gzip"})

    def wait_for_requests(self, count):
        with self.news:
            assert self.news.wait_for(lambda: len(self.requests) >= count, PATIENCE), self.requests

    def close(self):
        self.stream.shutdown()
        self.rest.shutdown()
        self.rest.server_close()
        for thread in self.threads:
            thread.join()
