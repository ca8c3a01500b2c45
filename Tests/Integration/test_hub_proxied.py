# SPDX-License-Identifier: Apache-2.0
"""A hub behind nginx and haproxy, with the configurations of HUB.md as they stand there."""
import contextlib
import http.client
import json
import re
import socket

import proxies
import pytest
from conftest import ROOT
from hub import PULSE, Hub
from test_hub_http import ask
from test_hub_peers import Peer
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

BIG = 4 << 20
PAGE = (ROOT / "docs" / "HUB.md").read_text()
ABSENT = {"nginx": 502, "haproxy": 503}  # what each answers when no hub is there


def configuration(name):
    return re.search(rf"^```{name}\n(.*?)^```", PAGE, re.S | re.M)[1]


class Front:
    """A proxy, and the hub behind it, seen from where its clients are."""

    def __init__(self, name, hub, changes):
        text = configuration(name).replace("127.0.0.1:8080", f"127.0.0.1:{hub.port}")
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        self.proxy = getattr(proxies, name)(text)
        self.port = self.proxy.port

    url = Hub.url

    def client(self, address="127.0.0.1"):
        return contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20, source_address=(address, 0)))

    def connected(self, address):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20, source_address=(address, 0))


@contextlib.contextmanager
def behind(name, hub, changes=None):
    front = Front(name, hub, changes or {})
    try:
        yield front
    finally:
        front.proxy.stop()


@pytest.fixture(params=["nginx", "haproxy"])
def name(request):
    return request.param


@pytest.mark.parametrize("compression", ["deflate", None], ids=["compressed", "uncompressed"])
def test_messages_of_every_size(name, compression):
    with Hub(events=["message"], max_message_size=f"{BIG}", queue_bytes="16MiB") as hub, behind(name, hub) as front, Peer(
            front, compression=compression) as peer:
        assert peer.ws.subprotocol == PULSE
        assert ("permessage-deflate" in peer.ws.response.headers.get("Sec-WebSocket-Extensions", "")) == bool(compression)
        assert hub.peers()[0]["compression"] == bool(compression)
        peer.subscribe("t")
        for size in (0, 1, 125, 126, 65535, 65536, BIG):
            hub.publish("t", {"text": "ü" * (size // 2)})
            assert len(peer.get()["data"]["text"]) == size // 2
            sent = bytes(size)
            peer.ws.send(sent)
            assert hub.event("message").data == sent
        assert peer.ws.ping().wait(20)
        peer.ws.close(4321, "enough")
        hub.until("peers_closed", 1)
        hub.check_books()
        # Those of 256 bytes and more, as JSON.
        assert hub["frames_compressed"] == (5 if compression else 0)


def test_who_is_behind_the_proxy(name):
    """The client's address, whatever it writes into the header itself."""
    with Hub(trusted_proxy="127.0.0.1", events=["connected", "http_request"],
             routes={"/api/": {"kind": "application"}, "/ws/stream": {}}) as hub, behind(name, hub) as front:
        lie = {"X-Forwarded-For": "203.0.113.7"}
        for address in ("127.0.0.2", "127.0.0.3"):
            with Peer(front, sock=front.connected(address), additional_headers=lie):
                assert hub.event("connected").address == address
                assert address in {peer["address"] for peer in hub.peers()}
        with front.client("127.0.0.4") as client:
            client.request("GET", "/api/x", headers=lie)
            event = hub.event("http_request")
            assert event.address == "127.0.0.4"
            hub.answer(event.request, 200)
            assert client.getresponse().status == 200
    with Hub(events="connected") as hub, behind(name, hub) as front, Peer(front, sock=front.connected("127.0.0.2")):
        assert hub.event("connected").address == "127.0.0.1"


def test_limits_hold_for_the_clients(name):
    with Hub(trusted_proxy="127.0.0.1", address_connections=1) as hub, behind(name, hub) as front:
        with Peer(front, sock=front.connected("127.0.0.2")), Peer(front, sock=front.connected("127.0.0.3")):
            with pytest.raises(InvalidStatus) as refused:
                Peer(front, sock=front.connected("127.0.0.2"))
            assert refused.value.response.status_code == 429


def test_pings_keep_an_idle_connection(name):
    """Three times as long as the proxy waits; without pings it does not."""
    short = {"90s": "1s"}
    with Hub(heartbeat="200ms") as hub, behind(name, hub, short) as front, Peer(front, ping_interval=None) as peer:
        peer.subscribe("t")
        with pytest.raises(TimeoutError):
            peer.ws.recv(timeout=3)
        hub.publish("t", "still here")
        assert peer.get()["data"] == "still here"
        assert hub["pongs_received"] >= 10
    with Hub(heartbeat="0") as hub, behind(name, hub, short) as front, Peer(front, ping_interval=None) as peer:
        with pytest.raises(ConnectionClosed) as closed:
            peer.ws.recv(timeout=20)
        assert closed.value.rcvd is None
        hub.until("peers_closed", 1)


def test_drain(name):
    with Hub() as hub, behind(name, hub) as front, contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Peer(front)) for _ in range(10)]
        for peer in peers:
            peer.subscribe("t")
        hub.publish("t", "last words")
        assert not hub.drain(0.2, 0)
        for peer in peers:
            assert peer.get()["data"] == "last words"
            assert peer.closed()[0] == 1012
        assert hub.drain(0, 20)
        with pytest.raises(InvalidStatus) as refused:
            Peer(front)
        assert refused.value.response.status_code == ABSENT[name]


def test_http_paths(name, tmp_path):
    (tmp_path / "page.html").write_text("<p>hello</p>")
    with Hub(publish_token="secret", routes={"/ws/stream": {}, "/app/": {"kind": "static", "folder": tmp_path}}) as hub, behind(
            name, hub) as front, front.client() as client, Peer(front) as peer:
        peer.subscribe("t")
        for path in ("/ws/health", "/ws/status", "/ws/stats"):
            answer, body = ask(client, "GET", path)
            assert answer.status == 200 and json.loads(body)
        assert b"pulsews_hub_active_connections" in ask(client, "GET", "/metrics")[1]
        answer, body = ask(client, "GET", "/app/page.html")
        assert (answer.status, body) == (200, b"<p>hello</p>") and answer.headers["X-Content-Type-Options"] == "nosniff"
        assert ask(client, "GET", "/app/page.html", If_None_Match=answer.headers["ETag"])[0].status == 304
        text = json.dumps({"topic": "t", "data": "x" * 900_000})
        answer, body = ask(client, "POST", "/ws/publish", text, Authorization="Bearer secret")
        assert (answer.status, json.loads(body)) == (200, {"offset": 1})
        assert len(peer.get()["data"]) == 900_000
        assert ask(client, "POST", "/ws/publish", text, Authorization="Bearer wrong")[0].status == 401


def test_refusals_pass_with_their_body(name):
    with Hub(origin="https://app.example") as hub, behind(name, hub) as front:
        for origin, status, code in ((None, 404, "no_such_path"), ("https://evil.example", 403, "origin_forbidden")):
            with pytest.raises(InvalidStatus) as refused:
                connect(front.url("/ws/strem"), origin=origin)
            told = json.loads(refused.value.response.body)["error"]
            assert refused.value.response.status_code == told["status"] == status
            assert told["code"] == code and told["request_id"]
        # A page can't see that: it is told in band.
        with connect(front.url("/ws/strem"), origin="https://app.example", subprotocols=[PULSE]) as page:
            assert json.loads(page.recv(timeout=20))["data"]["code"] == "no_such_path"
            with pytest.raises(ConnectionClosed) as closed:
                page.recv(timeout=20)
            assert closed.value.rcvd.code == 4040


def test_nginx_that_takes_the_upgrade_away():
    """As it does when nobody tells it not to."""
    gone = {"proxy_set_header Upgrade $http_upgrade;": "", "proxy_set_header Connection $connection_upgrade;": ""}
    with Hub() as hub, behind("nginx", hub, gone) as front:
        with pytest.raises(InvalidStatus) as refused:
            Peer(front)
        told = json.loads(refused.value.response.body)["error"]
        assert told["status"] == 426 and "proxy" in told["message"]
