# SPDX-License-Identifier: Apache-2.0
"""pulsews-hub --demo: a local exchange, a hub with a feed to it, and a page; without a configuration or a network."""
import json
import re
import shutil
import signal
import socket
import subprocess
import threading
import urllib.request

import pytest
from daemons import PATIENCE, PROGRAM, ROOT, Daemon, check, get, subscribe, token
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

SYMBOLS = ["BTC", "ETH", "SOL", "BNB", "XRP", "DOGE", "ADA", "AVAX", "LINK", "DOT", "LTC", "TRX"]
ACCOUNT = [f"portfolio.demo.{kind}" for kind in ("positions", "orders", "trades", "equity")]
MINUTE = 60_000


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "web"
    subprocess.run([ROOT / ".ci" / "page.sh", folder], check=True)
    return folder


class Listener:
    """Keeps what a connection gets from now on."""

    def __init__(self, connection):
        self.connection = connection
        self.messages = []
        self.news = threading.Condition()
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        try:
            for message in self.connection:
                with self.news:
                    self.messages.append(message)
                    self.news.notify_all()
        except ConnectionClosed:
            pass

    def wait_for(self, condition, patience=PATIENCE):
        """What `condition` makes of the messages, once that is true."""
        with self.news:
            assert self.news.wait_for(lambda: condition(self.messages), patience), self.messages[-10:]
            return condition(self.messages)

    def close(self):
        self.connection.close()
        self.thread.join(PATIENCE)


@pytest.fixture(scope="module")
def demo(page, tmp_path_factory):
    """One that runs through all tests that leave it as it is; peers of hub and exchange listen from the begin."""
    made = Daemon(tmp_path_factory.mktemp("demo"), None, arguments=["--demo", "--listen", "127.0.0.1:0", "--page", page])
    try:
        made.exchange = re.search(r"ws://(127\.0\.0\.1:\d+)/stream", made.wait_for("connected to ws://"))[1]
        made.wait_for("Ctrl-C ends it")
        topics = ",".join(f"candle.{symbol}.1m" for symbol in SYMBOLS)
        with made.peer(f"/ws/stream?topics={topics}") as peer, connect(f"ws://{made.exchange}/stream", proxy=None) as client:
            ask(client, "SUBSCRIBE", [f"{symbol.lower()}usdt@kline_1m" for symbol in SYMBOLS], 1)
            made.candles, made.klines = Listener(peer), Listener(client)
            yield made
            made.candles.close()
            made.klines.close()
    finally:
        made.kill()


def ask(connection, method, params, number):
    connection.send(json.dumps({"method": method, "params": params, "id": number}))


def answer(connection):
    """The next message that is no tick."""
    while "stream" in (message := json.loads(connection.recv(PATIENCE))):
        pass
    return message


def printed(daemon, pattern):
    return re.search(pattern, daemon.output)[0]


def test_the_page_is_there(demo):
    address = printed(demo, r"(?<=The page of the demo: )http://127\.0\.0\.1:\d+/")
    assert address == f"http://{demo.address}/"
    status, _, body = demo.request("/")
    assert status == 200 and 'url=page/"' in body
    assert demo.request("/page/")[0] == demo.request("/pulsews.js")[0] == 200
    settings = json.loads(demo.request("/page/page.json")[2])
    assert settings["symbols"] == SYMBOLS and settings["equityTopic"] in ACCOUNT
    status, headers, script = demo.request("/page/" + settings["token"])
    assert status == 200 and headers["Content-Type"] == "text/javascript" and "export const token" in script
    assert json.loads(demo.request("/ws/status")[2])["hub"] == "demo"
    assert 'hub="demo"' in demo.request("/metrics")[2]


@pytest.mark.parametrize("path", ["/ws", "/ws/stream", "/ws/trading"])
def test_every_route_gives_prices(demo, path):
    with demo.peer(path) as peer:
        peer.send(json.dumps({"type": "subscribe", "topics": [f"price.{symbol}" for symbol in SYMBOLS]}))
        last, seen = {}, {}
        while len(seen) < len(SYMBOLS) or min(seen.values()) < 3:
            message = json.loads(peer.recv(PATIENCE))
            if message["type"] in ("subscribed", "snapshot"):
                last[message["topic"]] = message["offset"]
            if message["type"] == "price_update":
                assert message["p"] == last[message["topic"]]
                last[message["topic"]] = message["o"]
                seen[message["data"]["symbol"]] = seen.get(message["data"]["symbol"], 0) + 1
                assert re.fullmatch(r"\d+\.\d+", message["data"]["price"])


def test_the_account_is_for_its_token(demo):
    url = printed(demo, r"ws://\S+token=\S+")
    with connect(url, proxy=None) as plain:
        seen = set()
        while not {"signal", "signal_status", "order"} <= seen:
            seen.add(json.loads(plain.recv(PATIENCE))["type"])
    with connect(url, proxy=None, subprotocols=["pulse.v1"]) as owner, demo.peer() as anybody:
        subscribe(owner, *ACCOUNT)
        kinds = {"position_update": 0, "order": 1, "trade_executed": 2, "equity_snapshot": 3}
        seen = set()
        while len(seen) < 4:
            message = json.loads(owner.recv(PATIENCE))
            if message["type"] in kinds:
                assert message["topic"] == ACCOUNT[kinds[message["type"]]] and message["data"]["data"]["account"] == "demo"
                seen.add(message["type"])
        anybody.send(json.dumps({"type": "subscribe", "topics": ACCOUNT[:1]}))
        assert get(anybody, "error")["data"]["code"] == "topic_forbidden"


def test_the_printed_call_becomes_a_signal(demo):
    body, url = re.search(r"curl -d '(.*)' (http://\S+)", demo.output).groups()
    with demo.peer() as peer:
        subscribe(peer, "signal")
        with urllib.request.urlopen(urllib.request.Request(url, data=body.encode()), timeout=PATIENCE) as response:
            told = json.loads(response.read())
        while (signal_ := get(peer, "signal"))["o"] != told["offset"]:
            pass
        assert signal_["data"]["id"] == told["id"] and signal_["data"]["data"] == json.loads(body)


def test_the_exchange_speaks_as_binance_does(demo):
    with connect(f"ws://{demo.exchange}/stream", proxy=None) as client:
        ask(client, "LIST_SUBSCRIPTIONS", [], 1)
        assert answer(client) == {"result": [], "id": 1}
        ask(client, "SUBSCRIBE", ["btcusdt@bookTicker", "ethusdt@aggTrade"], 2)
        assert answer(client) == {"result": None, "id": 2}
        seen = {}
        while len(seen) < 2:
            message = json.loads(client.recv(PATIENCE))
            seen[message["stream"]] = message["data"]
        assert set(seen["btcusdt@bookTicker"]) == {"u", "s", "b", "B", "a", "A"}
        assert seen["ethusdt@aggTrade"]["e"] == "aggTrade" and seen["ethusdt@aggTrade"]["s"] == "ETHUSDT"
        ask(client, "UNSUBSCRIBE", ["btcusdt@bookTicker"], 3)
        assert answer(client) == {"result": None, "id": 3}
        ask(client, "LIST_SUBSCRIPTIONS", [], 4)
        assert answer(client) == {"result": ["ethusdt@aggTrade"], "id": 4}
        while json.loads(client.recv(PATIENCE))["stream"] != "ethusdt@aggTrade":
            pass
        ask(client, "SUBSCRIBE", ["btcusdt@nothing"], 5)
        refused = answer(client)
        assert refused["id"] == 5 and refused["error"]["code"] == 2
    status, _, body = demo.request("/api/v3/klines?symbol=NOPE&interval=1m", address=demo.exchange)
    assert status == 400 and json.loads(body)["code"] == -1121


def row(kline):
    """A candle of a stream as the exchange's HTTP answers have it."""
    return ('[{t},"{o}","{h}","{l}","{c}","{v}",{T},"{q}",{n},"{V}","{Q}","0"]').format(**kline)


def test_candles_close_once_and_agree(demo):
    """Waits for the end of a minute."""
    topics = {f"candle.{symbol}.1m": symbol for symbol in SYMBOLS}

    def closed(texts):
        found = {}
        for message in map(json.loads, texts):
            if message["type"] == "candle" and message["data"]["closed"]:
                found.setdefault(topics[message["topic"]], []).append(message["data"])
        return found if len(found) == len(SYMBOLS) else None

    def opened(texts):
        """Those behind the close: the next candle has begun for all."""
        begun = set()
        for message in map(json.loads, texts):
            if message["type"] == "candle" and message["data"]["start"] > first["BTC"][0]["start"]:
                begun.add(message["topic"])
        return len(begun) == len(SYMBOLS)

    first = demo.candles.wait_for(closed, 75)
    demo.candles.wait_for(opened)
    messages = [json.loads(text) for text in demo.candles.messages]
    assert not [message for message in messages if message["type"] == "gap"]
    klines = {}
    for message in map(json.loads, list(demo.klines.messages)):
        if "data" in message and message["data"]["k"]["x"]:
            klines.setdefault(message["data"]["s"], []).append(message["data"]["k"])
    for symbol in SYMBOLS:
        its = [message["data"] for message in messages if message["type"] == "candle" and message["data"]["symbol"] == symbol]
        starts = [candle["start"] for candle in its]
        assert starts == sorted(starts) and len(set(starts)) == 2
        assert [candle["closed"] for candle in its if candle["start"] == starts[0]].count(True) == 1
        assert [candle for candle in its if candle["start"] == starts[0]][-1]["closed"] is True
        (kline,) = klines[symbol + "USDT"]
        (candle,) = first[symbol]
        assert [candle[name] for name in ("start", "open", "high", "low", "close", "volume")] == [kline[name] for name in "tohlcv"]
        path = f"/api/v3/klines?symbol={symbol}USDT&interval=1m&limit=1&startTime={kline['t']}"
        assert demo.request(path, address=demo.exchange)[2] == f"[{row(kline)}]"
    # The past is whole, and ends with the candle that is open.
    candles = json.loads(demo.request("/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1000", address=demo.exchange)[2])
    assert len(candles) > 500 and all(one[0] + MINUTE == two[0] for one, two in zip(candles, candles[1:]))


def test_who_comes_gets_the_past(demo):
    with demo.peer() as peer:
        for name, (interval, length) in {"candle.BTC.1m": ("1m", MINUTE), "candle.DOGE.5m": ("5m", 5 * MINUTE)}.items():
            peer.send(json.dumps({"type": "subscribe", "topics": [name]}))
            items = [item["data"] for item in get(peer, "snapshot")["items"]]
            closed = {item["start"]: item for item in items if item["closed"]}
            starts = sorted(closed)
            assert len(starts) >= 100 and all(one + length == two for one, two in zip(starts, starts[1:]))
            query = f"symbol={name.split('.')[1]}USDT&interval={interval}&limit=1000&startTime={starts[0]}&endTime={starts[-1]}"
            rows = json.loads(demo.request(f"/api/v3/klines?{query}", address=demo.exchange)[2])
            assert [[closed[start][part] for part in ("start", "open", "high", "low", "close", "volume")] for start in starts] == [
                candle[:6] for candle in rows]


def test_a_signal_reads_the_same_configuration_again(demo):
    assert "was applied" in demo.reload()[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order(start, page, number):
    demo = start(None, arguments=["--demo", "--listen", "127.0.0.1:0", "--page", page])
    with demo.peer("/ws/stream?topics=price.BTC") as peer:
        get(peer, "price_update")
        demo.signal(number)
        with pytest.raises(ConnectionClosed) as end:
            while True:
                peer.recv(PATIENCE)
        assert end.value.rcvd.code == 1012
    assert demo.wait() == 0
    # The exchange may send until its client is gone, and what comes then is counted and told.
    lines = [line for line in demo.output.splitlines() if "arrived after this side began to close" not in line]
    assert not [line for line in lines if " error " in line or " warning " in line]


def test_a_port_that_is_taken(start, page):
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", 8080))
            holder.listen()
        except OSError:
            pass  # it is somebody else's, and so taken as well
        demo = start(None, arguments=["--demo", "--page", page])
        demo.wait_for("Ctrl-C ends it")
        assert demo.address != "127.0.0.1:8080" and f"http://{demo.address}/" in demo.output
        assert demo.request("/page/")[0] == 200
        # A page is of one of the origins that the hub lets in.
        with demo.peer(origin=f"http://{demo.address}") as peer:
            get(peer, "welcome")
    asked = subprocess.run([PROGRAM, "--demo", "--listen", demo.address], capture_output=True, text=True, timeout=60, check=False)
    assert asked.returncode == 1 and "does not start" in asked.stderr


def test_without_a_page_the_hub_runs_on(start, tmp_path):
    demo = start(None, arguments=["--demo", "--listen", "127.0.0.1:0", "--page", tmp_path])
    assert str(tmp_path) in demo.wait_for("make page")
    demo.wait_for("Ctrl-C ends it")
    assert demo.request("/")[0] == demo.request("/page/page.json")[0] == 404
    with demo.peer("/ws/stream?topics=price.BTC") as peer:
        get(peer, "price_update")


@pytest.mark.parametrize("place", ["bin/web", "share/pulsews/web"])
def test_the_page_is_found(start, page, tmp_path, place):
    (tmp_path / "bin").mkdir()
    for name in ("pulsews-hub", "libpulsews.so.0"):
        shutil.copy(PROGRAM.parent / name, tmp_path / "bin")
    shutil.copytree(page, tmp_path / place)
    demo = start(None, arguments=["--demo", "--listen", "127.0.0.1:0"], program=tmp_path / "bin" / "pulsews-hub")
    assert demo.request("/page/")[0] == 200


def print_config(*more):
    return subprocess.run([PROGRAM, "--demo", "--print-config", *more], capture_output=True, text=True, timeout=60, check=True).stdout


def test_its_configuration_is_one_to_take_on(start, page, tmp_path):
    text = print_config("--page", page)
    path = tmp_path / "own.toml"
    path.write_text(text)
    path.chmod(0o600)
    done = check(path)
    assert (done.returncode, done.stderr) == (0, "") and "feed binance" in done.stdout
    secret, other = (re.search(r'^secret = "(\w{64})"', one, re.M)[1] for one in (text, print_config()))
    assert secret != other
    text = re.sub(r'"127\.0\.0\.1:8080"', '"127.0.0.1:0"', text)
    hub = start(re.sub(r'"wss://[^"]*"', '"ws://127.0.0.1:1/stream"', text))
    assert hub.request("/page/")[0] == 200
    rights = token(secret, topics=["portfolio.a1.*"])
    with hub.peer(f"/ws?token={rights}", pulse=False) as owner, hub.peer("/ws", pulse=False) as nobody:
        for peer in (owner, nobody):
            peer.send('{"type":"subscribe","topics":["portfolio.a1.orders"]}')
            peer.send('{"type":"ping","id":1}')
        assert get(nobody, "error")["data"]["code"] == "topic_forbidden"
        get(owner, "welcome")
        assert json.loads(owner.recv(PATIENCE))["type"] == "pong"
    assert "without a page" not in text and check_text(tmp_path, print_config("--page", tmp_path)) == 0


def check_text(folder, text):
    path = folder / "other.toml"
    path.write_text(text)
    path.chmod(0o600)
    return check(path).returncode


def test_what_it_does_is_printed(page):
    done = subprocess.run([PROGRAM, "--demo", "--check", "--page", page], capture_output=True, text=True, timeout=60, check=True)
    for line in ("feed demo: ws://127.0.0.1:", f"route /: static of {page}", "webhook /webhook/demo", "--demo: the configuration is right"):
        assert line in done.stdout
    assert done.stderr == "" and not re.search(r"\w{64}", done.stdout)


@pytest.mark.parametrize("arguments, code", [
    ([], 64), (["--demo", "hub.toml"], 64), (["--print-config", "hub.toml"], 64), (["--listen", "127.0.0.1:0", "hub.toml"], 64),
    (["--demo", "--listen", "nowhere"], 2)])
def test_arguments_that_do_not_go_together(arguments, code):
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code and done.stderr
