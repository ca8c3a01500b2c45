# SPDX-License-Identifier: Apache-2.0
"""Candles by REST of exchanges that are asked by times, and whose streams do not say what is closed."""
import json

import pytest
from candle_exchanges import Coinbase, Deribit, Kraken, figures
from test_history import HUB, answering, make_exchange, watch  # noqa: F401

PRESETS = {"coinbase": Coinbase, "deribit": Deribit, "kraken": Kraken}


@pytest.fixture(params=PRESETS)
def preset(request):
    return request.param


@pytest.fixture
def exchange(make_exchange, preset):  # noqa: F811
    return make_exchange(PRESETS[preset])


def config(exchange, preset, wanted=20, more=""):
    return HUB + (f'[feed.f]\npreset = "{preset}"\nurl = "{exchange.url}"\nsymbols = "{exchange.form.symbol}"\n'
                  f'streams = "candle"\nintervals = "5m"\nreconnect_base_delay = 0.05\nstale_timeout = 0\nserver_heartbeat_timeout = "1m"\n'
                  f'history = {wanted}\nhistory_url = "{exchange.history_url}"\nhistory_pause = 0\n{more}')


def text_of(exchange, number, closed=True):
    """What is published of a candle: by REST, or of the stream."""
    values = ",".join(f'"{name}":"{text}"' for name, text in zip(("open", "high", "low", "close", "volume"), figures(number)))
    short = exchange.form.topic.split(".")[1]
    return (f'{{"type":"candle","symbol":"{short}","interval":"5m","start":{exchange.start_of(number)},{values}'
            + (',"closed":true}' if closed else "}"))


def gap_of(exchange, number):
    short = exchange.form.topic.split(".")[1]
    return f'{{"type":"candle","symbol":"{short}","interval":"5m","start":{exchange.start_of(number)},"gap":true}}'


def live(exchange, watcher, number):
    exchange.push(number)
    watcher.wait_for(text_of(exchange, number, closed=False))


@pytest.fixture
def running(start, exchange, preset, watch):  # noqa: F811
    """A daemon with candles 10 to 29, and 30 open; and its peer."""
    exchange.put(range(30))
    exchange.put([30], closed=False)
    daemon = start(config(exchange, preset))
    loaded = watch(daemon, exchange.form.topic)
    assert [item["start"] for item in loaded.items] == [exchange.start_of(number) for number in range(10, 30)]
    assert all(loaded.snapshot.count(text_of(exchange, number)) == 1 for number in range(10, 30))
    assert loaded.state == "stale"
    exchange.wait_for_subscriptions(1)
    live(exchange, loaded, 30)
    return daemon, loaded


def test_rest_closes_what_the_stream_does_not(exchange, running):
    _, watcher = running
    live(exchange, watcher, 31)
    watcher.wait_for(text_of(exchange, 30))
    live(exchange, watcher, 32)
    live(exchange, watcher, 33)
    watcher.wait_for(text_of(exchange, 31), text_of(exchange, 32))
    # Nothing of it was a hole.
    assert watcher.closes() == [text_of(exchange, number) for number in (30, 31, 32)]
    assert '"gap"' not in "".join(watcher.texts)


def test_what_the_stream_did_not_bring_is_marked_and_filled(exchange, running, watch):  # noqa: F811
    daemon, watcher = running
    exchange.cut()
    exchange.put(range(30, 34))
    exchange.wait_for_subscriptions(2)
    live(exchange, watcher, 34)
    watcher.wait_for(*[text_of(exchange, number) for number in range(30, 34)])
    marks = [text for text in watcher.texts if '"gap"' in text]
    assert marks == [gap_of(exchange, number) for number in (31, 32, 33)]
    assert watcher.closes() == [text_of(exchange, number) for number in range(30, 34)]
    newcomer = watch(daemon, exchange.form.topic)
    assert '"gap"' not in newcomer.snapshot
    assert [item["start"] for item in newcomer.items if item.get("closed")] == [exchange.start_of(number) for number in range(10, 34)]


def test_an_interval_without_trades(exchange, running):
    _, watcher = running
    exchange.put([30])
    live(exchange, watcher, 32)
    close = figures(30)[3]
    flat = text_of(exchange, 31).split(',"open"')[0] + (
        f',"open":"{close}","high":"{close}","low":"{close}","close":"{close}","volume":"0","closed":true,"empty":true}}')
    watcher.wait_for(text_of(exchange, 30), flat)


def test_more_than_one_answer_has(start, exchange, preset, watch):  # noqa: F811
    wanted = 719 if preset == "kraken" else 1100
    exchange.put(range(30 - wanted - 10, 31))
    loaded = watch(start(config(exchange, preset, wanted)), exchange.form.topic)
    starts = [item["start"] for item in loaded.items]
    assert starts == [exchange.start_of(number) for number in range(30 - wanted, 30)]
    assert len(exchange.requests) == {"kraken": 1, "deribit": 2, "coinbase": 4}[preset]


@pytest.mark.parametrize(("refusal", "said"), [
    ({"error": ["EQuery:Unknown asset pair"]}, "Unknown asset pair"),
    ({"error": {"message": "Invalid params", "code": -32602}}, "Invalid params"),
    ({"error": "NOT_FOUND", "error_details": "valid product_id is required"}, "valid product_id"),
])
def test_a_refusal_is_told(start, exchange, preset, watch, refusal, said):  # noqa: F811
    exchange.fault = answering(200, json.dumps(refusal).encode())
    daemon = start(config(exchange, preset))
    assert said in daemon.wait_for("not all candles could be loaded")
    assert watch(daemon, exchange.form.topic).items == []
