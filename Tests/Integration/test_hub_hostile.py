# SPDX-License-Identifier: Apache-2.0
"""Peers that break the rules, ask for too much, or vanish: the others are served on."""
import base64
import contextlib
import json
import os
import pathlib
import select
import socket
import struct
import subprocess
import sys
import time
import zlib

import pytest
from conftest import HERE, ROOT
from hub import PULSE, Hub, until
from test_hub_peers import Peer

UPGRADE = ("GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: " + base64.b64encode(bytes(16)).decode() + "\r\n{more}\r\n")
MASK = b"\x11\x22\x33\x44"


def frame(opcode, payload=b"", fin=True, rsv=0, mask=MASK, length=None):
    count = len(payload) if length is None else length
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = 128 if mask else 0
    if count < 126:
        head += bytes([bit | count])
    else:
        head += struct.pack("!BH", bit | 126, count) if count < 65536 else struct.pack("!BQ", bit | 127, count)
    if not mask:
        return head + payload
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes((mask * (len(payload) // 4 + 1))[:len(payload)], "big"))
    return head + mask + masked.to_bytes(len(payload), "big")


class RawPeer:
    """A socket behind the handshake."""

    def __init__(self, hub, path="/ws/stream", more="", pulse=False):
        self.socket = hub.connect()
        if pulse:
            more += f"Sec-WebSocket-Protocol: {PULSE}\r\n"
        self.socket.sendall(UPGRADE.format(path=path, more=more).encode())
        self.bytes = b""
        self.head = self.until(b"\r\n\r\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def more(self):
        piece = self.socket.recv(1 << 18)
        if not piece:
            raise EOFError
        self.bytes += piece

    def until(self, end):
        while end not in self.bytes:
            self.more()
        found, _, self.bytes = self.bytes.partition(end)
        return found.decode()

    def take(self, count):
        while len(self.bytes) < count:
            self.more()
        taken, self.bytes = self.bytes[:count], self.bytes[count:]
        return taken

    def frame(self):
        first, second = self.take(2)
        assert second < 128, "a server does not mask"
        length = second
        if second >= 126:
            length = int.from_bytes(self.take(2 if second == 126 else 8), "big")
        return first & 15, self.take(length)

    def close_code(self):
        """Of the close frame, behind which the connection ends."""
        while True:
            opcode, payload = self.frame()
            if opcode == 8:
                break
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(frame(8, payload[:2]))
            with pytest.raises(EOFError):
                self.more()
        return int.from_bytes(payload[:2], "big")

    def error(self):
        """The code of the next `error`."""
        while True:
            opcode, payload = self.frame()
            if opcode == 1 and (message := json.loads(payload))["type"] == "error":
                return message["data"]["code"]


BROKEN = {
    "not masked": (1002, frame(1, b"hello", mask=b"")),
    "an unknown opcode": (1002, frame(3, b"x")),
    "an unknown control opcode": (1002, frame(11)),
    "a reserved bit": (1002, frame(1, b"x", rsv=2)),
    "compressed without agreement": (1002, frame(1, b"x", rsv=4)),
    "a long ping": (1002, frame(9, b"x" * 126)),
    "a fragmented ping": (1002, frame(9, b"x", fin=False)),
    "a continuation of nothing": (1002, frame(0, b"x")),
    "a text within a text": (1002, frame(1, b"x", fin=False) + frame(1, b"y")),
    "a length of 63 bits": (1009, frame(2, length=(1 << 63) - 1)),
    "a length of 64 bits": (1002, frame(2, length=(1 << 64) - 1)),
    "a length that is not the shortest": (1002, b"\x81\xfe\0\5" + MASK),
    "no UTF-8": (1007, frame(1, b"ab\xff")),
    "half a character": (1007, frame(1, b"\xe2\x82")),
    "a surrogate": (1007, frame(1, b"\xed\xa0\x80")),
    "no UTF-8, in fragments": (1007, frame(1, b"a\xc3", fin=False) + frame(0, b"(")),
    "a close code of one byte": (1002, frame(8, b"\3")),
    "close code 1005": (1002, frame(8, b"\x03\xed")),
    "a reason that is no UTF-8": (1007, frame(8, b"\x03\xe8\xff")),
    "too long": (1009, frame(2, bytes(65537))),
    "too long in fragments": (1009, frame(2, bytes(40000), fin=False) + frame(0, bytes(40000))),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_frames(name):
    code, sent = BROKEN[name]
    with Hub(events=["message", "closed"]) as hub, RawPeer(hub) as bad, Peer(hub) as good:
        bad.socket.sendall(sent)
        assert bad.close_code() == code
        assert (hub.event("closed").code, hub["protocol_errors"]) == (code, 1)
        good.subscribe("t")
        hub.publish("t", 1)
        assert good.get()["data"] == 1


@pytest.mark.parametrize("step", [1, 3])
def test_frames_in_small_pieces(step):
    with Hub(events="message") as hub, RawPeer(hub) as peer:
        peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sent = frame(1, "grüße".encode(), fin=False) + frame(9, b"p") + frame(0, b"x" * 200)
        for begin in range(0, len(sent), step):
            peer.socket.sendall(sent[begin:begin + step])
        assert hub.event("message").data == "grüße".encode() + b"x" * 200


def memory(pid="self"):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def bomb(size):
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(1 << 20)
    return b"".join(deflate.compress(block) for _ in range(size >> 20)) + deflate.flush(zlib.Z_SYNC_FLUSH)[:-4]


def test_a_compression_bomb():
    """1 GB in 1 MB: refused when it is longer than allowed, not when all of it is inflated."""
    sent = frame(2, bomb(1 << 30), rsv=4)
    assert len(sent) < 1_100_000
    with Hub(max_message_size="2MiB", events="closed") as hub, RawPeer(
            hub, more="Sec-WebSocket-Extensions: permessage-deflate\r\n") as peer:
        assert "permessage-deflate" in peer.head
        before, begin = memory(), time.process_time()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            peer.socket.sendall(sent)
        assert hub.event("closed").code == 1009
        assert memory() - before < 16 << 20 and time.process_time() - begin < 1


def test_what_is_not_understood():
    with Hub() as hub, RawPeer(hub, pulse=True) as peer:
        for text, code in (("", "not_understood"), ("not json", "not_understood"), ("{}", "not_understood"),
                           ("[" * 60000, "not_understood"),
                           ('{"type":"subscribe"}', "bad_request"), ('{"type":"subscribe","topics":[]}', "bad_request"),
                           ('{"type":"subscribe","topics":[1]}', "bad_request"), ('{"type":"subscribe","topics":[{}]}', "bad_request"),
                           ('{"type":"subscribe","topics":["' + "x" * 257 + '"]}', "bad_request"),
                           ('{"type":"subscribe","topics":["' + "x" * 60000 + '"]}', "bad_request"),
                           ('{"type":"subscribe","topics":["\\u0000"]}', "bad_request"),
                           ('{"type":"subscribe","topics":["a\\nb"]}', "bad_request"),
                           ('{"type":"subscribe","topics":[' + ",".join(['"t"'] * 257) + "]}", "bad_request"),
                           ('{"type":"subscribe","topics":[{"topic":"t","since":{"epoch":1,"offset":2}}]}', "bad_request"),
                           ('{"type":"subscribe","topics":[{"topic":"t","since":{"epoch":"x","offset":-2}}]}', "bad_request"),
                           ('{"type":"subscribe","topics":[{"topic":"t","history":1e99}]}', "bad_request"),
                           ('{"type":"unsubscribe","topics":{}}', "bad_request"),
                           ('{"type":"auth","data":{"token":7}}', "bad_auth")):
            peer.socket.sendall(frame(1, text.encode()))
            assert peer.error() == code, text[:80]
        assert hub["subscriptions"] == 0


def test_subscriptions_without_end():
    with Hub(subscriptions_per_peer=100) as hub, Peer(hub) as peer:
        for number in range(150):
            peer.say(type="subscribe", id=number, topics=[f"t.{number}"])
            answer = peer.get()
            if number < 100:
                assert answer["type"] == "subscribed"
            else:
                assert answer["data"]["code"] == "too_many_subscriptions" and answer["topic"] == f"t.{number}"
        peer.subscribe("t.5")  # has it already
        peer.say(type="unsubscribe", topics=["t.0", "never.had"])
        assert [peer.get("unsubscribed")["topic"] for _ in range(2)] == ["t.0", "never.had"]
        peer.subscribe("t.149")
        assert hub["subscriptions"] == 100
    with Hub(subscriptions_per_peer=10) as hub, Peer(hub, "/ws/stream?topics=" + ",".join(f"u{n}" for n in range(1000))):
        assert hub["subscriptions"] == 10


def test_names_without_end_leave_room_for_the_application():
    """Peers may make topics, as patterns allow, but never the last ones."""
    with Hub() as hub, Peer(hub) as peer:
        kinds = set()
        for turn in range(240):
            names = [f"{turn}.{number}" for number in range(250)]
            peer.say(type="subscribe", topics=names)
            kinds |= {peer.get().get("data", {}).get("code", "subscribed") for _ in names}
            peer.say(type="unsubscribe", topics=names)
            assert {peer.get()["type"] for _ in names} == {"unsubscribed"}
        assert kinds == {"subscribed", "too_many_topics"}
        assert hub["subscriptions"] == 0 and hub["topics"] == 50_000
        for number in range(1000):
            hub.publish(f"mine.{number}", number)
        peer.subscribe("mine.7")


@pytest.mark.parametrize("kind", ["pings", "subscribes", "requests"])
def test_answers_that_nobody_reads(kind):
    """Who sends and does not read is not read any more; when it reads on, all the answers are there."""
    with Hub() as hub, contextlib.ExitStack() as stack:
        if kind == "requests":
            peer = stack.enter_context(hub.connect())
            one, answer = b"GET /ws/health HTTP/1.1\r\nHost: h\r\n\r\n", b"HTTP/1.1 200 OK"
        else:
            raw = stack.enter_context(RawPeer(hub, pulse=True))
            peer = raw.socket
            one, answer = (frame(9, b"p" * 125), b"\x8a\x7d" + b"p" * 125) if kind == "pings" else (
                frame(1, b'{"type":"ping","data":{"sent":123456}}'), b'"sent":123456')
        block = one * (100_000 // len(one))
        before = memory()
        peer.setblocking(False)
        sent, quiet = 0, time.monotonic()
        while time.monotonic() - quiet < 0.5 and sent < 200 << 20:
            with contextlib.suppress(BlockingIOError):
                sent += peer.send(block[sent % len(block):])
                quiet = time.monotonic()
            select.select([], [peer], [], 0.05)
        assert sent < 100 << 20 and memory() - before < 32 << 20, (sent, memory() - before)
        wanted, got, tail = sent // len(one), 0, b""
        peer.settimeout(20)
        while got < wanted:
            tail = tail[-len(answer) + 1:] + peer.recv(1 << 20)
            got += tail.count(answer)
        assert got == wanted


def test_peers_that_vanish():
    """By RST, at every moment of a connection's life."""
    begins = [b"", b"GET / HT", b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n", UPGRADE.format(path="/ws/stream?topics=t", more="").encode(),
              UPGRADE.format(path="/ws/stream?topics=t", more="").encode() + frame(1, b"hello", fin=False),
              UPGRADE.format(path="/ws/stream?topics=t", more="").encode() + frame(2, bytes(9000))[:5000]]
    with Hub(loops=2, topics={"t": {"history": "10"}}) as hub, Peer(hub) as good:
        good.subscribe("t")
        for turn in range(30):
            for begin in begins:
                with hub.connect() as victim:
                    victim.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    victim.sendall(begin)
                    if turn % 2 and len(begin) > 40:
                        victim.recv(100)
                hub.publish("t", {"turn": turn})
        for turn in range(30 * len(begins)):
            assert good.get()["data"] == {"turn": turn // len(begins)}
        until(lambda: hub["active_connections"] == 1 and hub["http_connections"] == 0)
        assert hub["subscriptions"] == 1
        hub.check_books()


class HubProcess:
    def __init__(self, **wanted):
        self.process = subprocess.Popen([sys.executable, HERE / "hub_process.py", json.dumps(wanted)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self.port = int(self.process.stdout.readline())

    def ask(self, *words):
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def seconds(self):
        """Of processor time."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    connect = Hub.connect
    url = Hub.url

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            assert self.process.wait(timeout=20) == 0
        finally:
            self.process.kill()
            self.process.stdout.close()


def test_no_descriptor_left():
    """Those that are there are served on, the others are closed at once and counted, and nothing spins."""
    with HubProcess(descriptors=64) as hub, Peer(hub) as good, contextlib.ExitStack() as stack:
        good.subscribe("t")
        crowd = [stack.enter_context(hub.connect()) for _ in range(200)]
        for connection in crowd:
            connection.setblocking(False)

        def refused():
            gone = 0
            for connection in crowd:
                with contextlib.suppress(BlockingIOError):
                    with contextlib.suppress(ConnectionResetError):
                        connection.recv(1000)
                    gone += 1
            return gone

        assert until(lambda: refused() >= 130 and refused()) < 200
        before = hub.seconds()
        for number in range(20):
            hub.ask("publish", "t", {"number": number})
            assert good.get()["data"] == {"number": number}
        time.sleep(0.5)  # the time in which it must not spin
        assert hub.seconds() - before < 0.25
        statistics = hub.ask("statistics")
        assert statistics["connections_refused"] >= 130 and statistics["accept_failures"] >= 130, statistics
        stack.close()
        with Peer(hub) as other:
            other.subscribe("t")


def test_max_connections():
    with Hub(max_connections=10) as hub, contextlib.ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(Peer(hub))
        with hub.connect() as one:
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := one.recv(4096):
                    answer += piece
            assert answer.startswith(b"HTTP/1.1 503 ")
        assert hub["connections_refused"] == 1
        stack.close()
        until(lambda: hub["active_connections"] == 0)
        with Peer(hub) as peer:
            peer.subscribe("t")
