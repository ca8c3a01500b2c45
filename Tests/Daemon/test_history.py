# SPDX-License-Identifier: Apache-2.0
"""Candles by REST: at the start and for holes. Their times are data; no minute passes."""
import contextlib
import gzip
import json
import signal
import ssl
import time

import pytest
from candle_exchanges import OKX, Binance, Bybit, CandleExchange, figures, start_of
from daemons import PATIENCE, check, get

HUB = '[hub]\nlisten = ["127.0.0.1:0"]\n[daemon]\nhistory_timeout = "5s"\n[topic."candle.**"]\n'
PRESETS = {"binance-spot": Binance, "binance-futures": Binance, "bybit": Bybit, "okx": OKX}


@pytest.fixture
def make_exchange():
    made = []

    def make(*arguments, **options):
        made.append(CandleExchange(*arguments, **options))
        return made[-1]

    yield make
    for exchange in made:
        exchange.close()


@pytest.fixture
def exchange(make_exchange):
    return make_exchange()


def config(exchange, wanted=20, preset="binance-spot", symbols=None, more="", hub=HUB):
    return hub + (f'[feed.f]\npreset = "{preset}"\nurl = "{exchange.url}"\nsymbols = {json.dumps(symbols or [exchange.form.symbol])}\n'
                  f'streams = "candle"\nintervals = "1m"\nreconnect_base_delay = 0.05\nstale_timeout = 0\n'
                  f'history = {wanted}\nhistory_url = "{exchange.history_url}"\nhistory_pause = 0\n{more}')


def text_of(number, base=100):
    """What is published of a closed candle."""
    names = ("open", "high", "low", "close", "volume")
    values = ",".join(f'"{name}":"{text}"' for name, text in zip(names, figures(number, base)))
    return f'{{"type":"candle","symbol":"SOL","interval":"1m","start":{start_of(number)},{values},"closed":true}}'


def gap_of(number):
    return f'{{"type":"candle","symbol":"SOL","interval":"1m","start":{start_of(number)},"gap":true}}'


class Watcher:
    """A peer of a topic with candles: what a newcomer gets, and what comes."""

    def __init__(self, peer, topic):
        self.peer = peer
        self.peer.send(json.dumps({"type": "subscribe", "topics": [topic]}))
        self.state = get(self.peer, "subscribed")["state"]
        self.snapshot = ""
        self.items = []
        # An answer behind it: nothing is waited for.
        self.peer.send('{"type":"ping","id":1}')
        self.texts = []
        while True:
            text = self.peer.recv(PATIENCE)
            message = json.loads(text)
            if message["type"] == "snapshot":
                self.snapshot, self.items = text, [item["data"] for item in message["items"]]
            if message["type"] == "pong" and self.items is not None:
                break
            self.note(text)

    def note(self, text):
        if '"o":' in text and '"type":"candle"' in text[:20]:
            self.texts.append(text[text.index('"data":') + 7:-1])

    def wait_for(self, *texts):
        """Until all of them have come."""
        deadline = time.monotonic() + PATIENCE
        while not set(texts) <= set(self.texts):
            try:
                self.note(self.peer.recv(max(0.01, deadline - time.monotonic())))
            except TimeoutError:
                pytest.fail(f"{set(texts) - set(self.texts)} did not come; {self.texts} did")

    def closes(self):
        return [text for text in self.texts if '"closed":true' in text]


@pytest.fixture
def watch():
    with contextlib.ExitStack() as peers:
        yield lambda daemon, topic="candle.SOL.1m": Watcher(peers.enter_context(daemon.peer(max_size=None)), topic)


def whole(watcher, numbers):
    """A newcomer has each closed candle once, to the byte, and no hole."""
    starts = [item["start"] for item in watcher.items if item.get("closed")]
    assert sorted(starts) == [start_of(number) for number in numbers]
    for number in numbers:
        assert watcher.snapshot.count(text_of(number)) == 1, number
    assert '"gap"' not in watcher.snapshot


def live(exchange, watcher, number):
    """The stream says that a candle is open; its text has come."""
    exchange.push(number)
    watcher.wait_for(text_of(number).replace('"closed":true', '"closed":false'))


# ---- at the start


def test_candles_are_there_at_the_start(start, exchange, watch):
    exchange.put(range(30))
    exchange.put([30], closed=False)
    daemon = start(config(exchange))
    whole(watch(daemon), range(10, 30))
    assert [query for _, query in exchange.requests] == [{"symbol": "SOLUSDT", "interval": "1m", "limit": "21"}]
    assert "topics=1" in daemon.wait_for("candles were loaded")
    # Nobody but a newcomer is told; the stream goes on behind. Before it begins the topic is not live.
    exchange.wait_for_subscriptions(1)
    watcher = watch(daemon)
    assert watcher.state == "stale"
    live(exchange, watcher, 30)
    assert watch(daemon).state == "live"
    exchange.push(30, closed=True)
    live(exchange, watcher, 31)
    assert watcher.closes() == [text_of(30)]
    whole(watch(daemon), range(10, 31))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_candle_of_rest_is_the_one_of_the_stream(start, make_exchange, watch, preset):
    exchange = make_exchange(PRESETS[preset])
    odd = ("0.00000012", "16795610.22313256", "9.669E-05", "1.50", "1e3")
    exchange.put(range(3))
    exchange.candles[exchange.form.symbol, start_of(1)] = odd, True
    loaded = watch(start(config(exchange, preset=preset)), exchange.form.topic)
    assert [item["start"] for item in loaded.items] == [start_of(0), start_of(1)]
    streamed = config(exchange, preset=preset).replace("history = 20", "history = 0")
    daemon = start(streamed)
    watcher = watch(daemon, exchange.form.topic)
    exchange.wait_for_subscriptions(2)
    for number, texts in ((0, figures(0)), (1, odd)):
        exchange.send(exchange.form.update(exchange.form.symbol, start_of(number), texts, True))
    watcher.wait_for(text_of(0))
    while len(watcher.texts) < 2:
        watcher.note(watcher.peer.recv(PATIENCE))
    assert '"low":"0.00009669"' in watcher.texts[1] and '"volume":"1000"' in watcher.texts[1]
    for text in watcher.texts:
        assert loaded.snapshot.count(text) == 1, (text, loaded.snapshot)


def test_more_than_one_answer_has(start, make_exchange, watch):
    exchange = make_exchange(OKX)
    exchange.put(range(800))
    watcher = watch(start(config(exchange, wanted=700, preset="okx")))
    whole(watcher, range(99, 799))
    assert len(exchange.requests) == 3


def test_a_new_market_has_as_many_as_there_are(start, exchange, watch):
    exchange.put(range(3))
    whole(watch(start(config(exchange))), range(2))


def test_candles_without_trades_are_flat(start, exchange, watch):
    exchange.put([0, 3, 4])
    items = watch(start(config(exchange))).items
    assert [(item["start"], item["close"], item["volume"], item.get("empty", False)) for item in items] == [
        (start_of(0), "100.22313256", "0.0", False), (start_of(1), "100.22313256", "0", True), (start_of(2), "100.22313256", "0", True),
        (start_of(3), "103.22313256", "3.0", False)]


def slowly(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)  # it is the slowness that is tested
    except OSError:
        return True


def endlessly(handler):
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    try:
        for _ in range(1 << 10):
            handler.wfile.write(b"100000\r\n" + b" " * (1 << 20) + b"\r\n")
    except OSError:
        pass
    return True


def answering(status, body, **headers):
    def fault(handler):
        try:
            handler.send(status, body, headers)
        except OSError:
            pass
        return True
    return fault


@pytest.mark.parametrize("fault, said", [
    (answering(200, b"[[1796000040000,\"1\"", **{"Content-Length": "4000", "Connection": "close"}), "remaining"),
    (answering(200, b"<html>blocked</html>"), "no JSON: <html>blocked"),
    (answering(200, b'[[1796000040000,"1","1",{},"1","1"]]'), "entry 1 of the answer is no candle"),
    (answering(200, b'{"code":-1121,"msg":"Invalid symbol."}'), "Invalid symbol."),
    (answering(200, b"", **{"Content-Length": str(1 << 30)}), "too large"),
    (endlessly, "too large"),
    (answering(200, gzip.compress(b" " * (32 << 20)), **{"Content-Encoding": "gzip"}), "too large"),
    (slowly, "no answer within the time"),
    (answering(302, b"", Location="http://127.0.0.1:1/"), "says 302, and no redirect is followed"),
    (answering(503, b"maintenance"), "says 503 maintenance"),
    (answering(403, b"<html>go away</html>"), "says 403"),
], ids=["truncated", "html", "types", "symbol", "length", "endless", "bomb", "drip", "redirect", "down", "forbidden"])
def test_a_bad_answer_is_told_and_the_hub_starts(start, exchange, watch, fault, said):
    exchange.put(range(30))
    exchange.fault = fault
    begin = time.monotonic()
    daemon = start(config(exchange, hub=HUB.replace('"5s"', '"1s"')))
    assert time.monotonic() - begin < 5
    assert said in daemon.wait_for("not all candles could be loaded")
    assert watch(daemon).items == []


def test_the_certificate_is_verified(start, make_exchange, watch, certificates):
    authority, chain, key = certificates[0]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    exchange = make_exchange(tls=context)
    exchange.put(range(10))
    daemon = start(config(exchange, more="verify = false\n"))
    assert "certificate" in daemon.wait_for("not all candles could be loaded")
    assert watch(daemon).items == []
    whole(watch(start(config(exchange, more=f'ca_file = "{authority}"\n'))), range(9))


def test_the_proxy_of_the_feed_counts(start, exchange, watch):
    exchange.put(range(10))
    proxy = exchange.history_url.removesuffix("/api/klines")
    text = config(exchange, more=f'proxy = "{proxy}"\n').replace(exchange.history_url, "http://exchange.invalid/api/klines?a=b")
    whole(watch(start(text)), range(9))
    assert exchange.requests[0][1] == {"a": "b", "symbol": "SOLUSDT", "interval": "1m", "limit": "21"}


def test_a_signal_ends_the_wait(start, exchange):
    exchange.fault = slowly
    daemon = start(config(exchange, hub=HUB.replace('"5s"', '"60s"')), ready=False)
    exchange.wait_for_requests(1)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


def test_rest_comes_later(start, exchange, watch):
    exchange.put(range(30))
    exchange.fault = answering(503, b"maintenance")
    daemon = start(config(exchange))
    watcher = watch(daemon)
    exchange.wait_for_subscriptions(1)
    live(exchange, watcher, 30)
    daemon.wait_for("candles are missing, and are asked for again")
    exchange.wait_for_requests(4)
    assert daemon.output.count("candles are missing") == 1
    exchange.fault = None
    watcher.wait_for(*[text_of(number) for number in range(10, 30)])
    daemon.wait_for("no candle is missing any more")
    # Nothing of it is a hole between candles, and each comes once.
    assert watcher.closes() == [text_of(number) for number in range(10, 30)]
    assert '"gap"' not in "".join(watcher.texts)
    whole(watch(daemon), range(10, 30))


# ---- holes


@pytest.fixture
def running(start, exchange, watch):
    """A daemon with candles 10 to 29, and 30 open; and its peer."""
    exchange.put(range(30))
    exchange.put([30], closed=False)
    daemon = start(config(exchange))
    exchange.wait_for_subscriptions(1)
    watcher = watch(daemon)
    live(exchange, watcher, 30)
    return daemon, watcher


def cut_until(exchange, watcher, number):
    """The stream is away while the candles up to that one close."""
    count = len(exchange.subscriptions)
    exchange.cut()
    exchange.put(range(30, number))
    exchange.wait_for_subscriptions(count + 1)
    live(exchange, watcher, number)


def test_closes_that_were_missed_are_marked_and_filled(exchange, running, watch):
    daemon, watcher = running
    cut_until(exchange, watcher, 33)
    watcher.wait_for(*[text_of(number) for number in (30, 31, 32)])
    marks = [text for text in watcher.texts if '"gap"' in text]
    assert marks == [gap_of(30), gap_of(31), gap_of(32)]
    assert watcher.closes() == [text_of(30), text_of(31), text_of(32)]
    assert watcher.texts.index(marks[-1]) < watcher.texts.index(text_of(30))
    exchange.push(33, closed=True)
    watcher.wait_for(text_of(33))
    live(exchange, watcher, 34)
    assert watcher.closes() == [text_of(number) for number in range(30, 34)]
    whole(watch(daemon), range(10, 34))
    assert "missing" not in daemon.output


def test_a_short_cut_leaves_nothing(exchange, running):
    daemon, watcher = running
    asked = len(exchange.requests)
    cut_until(exchange, watcher, 30)
    exchange.push(30, closed=True)
    watcher.wait_for(text_of(30))
    live(exchange, watcher, 31)
    assert len(exchange.requests) == asked and '"gap"' not in "".join(watcher.texts)


def test_a_hole_that_rest_does_not_fill_stays_one(exchange, running, watch):
    daemon, watcher = running
    exchange.fault = answering(500, b"oops")
    asked = len(exchange.requests)
    cut_until(exchange, watcher, 32)
    watcher.wait_for(gap_of(30), gap_of(31))
    exchange.wait_for_requests(asked + 3)
    assert "says 500 oops" in daemon.wait_for("candles are missing, and are asked for again")
    assert daemon.output.count("candles are missing") == 1
    newcomer = watch(daemon)
    assert [item["start"] for item in newcomer.items if item.get("gap")] == [start_of(30), start_of(31)]
    times = [when for when, _ in exchange.requests[asked:]]
    assert times[1] - times[0] > 0.45 and times[2] - times[1] > 0.95
    exchange.fault = None
    watcher.wait_for(text_of(30), text_of(31))
    daemon.wait_for("no candle is missing any more")
    whole(watch(daemon), range(10, 32))
    assert watcher.texts.count(gap_of(30)) == 1


def test_late_and_swapped_updates(exchange, running, watch):
    daemon, watcher = running
    # The close of 30 comes behind 31: the feed drops it, so that it is missing until REST gives it.
    exchange.put([30])
    live(exchange, watcher, 31)
    exchange.push(30, closed=True)
    exchange.push(29)
    exchange.push(31, closed=True)
    exchange.push(31, closed=True)
    exchange.push(31)
    exchange.put([31])
    live(exchange, watcher, 32)
    cut_until(exchange, watcher, 32)
    watcher.wait_for(text_of(30), text_of(31))
    assert sorted(watcher.closes()) == [text_of(30), text_of(31)]
    whole(watch(daemon), range(10, 32))


def test_an_answer_of_another_market_is_refused(exchange, running, watch):
    daemon, watcher = running
    honest = dict(exchange.candles)
    asked = len(exchange.requests)
    exchange.put(range(40), base=50_000)
    count = len(exchange.subscriptions)
    exchange.cut()
    exchange.wait_for_subscriptions(count + 1)
    exchange.send(exchange.form.update("SOLUSDT", start_of(32), figures(32), False))
    watcher.wait_for(gap_of(31))
    daemon.wait_for("it is of another market")
    exchange.wait_for_requests(asked + 2)
    assert watcher.closes() == []
    exchange.candles.clear()
    exchange.candles.update(honest)
    exchange.put([30, 31, 32])
    watcher.wait_for(text_of(30), text_of(31))
    whole(watch(daemon), range(10, 32))


def test_an_answer_of_another_symbol_is_refused(start, make_exchange, watch):
    exchange = make_exchange(Bybit)
    exchange.put(range(10))
    other = Bybit.body("BTCUSDT", [(start_of(number), figures(number), True) for number in range(2)])
    exchange.fault = answering(200, json.dumps(other).encode())
    daemon = start(config(exchange, preset="bybit"))
    assert "the answer is of BTCUSDT, and not of SOLUSDT" in daemon.wait_for("not all candles could be loaded")
    assert watch(daemon).items == []


@pytest.mark.parametrize("status", [429, 418])
def test_who_is_refused_waits_as_long_as_is_said(start, exchange, watch, status):
    symbols = ["SOLUSDT", "BTCUSDT", "ETHUSDT"]
    for symbol in symbols:
        exchange.put(range(30), symbol=symbol)
    exchange.fault = answering(status, b"{}", **{"Retry-After": "2"})
    daemon = start(config(exchange, symbols=symbols, hub=HUB.replace('"5s"', '"1s"')))
    assert f"says {status}: too many requests" in daemon.wait_for("not all candles could be loaded")
    exchange.fault = None
    asked = len(exchange.requests)
    # Two were on their way, the third did not begin.
    assert asked == 2
    last = exchange.requests[-1][0]
    exchange.wait_for_subscriptions(1)
    watcher = watch(daemon)
    live(exchange, watcher, 30)
    watcher.wait_for(*[text_of(number) for number in range(10, 30)])
    assert exchange.requests[asked][0] - last > 1.9


def test_a_pause_between_requests(start, exchange, watch):
    symbols = [f"S{number}USDT" for number in range(8)]
    for symbol in symbols:
        exchange.put(range(5), symbol=symbol)
    start(config(exchange, symbols=symbols).replace("history_pause = 0", 'history_pause = "100ms"'))
    times = [when for when, _ in exchange.requests]
    assert len(times) == 8 and times[-1] - times[0] > 0.6


def test_symbols_that_come_while_it_runs(exchange, running, watch):
    daemon, watcher = running
    exchange.put(range(30), symbol="BTCUSDT")
    daemon.reload(config(exchange, symbols=["SOLUSDT", "BTCUSDT"]))
    other = watch(daemon, "candle.BTC.1m")
    exchange.wait_for_subscriptions(2)
    exchange.push(30, symbol="BTCUSDT")
    wanted = [text_of(number).replace("SOL", "BTC") for number in range(10, 30)]
    other.wait_for(*wanted)
    assert other.closes() == wanted
    # A feed that goes takes its history along.
    asked = len(exchange.requests)
    daemon.reload(config(exchange, symbols=["SOLUSDT"]))
    exchange.wait_for_end_of("btcusdt@kline_1m")
    cut_until(exchange, watcher, 32)
    watcher.wait_for(text_of(30), text_of(31))
    assert [query["symbol"] for _, query in exchange.requests[asked:]] == ["SOLUSDT"]


@pytest.mark.parametrize("symbols", [["SOLUSDT"], ["*"]])
def test_candles_of_a_feed_that_follows_peers(start, exchange, watch, symbols):
    exchange.put(range(30))
    exchange.put([30], closed=False)
    daemon = start(config(exchange, symbols=symbols, more='follow = true\nlinger = 0\n' + ('quote = "USDT"\n' if "*" in symbols else "")))
    assert len(exchange.requests) == (0 if "*" in symbols else 1)
    first = watch(daemon)
    exchange.wait_for_subscriptions(1)
    live(exchange, first, 30)
    if "*" in symbols:
        first.wait_for(*[text_of(number) for number in range(10, 30)])
    first.peer.close()
    exchange.wait_for_rest()
    exchange.put(range(30, 33))
    again = watch(daemon)
    exchange.wait_for_subscriptions(2)
    live(exchange, again, 33)
    again.wait_for(gap_of(30), text_of(30), text_of(31), text_of(32))
    whole(watch(daemon), range(10, 33))


def test_candles_of_a_topic_that_was_left_for_a_while(start, exchange, watch):
    for symbol in ("SOLUSDT", "BTCUSDT"):
        exchange.put(range(30), symbol=symbol)
        exchange.put([30], closed=False, symbol=symbol)
    daemon = start(config(exchange, symbols=["SOLUSDT", "BTCUSDT"], more="follow = true\nlinger = 0\n"))
    other, first = watch(daemon, "candle.BTC.1m"), watch(daemon)
    exchange.wait_for_subscriptions(2)
    live(exchange, first, 30)
    first.peer.close()
    exchange.wait_for_end_of("solusdt@kline_1m")
    exchange.put(range(30, 33))
    again = watch(daemon)
    exchange.wait_for_subscriptions(3)
    live(exchange, again, 33)
    again.wait_for(gap_of(30), text_of(30), text_of(31), text_of(32))
    whole(watch(daemon), range(10, 33))
    assert exchange.opened == 1 and other.closes() == []


def test_it_says_what_it_would_do(tmp_path, exchange):
    path = tmp_path / "hub.toml"
    path.write_text(config(exchange))
    done = check(path)
    assert done.returncode == 0, done.stderr
    assert f"20 candles of 1 topics from {exchange.history_url}" in done.stdout
