# SPDX-License-Identifier: Apache-2.0
"""A day on the page, minute by minute, though no minute passes: the exchange ends all connections once, as it does each day, is away
another time while candles close, and its REST is down then. The page stays open, and has no hole."""
import json
import os
import socket
import subprocess
import sys

import pytest
from browser import Browser
from conftest import ROOT
from test_page_chromium import UNTIL

sys.path.insert(0, str(ROOT / "Tests" / "Daemon"))
os.environ.setdefault("DIST", os.path.dirname(os.environ["PULSEWS_LIBRARY"]))
from candle_exchanges import CandleExchange, figures
from daemons import Daemon
from test_history import Watcher, answering, text_of

BEFORE, DAY = 60, 1440
END = BEFORE + DAY
DAILY_CUT, OUTAGE = 700, 1100  # each takes three candles from the stream


@pytest.fixture
def exchange():
    made = CandleExchange()
    made.put(range(BEFORE))
    yield made
    made.close()


@pytest.fixture
def daemon(tmp_path, exchange):
    folder = tmp_path / "web"
    subprocess.run([ROOT / ".ci" / "page.sh", folder], check=True)
    (folder / "page" / "page.json").write_text(json.dumps({"symbols": ["SOL"], "intervals": ["1m"]}))
    with socket.socket() as holder:  # the origin has to be known before the port is bound
        holder.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % holder.getsockname()[1]
    made = Daemon(tmp_path, f"""
[hub]
listen = "{address}"
origin = "http://{address}"
drain_spread = 0
[static]
"/" = "{folder}"
[route."/ws/stream"]
[topic."price.*"]
[topic."**"]
[feed.f]
preset = "binance-spot"
url = "{exchange.url}"
symbols = "SOLUSDT"
streams = "candle"
intervals = "1m"
reconnect_base_delay = 0.05
stale_timeout = 0
history = {END}
history_url = "{exchange.history_url}"
history_pause = 0
""")
    yield made
    made.signal()
    assert made.wait() == 0


@pytest.fixture
def page(tmp_path_factory, daemon):
    with Browser(tmp_path_factory.mktemp("chromium")) as browser:
        browser.driver.get(f"http://{daemon.address}/page/")
        browser.run("[...document.querySelectorAll('#views button')].find((button) => button.textContent === 'Table').click()")
        yield browser


def shows(page, number, state):
    """Waits until that candle is the page's newest."""
    wanted = [*figures(number), state]
    page.run(UNTIL + "await until(() => JSON.stringify([...document.querySelectorAll('#candle-table tbody tr:first-child td')]"
             ".map(text)) === arguments[0])".replace("arguments[0]", json.dumps(json.dumps(wanted, separators=(",", ":")))))


def minute(exchange, number):
    """What comes of a minute: two updates, one that is late, and the close, once more than needed."""
    exchange.push(number)
    exchange.send(exchange.form.update(exchange.form.symbol, number - 1, figures(number - 1, 7), False))
    exchange.push(number)
    exchange.push(number, closed=True)
    exchange.push(number, closed=True)


def cut(exchange, number):
    """Three candles close while nobody is connected."""
    count = len(exchange.subscriptions)
    exchange.cut()
    exchange.put(range(number, number + 3))
    exchange.wait_for_subscriptions(count + 1)
    return number + 3


def test_a_day_has_no_hole(exchange, daemon, page):
    exchange.wait_for_subscriptions(1)
    with daemon.peer(max_size=None) as peer:
        watcher = Watcher(peer, "candle.SOL.1m")
        number = BEFORE
        while number < END:
            if number == DAILY_CUT:
                number = cut(exchange, number)
            elif number == OUTAGE:
                exchange.fault = answering(503, b"maintenance")
                number = cut(exchange, number)
            minute(exchange, number)
            if number == OUTAGE + 3:
                daemon.wait_for("candles are missing")
                exchange.fault = None
            if number % 60 == 59 or number in (DAILY_CUT + 3, OUTAGE + 3):
                watcher.wait_for(text_of(number))
                shows(page, number, "")
            number += 1
        exchange.push(END)
        watcher.wait_for(*[text_of(number) for number in range(BEFORE, END)])
    # Each closed once, to the byte; so did the one that REST alone could not know to be closed.
    assert sorted(watcher.closes()) == sorted(text_of(number) for number in range(BEFORE - 1, END))
    shows(page, END, "open")
    page.run(UNTIL + "await until(() => text($('#candles-note')) === '' && $('#candle-table .hole') === null)")
    rows = page.run("return [...document.querySelectorAll('#candle-table tbody tr')]"
                    ".map((row) => [...row.children].map((one) => one.textContent))")
    assert [row[1:6] for row in rows] == [list(figures(number)) for number in range(END, END - len(rows), -1)] and len(rows) == 200
    page.driver.refresh()
    page.run(UNTIL + "await until(() => $('#views button'))")
    page.run("[...document.querySelectorAll('#views button')].find((button) => button.textContent === 'Table').click()")
    shows(page, END, "open")
    assert page.run(UNTIL + "return text($('#candles-note'))") == ""
    assert page.console() == []
