# SPDX-License-Identifier: Apache-2.0
"""A hub with peers that nobody here wrote: websockets and aiohttp."""
import asyncio
import contextlib
import json
import shutil
import socket
import ssl

import aiohttp
import certificate
import pytest
import websockets.asyncio.client
from hub import CODES, PULSE, Follower, Hub, HubError, until
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect, unix_connect

BIG = 4 << 20


class Peer:
    """A `pulse.v1` peer of the library websockets."""

    def __init__(self, hub, path="/ws/stream", **options):
        options = {"subprotocols": [PULSE], "max_size": None, **options}
        address = options.pop("unix", None)
        opened = unix_connect(address, "ws://hub" + path, **options) if address else connect(
            options.pop("url", None) or hub.url(path), **options)
        self.stack = contextlib.ExitStack()
        self.ws = self.stack.enter_context(opened)
        self.welcome = self.get("welcome")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    def say(self, **message):
        self.ws.send(json.dumps(message))

    def get(self, kind=None):
        message = json.loads(self.ws.recv(timeout=20))
        assert kind in (None, message["type"]), message
        return message

    def subscribe(self, topic, **wish):
        self.say(type="subscribe", id=1, topics=[{"topic": topic, **wish}])
        answer = self.get("subscribed")
        assert answer["topic"] == topic and answer["id"] == 1
        return answer

    def closed(self):
        """The close code and reason, after what came before."""
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                self.ws.recv(timeout=20)
        return closed.value.rcvd.code, closed.value.rcvd.reason


@pytest.fixture(params=["deflate", None], ids=["compressed", "uncompressed"])
def compression(request):
    return request.param


def test_subscribe_receive_unsubscribe(compression):
    with Hub(name="edge") as hub, Peer(hub, compression=compression) as peer:
        assert peer.ws.subprotocol == PULSE
        assert peer.welcome["data"]["hub"] == "edge" and peer.welcome["data"]["heartbeat"] == 25
        assert peer.subscribe("price.SOL")["offset"] == 0
        texts = [{"type": "price_update", "price": "1.50", "text": "ünïcode" * size} for size in (0, 1, 50, 5000, 50000)]
        for text in texts:
            hub.publish("price.SOL", text)
            hub.publish("price.BTC", text)
        for offset, text in enumerate(texts, 1):
            message = peer.get("price_update")
            assert (message["topic"], message["o"], message["p"]) == ("price.SOL", offset, offset - 1)
            assert message["data"] == text and message["t"][:2] == [None, None] and message["t"][2] > 1.5e12
        peer.say(type="unsubscribe", id="x", topics=["price.SOL"])
        assert peer.get("unsubscribed") == {"type": "unsubscribed", "id": "x", "topic": "price.SOL"}
        hub.publish("price.SOL", 1)
        peer.say(type="ping", data={"sent": 17})
        assert peer.get("pong")["data"]["sent"] == 17
        assert hub["frames_compressed"] == (3 if compression else 0)
        hub.check_books()


def test_plain_peers_of_aiohttp(compression):
    async def run(hub):
        async with aiohttp.ClientSession() as session, session.ws_connect(
                hub.url("/ws/stream?topics=a,b"), compress=15 if compression else 0, max_msg_size=0) as ws:
            assert ws.protocol is None and bool(ws.compress) == bool(compression)
            assert (await ws.receive_json(timeout=20))["type"] == "welcome"
            hub.until("subscriptions", 2)
            for size in (1, 125, 126, 1000, 65535, 65536, BIG):
                text = json.dumps({"x": "y" * size})
                hub.publish("a", text.encode())
                assert await ws.receive_str(timeout=20) == text
            await ws.ping(b"are you there")
            await ws.send_json({"type": "ping", "data": {"sent": 1}})
            assert (await ws.receive_json(timeout=20))["type"] == "pong"
            await ws.close(code=4321, message=b"enough")
            assert ws.close_code == 4321
        event = hub.event("closed")
        assert (event.code, event.text, event.count) == (4321, "enough", 7)

    with Hub(events="closed", queue_bytes="16MiB") as hub:
        asyncio.run(run(hub))
        hub.check_books()


def test_resume_after_a_reconnect(compression):
    with Hub(topics={"**": {"history": "1000"}}) as hub:
        with Peer(hub, compression=compression) as peer:
            epoch = peer.subscribe("t")["epoch"]
            follower = Follower()
            for number in range(10):
                hub.publish("t", {"n": number})
                follower.take(peer.get())
        for number in range(500):
            hub.publish("t", {"n": 10 + number, "fill": "x" * number})
        with Peer(hub, compression=compression) as peer:
            answer = peer.subscribe("t", since={"epoch": epoch, "offset": follower.last})
            assert answer["recovered"] is True and answer["offset"] == 510
            hub.publish("t", {"n": 510})
            for number in range(10, 511):
                message = peer.get()
                assert message["data"]["n"] == number
                follower.take(message)
            assert (follower.got, follower.missing) == (511, 0)
        for number in range(1000):
            hub.publish("t", number)
        for since in ({"epoch": epoch, "offset": 100}, {"epoch": "other", "offset": 100}, {"epoch": epoch, "offset": 10**18}):
            with Peer(hub) as peer:
                assert peer.subscribe("t", since=since)["recovered"] is False
                gap = peer.get("gap")
                assert gap["to"] == 1511 and gap["cause"] == ("hub_restart" if since["epoch"] == "other" else "history")
        assert (hub["resumes_recovered"], hub["resumes_gapped"]) == (1, 3)


def test_big_messages_and_fragments_to_the_application(compression):
    with Hub(events=["message"], max_message_size=f"{BIG}") as hub, Peer(hub, compression=compression) as peer:
        big = "ä" * (BIG // 2)
        peer.ws.send(big)
        event = hub.event("message")
        assert (event.code, event.data.decode() == big) == (CODES["TEXT"], True)
        parts = [b"\0\xff" * count for count in (0, 1, 70_000, 0, 3)]
        peer.ws.send(iter(parts))
        event = hub.event("message")
        assert (event.code, event.data) == (CODES["BINARY"], b"".join(parts))
        hub.send(event.peer, b"".join(parts))
        assert peer.ws.recv(timeout=20) == b"".join(parts)
        hub.send(event.peer, big)
        assert peer.ws.recv(timeout=20) == big
        with pytest.raises(HubError) as refused:
            hub.do("send", event.peer, CODES["TEXT"], b"\xff", 1)
        assert refused.value.code == CODES["EUTF8"]
        with contextlib.suppress(ConnectionClosed):
            peer.ws.send(big + "x")
        assert peer.closed()[0] == 1009


def test_pings_both_ways():
    with Hub(heartbeat="50ms", heartbeat_timeout="300ms") as hub:
        with Peer(hub, ping_interval=None) as peer:
            for number in range(100):
                assert peer.ws.ping(bytes([number]) * 125).wait(20)
            hub.until("pongs_received", 5)
        # One that answers no ping is cut.
        with hub.connect() as silent:
            silent.sendall(b"GET /ws/stream HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
            hub.until("peers_dead", 1)
            while silent.recv(65536):
                pass
        assert hub["pings_sent"] >= hub["pongs_received"] >= 5


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going away"), (3000, "x" * 123), (4999, "ü")])
def test_close_codes_come_back(code, reason):
    with Hub(events=["closed", "connected"]) as hub:
        peer = Peer(hub)
        peer.ws.close(code, reason)
        assert (peer.ws.close_code, hub.event("closed").code) == (code, code)
        with Peer(hub) as peer:
            hub.do("close_peer", hub.event("connected").peer, code, reason)
            assert peer.closed() == (code, reason)
        for bad in (0, 999, 1005, 1006, 1015, 5000, 65536 + 1000, -1):
            with pytest.raises(HubError):
                hub.do("close_peer", 1, bad, "")


def test_many_topics(compression):
    count = 1000
    with Hub(queue_messages=3 * count) as hub, Peer(hub, compression=compression) as peer:
        names = [f"t.{number}" for number in range(count)]
        for begin in range(0, count, 250):
            peer.say(type="subscribe", topics=names[begin:begin + 250])
        assert [peer.get("subscribed")["topic"] for _ in names] == names
        for turn in range(3):
            for name in reversed(names):
                hub.publish(name, {"turn": turn})
        got = [peer.get() for _ in range(3 * count)]
        # Each topic has an order, and all of them together have none.
        for name in names:
            assert [message["data"]["turn"] for message in got if message["topic"] == name] == [0, 1, 2]
        for begin in range(0, count, 250):
            peer.say(type="unsubscribe", topics=names[begin:begin + 250])
        assert [peer.get("unsubscribed")["topic"] for _ in names] == names
        assert hub["subscriptions"] == 0
        hub.check_books()


async def follow(hub, count, published, compression):
    async with websockets.asyncio.client.connect(hub.url(), subprotocols=[PULSE], compression=compression) as ws:
        assert json.loads(await ws.recv())["type"] == "welcome"
        await ws.send('{"type":"subscribe","topics":["t"]}')
        assert json.loads(await ws.recv())["type"] == "subscribed"
        published.wait_for(1)
        await published.begun.wait()
        follower = Follower()
        while follower.last < count:
            follower.take(json.loads(await ws.recv()))
        return follower


class Start:
    """Lets all begin when all are there."""

    def __init__(self, count):
        self.left = count
        self.begun = asyncio.Event()
        self.complete = asyncio.Event()

    def wait_for(self, one):
        self.left -= one
        if self.left == 0:
            self.complete.set()


@pytest.mark.parametrize("loops", [1, 4])
def test_two_hundred_peers_in_step(loops):
    async def run(hub):
        start = Start(200)
        peers = [asyncio.create_task(follow(hub, 100, start, "deflate" if index % 2 else None)) for index in range(200)]
        await asyncio.wait_for(start.complete.wait(), 60)
        for number in range(100):
            hub.publish("t", {"type": "n", "number": number, "fill": "abc" * 100})
        start.begun.set()
        return await asyncio.wait_for(asyncio.gather(*peers), 100)

    with Hub(loops=loops) as hub:
        for follower in asyncio.run(run(hub)):
            assert (follower.got, follower.missing, follower.skipped) == (100, 0, 0)
        hub.until("peers_closed", 200)
        statistics = hub.statistics()
        assert statistics["messages_written"] == statistics["messages_offered"] == 20_000
        assert 100 <= statistics["frames_encoded"] <= 2 * 100 * loops + 400
        hub.check_books()


def test_unix_socket(tmp_path):
    path = tmp_path / "hub.sock"
    with Hub("127.0.0.1:0", f"unix:{path}", loops=2, events="connected") as hub:
        assert hub.address(1) == f"unix:{path}"
        with Peer(hub, unix=str(path)) as peer, Peer(hub) as other:
            assert {hub.event("connected").address, hub.event("connected").address} == {"unix", "127.0.0.1"}
            for one in (peer, other):
                one.subscribe("t")
            hub.publish("t", "x")
            assert peer.get()["data"] == other.get()["data"] == "x"
    assert not path.exists()


def test_tls_and_a_new_certificate(tmp_path, certificates, compression):
    """Peers that are there stay; later ones get the new certificate; a broken one changes nothing."""
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    shutil.copy(certificates["chain"], chain)
    shutil.copy(certificates["key"], key)
    trusts = ssl.create_default_context(cafile=certificates["ca"])
    made = tmp_path / "new"
    made.mkdir()
    new = certificate.make(made)
    trusts_new = ssl.create_default_context(cafile=str(new[0]))
    with Hub("wss://127.0.0.1:0", certificate=chain, certificate_key=key, queue_bytes="16MiB") as hub:
        options = {"url": hub.url(scheme="wss"), "compression": compression}
        with Peer(hub, ssl=trusts, **options) as peer:
            peer.subscribe("t")
            shutil.copy(new[1], chain)
            shutil.copy(new[2], key)
            hub.call("reload")
            with Peer(hub, ssl=trusts_new, **options) as other, pytest.raises(ssl.SSLError):
                other.subscribe("t")
                hub.publish("t", "z" * BIG)
                assert len(other.get()["data"]) == len(peer.get()["data"]) == BIG
                Peer(hub, ssl=trusts, **options)
            key.write_text("nothing")
            with pytest.raises(HubError):
                hub.call("reload")
            with Peer(hub, ssl=trusts_new, **options) as other:
                assert other.subscribe("t")["offset"] == 1
            # Plain text on a port for TLS.
            with hub.connect() as plain:
                plain.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                while plain.recv(4096):
                    pass
        assert hub.until("tls_failures", 2) and hub["tls_handshakes"] == 3


def test_loops_share_the_port():
    with Hub(loops=4) as hub, contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Peer(hub)) for _ in range(60)]
        for peer in peers:
            peer.subscribe("t")
        hub.publish("t", 5)
        assert [peer.get()["data"] for peer in peers] == [5] * 60
        assert len({number["peer"] >> 26 & 63 for number in hub.peers()}) > 1
        assert hub["subscriptions"] == 60


def test_adopted_connections():
    """The first bytes were read by another server; some of them may be frames."""
    with Hub(loops=2, events="message") as hub, socket.create_server(("127.0.0.1", 0)) as listener:
        text = (b"GET /ws/stream?topics=t HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
                b"\x81\x82\0\0\0\0hi")
        for cut in (0, 1, 40, len(text) - 5, len(text)):
            with socket.create_connection(listener.getsockname(), timeout=20) as client:
                client.sendall(text)
                accepted, _ = listener.accept()
                first = accepted.recv(cut, socket.MSG_WAITALL) if cut else b""
                hub.do("adopt", accepted.detach(), first, len(first))
                event = hub.event("message")
                assert event.data == b"hi"
                hub.send(event.peer, b"ho")
                got = b""
                while b"\x82\x02ho" not in got:
                    got += client.recv(4096)
                assert got.startswith(b"HTTP/1.1 101 ") and b'"type":"welcome"' in got
        with open("/dev/null") as file:
            with pytest.raises(HubError):
                hub.do("adopt", file.fileno(), b"", 0)
            assert file.read() == ""
        until(lambda: hub["peers_closed"] == 5)
        assert hub["connections_accepted"] == 5


def test_frames_of_every_kind_in_one_write():
    """Control frames between fragments."""
    with Hub(events="message") as hub, Peer(hub, ping_interval=None) as peer:
        protocol = peer.ws.protocol
        with peer.ws.protocol_mutex:
            for frame in (Frame(Opcode.TEXT, b"one ", fin=False), Frame(Opcode.PING, b"p"), Frame(Opcode.CONT, b"two ", fin=False),
                          Frame(Opcode.PONG, b"q"), Frame(Opcode.CONT, b"three")):
                protocol.send_frame(frame)
            peer.ws.socket.sendall(b"".join(protocol.data_to_send()))
        assert hub.event("message").data == b"one two three"
