# SPDX-License-Identifier: Apache-2.0
"""The elements of bindings/web in Chromium, with and without React; the script for pages without modules; and the first page of
docs/WEB.md as it stands there."""
import contextlib
import re
import subprocess
import sys

import pytest
from browser import BOUND
from conftest import ROOT
from hub import until
from proxies import answers, free_port
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from web_site import WAITING, blank, put_web, site_of, started

# In the order of components.html.
INDICATOR, SMALL_INDICATOR, STATUS, SMALL_STATUS, LONG_STATUS, CARD, SMALL_CARD = range(7)
BEGIN = """window.elements = [...document.querySelector("main").children];
           window.watch = new Watch(...arguments);
           for (const element of elements) element.client = watch.client;"""
# What all elements show, once they say that word.
LOOK = """return await Promise.all(elements.map(element => drawn(element, root => {
            const text = part => root.querySelector(`[part=${part}]`)?.textContent ?? null;
            const button = root.querySelector("button"), icon = root.querySelector("[part=icon] svg");
            return text("label") === arguments[0] && {
              kind: root.firstElementChild.dataset.kind, icon: icon.innerHTML, isIconSeen: icon.getAttribute("aria-hidden") !== "true",
              title: root.firstElementChild.title, voice: root.querySelector("[role=status]").textContent,
              wordWidth: root.querySelector("[part=label]").offsetWidth, latency: text("latency"), details: text("details"),
              hasButton: button !== null && button.offsetWidth > 0,
              statistics: Object.fromEntries([...root.querySelectorAll("dt")].map(dt => [dt.textContent, dt.nextSibling.textContent])),
            };
          })))"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with started(tmp_path_factory) as browser:
        yield browser


@pytest.fixture
def page(browser):
    with blank(browser):
        yield browser


@contextlib.contextmanager
def elements(page):
    """A site, with the page whose elements show a client that does not try again by itself."""
    with site_of(page, path="/components.html", events="closed") as site:
        page.run(BEGIN, WAITING)
        yield site


def refuse(site):
    """The hub closes the page's connection for good."""
    (peer,) = site.ask("peers")
    site.ask("do", "close_peer", peer["peer"], 4003, "not you")


def test_word_icon_and_voice_follow_the_state(page):
    with elements(page) as site:
        seen = {"connected": page.run(LOOK, "Connected")}
        refuse(site)
        seen["error"] = page.run(LOOK, "Stopped")
        page.run("watch.client.reconnect()")
        page.run(LOOK, "Connected")
        site.kill()
        seen["trying"] = page.run(LOOK, "Reconnecting")
        page.run("watch.client.close()")
        seen["idle"] = page.run(LOOK, "Disconnected")
        for kind, shown in seen.items():
            assert [element["kind"] for element in shown] == [kind] * 7
            assert not any(element["isIconSeen"] for element in shown)
            assert len({element["icon"] for element in shown}) == 1
        assert len({shown[0]["icon"] for shown in seen.values()}) == 4
        for kind, voice in (("error", "Stopped"), ("trying", "Reconnecting"), ("idle", "Disconnected")):
            assert {element["voice"] for element in seen[kind]} == {f"Connection: {voice}"}
        for index in (STATUS, LONG_STATUS, CARD):
            assert "not you" in seen["error"][index]["details"]
            assert re.search(r"Next attempt in \d+\u00a0s\.", seen["trying"][index]["details"])
        assert seen["trying"][SMALL_INDICATOR]["title"] == "Connection: Reconnecting"


def test_compact_and_full(page):
    with elements(page):
        shown = page.run(LOOK, "Connected")
        assert [element["wordWidth"] > 1 for element in shown] == [True, False] + [True] * 5  # one pixel: for the voice alone
        assert [element["hasButton"] for element in shown] == [False, False, True, False, True, True, True]
        assert set(shown[SMALL_CARD]["statistics"]) == {"Latency", "Connected for"} and len(shown[CARD]["statistics"]) == 10
        page.run("""elements[arguments[0]].compact = false;
                    elements[arguments[1]].compact = true;
                    const hasButton = root => root.querySelector("button").offsetWidth > 0;
                    await drawn(elements[arguments[0]], hasButton);
                    await drawn(elements[arguments[1]], root => !hasButton(root));""", SMALL_STATUS, STATUS)
        page.run("for (const element of elements) element.toggleAttribute('compact')")
        page.run("""await drawn(elements[0], root => root.querySelector("[part=label]").offsetWidth === 1);
                    await drawn(elements[1], root => root.querySelector("[part=label]").offsetWidth > 1);
                    await drawn(elements[5], root => root.querySelectorAll("dt").length === 2);
                    await drawn(elements[6], root => root.querySelectorAll("dt").length === 10);""")


def test_latency_and_statistics_appear(page):
    with elements(page) as site:
        page.run("await watch.follow('t')")
        page.run("return await watch.numbers(arguments[0])", site.publish(3))
        card = page.run("""return await drawn(elements[arguments[0]], root => {
            const rows = Object.fromEntries([...root.querySelectorAll("dt")].map(dt => [dt.textContent, dt.nextSibling.textContent]));
            return rows.Messages !== "0" && rows.Latency !== "\\u2013" && rows["Connected for"] !== "0 s" && rows;
        })""", CARD)
        time = r"(< 1 ms|\d+ ms|\d+\.\d s)"
        for row, pattern in (("Latency", time), ("Average", time), ("95th percentile", time), ("Connected for", r"\d+ s"),
                             ("Reconnects", "0"), ("Gaps", "0"), ("Hub", r"127\.0\.0\.1:\d+/ws/stream")):
            assert re.fullmatch(pattern, card[row]), (row, card)
        assert int(card["Messages"]) >= 3
        shown = page.run(LOOK, "Connected")
        assert re.fullmatch(time, shown[STATUS]["latency"])
        assert re.search(rf"Average: {time}, ", shown[LONG_STATUS]["details"]) and "Messages: " in shown[LONG_STATUS]["details"]


def press(page, index, *keys):
    """Tab goes to the button of that element; then come the keys."""
    page.run("document.activeElement.blur()")
    is_there = "return elements[arguments[0]].shadowRoot.activeElement?.localName === 'button'"
    for _ in range(8):
        ActionChains(page.driver).send_keys(Keys.TAB).perform()
        if page.run(is_there, index):
            break
    assert page.run(is_there, index)
    assert page.run("return getComputedStyle(elements[arguments[0]].shadowRoot.activeElement).outlineWidth", index) == "2px"
    ActionChains(page.driver).send_keys(*keys).perform()


def test_the_button_by_mouse_and_by_keyboard(page):
    with elements(page) as site:
        for index, keys in ((STATUS, None), (CARD, None), (SMALL_STATUS, [Keys.ENTER]), (SMALL_CARD, [Keys.SPACE])):
            page.run(LOOK, "Connected")
            refuse(site)
            page.run(LOOK, "Stopped")
            if keys:
                press(page, index, *keys)
            else:
                page.driver.find_elements(By.CSS_SELECTOR, "main > *")[index].shadow_root.find_element(By.CSS_SELECTOR, "button").click()
        page.run(LOOK, "Connected")
        assert site["upgrades"] == 5
        changes = page.run("return watch.of('state').length")
        page.run("""window.asked = 0;
                    elements[arguments[0]].addEventListener("pulsews-reconnect", event => {
                      asked += 1;
                      event.preventDefault();
                    })""", STATUS)
        press(page, STATUS, Keys.ENTER)
        assert page.run("return [asked, watch.of('state').length]") == [1, changes]
        # A compact line keeps the button while it has the focus, and hides it then.
        assert page.run("return elements[arguments[0]].shadowRoot.querySelector('button').hidden", SMALL_STATUS)


def tree(page):
    """What a screen reader gets: role, name, and how changes are said."""
    nodes = [node for node in page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"] if not node["ignored"]]
    children = {node["nodeId"]: node for node in nodes}

    def texts(node):
        below = [children[identity] for identity in node.get("childIds", []) if identity in children]
        return "".join([node["name"]["value"]] if node["role"]["value"] == "StaticText" else map(texts, below))

    return [(node["role"]["value"], node.get("name", {}).get("value", ""), texts(node),
             {entry["name"]: entry["value"].get("value") for entry in node.get("properties", [])}) for node in nodes]


def test_the_accessibility_tree(page):
    page.driver.execute_cdp_cmd("Accessibility.enable", {})
    with elements(page) as site:
        page.run(LOOK, "Connected")
        for word, buttons in (("Connected", 4), ("Stopped", 5)):
            nodes = tree(page)
            voices = [(text, properties["live"]) for role, _, text, properties in nodes if role == "status"]
            assert voices == [(f"Connection: {word}", "polite")] * 7
            assert [name for role, name, _, _ in nodes if role == "button"] == ["Reconnect"] * buttons
            assert [name for role, name, _, _ in nodes if role == "region"] == ["Connection"] * 2
            assert [name for role, name, _, _ in nodes if role == "heading"] == ["Connection"] * 2
            assert sum(role == "StaticText" and name == word for role, name, _, _ in nodes) >= 7
            assert not [role for role, _, _, _ in nodes if role in ("image", "img", "graphics-document", "alert")]
            if word == "Connected":
                refuse(site)
                page.run(LOOK, "Stopped")


def luminance(colour):
    parts = [int(part) / 255 for part in re.fullmatch(r"rgb\((\d+), (\d+), (\d+)\)", colour).groups()]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    """WCAG 2.2, "contrast ratio"."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


COLOURS = """const root = elements[arguments[0]].shadowRoot;
             const colour = part => getComputedStyle(root.querySelector(part)).color;
             return [getComputedStyle(root.querySelector(".bar")).backgroundColor,
                     [".word", ".title", ".sentence", "dt", "dd", "button"].map(colour), [".icon svg", "button svg"].map(colour)]"""


def test_themes_and_their_contrast(page):
    with elements(page) as site:
        for word in ("Connected", "Stopped", "Reconnecting", "Disconnected"):
            if word == "Stopped":
                refuse(site)
            elif word == "Reconnecting":
                page.run("watch.client.reconnect()")
                page.run(LOOK, "Connected")
                site.kill()
            elif word == "Disconnected":
                page.run("watch.client.close()")
            page.run(LOOK, word)
            grounds = {}
            for system in ("light", "dark"):
                page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": system}]})
                for theme in ("", "light", "dark"):
                    page.run("elements[arguments[0]].setAttribute('theme', arguments[1])", CARD, theme)
                    ground, words, icons = page.run(COLOURS, CARD)
                    grounds.setdefault(theme or system, set()).add(ground)
                    assert min(contrast(ground, colour) for colour in words) >= 4.5, (word, system, theme, words)
                    assert min(contrast(ground, colour) for colour in icons) >= 3, (word, system, theme, icons)
            assert grounds == {"light": {"rgb(255, 255, 255)"}, "dark": {"rgb(22, 27, 34)"}}
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("kind", ["properties", "attributes"])
def test_react(page, kind):
    """React 19 sets properties of elements, and so does Debian's 18; that of others attributes alone."""
    support = "var enableCustomElementPropertySupport = true;"
    library = (page.folder / "react-dom.development.js").read_text()
    assert library.count(support) == 1
    (page.folder / "react_dom_of_attributes.js").write_text(library.replace(support, support.replace("true", "false")))
    html = (page.folder / "react.html").read_text()
    (page.folder / "attributes.html").write_text(html.replace("react-dom.development.js", "react_dom_of_attributes.js"))
    with site_of(page, path="/react.html" if kind == "properties" else "/attributes.html") as site:
        page.run("await reads('connected: ')")
        # Strict mode of React makes and closes a client before the one that stays.
        until(lambda: site["active_connections"] == 1 and site["subscriptions"] == 1, BOUND)
        site.publish(3)
        page.run("await reads('connected: 1 2 3'); window.elements = [...document.querySelectorAll('main > :not(output)')]")
        assert [element["kind"] for element in page.run(LOOK, "Connected")] == ["connected"] * 3
        assert page.run("""return [elements[0].compact, elements[1].client === client, elements[2].getAttribute("theme"),
                                   elements[2].shadowRoot.querySelector("h2").textContent]""") == [True, True, "dark", "Prices"]
        page.run("elements[1].shadowRoot.querySelector('button').click()")
        assert page.run("await reads('connected: 1 2 3'); return pressed") == 1
        site.kill()
        page.run("await reads('reconnecting: 1 2 3')")
        page.run(LOOK, "Reconnecting")
        site.start()
        page.run("await reads('connected: 1 2 3')")
        site.publish(2)
        page.run("await reads('connected: 1 2 3 4 5'); unmount()")
        until(lambda: site["active_connections"] == 0, BOUND, lambda: "the provider has gone, and its connection has not")
        said = page.console()
        assert [line for line in said if "WebSocket connection to" not in line and "React DevTools" not in line] == []


def test_a_page_without_modules(page):
    with site_of(page, path="/global.html") as site:
        page.run("await subscribed")
        site.publish()
        assert page.run("return await shown") == ["connected", True, "1.50", "1"]
        assert page.run("return document.querySelector('pulsews-status').shadowRoot.querySelector('.word').textContent") == "Connected"
        assert page.console() == []


def test_the_first_page_of_the_documentation(page, tmp_path):
    """As it stands there, but for the port."""
    text = (ROOT / "docs" / "WEB.md").read_text()
    html, script, program = (re.search(rf"^```{language}\n(.*?)^```", text, re.S | re.M)[1] for language in ("html", "js", "python"))
    port = free_port()
    assert program.count("127.0.0.1:8080") == 2
    folder = tmp_path / "page"
    folder.mkdir()
    put_web(folder)
    (folder / "index.html").write_text(html)
    (folder / "page.js").write_text(script)
    (tmp_path / "program.py").write_text(program.replace("127.0.0.1:8080", f"127.0.0.1:{port}"))
    with subprocess.Popen([sys.executable, "program.py"], cwd=tmp_path) as process:
        try:
            until(lambda: answers(port), BOUND)
            page.driver.get(f"http://127.0.0.1:{port}/")
            until(lambda: page.run("return document.querySelector('#price').value") == "187.20", BOUND)
            page.run("await customElements.whenDefined('pulsews-indicator')")
            until(lambda: page.run("return document.querySelector('pulsews-indicator').shadowRoot.querySelector('.word').textContent")
                  == "Connected", BOUND)
            assert process.poll() is None
        finally:
            process.kill()
    assert [said for said in page.console() if "/favicon.ico" not in said and "WebSocket connection to" not in said] == []
