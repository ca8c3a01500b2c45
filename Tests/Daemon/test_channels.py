# SPDX-License-Identifier: Apache-2.0
"""Candles and trades of exchanges whose keys are symbols alone: the channel is in the messages that subscribe."""
import contextlib

import pytest
from daemons import check, get, subscribe
from test_feeds import state
from venues import Coinbase, Kraken, Venue

HUB = """[hub]
listen = "127.0.0.1:0"
[topic."candle.*.*"]
latest = true
[topic."trade.*"]
history = 10
"""
START = 1_796_032_800_000  # 2026-11-30T10:00:00Z
FIGURES = ("60000.123456789012345", "60001.10", "0.00000001", "60000.5", "12.00000000")


@pytest.fixture
def opened():
    """Opens exchanges, and ends them after the test."""
    with contextlib.ExitStack() as stack:
        def begin(kind, *arguments, **options):
            made = kind(*arguments, **options)
            stack.callback(made.end)
            return made

        yield begin


def feed(preset, venue, name="f", more=""):
    return f"""[feed.{name}]
preset = "{preset}"
url = "{venue.url}"
reconnect_base_delay = "20ms"
host_connect_rate = "1000/s"
rate_limit = "1000/s"
{more}
"""


def say_candle(venue, symbol, figures=FIGURES):
    """In the place of START, of five minutes."""
    if isinstance(venue, Kraken):
        return venue.candle(symbol, "2026-11-30T10:00:00.000000000Z", 5, figures)
    return venue.candle(symbol, START // 1000, figures)


CANDLES = [
    pytest.param("kraken", Kraken, "/", 'streams = "candle"\nintervals = "5m"', {"channel": "ohlc", "interval": 5}, id="kraken-candle"),
    pytest.param("coinbase", Coinbase, "-", 'streams = "candle"', {"channel": "candles"}, id="coinbase-candle"),
]
TRADES = [
    pytest.param("kraken", Kraken, "/", 'streams = "trade"', {"channel": "trade"}, id="kraken-trade"),
    pytest.param("coinbase", Coinbase, "-", 'streams = "trade"', {"channel": "market_trades"}, id="coinbase-trade"),
]
FORM = ("preset", "kind", "dash", "streams", "channel")


@pytest.mark.parametrize(FORM, CANDLES)
def test_candles_arrive_to_the_digit(start, opened, preset, kind, dash, streams, channel):
    venue = opened(kind)
    daemon = start(HUB + feed(preset, venue, more=f'{streams}\nsymbols = ["BTC{dash}USD", "SOL{dash}EUR"]\n'))
    venue.wait_for_keys(f"BTC{dash}USD", f"SOL{dash}EUR")
    assert venue.channels == [channel]
    with daemon.peer() as peer:
        subscribe(peer, "candle.BTC.5m", f"candle.SOL{dash}EUR.5m")
        for symbol, short in ((f"SOL{dash}EUR", f"SOL{dash}EUR"), (f"BTC{dash}USD", "BTC")):
            assert say_candle(venue, symbol) == 1
            message = get(peer, "candle")
            assert message["topic"] == f"candle.{short}.5m"
            assert message["data"] == {
                "type": "candle", "symbol": short, "interval": "5m", "start": START,
                **dict(zip(("open", "high", "low", "close", "volume"), FIGURES))}
        say_candle(venue, f"BTC{dash}USD", (*FIGURES[:4], "13.5"))
        assert get(peer, "candle")["data"]["volume"] == "13.5"
    # Of each candle the latest message is for newcomers.
    with daemon.peer("/ws/stream?topics=candle.BTC.5m", pulse=False) as peer:
        assert get(peer, "candle")["volume"] == "13.5"


@pytest.mark.parametrize(FORM, TRADES)
def test_trades_arrive(start, opened, preset, kind, dash, streams, channel):
    venue = opened(kind)
    daemon = start(HUB + feed(preset, venue, more=f'{streams}\nsymbols = "BTC{dash}USD"\n'))
    venue.wait_for_keys(f"BTC{dash}USD")
    assert venue.channels == [channel]
    with daemon.peer() as peer:
        subscribe(peer, "trade.BTC")
        for number in range(4665906, 4665910):
            assert venue.trade(f"BTC{dash}USD", number, "0.5117000", "40.00000001") == 1
            assert get(peer, "trade")["data"] == {
                "type": "trade", "symbol": "BTC", "id": number if kind is Kraken else str(number), "price": "0.5117000",
                "quantity": "40.00000001", "side": "sell", "ts": START + 7123}


@pytest.mark.parametrize(FORM, CANDLES + TRADES)
def test_subscriptions_are_confirmed(start, opened, preset, kind, dash, streams, channel):
    """Where nothing confirms, the connection is left each time, and meanwhile the other one stays."""
    venue, mute = opened(kind), opened(kind, mute=True)
    more = f'{streams}\nsymbols = ["BTC{dash}USD", "ETH{dash}USD", "SOL{dash}USD"]\nsubscribe_batch = 2\nsubscribe_timeout = "200ms"\n'
    start(HUB + feed(preset, venue, more=more) + feed(preset, mute, "mute", more))
    mute.wait_for(lambda: mute.connections >= 4)
    assert venue.connections == 1 and len(venue.keys) == 3
    assert venue.channels == [channel, channel]


@pytest.mark.parametrize(FORM, CANDLES)
def test_a_peer_comes_and_leaves(start, opened, preset, kind, dash, streams, channel):
    venue = opened(kind)
    following = f'{streams}\nsymbols = "*"\nfollow = true\nlinger = "200ms"\n'
    daemon = start(HUB + feed(preset, venue, more=following))
    with daemon.peer() as peer:
        subscribe(peer, "candle.BTC.1h", "candle.BTC.5m")
        venue.wait_for_keys(f"BTC{dash}USD")
        say_candle(venue, f"BTC{dash}USD")
        assert get(peer, "candle")["topic"] == "candle.BTC.5m"
    venue.wait_for(lambda: len(venue.requests) == 2)
    assert venue.requests == [("SUBSCRIBE", f"BTC{dash}USD"), ("UNSUBSCRIBE", f"BTC{dash}USD")]
    assert venue.channels == [channel, channel]
    with daemon.peer() as peer:
        subscribe(peer, "candle.SOL.5m")
        venue.wait_for_keys(f"SOL{dash}USD")
    daemon.reload(HUB + feed(preset, venue, more=following.replace('"*"', f'"*"\nquote = "{dash}EUR"')))
    with daemon.peer() as peer:
        subscribe(peer, f"candle.SOL{dash}EUR.5m")
        venue.wait_for_keys(f"SOL{dash}EUR")


@pytest.mark.parametrize(FORM, CANDLES + TRADES)
def test_a_refused_symbol_is_told(start, opened, preset, kind, dash, streams, channel):
    venue = opened(kind, refused=[f"BAD{dash}USD"])
    daemon = start(HUB + feed(preset, venue, more=f'{streams}\nsymbols = "*"\nfollow = true\n'))
    form = "candle.{}.5m" if "candle" in streams else "trade.{}"
    with daemon.peer() as peer:
        subscribe(peer, *(form.format(name) for name in ("BTC", "BAD", "SOL")))
        assert state(peer, form.format("BAD"), "stale")["cause"] == "f has refused the subscription"
        venue.wait_for_keys(f"BTC{dash}USD", f"SOL{dash}USD")
        if "candle" in streams:
            say_candle(venue, f"SOL{dash}USD")
        else:
            venue.trade(f"SOL{dash}USD", 1, 2, 3)
        assert get(peer, "candle" if "candle" in streams else "trade")["topic"] == form.format("SOL")
    assert set(map(str, venue.channels)) == {str(channel)}


@pytest.mark.parametrize(FORM, CANDLES)
def test_one_stands_in(start, opened, preset, kind, dash, streams, channel):
    binance, venue = opened(Venue), opened(kind)
    daemon = start(HUB + feed("binance-spot", binance, "binance", 'streams = "candle"\nintervals = "5m"\nsymbols = "SOLUSDT"\n')
                   + feed(preset, venue, more=f'{streams}\nsymbols = "SOL{dash}USD"\nstandby_for = "binance"\nafter = "100ms"\n'))
    binance.wait_for_keys("solusdt@kline_5m")
    with daemon.peer() as peer:
        subscribe(peer, "candle.SOL.5m")
        binance.end()
        venue.wait_for_keys(f"SOL{dash}USD")
        say_candle(venue, f"SOL{dash}USD")
        assert state(peer, "candle.SOL.5m", "failover")["feed"] == "f"
    assert venue.channels == [channel]


def test_check_tells_what_does_not_go_together(tmp_path):
    path = tmp_path / "hub.toml"
    path.write_text(HUB + '[feed.f]\npreset = "kraken"\nurl = "ws://h/"\nsymbols = "BTC/USD"\nstreams = ["candle", "trade"]\n'
                    'intervals = ["1m", "1h"]\nsubscribe_message = "x${keys}"\n')
    done = check(path)
    why = "of [feed.f] is one only, since keys of kraken do not say which: write a feed for each"
    assert done.stderr.splitlines() == [
        f'{path}:11: error: "streams" {why}', f'{path}:12: error: "intervals" {why}',
        f'{path}:13: error: "subscribe_message" of [feed.f] goes with "subscribe": the stream "candle" has one of its own']
    path.write_text(HUB + '[feed.f]\npreset = "kraken"\nurl = "ws://h/"\nsymbols = "BTC/USD"\nstreams = "candle"\nintervals = "1w"\n')
    done = check(path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "feed f: ws://h/, map kraken, 1 subscriptions" in done.stdout
