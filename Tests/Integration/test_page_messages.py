# SPDX-License-Identifier: Apache-2.0
"""The messages of WEB.md as they stand there: what the page shows of each, whatever form they have, and where a member is missing."""
import json
import re

import pytest
from conftest import ROOT
from test_page_chromium import browser, folder, page  # noqa: F401

READ = (ROOT / "docs" / "WEB.md").read_text().split("\n### What the page reads\n")[1].split("\n### ")[0]
# What is published, and what is shown of it.
EXAMPLES = re.findall(r"^```json\n(.*)\n```\n\nShown: `(.*)`$", READ, re.M)
STREAMS = ["signal", "signal_status", "order", "trade_executed", "position_update"]
NAMES = [json.loads(text)["type"] + ("-gap" if '"gap"' in text else "") for text, _ in EXAMPLES]
LINE = "text($('#entries li .kind')) + ' ' + text($('#entries li .what'))"
TABLE = "document.querySelector('#candle-table tbody tr')"
SHOWN = {"price_update": "['SOL', priceOf('SOL'), stateOf('SOL')].join(' ')", "candle": "text($('#legend'))",
         "candle-gap": f"text({TABLE})", "equity_snapshot": "text($('#equity .value'))", **dict.fromkeys(STREAMS, LINE)}
WRAP = 'return await until(() => ({0}).replace(/\\s+/g, " ").trim() === {1})'


def test_every_message_has_an_example():
    assert sorted(NAMES) == sorted(["price_update", "candle", "candle-gap", "equity_snapshot", *STREAMS])


def as_numbers(text):
    """Decimals without quotation marks; their digits stay."""
    return re.sub(r'"(-?\d+\.\d+)"', r"\1", text)


def the_other_way(text):
    """In `data` what was outside of it, and outside what was in it."""
    message = json.loads(text)
    if "data" in message:
        inner = message.pop("data")
        return json.dumps({**message, **inner})
    return json.dumps({"type": message.pop("type"), "data": message})


FORMS = {"documented": str, "numbers": as_numbers, "the other way": the_other_way}


@pytest.fixture
def desk(page):  # noqa: F811
    page.configure(symbols=["SOL"], streams=STREAMS)
    with page.serving() as hub:
        page.open()
        page.until("pulsewsPage?.client.isConnected && stateOf('SOL') === 'No price'")
        page.hub_there = hub
        yield page


def publish(page, text):  # noqa: F811
    message = json.loads(text)
    members = {**message, **message.get("data", {})}
    topic = {"price_update": "price.SOL", "candle": "candle.SOL.1m"}.get(message["type"], message["type"])
    page.hub_there.publish(topic, text.encode(), str(members["start"]) if "start" in members else None)


def shows(page, name, text):  # noqa: F811
    page.run(WRAP.format(SHOWN[name], json.dumps(text)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("name", "example"), list(zip(NAMES, EXAMPLES)), ids=NAMES)
def test_what_is_shown(desk, name, example, form):
    text, shown = example
    changed = FORMS[form](text)
    if name == "candle-gap":
        publish(desk, EXAMPLES[NAMES.index("candle")][0])
        desk.run("[...document.querySelectorAll('#views button')].at(-1).click()")
    publish(desk, changed)
    if form == "the other way" and name in STREAMS:  # members come in another order
        desk.until("$('#entries li')")
        found = desk.run(f"return ({LINE}).replace(/\\s+/g, ' ').trim()")
        assert sorted(found.split()) == sorted(shown.split())
    else:
        shows(desk, name, shown)


def without(name, *members):
    message = json.loads(EXAMPLES[NAMES.index(name)][0])
    for member in members:
        for place in (message, message.get("data", {})):
            place.pop(member, None)
    return json.dumps(message)


def test_a_price_without(desk):
    publish(desk, without("price_update", "symbol"))
    shows(desk, "price_update", "SOL 187.20 Live")
    publish(desk, without("price_update", "price"))
    publish(desk, without("price_update", "price").replace("}", ',"price":"soon"}'))
    desk.until("pulsewsPage.panels.prices.rows.get('SOL').unreadable === 2")
    shows(desk, "price_update", "SOL 187.20 Live")


def test_a_candle_without(desk):
    for member in ("start", "open", "high", "low", "close"):
        publish(desk, without("candle", member))
    desk.until("pulsewsPage.panels.candles.candles.unreadable === 5")
    assert desk.run("return text($('#legend'))") == ""
    publish(desk, without("candle", "volume", "closed"))
    shows(desk, "candle", "2026-11-30 03:45 O 1.10 H 1.30 L 1.00 C 1.250 open")
    later = without("candle", "volume").replace("1796010300000", "1796010420000")
    publish(desk, later)
    shows(desk, "candle", "2026-11-30 03:47 O 1.10 H 1.30 L 1.00 C 1.250")
    desk.run("[...document.querySelectorAll('#views button')].at(-1).click()")
    desk.until("document.querySelectorAll('#candle-table tbody tr').length === 3")
    rows = desk.run("return [...document.querySelectorAll('#candle-table tbody tr')].map(row => row.lastChild.textContent)")
    assert rows == ["", "2026-11-30 03:46: one candle is missing", ""]


@pytest.mark.parametrize("name", STREAMS)
def test_a_line_without(desk, name):
    """Every member may be missing, one by one and all of them, and the message itself may be none."""
    message = json.loads(EXAMPLES[NAMES.index(name)][0])
    members = {**message, **message.get("data", {})}.keys() - {"type", "data"}
    texts = [without(name, member) for member in sorted(members)] + [json.dumps({"type": name})]
    for count, text in enumerate(texts, 1):
        publish(desk, text)
        desk.until(f"document.querySelectorAll('#entries li').length === {count}")
        assert desk.run("return text($('#entries li .kind'))") == name.replace("_", " ")
    assert desk.run("return text($('#entries li .what')).trim()") == ""
    desk.hub_there.publish(name, b"[1.50]")
    shows(desk, name, f'{name.replace("_", " ")} value ["1.50"]')
    desk.hub_there.publish(name, {"symbol": None, "side": None, "data": {"price": None}})
    desk.until(f"document.querySelectorAll('#entries li').length === {len(texts) + 2}")
    assert desk.run("return text($('#entries li .what')).trim()") == ""


def test_equity_without(desk):
    publish(desk, EXAMPLES[NAMES.index("equity_snapshot")][0])
    shows(desk, "equity_snapshot", "1012.50")
    publish(desk, without("equity_snapshot", "equity"))
    desk.until("$('#equity-state').title.toLowerCase().includes('a message without equity')")
    shows(desk, "equity_snapshot", "1012.50")
