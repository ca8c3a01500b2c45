# SPDX-License-Identifier: Apache-2.0
"""bindings/web in Chromium: what befalls the hub, the line and the page, and several tabs with one connection."""
import json

import pytest
from browser import BOUND
from hub import until
from selenium.common.exceptions import WebDriverException
from web_site import FAST, SECRET, WAITING, Line, blank, site_of, started, token

THROTTLING = [f"disable-{name}" for name in ("background-timer-throttling", "backgrounding-occluded-windows", "renderer-backgrounding")]
START = "window.watch = new Watch(...arguments); await watch.follow('t')"
STATES = "return watch.of('state').map(({to, error}) => [to, error && error.code])"
SHOWN = "return await watch.numbers(arguments[0])"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Timers of hidden pages are held back as those of users, and as after minutes soon."""
    with started(tmp_path_factory, "enable-features=IntensiveWakeUpThrottling:grace_period_seconds/1", without=THROTTLING) as browser:
        yield browser


@pytest.fixture
def page(browser):
    with blank(browser):
        yield browser


@pytest.fixture
def line():
    line = Line()
    yield line
    line.stop()


def up_to(last):
    return list(range(1, last + 1))


def test_a_hub_that_is_killed_and_comes_back(page):
    with site_of(page) as site:
        page.run(START, FAST)
        assert page.run(SHOWN, site.publish(5)) == up_to(5)
        site.kill()
        page.run("await watch.until(() => watch.of('state').filter(({trigger}) => trigger === 'attempt').length >= 2)")
        assert page.run("return [watch.client.state, watch.client.error.code]") == ["reconnecting", "connection_lost"]
        site.start()
        assert page.run("await watch.until(() => watch.of('gap').length); return watch.of('gap')") == [
            {"type": "gap", "topic": "t", "from": None, "to": 0, "cause": "hub_restart"}]
        assert page.run(SHOWN, site.publish(5)) == up_to(10)
        assert page.run("""const {reconnects, gaps, discarded} = watch.client.statistics();
                           return [reconnects, gaps, discarded]""") == [1, 1, 0]


def test_a_hub_that_stands_still_and_goes_on(page):
    """As the lid of a laptop at the other end."""
    with site_of(page) as site:
        page.run(START, FAST)
        page.run(SHOWN, site.publish(5))
        site.pause()
        silent = page.run("""await watch.reach("reconnecting");
            const {at, detail} = watch.told.find(({detail}) => detail.to === "reconnecting");
            const last = watch.told.filter(({type}) => type === "latency").at(-1).at;
            return [at - last, detail.error.code, watch.of("close")[0].code]""")
        assert silent[1:] == ["heartbeat_timeout", 1006]
        assert 790 <= silent[0] < 5000, silent  # 300 and 500; a machine that is busy takes its time
        for number in range(6, 11):
            site.say("publish", "t", {"type": "n", "n": number})
        site.go_on()
        assert [site.answer() for _ in range(5)] == up_to(10)[5:]
        assert page.run(SHOWN, 10) == up_to(10)
        assert page.run("return [watch.client.state, watch.of('gap')]") == ["connected", []]


def test_a_line_that_is_cut(page, line):
    with site_of(page, line) as site:
        page.run(START, FAST)
        page.run(SHOWN, site.publish(5))
        line.cut()
        site.publish(5)
        assert page.run("await watch.reach('reconnecting'); return watch.client.error.code") == "heartbeat_timeout"
        assert page.run("""return await watch.until(() => watch.of("state").map(({error}) => error?.code)
                                                          .find(code => code === "open_timeout"))""") == "open_timeout"
        line.mend()
        assert page.run(SHOWN, site.publish(5)) == up_to(15)
        assert page.run("return [watch.client.state, watch.of('gap')]") == ["connected", []]


def test_a_browser_that_goes_offline_and_online(page, line):
    """Its word counts at once: heartbeat and delays are of minutes here."""
    def set_offline(is_offline):
        page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {
            "offline": is_offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1})

    with site_of(page, line) as site:
        page.run(START, WAITING)
        page.run(SHOWN, site.publish(5))
        page.driver.execute_cdp_cmd("Network.enable", {})
        line.cut()
        set_offline(True)
        try:
            assert page.run("await watch.reach('reconnecting'); return watch.client.error.code") == "heartbeat_timeout"
            site.publish(5)
            line.mend()
        finally:
            set_offline(False)
        assert page.run(SHOWN, site.publish(5)) == up_to(15)
        assert page.run("return [watch.client.state, watch.of('gap')]") == ["connected", []]


def test_a_hidden_tab_has_no_false_alarm(page):
    with site_of(page) as site:
        page.run(START, FAST)
        page.run("""const hidden = new Promise(resolve => document.addEventListener("visibilitychange", resolve, {once: true}));
                    window.front = window.open("about:blank");
                    await hidden;
                    window.lastBeat = performance.now();
                    const beat = () => { window.lastBeat = performance.now(); setTimeout(beat, 50); };
                    beat();""")
        until(lambda: site.publish() and page.run("return performance.now() - lastBeat > 3000"), 2 * BOUND,
              lambda: "timers of the hidden page go on")
        assert page.run("return document.visibilityState") == "hidden"
        assert page.run(SHOWN, site.publish()) == up_to(site.last)
        before = page.run("return watch.of('latency').length")
        page.run("""front.close();
                    await watch.until(() => document.visibilityState === "visible" && watch.of("latency").length > arguments[0])""",
                 before)
        assert page.run(STATES) == [["connecting", None], ["connected", None]]
        assert site["upgrades"] == 1


def test_a_browser_that_slept_has_no_false_alarm(page):
    """As under the lid of a laptop. The answer to a ping comes in its sleep, and is late when it wakes."""
    with site_of(page, heartbeat="200ms") as site:
        page.run(START, {**FAST, "heartbeatTimeout": 2000})
        page.run(SHOWN, site.publish(5))
        site.pause()
        until(lambda: page.run("return watch.client.keeper.pulse.heartbeat.isWaiting"), BOUND)
        with page.asleep():
            site.go_on()
            site.publish(5)
            enough = site["pings_sent"] + 17  # 2 s, and more than the second by which a timer may be late
            until(lambda: site["pings_sent"] >= enough, BOUND)
        assert page.run(SHOWN, site.publish(5)) == up_to(15)
        assert page.run(STATES) == [["connecting", None], ["connected", None]]
        assert site["upgrades"] == 1


def test_a_frozen_page_goes_on(page):
    """Chromium closes the connections of a page that it freezes."""
    def freeze(state):
        page.driver.execute_cdp_cmd("Page.setWebLifecycleState", {"state": state})

    with site_of(page, heartbeat="200ms") as site:
        page.run(START, FAST)
        page.run(SHOWN, site.publish(5))
        freeze("frozen")
        site.publish(5)
        enough = site["pings_sent"] + 6  # more than heartbeatInterval and heartbeatTimeout together
        until(lambda: site["pings_sent"] >= enough, BOUND)
        freeze("active")
        assert page.run(SHOWN, site.publish(5)) == up_to(15)
        assert page.run("return watch.of('gap')") == []
        assert "heartbeat_timeout" not in json.dumps(page.run(STATES))


def rights():
    return {"secret": SECRET, "auth": "required", "token_leeway": "0s"}


ASK = """const tokens = arguments[1];
         window.asked = [];
         const token = ({reason}) => { asked.push(reason); return tokens.length > 1 ? tokens.shift() : tokens[0]; };
         window.watch = new Watch({...arguments[0], token});"""


def test_a_token_is_renewed_in_band(page):
    with site_of(page, **rights()) as site:
        page.run(ASK + "await watch.follow('t')", FAST, [token(20), token(3600)])  # the hub tells 30 s before
        site.publish(5)
        assert page.run("await watch.until(() => watch.of('auth').length); return asked") == ["connect", "expiring"]
        assert page.run(SHOWN, site.publish(5)) == up_to(10)
        assert page.run(STATES) == [["connecting", None], ["connected", None]]
        assert site["upgrades"] == 1


def test_a_token_that_expires_in_mid_stream(page):
    """The function fails when it is told of the end, and gives a token when that has come."""
    with site_of(page, **rights()) as site:
        page.run("""const tokens = arguments[1];
                    window.asked = [];
                    const token = ({reason}) => {
                      asked.push(reason);
                      if (reason === "expiring") throw new Error("not now");
                      return tokens.shift();
                    };
                    window.watch = new Watch({...arguments[0], token});
                    await watch.follow("t");""", FAST, [token(4), token(3600)])
        page.run(SHOWN, site.publish(5))
        assert page.run("return (await watch.until(() => watch.of('close')[0])).code") == 4009
        assert page.run(SHOWN, site.publish(5)) == up_to(10)
        assert page.run("return [asked, watch.of('error').map(({code}) => code), watch.of('gap')]") == [
            ["connect", "expiring", "connect"], ["token_failed"], []]


@pytest.mark.parametrize("tokens, asked", [("function", 3), ("text", 0)])
def test_a_token_that_is_refused_is_told_once(page, tokens, asked):
    with site_of(page, **rights()) as site:
        if tokens == "function":
            page.run(ASK, FAST, [token(3600)[:-2] + "AA"])
        else:
            page.run("window.asked = []; window.watch = new Watch(arguments[0])", {**FAST, "token": token(-60)})
        page.run("await watch.reach('error')")
        told = page.run("return [asked.length, watch.of('error').map(({code, closeCode}) => [code, closeCode])]")
        assert told == [asked, [["token_bad_signature", 4001] if asked else ["token_expired", 4009]]]
        assert site["upgrades"] == 0


class Tabs:
    """Three tabs of a browser with one connection, each with a watch."""

    def __init__(self, page, site):
        self.page, self.driver, self.site = page, page.driver, site
        self.handles = [self.driver.current_window_handle]
        site.publish()
        self.begin()
        for _ in range(2):
            self.driver.switch_to.new_window("tab")
            self.handles.append(self.driver.current_window_handle)
            self.driver.get(site.origin)
            self.begin()

    def begin(self):
        """A tab that has its snapshot gets all that comes."""
        self.page.run("""window.watch = new Watch(...arguments);
                         watch.follow("t", {history: 10});
                         await watch.numbers(1)""", {**FAST, "share": True})

    def each(self, body, *arguments):
        answers = []
        for handle in self.handles:
            self.driver.switch_to.window(handle)
            answers.append(self.page.run(body, *arguments))
        return answers

    def leader(self):
        """The window of the tab that has the connection is the current one."""
        (index,) = [index for index, role in enumerate(self.each("return watch.client.sharing.role")) if role == "leader"]
        self.driver.switch_to.window(self.handles[index])
        return self.handles.pop(index)

    def crash(self):
        """The process of the current tab ends, with all that it had; then the browser closes what it shows in its place."""
        with pytest.raises(WebDriverException, match="tab crashed"):
            self.driver.execute_cdp_cmd("Page.crash", {})
        self.driver.close()

    def go(self):
        """All but one tab end."""
        for handle in set(self.driver.window_handles) - {self.handles[-1]}:
            self.driver.switch_to.window(handle)
            self.driver.close()
        self.driver.switch_to.window(self.handles[-1])


def test_tabs_share_a_connection_whoever_ends(page):
    with site_of(page) as site:
        tabs = Tabs(page, site)
        try:
            assert tabs.each(SHOWN, site.publish(5)) == [up_to(6)] * 3
            assert (site["upgrades"], site["active_connections"]) == (1, 1)
            tabs.leader()
            tabs.driver.close()
            site.publish(5)
            assert tabs.each(SHOWN, site.publish(5)) == [up_to(16)] * 2
            assert (site["upgrades"], site["active_connections"]) == (2, 1)
            tabs.leader()
            tabs.crash()
            site.publish(5)
            assert tabs.each(SHOWN, site.publish(5)) == [up_to(26)]
            assert tabs.each("return [watch.client.state, watch.of('gap')]") == [["connected", []]]
            assert (site["upgrades"], site["active_connections"]) == (3, 1)
        finally:
            tabs.go()
