# SPDX-License-Identifier: Apache-2.0
"""The page of bindings/web in Chromium, served by a hub: what it shows, and what it shows when something breaks."""
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

import pytest
from browser import BOUND, Browser
from conftest import ROOT
from hub import CODES, Hub
from selenium.webdriver.common.keys import Keys
from test_hub_chromium import SECRET, token

MINUTE = 60_000
# Waits for the page to be as it should: looks at each change of it, since every change is one of its elements.
UNTIL = f"const BOUND = {1000 * BOUND};" + """const until = (check) => new Promise((done, fail) => {
             const look = () => { const found = check(); if (found) { end(); done(found); } };
             const watch = new MutationObserver(look);
             const timer = setTimeout(() => { end(); fail(new Error(document.body.innerText)); }, BOUND);
             const end = () => { watch.disconnect(); clearTimeout(timer); };
             watch.observe(document, {subtree: true, childList: true, characterData: true, attributes: true});
             look();
           });
           const $ = (selector) => document.querySelector(selector);
           const line = (symbol) => $(`.lines [data-symbol="${symbol}"]`);
           const text = (element) => element?.textContent ?? "";
           const priceOf = (symbol) => text(line(symbol)?.querySelector(".price")).replace(/^[\\u25b2\\u25bc]/, "");
           const stateOf = (symbol) => text(line(symbol)?.querySelector(".state"));"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What a hub serves: the page as `make page` lays it out."""
    made = tmp_path_factory.mktemp("served") / "web"
    subprocess.run([ROOT / ".ci" / "page.sh", made], check=True)
    return made


class Served:
    """The browser and the page in it."""

    def __init__(self, browser, folder):
        self.browser, self.driver, self.folder = browser, browser.driver, folder
        with socket.socket() as holder:  # the origin has to be known before the port is bound
            holder.bind(("127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % holder.getsockname()[1]
        self.size(1440, 900)

    def configure(self, **config):
        (self.folder / "page" / "page.json").write_text(json.dumps({"symbols": ["BTC", "SOL"], **config}))

    @contextlib.contextmanager
    def serving(self, routes=None, **options):
        """A hub that outlives its page, which has nothing to complain about."""
        with self.hub(routes, **options) as hub:
            yield hub
            assert self.browser.console() == []
            self.driver.get("about:blank")

    def hub(self, routes=None, **options):
        given = {"topics": {"price.*": {"latest": "true"}, "candle.*.1m": {"latest": "true"}, "**": {"history": "100"}}, **options}
        return Hub(self.address, origin=f"http://{self.address}", **given,
                   routes={"/": {"kind": "static", "folder": str(self.folder)}, "/ws/stream": {}, **(routes or {})})

    def open(self):
        self.driver.get("about:blank")
        self.browser.console()
        self.driver.get(f"http://{self.address}/page/")

    def size(self, width, height):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})

    def until(self, condition, *arguments):
        """Waits for a condition of the page, and returns what it is."""
        return self.browser.run(f"{UNTIL} return await until(() => {condition})", *arguments)

    def run(self, body, *arguments):
        return self.browser.run(UNTIL + body, *arguments)


@pytest.fixture
def page(browser, folder):
    served = Served(browser, folder)
    served.configure()
    yield served
    browser.driver.get("about:blank")


def publish_price(hub, symbol, price):
    hub.publish(f"price.{symbol}", {"type": "price_update", "symbol": symbol, "price": price, "ts": int(time.time() * 1000)})


def publish_candle(hub, minute, close, symbol="BTC", **more):
    start = 1_796_000_000_000 // MINUTE * MINUTE + minute * MINUTE
    hub.publish(f"candle.{symbol}.1m", {"type": "candle", "symbol": symbol, "interval": "1m", "start": start, "open": "1.10",
                                        "high": "1.30", "low": "1.00", "close": close, "volume": "7.0", **more}, str(start))


@contextlib.contextmanager
def again_and_again(publish):
    """For what is stale soon: a page that is late on a busy machine still sees it fresh."""
    ended = threading.Event()

    def run():
        while not ended.wait(0.1):
            publish()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_prices_arrive_and_change(page):
    with page.serving() as hub:
        publish_price(hub, "BTC", "64250.10")
        page.open()
        assert page.until("priceOf('BTC') === '64250.10' && stateOf('BTC')") == "Live"
        assert page.until("stateOf('SOL') !== '' && stateOf('SOL')") == "No price"
        publish_price(hub, "BTC", "64250.30")
        publish_price(hub, "SOL", "0.000000120")
        page.until("priceOf('BTC') === '64250.30' && priceOf('SOL') === '0.000000120'")
        cells = page.run("return ['.arrow', '.change', '.percent'].map((name) => text(line('BTC').querySelector(name)))")
        assert cells == ["\u25b2", "+0.20", "0.00\u00a0%"]
        hub.publish("price.BTC", b'{"type":"price_update","symbol":"BTC","price":64250.250}')
        page.until("priceOf('BTC') === '64250.250' && text(line('BTC').querySelector('.change')) === '+0.150'")
        page.until("text($('#summary')) === '2\\u00a0live' && $('#banner').hidden")


def test_what_is_not_fresh_does_not_look_so(page):
    with page.serving() as hub:
        publish_price(hub, "BTC", "1.5")
        publish_price(hub, "SOL", "2.5")
        page.open()
        page.until("stateOf('BTC') === 'Live' && stateOf('SOL') === 'Live'")
        for state, word in (("STALE", "Stale"), ("GAP", "Gap"), ("FAILOVER", "Failover"), ("DEGRADED", "Degraded"), ("ENDED", "Ended")):
            hub.do("topic_state", "price.BTC", CODES[f"TOPIC_{state}"], "the exchange is silent")
            page.until(f"stateOf('BTC') === '{word}' && line('BTC').classList.contains('old')")
            assert "The exchange is silent." in page.run("return line('BTC').querySelector('.state').title")
            assert page.run("return stateOf('SOL')") == "Live"
            icon, colour, price, fresh = page.run("""return [line("BTC").querySelector("path").getAttribute("d"),
                ...[".state", ".price"].map((name) => getComputedStyle(line("BTC").querySelector(name)).color),
                getComputedStyle(line("SOL").querySelector(".price")).color]""")
            assert icon and price != fresh and colour != fresh
        hub.do("topic_state", "price.BTC", CODES["TOPIC_LIVE"], None)
        page.until("stateOf('BTC') === 'Live' && !line('BTC').classList.contains('old')")


def test_another_source_is_shown(page):
    with page.serving() as hub:
        publish_price(hub, "BTC", "1.5")
        page.open()
        page.until("stateOf('BTC') === 'Live'")
        for start, end in (("binance-1", "binance-2"), ("binance", "<b>kraken</b>")):
            hub.send(0, json.dumps({"type": "feed", "data": {"from": start, "to": end, "cause": "the connection was reset"}}))
            page.until(f"text($('#hub-body')).includes('from {start} to {end}, the connection was reset')")
        lines = page.run("return [...document.querySelectorAll('#hub-body > .note')].map(text)")
        assert [re.sub(r"^\d\d:\d\d:\d\d\u00a0UTC: ", "", line) for line in lines if " to " in line] == [
            "from binance to <b>kraken</b>, the connection was reset", "from binance-1 to binance-2, the connection was reset"]
        assert page.run("return stateOf('BTC')") == "Live"  # of that the topic's own state tells


def test_only_rows_that_can_be_seen_are_written_to(page):
    symbols = [f"S{number:03}" for number in range(200)]
    page.configure(symbols=symbols)
    with page.serving() as hub:
        page.open()
        page.until("line('S199') && stateOf('S000') === 'No price'")
        for symbol in symbols:
            publish_price(hub, symbol, "1.5")
        page.until("priceOf('S000') === '1.5' && text($('#summary')) === '200\\u00a0live'")
        page.run("window.node = line('S000').querySelector('.price').lastChild")
        publish_price(hub, "S000", "1.6")
        page.until("priceOf('S000') === '1.6'")
        assert page.run("return [window.node === line('S000').querySelector('.price').lastChild, priceOf('S199')]") == [True, ""]
        page.run("line('S199').scrollIntoView()")
        page.until("priceOf('S199') === '1.5' && stateOf('S199') === 'Live'")


def test_a_price_that_nobody_renews_becomes_stale_by_itself(page):
    page.configure(staleAfter=1)
    with page.serving() as hub:
        publish_price(hub, "BTC", "1.5")
        page.open()
        page.until("stateOf('BTC') === 'Stale'")
        with again_and_again(lambda: publish_price(hub, "BTC", "1.6")):
            page.until("priceOf('BTC') === '1.6' && stateOf('BTC') === 'Live'")
        page.until("priceOf('BTC') === '1.6' && stateOf('BTC') === 'Stale'")


def test_candles_that_do_not_come_any_more_become_stale_by_themselves(page):
    page.configure(staleAfter=1, intervals=["1s"])
    with page.serving(topics={"candle.*.1s": {"latest": "true"}, "**": {}}) as hub:
        candle = {"type": "candle", "start": 1000, "open": "1", "high": "1", "low": "1", "close": "1.0"}
        hub.publish("candle.BTC.1s", candle, "1000")
        page.open()
        page.until("text($('#candles-state')) === 'Stale' && text($('#legend')).includes('C\\u00a01.0')")
        with again_and_again(lambda: hub.publish("candle.BTC.1s", {**candle, "start": 2000, "close": "1.10"}, "2000")):
            page.until("text($('#candles-state')) === 'Live' && text($('#legend')).includes('C\\u00a01.10')")


def test_a_module_of_the_site_gives_tokens(page):
    text = token(sub="u", exp=int(time.time()) + 600)
    (page.folder / "page" / "token.js").write_text(f'export const token = async () => "{text}";\n')
    page.configure(token="token.js")
    with page.serving(auth="required", keys={"main": ("HS256", SECRET)}) as hub:
        publish_price(hub, "BTC", "1.5")
        page.open()
        page.until("priceOf('BTC') === '1.5' && stateOf('BTC') === 'Live'")


@contextlib.contextmanager
def running(*command):
    """A program that prints a line when it is ready, and ends with its standard input."""
    process = subprocess.Popen([sys.executable, *map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "PYTHONPATH": str(ROOT / "bindings" / "python")})
    try:
        process.ready = process.stdout.readline()
        assert process.ready, f"{command} did not start"
        yield process
    finally:
        process.kill()
        process.communicate()


def exchange(*more):
    return running(ROOT / "examples" / "simulator" / "exchange.py", "--plain", "--with-parent", "--rate", "20", *more)


def test_the_program_of_the_documentation_serves_it(page, tmp_path):
    section = (ROOT / "docs" / "WEB.md").read_text().split("\n## The page\n")[1]
    program = re.search(r"^```python\n(.*?)^```", section, re.M | re.S)[1]
    assert "stale_after=5" in program and program.count("        await asyncio.Event().wait()\n") == 1
    (tmp_path / "program.py").write_text(program.replace("127.0.0.1:8080", page.address).replace("dist/web", str(page.folder)).replace(
        "        await asyncio.Event().wait()\n", """
        print(flush=True)
        while True:  # what came once would be stale before a slow browser has the page
            hub.publish("price.SOL", {"type": "price_update", "price": "1.50"})
            await asyncio.sleep(0.1)
"""))
    with running(tmp_path / "program.py"):
        page.open()
        page.until("priceOf('SOL') === '1.50' && stateOf('SOL') === 'Live'")
        assert page.browser.console() == []
        page.driver.get("about:blank")


def feeding_hub(page, port):
    return running(ROOT / "Tests" / "Integration" / "page_hub.py", page.address, page.folder, f"ws://127.0.0.1:{port}/stream",
                   "btcusdt@bookTicker", "btcusdt@kline_1m", "solusdt@bookTicker")


def test_the_exchange_is_killed_and_comes_back(page):
    with exchange() as first:
        port = json.loads(first.ready)["port"]
        with feeding_hub(page, port):
            page.open()
            page.until("stateOf('BTC') === 'Live' && stateOf('SOL') === 'Live' && text($('#candles-state')) === 'Live'")
            first.kill()
            begin = time.monotonic()
            page.until("stateOf('BTC') === 'Stale' && stateOf('SOL') === 'Stale' && text($('#candles-state')) === 'Stale'")
            assert time.monotonic() - begin < 10
            assert page.run("return [$('#banner').hidden, text($('#hub-body')).includes('exchange')]") == [True, True]
            old = page.run("return priceOf('BTC')")
            page.until("/^[2-9]/.test(text(line('BTC').querySelector('.age')))")  # it counts up
            assert page.run("return priceOf('BTC')") == old
            with exchange("--port", str(port)):
                page.until("stateOf('BTC') === 'Live' && stateOf('SOL') === 'Live'")


def test_the_hub_is_killed_and_comes_back(page):
    with exchange() as source:
        port = json.loads(source.ready)["port"]
        with feeding_hub(page, port) as hub:
            page.open()
            page.until("stateOf('BTC') === 'Live' && text($('#candles-state')) === 'Live'")
            assert page.browser.console() == []
            hub.kill()
            begin = time.monotonic()
            page.until("stateOf('BTC') === 'Offline' && stateOf('SOL') === 'Offline' && text($('#candles-state')) === 'Offline' &&"
                       "text($('#equity-state')) === 'Offline' && !$('#banner').hidden")
            assert time.monotonic() - begin < 10
            said = page.run("return text($('#banner'))")
            assert re.match(r"No connection to the hub since \d\d:\d\d:\d\d.UTC\. All prices are old\.", said)
            page.until("/^[2-9]/.test(text(line('BTC').querySelector('.age')))")
            assert page.run("return [text($('#hub-note')).slice(0, 12), $('#hub').classList.contains('old')]") == ["As it was at", True]
        with feeding_hub(page, port):
            page.until("stateOf('BTC') === 'Live' && stateOf('SOL') === 'Live' && $('#banner').hidden")
        said = page.browser.console()  # what the browser itself says of a server that is not there
        assert all("ERR_CONNECTION" in line or "/ws/status" in line for line in said), said


def test_a_price_of_before_is_not_live_after_a_restart(page):
    with page.hub() as hub:
        publish_price(hub, "BTC", "1.5")
        page.open()
        page.until("stateOf('BTC') === 'Live'")
    page.until("stateOf('BTC') === 'Offline'")
    with page.hub() as hub:
        page.until("$('#banner').hidden && stateOf('BTC') === 'Checking' && line('BTC').classList.contains('old')")
        publish_price(hub, "BTC", "1.6")
        page.until("priceOf('BTC') === '1.6' && stateOf('BTC') === 'Live'")
    assert all("ERR_CONNECTION" in line or "/ws/status" in line for line in page.browser.console())


def test_candles_as_a_chart_and_as_a_table(page):
    with page.serving() as hub:
        for minute in (0, 1, 2, 6):
            publish_candle(hub, minute, f"1.2{minute}0", closed=True)
        publish_candle(hub, 7, "1.100")
        page.open()
        page.until("$('#chart canvas') && text($('#legend')).includes('C\\u00a01.100')")
        assert "V\u00a07.0" in page.run("return text($('#legend'))") and page.run("return text($('#legend'))").endswith("open")
        assert "(3)" in page.run("return text($('#candles-note'))")
        assert page.run("return [$('#attribution').hidden, $('#attribution a').href]") == [False, "https://www.tradingview.com/"]
        publish_candle(hub, 6, "9.9", closed=False)  # late
        publish_candle(hub, 7, "1.1000", closed=True)
        publish_candle(hub, 4, "1.240", closed=True)
        page.until("text($('#legend')).includes('C\\u00a01.1000') && !text($('#legend')).includes('open')")
        page.run("[...document.querySelectorAll('#views button')].at(-1).click()")
        page.until("document.querySelectorAll('#candle-table tbody tr').length === 8")
        rows = page.run("""return [...document.querySelectorAll("#candle-table tbody tr")]
                             .map(({children}) => text(children[4] ?? children[0]))""")
        assert [row[-29:] if "missing" in row else row for row in rows] == [
            "1.1000", "1.260", rows[2][-29:], "1.240", rows[4][-29:], "1.220", "1.210", "1.200"]
        assert rows[2].endswith(": one candle is missing") and rows[4].endswith(": one candle is missing")


def test_holes_that_the_hub_tells_and_fills(page):
    with page.serving() as hub:
        publish_candle(hub, 0, "1.210", closed=True)
        publish_candle(hub, 1, "1.220")  # its close is missed
        publish_candle(hub, 4, "1.250")
        page.open()
        page.run("[...document.querySelectorAll('#views button')].at(-1).click()")
        page.until("text($('#candles-note')).includes('(2)') && text($('#candle-table')).includes('1.220')")
        for minute in (1, 2, 3):
            publish_candle(hub, minute, "", gap=True)
        told = "text($('#candles-note')).includes('(3)') && text($('#candle-table')).includes('3 candles are missing')"
        page.until(told + " && !text($('#candle-table')).includes('1.220')")
        page.open()  # as a newcomer
        page.run("[...document.querySelectorAll('#views button')].at(-1).click()")
        page.until(told + " && document.querySelectorAll('#candle-table tbody tr').length === 3")
        for minute in (1, 2, 3):
            publish_candle(hub, minute, f"1.2{minute + 2}5", closed=True)
        page.until("$('#candles-note').hidden && document.querySelectorAll('#candle-table tbody tr').length === 5")
        closes = page.run("return [...document.querySelectorAll('#candle-table tbody tr')].map(({children}) => text(children[4]))")
        assert closes == ["1.250", "1.255", "1.245", "1.235", "1.210"]
        page.run("document.querySelectorAll('#views button')[0].click()")
        page.until("$('#chart canvas') && text($('#legend')).includes('C\\u00a01.250')")
    assert all("ERR_CONNECTION" in line or "/ws/status" in line for line in page.browser.console())


BROKEN = {
    "missing.js": (None, "missing.js can't be loaded"),
    "empty.js": ("// nothing\n", "empty.js is no Lightweight Charts"),
    "throws.js": ("window.LightweightCharts = { createChart() { throw new Error('no canvas'); } };\n", "no canvas"),
    "later.js": ("""const get = (_, name) => name === Symbol.toPrimitive ? () => 0 : serve();
        const serve = () => new Proxy(function () {}, { get, apply: () => serve() });
        window.LightweightCharts = { createChart() { requestAnimationFrame(() => { throw new Error("in a frame"); }); return serve(); } };
        """, "in a frame"),
}


@pytest.mark.parametrize("script", BROKEN)
def test_a_chart_that_breaks_leaves_the_page_alive(page, script):
    source, sentence = BROKEN[script]
    if source is not None:
        (page.folder / "page" / script).write_text(source)
    page.configure(chart=script)
    with page.serving() as hub:
        publish_price(hub, "BTC", "1.5")
        publish_candle(hub, 0, "1.250", closed=True)
        page.open()
        page.until("!$('#candle-table').hidden && text($('#candle-table')).includes('1.250')")
        assert sentence in page.run("return text($('#candles-note'))")
        publish_price(hub, "BTC", "1.6")
        publish_candle(hub, 1, "1.260")
        page.until("priceOf('BTC') === '1.6' && stateOf('BTC') === 'Live' && text($('#candle-table')).includes('1.260')")
        assert page.run("return $('#attribution').hidden")
        if script == "missing.js":
            (said,) = page.browser.console()
            assert "missing.js" in said and "404" in said


def test_orders_signals_and_equity(page):
    with page.serving() as hub:
        hub.publish("equity_snapshot", {"type": "equity_snapshot", "equity": "1000.00"})
        hub.publish("order", b'{"type":"order","symbol":"SOL","side":"buy","quantity":0.150,"price":"187.20","status":"new","id":"o-1"}')
        page.open()
        page.until("$('#entries li[data-type=\"order\"]')")
        assert page.run("return text($('#entries li')).replace(/^\\S+/, '').replace(/\\s+/g, ' ').trim()") == \
            "order SOL buy new quantity 0.150 price 187.20 id o-1"
        page.until("text($('#equity .value')) === '1000.00'")
        hub.publish("signal", {"type": "signal", "symbol": "SOL", "side": "sell"})
        hub.publish("signal_status", {"type": "signal_status", "status": "done"})
        hub.publish("trade_executed", {"type": "trade_executed", "symbol": "SOL"})
        hub.publish("equity_snapshot", {"type": "equity_snapshot", "equity": "1012.50"})
        page.until("document.querySelectorAll('#entries li').length === 4 && text($('#entries li')).includes('trade executed')")
        page.until("text($('#equity .value')) === '1012.50' && text($('#equity .change')) === '+12.50 (+1.25\\u00a0%)'")
        assert page.run("return $('#equity path').getAttribute('d') !== ''")
        page.run("$('#entries li').dataset.mark = 'kept'")
        hub.publish("signal_status", {"type": "signal_status", "status": "over"})
        page.until("document.querySelectorAll('#entries li').length === 5 && $('#entries li:nth-child(2)').dataset.mark === 'kept'")
        page.run("[...document.querySelectorAll('#kinds button')].find((button) => button.textContent === 'signal').click()")
        page.until("document.querySelectorAll('#entries li').length === 1 && $('#entries li').dataset.type === 'signal'")


def test_the_hub_shows_itself(page):
    with page.serving():
        page.open()
        page.until("text($('#hub-body')).includes('running') && text($('#hub-body')).includes('Peers')")


def test_the_list_of_peers_where_the_application_gives_it(page):
    page.configure(peers="/peers")
    with page.serving({"/peers": {"kind": "application"}}, events="http_request") as hub:
        page.open()
        request = hub.event("http_request").request
        hub.answer(request, 200, "Content-Type: application/json\n", hub.text("peers_json").encode())
        page.until("text($('#hub-body')).includes('Peers: 1') && text($('#hub-body')).includes('127.0.0.1')")


def test_a_hub_that_does_not_show_itself(page):
    with page.serving({"/ws/status": {"kind": "application"}}, events="http_request") as hub:
        publish_price(hub, "BTC", "1.5")
        page.open()
        hub.answer(hub.event("http_request").request, 403, body=b"no")
        page.until("text($('#hub-body')).includes('does not show its figures here (403') && stateOf('BTC') === 'Live'")
        (said,) = page.browser.console()
        assert "/ws/status" in said and "403" in said


def test_topics_that_the_hub_refuses_or_chooses(page):
    page.configure(symbols=["BTC", "NOPE"], streams=["order", "secret"])
    topics = {"price.BTC": {}, "price.ETH": {"latest": "true"}, "order": {}}
    with page.serving({"/ws/stream": {"topic": ["price.ETH"]}}, topics=topics) as hub:
        publish_price(hub, "ETH", "3.5")
        page.open()
        page.until("stateOf('NOPE') === 'Refused' && priceOf('ETH') === '3.5' && stateOf('ETH') === 'Live'")
        assert "no topic of this name" in page.run("return line('NOPE').querySelector('.state').title")
        page.until("text($('#stream-note')).includes('secret: there is no topic of this name')")
        assert hub["active_connections"] == 1


def test_a_page_that_can_not_start_says_why(page):
    page.configure(sympols=[])
    with page.serving():
        page.open()
        page.until("text($('#banner')).includes('there is no setting sympols')")
        (said,) = page.browser.console()
        assert "there is no setting sympols" in said


def test_keyboard_filter_sort_and_theme(page):
    page.configure(symbols=["BTC", "ETH", "SOL"])
    with page.serving() as hub:
        publish_price(hub, "ETH", "1.5")
        page.open()
        page.until("line('SOL') && stateOf('ETH') === 'Live' && text($('#candles-title')) === 'BTC 1m'")
        page.run("line('BTC').focus()")
        page.driver.switch_to.active_element.send_keys(Keys.ARROW_DOWN, Keys.END, Keys.ENTER)
        page.until("text($('#candles-title')) === 'SOL 1m' && location.hash === '#SOL'")
        assert page.run("return ['BTC', 'SOL'].map((symbol) => line(symbol).getAttribute('aria-selected'))") == ["false", "true"]
        assert page.run("return [...document.querySelectorAll('.lines .line')].map((one) => one.tabIndex)") == [-1, -1, 0]
        page.run("$('#filter').focus()")
        page.driver.switch_to.active_element.send_keys("et")
        page.until("document.querySelectorAll('.lines .line').length === 1 && line('ETH') && text($('#shown')) === '1 of 3'")
        page.driver.switch_to.active_element.send_keys(Keys.BACKSPACE, Keys.BACKSPACE)
        page.until("document.querySelectorAll('.lines .line').length === 3")
        page.run("$('.heads .state button').click()")
        page.until("[...document.querySelectorAll('.lines .line')].map((one) => one.dataset.symbol).join() === 'BTC,SOL,ETH'")
        assert page.run("return document.querySelector('[aria-sort]').textContent") == "State"
        grounds = []
        for theme in ("light", "dark", "system"):
            page.run("$('#theme').click()")
            assert page.run("return [text($('#theme')), $('#card').getAttribute('theme')]") == [
                f"Theme: {theme}", None if theme == "system" else theme]
            grounds.append(page.run("return getComputedStyle(document.body).backgroundColor"))
        assert grounds[0] != grounds[1]


def test_what_a_screen_reader_gets(page):
    with page.serving() as hub:
        publish_price(hub, "BTC", "1.50")
        page.open()
        page.until("stateOf('BTC') === 'Live' && priceOf('BTC') === '1.50'")
        nodes = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        named = {(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if "role" in node}
        roles = {role for role, _ in named}
        assert {"grid", "row", "gridcell", "columnheader", "rowheader", "banner", "main", "status"} <= roles
        page.until("text($('#voice')) === text($('#summary'))")
        for wanted in (("grid", "Prices"), ("searchbox", "Filter symbols"), ("gridcell", "1.50"), ("gridcell", "Live"),
                       ("heading", "Orders and signals"), ("group", "Interval"), ("button", "Theme: system")):
            assert wanted in named, (wanted, sorted(named))


@pytest.mark.parametrize("width", [320, 390, 768, 1024, 1280, 1440])
def test_nothing_is_wider_than_the_window(page, width):
    page.size(width, 844)
    page.configure(symbols=["BTC", "AVERYLONGSYMBOLNAME"])
    with page.serving() as hub:
        publish_price(hub, "BTC", "0.000000123456")
        publish_price(hub, "AVERYLONGSYMBOLNAME", "16795610.22313256")
        publish_candle(hub, 0, "1.250", closed=True)
        hub.publish("order", {"type": "order", "symbol": "SOL", "reason": "averylongwordwithoutanyblank" * 6})
        page.open()
        page.until("priceOf('AVERYLONGSYMBOLNAME') === '16795610.22313256' && $('#entries li') && $('#chart canvas')")
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")
        # A price that is cut off would be another price.
        assert page.run("""return [...document.querySelectorAll(".lines .price")].filter((cell) => cell.scrollWidth > cell.clientWidth)
                             .map(text)""") == []
