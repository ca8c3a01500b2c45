# SPDX-License-Identifier: Apache-2.0
"""The page in one file in Chromium: opened from a disk and from a server that knows nothing of hubs."""
import contextlib
import functools
import http.server
import json
import re
import subprocess
import threading
import urllib.parse

import pytest
from browser import Browser
from conftest import ROOT
from hub import Hub
from test_hub_proxied import behind
from test_page_chromium import BROKEN, UNTIL, publish_candle, publish_price

GROUNDS = {"light": "rgb(243, 245, 247)", "dark": "rgb(13, 17, 22)"}
TOPICS = {"price.*": {"latest": "true"}, "candle.*.1m": {"latest": "true"}, "**": {"history": "100"}}
NO_ORIGIN = re.search(r"^```nginx\n(.*?)^```", (ROOT / "docs" / "WEB.md").read_text(), re.S | re.M)[1]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


def made(folder, **config):
    """The file, of the page as `make page` lays it out."""
    (folder / "page").mkdir(parents=True, exist_ok=True)
    (folder / "page" / "page.json").write_text(json.dumps({"symbols": ["BTC", "SOL"], **config}))
    subprocess.run([ROOT / ".ci" / "page.sh", folder], check=True)
    return folder / "single.html"


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """Alone in a folder."""
    folder = tmp_path_factory.mktemp("alone")
    return made(tmp_path_factory.mktemp("made")).rename(folder / "single.html")


@contextlib.contextmanager
def server(folder):
    """A static server: its port, and the paths that were asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as one:
        thread = threading.Thread(target=one.serve_forever)
        thread.start()
        try:
            yield one.server_address[1], asked
        finally:
            one.shutdown()
            thread.join()


@contextlib.contextmanager
def placed(where, single):
    """A hub, the address of the hub for the page, and that of the page without it."""
    if where == "disk":
        host = "proxy_set_header Host $host;"
        with Hub(topics=TOPICS) as hub, behind("nginx", hub, {host: host + NO_ORIGIN}) as front:
            yield hub, f"ws://127.0.0.1:{front.port}", f"file://{single}"
    else:
        with server(single.parent) as (port, asked):
            with Hub(topics=TOPICS, origin=f"http://127.0.0.1:{port}") as hub:
                yield hub, f"ws://127.0.0.1:{hub.port}", f"http://127.0.0.1:{port}/single.html"
            assert {urllib.parse.urlsplit(path).path for path in asked} == {"/single.html"}


@pytest.fixture
def page(browser):
    browser.driver.get("about:blank")
    browser.console()
    yield browser
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.driver.get("about:blank")


def until(page, condition):
    return page.run(f"{UNTIL} return await until(() => {condition})")


@pytest.mark.parametrize("theme", GROUNDS)
@pytest.mark.parametrize("where", ["disk", "server"])
def test_prices_candles_and_state(page, single, where, theme):
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]})
    with placed(where, single) as (hub, address, url):
        publish_price(hub, "BTC", "64250.10")
        for minute in (0, 1, 3):
            publish_candle(hub, minute, f"1.2{minute}0", closed=True)
        page.driver.get(f"{url}?hub={urllib.parse.quote(address)}")
        until(page, "priceOf('BTC') === '64250.10' && stateOf('BTC') === 'Live' && stateOf('SOL') === 'No price'")
        until(page, "$('#chart canvas') && text($('#legend')).includes('C\\u00a01.230') && text($('#candles-state')) === 'Live'")
        assert "(1)" in page.run("return document.querySelector('#candles-note').textContent")
        publish_price(hub, "SOL", "187.20")
        publish_candle(hub, 4, "1.240")
        until(page, "priceOf('SOL') === '187.20' && text($('#summary')) === '2\\u00a0live' && text($('#legend')).includes('C\\u00a01.240')")
        word, ground, blocked, loaded = page.run("""
            return [document.querySelector("#card").shadowRoot.querySelector(".word").textContent,
                    getComputedStyle(document.body).backgroundColor, document.querySelector("#blocked").offsetHeight,
                    performance.getEntriesByType("resource").map(({name}) => name)]""")
        assert (word, ground, blocked, loaded) == ("Connected", GROUNDS[theme], 0, [])
        hub.do("topic_state", "price.BTC", 2, "the exchange is silent")
        until(page, "line('BTC').classList.contains('old')")
        assert page.console() == []
    until(page, "stateOf('BTC') === 'Offline' && !$('#banner').hidden")


def test_the_hub_in_the_file(page, single, tmp_path):
    """In `data-hub`, with the path of a route; what the page's address names counts more."""
    with server(tmp_path) as (port, _):
        options = {"topics": TOPICS, "origin": f"http://127.0.0.1:{port}"}
        with Hub(routes={"/ws/own": {}}, **options) as own, Hub(**options) as other:
            text = single.read_text()
            assert text.count('data-hub=""') == 1
            (tmp_path / "own.html").write_text(text.replace('data-hub=""', f'data-hub="ws://127.0.0.1:{own.port}/ws/own"'))
            publish_price(own, "BTC", "1.5")
            publish_price(other, "BTC", "2.5")
            page.driver.get(f"http://127.0.0.1:{port}/own.html")
            until(page, "priceOf('BTC') === '1.5' && stateOf('BTC') === 'Live'")
            page.driver.get(f"http://127.0.0.1:{port}/own.html?hub=http://127.0.0.1:{other.port}")
            until(page, "priceOf('BTC') === '2.5' && stateOf('BTC') === 'Live'")
            assert page.console() == []


def test_nothing_else_runs_in_it(page, single, tmp_path):
    """Its policy names what it has: neither a script that was put into it nor one that was changed runs, and nothing is loaded."""
    text = single.read_text()
    (tmp_path / "more.html").write_text(text.replace("<main>", '<script>window.added = 1;</script><img src="x.png"><main>'))
    with server(tmp_path) as (port, asked):
        page.driver.get(f"http://127.0.0.1:{port}/more.html?hub=ws://127.0.0.1:1")
        until(page, "!$('#banner').hidden")
        assert page.run("return window.added === undefined") and [path.partition("?")[0] for path in asked] == ["/more.html"]
    assert sum("Content Security Policy" in said for said in page.console()) == 2
    changed = text.replace("(() => {\n\"use strict\";", "(() => {\n\"use strict\"; ")
    assert changed != text
    (tmp_path / "changed.html").write_text(changed)
    page.driver.get(f"file://{tmp_path}/changed.html?hub=ws://127.0.0.1:1")
    assert page.run("return window.pulsewsPage === undefined")
    assert any("Content Security Policy" in said for said in page.console())


@pytest.mark.parametrize(("query", "sentence"), [
    ("", "put ?hub=wss://host:port behind its address"), ("?hub=javascript:alert(1)", "setting hub is an address such as wss://host:port"),
    ("?hub=nothing", "setting hub is an address such as wss://host:port")])
def test_it_says_what_it_needs(page, single, query, sentence):
    page.driver.get(f"file://{single}{query}")
    until(page, f"text($('#banner')).includes({json.dumps(sentence)})")
    (said,) = page.console()
    assert "Uncaught" in said


def test_a_hub_that_takes_no_page_from_a_disk(page, single):
    """Its origin is `null`, as that of anybody's sandboxed page: a hub takes none of those."""
    with Hub(origin="*") as hub:
        page.driver.get(f"file://{single}?hub=ws://127.0.0.1:{hub.port}")
        until(page, "text($('#banner')).includes('No connection to the hub yet')")
        assert hub.until("upgrades_refused", 1) and hub["upgrades"] == 0


def test_a_hub_serves_it_without_running_it(page, tmp_path):
    """The policy of static files allows no script in a page; what stands there says so, and leads to the one that runs."""
    made(tmp_path)
    with server(tmp_path) as (port, _):  # a free port
        pass
    address = f"127.0.0.1:{port}"
    with Hub(address, origin=f"http://{address}", topics=TOPICS,
             routes={"/": {"kind": "static", "folder": str(tmp_path)}, "/ws/stream": {}}) as hub:
        publish_price(hub, "BTC", "1.5")
        page.driver.get(f"http://{address}/single.html")
        assert page.run("return document.querySelector('#blocked').innerText").startswith("Nothing of this page may run here")
        assert len(page.console()) >= 4  # scripts and style
        page.driver.find_element("css selector", "#blocked a").click()
        until(page, "priceOf('BTC') === '1.5' && stateOf('BTC') === 'Live'")
        assert page.console() == []


def test_a_chart_that_breaks_in_a_frame_of_its_own(page, tmp_path):
    source, sentence = BROKEN["later.js"]
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "later.js").write_text(source)
    with placed("server", made(tmp_path, chart="later.js")) as (hub, address, url):
        publish_candle(hub, 0, "1.250", closed=True)
        page.driver.get(f"{url}?hub={address}")
        until(page, "!$('#candle-table').hidden && text($('#candle-table')).includes('1.250')")
        assert sentence in page.run("return document.querySelector('#candles-note').textContent")
        publish_candle(hub, 1, "1.260")
        until(page, "text($('#candle-table')).includes('1.260')")
        assert page.console() == []


def test_a_script_that_would_end_early_is_refused(tmp_path):
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "bad.js").write_text('"</script>";\n')
    with pytest.raises(subprocess.CalledProcessError):
        made(tmp_path, chart="bad.js")
    assert not (tmp_path / "single.html").exists()


def test_tokens_are_for_the_page_in_its_folder(page, tmp_path):
    single = made(tmp_path, token="token.js", hub="ws://127.0.0.1:1")
    page.driver.get(f"file://{single}")
    until(page, "text($('#banner')).includes('a page in one file loads none')")
