# SPDX-License-Identifier: Apache-2.0
"""What a daemon serves: topics, files, tokens, feeds, TLS; and how it begins and ends."""
import json
import signal
import socket
import ssl
import struct

import pytest
from daemons import SECRET, get, subscribe, token
from exchanges import Exchange
from websockets.exceptions import ConnectionClosed, InvalidStatus

BASE = """
[hub]
listen = ["127.0.0.1:0"]
publish_token = "a-token-to-publish-with"
[topic."price.*"]
latest = true
conflate = "symbol"
history = 10
"""
PUBLISHER = {"Authorization": "Bearer a-token-to-publish-with"}


@pytest.fixture
def exchange():
    made = Exchange()
    yield made
    made.close()


def publish(daemon, topic, data):
    status, _, body = daemon.request("/ws/publish", json.dumps({"topic": topic, "data": data}), PUBLISHER)
    assert status == 200, body
    return json.loads(body)["offset"]


def test_topics_and_files(start, tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app/index.html").write_text("<p>here</p>")
    daemon = start(BASE + f'[static]\n"/app/" = "{tmp_path}/app"\n')
    assert daemon.request("/app/")[2] == "<p>here</p>"
    assert daemon.request("/ws/health")[0] == 200
    publish(daemon, "price.SOL", {"type": "price_update", "symbol": "SOL", "price": "1"})
    with daemon.peer() as peer:
        peer.send(json.dumps({"type": "subscribe", "topics": ["price.SOL"]}))
        assert [item["data"]["price"] for item in get(peer, "snapshot")["items"]] == ["1"]
        publish(daemon, "price.SOL", {"type": "price_update", "symbol": "SOL", "price": "2"})
        assert get(peer, "price_update")["data"]["price"] == "2"


def test_tokens_of_a_key(start):
    daemon = start('[hub]\nlisten = "127.0.0.1:0"\nauth = "required"\n[key.k]\nalgorithm = "HS256"\nsecret_env = "S"\n'
                   '[topic."a.*"]\nsubscribe = "granted"\n', environment={"S": SECRET})
    with daemon.peer(additional_headers={"Authorization": f"Bearer {token(topics=['a.b'])}"}) as peer:
        subscribe(peer, "a.b")
        peer.send(json.dumps({"type": "subscribe", "topics": ["a.c"]}))
        assert get(peer, "error")["data"]["code"] == "topic_forbidden"
    bad = token(secret="another secret of thirty-two bytes, at least")
    with pytest.raises(InvalidStatus):
        daemon.peer(additional_headers={"Authorization": f"Bearer {bad}"})
    assert SECRET not in daemon.output and bad not in daemon.output


@pytest.mark.parametrize("loops", [1, 2])
def test_a_feed_of_a_preset(start, exchange, loops):
    daemon = start(BASE.replace("[topic", f"loops = {loops}\n[topic", 1) + f"""
[feed.binance]
preset = "binance-spot"
url = "{exchange.url}"
symbols = ["SOLUSDT", "BTCUSDT"]
streams = ["price"]
""")
    with daemon.peer() as peer:
        subscribe(peer, "price.SOL", "price.BTC")
        exchange.wait_for(lambda: len(exchange.subscribed) == 2)
    assert set(exchange.subscribed) == {("SUBSCRIBE", "solusdt@bookTicker"), ("SUBSCRIBE", "btcusdt@bookTicker")}
    with daemon.peer("/ws/stream?topics=price.SOL", pulse=False) as peer:
        price = get(peer, "price_update")
    assert (price["symbol"], price["price"]) == ("SOL", "1.50")


def test_a_map_of_its_own_and_a_second_endpoint(start, exchange):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"ws://127.0.0.1:{closed.getsockname()[1]}/"
    daemon = start(BASE + f"""
[feed.own]
url = ["{nobody}", "{exchange.url}"]
subscribe_message = '{{"method":"SUBSCRIBE","params":[${{keys}}],"id":${{id}}}}'
subscribe = ["{{symbol_lower}}@x"]
symbols = "SOLUSDT"
map = '''
rule=any
match={{"data":"*"}}
topic=price.${{data.s}}
publish={{"type":"mine","is":${{data.b}}}}
'''
""")
    exchange.wait_for(lambda: exchange.subscribed == [("SUBSCRIBE", "solusdt@x")])
    with daemon.peer("/ws/stream?topics=price.SOLUSDT", pulse=False) as peer:
        assert get(peer, "mine")["is"] == "1.00"


def test_tls_and_its_renewal(start, certificates, tmp_path):
    (old, chain, key), (new, other, other_key) = certificates
    for source, name in ((chain, "chain.pem"), (key, "key.pem")):
        (tmp_path / name).write_bytes(open(source, "rb").read())
    daemon = start('[hub]\nheader_timeout = "1m"\nlisten = "wss://127.0.0.1:0"\n'
                   f'certificate = "{tmp_path}/chain.pem"\ncertificate_key = "{tmp_path}/key.pem"\n')
    address = daemon.address

    def connects(authority):
        try:
            with daemon.peer(scheme="wss", address=address, ssl=ssl.create_default_context(cafile=authority)) as peer:
                return get(peer, "welcome")["type"] == "welcome"
        except ssl.SSLCertVerificationError:
            return False

    assert connects(old) and not connects(new)
    (tmp_path / "key.pem").write_text("no key")
    assert any("the old one stays" in line and "error" in line for line in daemon.reload())
    assert connects(old)
    for source, name in ((other, "chain.pem"), (other_key, "key.pem")):
        (tmp_path / name).write_bytes(open(source, "rb").read())
    assert "was applied" in daemon.reload()[-1]
    assert connects(new) and not connects(old)


def test_a_drain_closes_peers_and_ends_with_0(start):
    daemon = start(BASE.replace("[topic", "drain_spread = 0\n[topic", 1))
    with daemon.peer() as peer:
        get(peer, "welcome")
        daemon.signal()
        with pytest.raises(ConnectionClosed) as closed:
            peer.recv(20)
        assert closed.value.rcvd.code == 1012
    assert daemon.wait() == 0
    assert "draining" in daemon.output and "ended" in daemon.output


def silent_peer(daemon):
    """A peer that never answers a close."""
    host, port = daemon.address.rsplit(":", 1)
    connection = socket.create_connection((host, int(port)))
    connection.sendall(b"GET /ws/stream HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
    assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
    return connection


def test_a_second_signal_ends_at_once(start):
    daemon = start(BASE.replace("[topic", 'close_timeout = "1h"\ndrain_spread = 0\n[topic', 1))
    with silent_peer(daemon):
        daemon.signal(signal.SIGINT)
        daemon.wait_for("draining")
        daemon.signal()
        assert daemon.wait() == 3
    assert "second signal" in daemon.output


def test_a_drain_that_takes_too_long(start):
    daemon = start(BASE.replace("[topic", 'close_timeout = "1h"\ndrain_spread = 0\n[daemon]\ndrain_timeout = "50ms"\n[topic', 1))
    with silent_peer(daemon):
        daemon.signal()
        assert daemon.wait() == 3
    assert "longer than drain_timeout" in daemon.output


def test_a_port_that_is_taken(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        daemon = start(f'[hub]\nlisten = "127.0.0.1:{taken.getsockname()[1]}"\n', ready=False)
        assert daemon.wait() == 1
    assert "the hub does not start" in daemon.output


def test_a_bad_configuration(start):
    daemon = start("[hub]\nlisten = 5\nnaem = 1\n", ready=False)
    assert daemon.wait() == 2
    assert len(daemon.output.splitlines()) == 2


def test_a_peer_that_is_reset_ends_nothing(start):
    daemon = start(BASE)
    connection = silent_peer(daemon)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    assert daemon.request("/ws/health")[0] == 200
