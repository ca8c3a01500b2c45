# SPDX-License-Identifier: Apache-2.0
"""The page and the elements of bindings/web for who sees little, uses no mouse, or hears what is there."""
import contextlib

import pytest
from accessibility import nodes, overflow, poor_contrasts, tab_order, without_names
from hub import CODES
from selenium.webdriver.common.keys import Keys
from test_page_chromium import Served, folder, publish_candle, publish_price  # noqa: F401
from test_web_components import BEGIN, LOOK, refuse
from web_site import WAITING, site_of, started

THEMES = ["light", "dark"]
STATES = ("STALE", "GAP", "FAILOVER", "DEGRADED", "ENDED")
TOPICS = {"price.*": {"latest": "true"}, "candle.*.*": {"latest": "true"},
          **{topic: {"history": "100"} for topic in ("signal", "order", "equity_snapshot")}}
SYMBOLS = ["LIVE", "NONE", *STATES]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with started(tmp_path_factory) as started_one:
        yield started_one


@pytest.fixture
def page(browser, folder):  # noqa: F811
    served = Served(browser, folder)
    served.configure(symbols=[*SYMBOLS, "NO.PE"], symbol="LIVE", intervals=["1m", "5m"], streams=["signal", "order"])
    browser.driver.execute_cdp_cmd("Accessibility.enable", {})
    yield served
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.driver.get("about:blank")


def theme_of(page, theme):
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]})


@contextlib.contextmanager
def everything(page):
    """The page with something of each kind on it."""
    with page.hub(topics=TOPICS) as hub:
        page.open()
        page.until("pulsewsPage?.client.isConnected && stateOf('NO.PE') === 'Refused'")
        for symbol, price in zip(SYMBOLS, ("64250.10", None, *["1.50"] * len(STATES))):
            if price:
                publish_price(hub, symbol, price)
        publish_price(hub, "LIVE", "64250.20")
        for state in STATES:
            hub.do("topic_state", f"price.{state}", CODES[f"TOPIC_{state}"], "the exchange is silent")
        for minute in (0, 1, 3):
            publish_candle(hub, minute, "1.250", "LIVE", closed=True)
        for side in ("buy", "sell"):
            hub.publish("order", {"type": "order", "symbol": "SOL", "side": side, "status": "new", "price": "187.20"})
        for equity in ("1000.00", "990.00", "1012.50"):
            hub.publish("equity_snapshot", {"type": "equity_snapshot", "equity": equity})
        page.until("""priceOf('LIVE') === '64250.20' && stateOf('ENDED') === 'Ended' && text($('#legend')).includes('1.250') &&
                      document.querySelectorAll('#entries li').length === 2 && text($('#equity .value')) === '1012.50' &&
                      text($('#hub-body')).includes('running')""")
        yield hub


def good(page, least_words, least_shapes):
    poor, count = poor_contrasts(page.browser)
    assert poor == []
    assert count["words"] >= least_words and count["shapes"] >= least_shapes, count


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", [1440, 390])
def test_words_and_shapes_of_the_page_can_be_seen(page, theme, width):
    theme_of(page, theme)
    page.size(width, 844)
    with everything(page):
        good(page, 60, 10)
        page.run("[...document.querySelectorAll('#views button')].at(-1).click()")
        page.until("text($('#candle-table')).includes('one candle is missing')")
        good(page, 60, 10)
    page.until("!$('#banner').hidden && stateOf('LIVE') === 'Offline'")
    good(page, 50, 10)


def test_every_name_and_role(page):
    with everything(page):
        assert without_names(page.browser) == []
        found = {(role, name) for role, name, _ in nodes(page.browser)}
        for wanted in (("heading", "PulseWS"), ("heading", "Prices"), ("heading", "LIVE 1m"), ("heading", "Equity"), ("grid", "Prices"),
                       ("searchbox", "Filter symbols"), ("group", "Interval"), ("group", "View"), ("group", "Shown kinds"),
                       ("button", "Reconnect"), ("image", "Equity over time"), ("link", "To the prices"),
                       ("image", "Candle chart of LIVE 1m; choose Table to read the candles"),
                       ("region", "Orders and signals, newest first")):
            assert wanted in found, (wanted, sorted(found))
        pressed = {name: properties["pressed"] for role, name, properties in nodes(page.browser) if "pressed" in properties}
        assert pressed == {"1m": "true", "5m": "false", "Chart": "true", "Table": "false", "All": "true", "signal": "false",
                           "order": "false"}
        page.run("[...document.querySelectorAll('#views button')].at(-1).click()")
        page.until("!$('#candle-table').hidden")
        assert without_names(page.browser) == []
        assert ("region", "Table of candles") in {(role, name) for role, name, _ in nodes(page.browser)}
    page.until("!$('#banner').hidden")
    assert [properties["live"] for role, _, properties in nodes(page.browser) if role == "alert"] == ["assertive"]


ORDER = ["To the prices", "theme", "filter", "Symbol", "Change, %", "Age", "State", "LIVE", "1m", "5m", "Chart", "Table", "TradingView",
         "All", "signal", "order", "Orders and signals, newest first", "Reconnect"]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", [1440, 390])
def test_the_tab_key_goes_through_the_page_in_order(page, theme, width):
    theme_of(page, theme)
    page.size(width, 844)
    with everything(page):
        assert tab_order(page.browser) == (ORDER, [])
        last = "document.querySelector('#card').shadowRoot.querySelector('button').focus()"
        backwards, wrong = tab_order(page.browser, last, Keys.SHIFT + Keys.TAB)
        assert (backwards[:len(ORDER) - 1], wrong) == (ORDER[-2::-1], [])


def test_the_skip_link(page):
    with everything(page):
        page.driver.switch_to.active_element.send_keys(Keys.TAB, Keys.ENTER)
        assert page.run("return document.activeElement.id") == "prices"
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
        assert page.run("return document.activeElement.id") == "filter"


@pytest.mark.parametrize("view", ["Chart", "Table"])
def test_a_phone_needs_no_scroll_bar_to_the_side(page, view):
    page.size(390, 844)
    with everything(page):
        page.run(f"[...document.querySelectorAll('#views button')].find(button => button.textContent === '{view}').click()")
        page.until(f"$('#candle-table').hidden === {str(view == 'Chart').lower()}")
        assert overflow(page.browser) <= 0
    page.until("!$('#banner').hidden")
    assert overflow(page.browser) <= 0


@pytest.mark.parametrize("theme", THEMES)
def test_the_elements_alone(browser, theme):
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                   {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": False})
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]})
    browser.driver.execute_cdp_cmd("Accessibility.enable", {})
    with site_of(browser, path="/components.html", events="closed") as site:
        browser.run(BEGIN, WAITING)
        browser.run("document.documentElement.style.colorScheme = 'light dark'; document.body.style.background = 'Canvas'")
        for word in ("Connected", "Stopped", "Reconnecting", "Disconnected"):
            if word == "Stopped":
                refuse(site)
            elif word == "Reconnecting":
                browser.run("watch.client.reconnect()")
                browser.run(LOOK, "Connected")
                site.kill()
            elif word == "Disconnected":
                browser.run("watch.client.close()")
            browser.run(LOOK, word)
            poor, count = poor_contrasts(browser)
            assert poor == [] and count["words"] > 20 and count["shapes"] > 7, (word, poor, count)
            assert without_names(browser) == []
            assert overflow(browser) <= 0
            reached, wrong = tab_order(browser)
            assert (set(reached), wrong) == ({"Reconnect"}, []), word
    browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_what_is_wrong_is_found(browser):
    """The tests above can fail."""
    browser.driver.get("about:blank")
    browser.run("""document.body.innerHTML = `<p style="color: #888; background: #fff">pale</p>
        <div style="opacity: 0.4"><p style="color: #000; background: #fff">faint</p></div>
        <svg viewBox="0 0 9 9" width="9"><path d="M0 0h9" stroke="#ddd"/></svg><button style="outline: none"></button>
        <div style="width: 200vw">wide</div>`""")
    poor, count = poor_contrasts(browser)
    assert [line.split(": ")[1] for line in poor] == ["pale", "faint", "stroke"] and count == {"words": 3, "shapes": 1}
    assert without_names(browser) == [("image", ""), ("button", "")]
    assert overflow(browser) > 0
    (_, wrong) = tab_order(browser)
    assert wrong[0] == ": no outline" and " by " in wrong[1]
