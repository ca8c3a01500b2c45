# SPDX-License-Identifier: Apache-2.0
"""The page of `pulsews-hub --demo` in Chromium: every panel lives, and the browser has nothing to complain about."""
import os
import pathlib
import re
import subprocess
import urllib.request

import pytest
from browser import Browser
from conftest import ROOT
from test_page_chromium import UNTIL

PROGRAM = pathlib.Path(os.environ["PULSEWS_LIBRARY"]).parent / "pulsews-hub"
SYMBOLS = 12


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The text that a running demo prints."""
    folder = tmp_path_factory.mktemp("demo") / "web"
    subprocess.run([ROOT / ".ci" / "page.sh", folder], check=True)
    process = subprocess.Popen([PROGRAM, "--demo", "--listen", "127.0.0.1:0", "--page", folder], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, text=True)
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        yield "".join(lines)
    finally:
        process.terminate()
        code = process.wait(20)
        process.stdout.close()
    assert code == 0


@pytest.fixture(scope="module")
def page(demo, tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("chromium")) as browser:
        browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                       {"width": 1440, "height": 900, "deviceScaleFactor": 1, "mobile": False})
        browser.driver.get(re.search(r"http://\S+/", demo)[0])
        yield browser


def until(page, condition):
    return page.run(f"{UNTIL} return await until(() => {condition})")


def test_the_address_leads_to_the_page(page):
    until(page, "document.title === 'PulseWS demo' && text($('#title')) === 'PulseWS demo'")
    assert page.driver.current_url.split("#")[0].endswith("/page/")


def test_prices_of_all_symbols_move(page):
    until(page, f"text($('#summary')) === '{SYMBOLS}\\u00a0live' && document.querySelectorAll('.lines .line').length === {SYMBOLS}")
    symbols = "[...document.querySelectorAll('.lines .line')].map((one) => one.dataset.symbol)"
    first = page.run(UNTIL + f"return {symbols}.map((symbol) => [symbol, priceOf(symbol)])")
    for symbol, price in first:
        assert re.fullmatch(r"\d+\.\d+", price)
        until(page, f"priceOf('{symbol}') !== '{price}'")


def test_candles_are_drawn(page):
    until(page, "$('#chart canvas') && /O\\s\\d+\\.\\d/.test(text($('#legend'))) && text($('#candles-title')) === 'BTC 1m'")
    page.run("[...document.querySelectorAll('#views button')].find((button) => button.textContent === 'Table').click()")
    close = "text($('#candle-table tbody tr'))"
    until(page, f"/\\d\\.\\d/.test({close})")
    assert page.run("return document.querySelectorAll('#candle-table tbody tr').length") >= 200  # those from before the start, too
    before = page.run(UNTIL + f"return {close}")
    until(page, f"{close} !== {before!r}")
    page.run("[...document.querySelectorAll('#intervals button')].find((button) => button.textContent === '5m').click()")
    until(page, "text($('#candles-title')) === 'BTC 5m' && $('#candle-table tbody tr')")


def test_orders_signals_and_trades_come(page):
    kinds = "new Set([...document.querySelectorAll('#entries li')].map((one) => one.dataset.type))"
    for kind in ("signal", "signal_status", "order"):
        until(page, f"{kinds}.has('{kind}')")
    until(page, "text($('#entries li[data-type=order]')).includes('price')")
    assert page.run(UNTIL + "return text($('#entries')).includes('{')") is False  # every member is shown by itself
    assert page.run(UNTIL + "return text($('#stream-note'))") == ""  # nothing is refused


def test_the_equity_moves(page):
    until(page, "/^\\d+\\.\\d\\d$/.test(text($('#equity .value')))")
    until(page, "$('#equity-body path').getAttribute('d').includes('L')")


def test_a_signal_from_outside_is_shown(page, demo):
    url = re.search(r"curl -d '.*' (http://\S+)", demo)[1]
    body = b'{"ticker":"FROM-OUTSIDE","action":"buy"}'
    with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=20) as answer:
        assert answer.status == 200
    until(page, "text($('#entries')).includes('FROM-OUTSIDE')")


def test_the_hub_and_its_feed_are_shown(page):
    until(page, "text($('#hub-body')).includes('running') && text($('#hub-body')).includes('demo')")


def test_the_browser_has_nothing_to_complain_about(page):
    assert page.console() == []
