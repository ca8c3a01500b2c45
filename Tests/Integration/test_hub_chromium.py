# SPDX-License-Identifier: Apache-2.0
"""Pages in a real browser as peers of a hub: the plain WebSocket of Chromium, and what it shows to its page."""
import base64
import contextlib
import functools
import hashlib
import hmac
import http.server
import json
import os
import socket
import threading
import time

import pytest
from browser import PAGE, Browser
from hub import PULSE, Follower, Hub

COUNT = 1000
SECRET = b"s" * 32
KEYS = 40


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture
def page(browser):
    """The browser on an empty page, which says nothing on its console that the test does not take."""
    browser.driver.get("about:blank")
    browser.console()
    yield browser
    assert browser.console() == []


@contextlib.contextmanager
def serving(browser, routes=None, **options):
    """A hub, and the browser on the page that it serves. Its origin has to be known before its port is bound."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        origin = "127.0.0.1:%d" % holder.getsockname()[1]
        with Hub(origin, origin=f"http://{origin}", routes={"/": {"kind": "static", "folder": str(PAGE)}, **(routes or {})},
                 **options) as hub:
            browser.driver.get(f"http://{origin}/")
            yield hub


@pytest.fixture(scope="module")
def foreign():
    """Another server of the page, and its port: it has two origins, by its address and by its name."""
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=PAGE)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def token(**claims):
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    head = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (head + b"." + part(hmac.new(SECRET, head, hashlib.sha256).digest())).decode()


def pair(text):
    """The subprotocols of a page that has a token."""
    return [PULSE, "pulse.token." + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")]


OPEN = "window.peer = new Peer('/ws/stream', 'pulse.v1'); return await peer.subscribe('t', arguments[0]);"
FOLLOW = """const last = arguments[0];
            const all = await peer.until(messages => messages.some(message => message.o === last));
            return all.filter(({o, type}) => o || type === "gap").map(({data, t, ...rest}) => rest);"""


def test_messages_in_order_compressed_and_resumed(page):
    with serving(page, topics={"t": {"history": COUNT}}, events="closed") as hub:
        answer = page.run(OPEN)
        assert (answer["offset"], answer["recovered"], answer["state"]) == (0, False, "live")
        follower = Follower()
        for number in range(COUNT):
            hub.publish("t", {"type": "n", "n": number, "fill": "x" * 200})
        told = page.run("return [await peer.until(all => all.length === 2 + arguments[0]), peer.socket.extensions,"
                        "        peer.socket.protocol]", COUNT)
        assert told[1].startswith("permessage-deflate") and told[2] == PULSE
        for number, message in enumerate(told[0][2:]):
            assert (message["type"], message["data"]) == ("n", {"type": "n", "n": number, "fill": "x" * 200})
            follower.take(message)
        assert hub["frames_compressed"] >= COUNT
        assert page.run("peer.socket.close(4321, 'enough \u2713'); return await peer.end()") == {
            "code": 4321, "reason": "", "wasClean": True, "errors": 0}
        event = hub.event("closed")
        assert (event.code, event.text) == (4321, "enough \u2713")
        for number in range(COUNT, COUNT + COUNT // 2):
            hub.publish("t", {"type": "n", "n": number})
        again = page.run(OPEN, {"since": {"epoch": answer["epoch"], "offset": follower.last}})
        assert (again["epoch"], again["offset"], again["recovered"]) == (answer["epoch"], COUNT + COUNT // 2, True)
        for message in page.run(FOLLOW, COUNT + COUNT // 2):
            follower.take(message)
        assert (follower.got, follower.missing) == (COUNT + COUNT // 2, 0)
        page.run("peer.socket.close(); await peer.end()")
        late = page.run(OPEN, {"since": {"epoch": "another", "offset": 7}})
        assert not late["recovered"]
        gap = page.run("return (await peer.until(all => all.some(({type}) => type === 'gap'))).at(-1)")
        assert gap == {"type": "gap", "topic": "t", "from": None, "to": COUNT + COUNT // 2, "cause": "hub_restart"}


def test_a_plain_page(page):
    with serving(page) as hub:
        page.run("window.peer = new Peer('/ws/stream?topics=t'); await peer.until(all => all.length === 1)")
        assert page.run("return [peer.messages[0].type, peer.socket.protocol]") == ["welcome", ""]
        hub.publish("t", {"type": "price_update", "price": "1.50"})
        assert page.run("return (await peer.until(all => all.length === 2))[1]") == {"type": "price_update", "price": "1.50"}


TOLD = """window.peer = new Peer(...arguments);
          const end = await peer.end();
          return [peer.messages.map(({type, data}) => type === "error" ? data : type), end];"""


@pytest.mark.parametrize(("path", "protocols", "code", "close", "sentence"), [
    ("/ws/strem", [PULSE], "no_such_path", 4040, '"/ws/stream" is spelled nearly so'),
    ("/ws/strem", [], "no_such_path", 4040, '"/ws/stream" is spelled nearly so'),
    ("/ws/health", [PULSE], "not_a_websocket_path", 4040, "HTTP"),
    ("/ws/stream", pair(token(sub="u")[:-2] + "AA"), "token_bad_signature", 4001, "token"),
    ("/ws/stream", pair("no token at all"), "token_malformed", 4001, "token"),
    ("/ws/stream", pair(token(sub="u", exp=1)), "token_expired", 4009, "token")])
def test_a_refusal_is_told_in_band(page, path, protocols, code, close, sentence):
    with serving(page, auth="required", keys={"main": ("HS256", SECRET)}) as hub:
        (error,), end = page.run(TOLD, path, *protocols)
        assert error["code"] == code and sentence in error["message"], error
        assert (end["code"], end["wasClean"], end["errors"]) == (close, True, 0)
        assert (hub["upgrades"], hub["upgrades_refused"]) == (0, 1)


def test_a_token_that_does_not_come(page):
    with serving(page, auth="required", keys={"main": ("HS256", SECRET)}):
        answer = page.run(OPEN)
        assert (answer["type"], answer["data"]["code"]) == ("error", "unauthenticated")
    with serving(page, auth="required", auth_timeout="200ms", keys={"main": ("HS256", SECRET)}):
        assert page.run(TOLD, "/ws/stream", PULSE) == [
            ["welcome"], {"code": 4001, "reason": "no token came in time", "wasClean": True, "errors": 0}]


def test_a_token_in_the_subprotocols_or_in_a_message(page):
    with serving(page, auth="required", keys={"main": ("HS256", SECRET)}, topics={"t": {"subscribe": "authenticated"}}) as hub:
        right = token(sub="u", exp=int(time.time()) + 3600)
        page.run("window.peer = new Peer('/ws/stream', ...arguments); await peer.subscribe('t')", *pair(right))
        assert page.run("return peer.socket.protocol") == PULSE
        hub.publish("t", {"type": "n"})
        assert page.run("return (await peer.until(all => all.some(({o}) => o === 1))).at(-1).data") == {"type": "n"}
        said = page.run("""window.second = new Peer("/ws/stream", "pulse.v1");
                           await second.until(all => all.length === 1);
                           second.say({type: "auth", id: 1, data: {token: arguments[0]}});
                           await second.until(all => all.length === 2);
                           await second.subscribe("t");
                           return second.messages.slice(1)""", right)
        assert [message["type"] for message in said] == ["auth", "subscribed"]
        assert said[0]["id"] == 1 and said[0]["data"]["user"] == "u"


def test_pages_of_other_servers(page, foreign):
    with Hub(origin=f"http://127.0.0.1:{foreign}") as hub:
        page.driver.get(f"http://127.0.0.1:{foreign}/")
        assert page.run("window.peer = new Peer(arguments[0], 'pulse.v1'); return await peer.subscribe('t')",
                        hub.url())["type"] == "subscribed"
        status = page.run("const answer = await fetch(arguments[0]); return [answer.status, await answer.json()]",
                          hub.url("/ws/status", "http"))
        assert status[0] == 200 and status[1]["state"] == "running" and status[1]["statistics"]["active_connections"] == 1
        assert page.console() == []
        page.driver.get(f"http://localhost:{foreign}/")
        for path in ("/ws/stream", "/ws/strem"):  # not even that the path is wrong is told
            assert page.run(TOLD, hub.url(path), PULSE) == [
                [], {"code": 1006, "reason": "", "wasClean": False, "errors": 1}]
            (said,) = page.console()
            assert "WebSocket connection to" in said and "Unexpected response code: 403" in said
        assert page.run("try { await fetch(arguments[0]); } catch (error) { return error.name }",
                        hub.url("/ws/status", "http")) == "TypeError"
        said = page.console()
        assert "blocked by CORS policy" in said[0] and all("/ws/status" in text for text in said), said
        hub.until("upgrades_refused", 2)
        assert hub["upgrades"] == 1


def test_a_binary_topic(page):
    payloads = [b"", b"\x00\xff" * 10, os.urandom(70_000)]
    with serving(page, topics={"t": {"binary": "true"}}) as hub:
        number = page.run(OPEN)["number"]
        for payload in payloads:
            hub.publish("t", payload)
        told = page.run("""const all = await peer.until(messages => messages.length === 5);
            return all.slice(2).map(message => {
              const head = new DataView(message, 0, 12), bytes = new Uint8Array(message, 12);
              return [message instanceof ArrayBuffer, head.getUint32(0), Number(head.getBigUint64(4)),
                      btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(""))];
            })""")
        assert told == [[True, number, offset, base64.b64encode(payload).decode()]
                        for offset, payload in enumerate(payloads, 1)]


def test_a_message_of_a_megabyte(page):
    with serving(page, max_message_size="2MiB", queue_bytes="4MiB", events="message") as hub:
        page.run(OPEN)
        fill = base64.b64encode(os.urandom(750_000)).decode()
        hub.publish("t", {"type": "n", "fill": fill})
        assert page.run("""const {data} = (await peer.until(messages => messages.length === 3))[2];
                           peer.socket.send(data.fill);
                           return data.fill.length""") == len(fill) == 1_000_000
        assert hub.event("message").data == fill.encode()


# The page says that it is awake once: a message that is not sent when the close frame comes makes the end unclean.
STILL = """window.isAwake = false;
           peer.socket.addEventListener("message", ({data}) => {
             const {type, o} = JSON.parse(data);
             if (type === "stall") window.stalled = stall("/stall");
             if (!o || isAwake) return;
             window.isAwake = true;
             peer.say({type: "awake"});
           });
           window.worker = new Worker("worker.js");
           const answered = new Promise(resolve => { worker.onmessage = ({data}) => resolve(data); });
           worker.postMessage(arguments[0]);
           return await answered"""


def publish_to_the_worker(hub, count, last):
    """So many messages, which the worker has read then, and the page has not."""
    fill = os.urandom(5000).hex()
    for _ in range(count):
        last = hub.publish("t", {"type": "n", "symbol": f"S{last % KEYS}", "fill": fill})
    assert json.loads(hub.event("message").data) == {"type": "read", "o": last, "got": last}
    return last


@pytest.mark.parametrize("policy", ["drop_oldest", "conflate", "disconnect"])
def test_a_page_that_stands_still(page, policy):
    """It waits for an answer in the middle of a function; a worker of the page goes on."""
    keyed = policy == "conflate"
    with serving(page, {"/stall": {"kind": "application"}}, slow_policy=policy, events=["http_request", "message"],
                 topics={"t": {"conflate": "symbol"} if keyed else {}}, request_timeout="60s", close_timeout="60s") as hub:
        page.run(OPEN)
        peer = hub.peers()[0]["peer"]
        assert page.run(STILL, KEYS)["type"] == "subscribed"
        hub.send(peer, '{"type":"stall"}')
        request, last = hub.event("http_request").request, 0
        enough, least = {"drop_oldest": ("messages_dropped", 100), "conflate": ("messages_conflated", 100),
                         "disconnect": ("peers_slow", 1)}[policy]
        while hub[enough] < least:
            assert last < 20_000, hub.statistics()
            last = publish_to_the_worker(hub, KEYS, last)
        hub.answer(request, 200, body=b"go on")
        if policy == "disconnect":
            end = page.run("return await peer.end()")
            assert (end["code"], end["wasClean"], end["errors"]) == (4008, True, 0)
        else:
            follower = Follower()
            for message in page.run(FOLLOW, last):
                assert message["type"] == "n" or message["cause"] == "slow"
                follower.take(message)
            assert follower.got + follower.missing + follower.skipped == last
            assert (follower.missing > 0, follower.skipped > 0) == (not keyed, keyed)
            hub.until("messages_written", last + follower.got)
            assert (hub["messages_dropped"], hub["messages_conflated"]) == (follower.missing, follower.skipped)
            assert json.loads(hub.event("message").data) == {"type": "awake"}
        hub.check_books()
        assert page.run("return window.stalled") == "go on"


def test_closes_of_the_hub(page):
    with serving(page, events="subscribe") as hub:
        for code, reason in ((4003, "not you"), (1000, "r\u00e9ason \u2713"), (1008, "")):
            page.run(OPEN)
            hub.do("close_peer", hub.event("subscribe").peer, code, reason)
            assert page.run("return await peer.end()") == {"code": code, "reason": reason, "wasClean": True, "errors": 0}
        page.run(OPEN)
        assert page.run("peer.socket.close(); return (await peer.end()).code") == 1000
        page.run(OPEN)
        hub.drain(0, 0)
        assert page.run("return await peer.end()")["code"] == 1012


def test_a_hub_that_vanishes(page):
    with serving(page) as hub:
        page.run(OPEN)
        hub.free()
        assert page.run("return await peer.end()") == {"code": 1006, "reason": "", "wasClean": False, "errors": 0}
