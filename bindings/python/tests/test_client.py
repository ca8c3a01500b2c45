# SPDX-License-Identifier: Apache-2.0
"""Connect, send, receive: against the `websockets` package."""

import json
import threading
import time

import pulsews
import pytest
from conftest import accept_upgrade, eventually, frame, receive_frame
from peer import KINDS


def test_echo_of_every_kind(peer):
    with pulsews.connect(peer.url("/echo")) as ws:
        for message in KINDS:
            ws.send(message)
            answer = ws.recv(timeout=10)
            assert answer == message and type(answer) is type(message)
        for message in (bytearray(b"array"), memoryview(b"view"), memoryview(b"strided")[::2]):
            ws.send(message)
            assert ws.recv(timeout=10) == bytes(message)


def test_receive_every_kind_one_by_one_and_as_batches(peer):
    with pulsews.connect(peer.url("/kinds")) as ws:
        assert [ws.recv(timeout=10) for _ in KINDS] == KINDS
    with pulsews.connect(peer.url("/kinds")) as ws:
        received = []
        while len(received) < len(KINDS):
            received += ws.recv_batch(3, timeout=10)
        assert received == KINDS


@pytest.mark.parametrize("pad", [0, 100])
def test_order_over_all_ways_to_receive(peer, pad):
    with pulsews.connect(peer.url(f"/push?n=5000&pad={pad}")) as ws:
        received = []
        iterator = iter(ws)
        while len(received) < 5000:
            received.append(ws.recv(timeout=10))
            batch = ws.recv_batch(7, timeout=0)
            assert len(batch) <= 7
            received += batch
            if len(received) < 4990:
                received.append(next(iterator))
                received.append(ws.recv_message(timeout=10).data)
                received.append(ws.recv_message(timeout=10).data)
            ws.events()
        assert received == [f"{number}{'.' * pad}" for number in range(5000)]


def test_deflate_round_trip(deflating_peer):
    text = "price " * 2000
    with pulsews.connect(deflating_peer.url("/echo")) as ws:
        ws.send(text)
        message = ws.recv_message(timeout=10)
        assert message.data == text and message.compressed and message.ascii
        assert "permessage-deflate" in ws.response_headers["sec-websocket-extensions"]
    with pulsews.connect(deflating_peer.url("/echo"), compression=False) as ws:
        ws.send(text)
        message = ws.recv_message(timeout=10)
        assert message.data == text and not message.compressed
        assert "sec-websocket-extensions" not in ws.response_headers


def test_recv_message_tells_all(peer):
    with pulsews.connect(peer.url("/kinds")) as ws:
        before = time.time_ns() - 10**10
        messages = [ws.recv_message(timeout=10) for _ in KINDS]
    assert [message.data for message in messages] == KINDS
    assert [message.kind for message in messages] == ["text" if isinstance(m, str) else "binary" for m in KINDS]
    assert [message.ascii for message in messages] == [isinstance(m, str) and m.isascii() for m in KINDS]
    numbers = [message.sequence for message in messages]
    assert numbers == sorted(set(numbers))
    assert all(before < message.received_ns <= time.time_ns() for message in messages)


def test_time_outs(peer):
    with pulsews.connect(peer.url("/wait")) as ws:
        for timeout in (0, 0.05, 0.4):
            start = time.monotonic()
            with pytest.raises(TimeoutError) as caught:
                ws.recv(timeout=timeout)
            assert isinstance(caught.value, pulsews.PulseError)
            assert ws.recv_batch(timeout=timeout) == []
            with pytest.raises(TimeoutError):
                ws.recv_message(timeout=timeout)
            assert 3 * timeout <= time.monotonic() - start < 3 * timeout + 5
        assert ws.state == "connected"


def test_waiting_costs_no_processor_time(peer):
    with pulsews.connect(peer.url("/wait")) as ws:
        start = time.process_time()
        assert ws.recv_batch(timeout=1) == []
        assert time.process_time() - start < 0.2


def test_many_threads_receive_each_message_once_and_in_order(peer):
    total = 20_000
    with pulsews.connect(peer.url(f"/push?n={total}&close=1000"), reconnect=False) as ws:
        found = [[] for _ in range(4)]

        def one_by_one(own):
            own += ws

        def in_batches(own):
            try:
                while True:
                    own += ws.recv_batch(50)
            except pulsews.ConnectionClosed:
                pass

        threads = [
            threading.Thread(target=(one_by_one, in_batches)[number % 2], args=(own,))
            for number, own in enumerate(found)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        numbers = [[int(message) for message in own] for own in found]
        assert all(own == sorted(own) for own in numbers)
        assert sorted(sum(numbers, [])) == list(range(total))


def test_looking_at_a_client(peer):
    url = peer.url("/echo")
    with pulsews.connect(url) as ws:
        assert ws.url == url and ws.state == "connected" and ws.close_code is None and ws.close_reason == ""
        assert ws.subprotocol is None
        assert ws.response_headers["UPGRADE"].lower() == "websocket"
        ws.send("x")
        ws.recv(timeout=10)
        status = ws.status()
        assert status["state"] == "connected" and status["queue_size"] == 0
        stats = status["stats"]
        for key in ("messages_received", "messages_sent", "reconnections", "errors", "uptime", "last_error", "latency"):
            assert key in stats
        assert stats["messages_received"] == 1 and stats["messages_sent"] == 1
        assert "connected" in repr(ws) and "127.0.0.1" in repr(ws)
    assert ws.state == "disconnected" and ws.close_code == 1000
    assert json.dumps(ws.status())


def test_queue_size_counts_what_was_fetched_ahead(peer):
    with pulsews.connect(peer.url("/push?n=10&close=1000"), reconnect=False) as ws:
        assert ws.recv(timeout=10) == "0"
        rest = []
        while True:
            before = ws.status()["receive_queue_size"]
            try:
                rest.append(ws.recv(timeout=10))
            except pulsews.ConnectionClosed:
                break
            assert ws.status()["receive_queue_size"] >= before - 1
        assert len(rest) == 9 and ws.status()["receive_queue_size"] == 0


def test_latency(peer):
    with pulsews.connect(peer.url("/wait"), heartbeat_interval="10ms") as ws:
        assert eventually(lambda: ws.latency is not None)
        assert 0 < ws.latency < 5 and ws.status()["stats"]["latency"] < 5
    with pulsews.connect(peer.url("/wait"), heartbeat_interval=0) as ws:
        assert ws.latency is None


def test_repr_has_no_credentials(peer):
    with pulsews.connect(f"ws://me:secret@127.0.0.1:{peer.port}/wait?token=hidden") as ws:
        assert "secret" not in repr(ws) and "hidden" not in repr(ws)


@pytest.mark.parametrize("headers", [{"X-Token": "abc", "X-Empty": ""}, [("X-Token", "abc"), ("X-Empty", "")]])
def test_headers_are_sent(peer, headers):
    with pulsews.connect(peer.url("/request"), headers=headers) as ws:
        sent = dict(json.loads(ws.recv(timeout=10)))
    assert sent["X-Token"] == "abc" and sent["X-Empty"] == ""


def test_headers_from_a_generator_and_twice(peer):
    with pulsews.connect(peer.url("/request"), headers=((name, "1") for name in ("X-A", "X-A"))) as ws:
        assert json.loads(ws.recv(timeout=10)).count(["X-A", "1"]) == 2


@pytest.mark.parametrize("offered, chosen", [
    (["quotes.v1"], "quotes.v1"), (("quotes.v1", "quotes.v2"), "quotes.v2"), ("quotes.v2", "quotes.v2"),
])
def test_subprotocols(peer, offered, chosen):
    with pulsews.connect(peer.url("/echo"), subprotocols=offered) as ws:
        assert ws.subprotocol == chosen


def test_none_is_the_default(peer):
    nothing = {row.name: None for row in pulsews.option_table()}
    with pulsews.connect(peer.url("/echo"), **nothing) as ws:
        ws.send("x")
        assert ws.recv(timeout=10) == "x"


def test_events_come_apart_from_messages(peer):
    with pulsews.connect(peer.url("/push?n=3&close=1000"), reconnect=False) as ws:
        assert list(ws) == ["0", "1", "2"]
        events = ws.events()
        assert events and all(isinstance(event, dict) for event in events)
        assert "connected" in json.dumps(events)
        assert ws.events() == [] and ws.events_dropped == 0


def test_events_without_receiving(peer):
    with pulsews.connect(peer.url("/wait")) as ws:
        assert "connected" in json.dumps(ws.events())
    with pulsews.connect(peer.url("/wait"), events=False) as ws:
        assert ws.events() == []


def test_refused_handshake(peer):
    with pytest.raises(pulsews.HandshakeError) as caught:
        pulsews.connect(peer.url("/refuse"))
    error = caught.value
    assert error.status == 403 and error.headers["x-why"] == "token" and error.headers.get_all("X-Twice") == ["a", "b"]
    assert error.body.startswith(b"no entry") and len(error.body) == 4096
    assert error.name == "PULSEWS_EHANDSHAKE" and "403" in str(error)
    assert not error.retryable and "no entry" in str(error)


def test_a_refusal_that_repeats_the_password_is_not_quoted(raw_server):
    def refuse(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 401 " + reason + b"\r\nConnection: close\r\n\r\nwrong login: " + repeated)

    server = raw_server(refuse)
    url = server.url.replace("://", "://me:supersecret@")
    reason = b"No"
    for repeated in (b"supersecret", b"Basic bWU6c3VwZXJzZWNyZXQ="):
        with pytest.raises(pulsews.HandshakeError) as caught:
            pulsews.connect(url, reconnect=False)
        assert caught.value.body.endswith(repeated)
        assert "wrong login" not in str(caught.value) and "401" in str(caught.value)
    repeated = b"try another"
    with pytest.raises(pulsews.HandshakeError, match="401 No: wrong login: try another"):
        pulsews.connect(url, reconnect=False)
    reason = b"No supersecret here"
    with pytest.raises(pulsews.HandshakeError, match="401: wrong login: try another"):
        pulsews.connect(url, reconnect=False)


def test_a_refusal_is_retryable_by_its_status_and_by_the_options(raw_server):
    def refuse(connection):
        connection.recv(65536)
        connection.sendall(answer)

    server = raw_server(refuse)
    for status, options, expected in [
        (401, {}, False), (404, {}, False), (429, {}, True), (503, {}, True), (403, {"retry_fatal": True}, True)
    ]:
        answer = f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()
        with pytest.raises(pulsews.HandshakeError) as caught:
            pulsews.connect(server.url, reconnect=False, **options)
        assert caught.value.status == status and caught.value.retryable is expected


def test_nobody_listens(raw_server):
    server = raw_server(lambda connection: None)
    server.stop()
    with pytest.raises(pulsews.ConnectError) as caught:
        pulsews.connect(server.url)
    assert caught.value.name == "PULSEWS_EREFUSED" and caught.value.retryable and "127.0.0.1" in str(caught.value)


def test_ping_is_on_the_wire(raw_server):
    seen = []

    def script(connection):
        accept_upgrade(connection)
        seen.append(receive_frame(connection))
        seen.append(receive_frame(connection))
        connection.sendall(frame(1, b"done"))
        receive_frame(connection)
        connection.sendall(frame(8, b"\x03\xe8"))

    with pulsews.connect(raw_server(script).url) as ws:
        ws.ping(b"are you there")
        ws.ping("text")
        assert ws.recv(timeout=10) == "done"
    assert seen == [(9, b"are you there"), (9, b"text")]


def fill(ws, chunk=b"x" * 65536, timeout=0):
    """Sends until the outbox is full; how much it took, and how long the last call did. What the kernel still takes makes
    room again: it is full for good when a whole `timeout` gained none."""
    for sent in range(10_000):
        start = time.monotonic()
        try:
            ws.send(chunk, timeout=timeout)
        except pulsews.QueueFull as problem:
            assert problem.name == "PULSEWS_EQUEUEFULL"
            return sent, time.monotonic() - start
    raise AssertionError("the queue never became full")


def test_full_queue(raw_server):
    go = threading.Event()

    def script(connection):
        accept_upgrade(connection)
        go.wait(30)
        while receive_frame(connection)[0] != 8:
            pass
        connection.sendall(frame(8, b"\x03\xe8"))

    options = dict(message_queue_bytes="256KiB", message_queue_policy="block", close_timeout=30)
    with pulsews.connect(raw_server(script).url, **options) as ws:
        assert fill(ws)[0] > 1
        assert 0.3 <= fill(ws, timeout=0.3)[1] < 5
        sender = threading.Thread(target=ws.send, args=(b"x" * 65536,))
        sender.start()
        sender.join(0.4)
        assert sender.is_alive()
        go.set()
        sender.join(30)
        assert not sender.is_alive()


def test_sixteen_mebibytes(peer):
    with pulsews.connect(peer.url("/echo"), max_message_size="16MiB") as ws:
        for message in (b"\x5a" * (16 << 20), "é" * (8 << 20)):
            ws.send(message)
            assert ws.recv(timeout=30) == message


def test_message_over_the_limit(peer):
    with pulsews.connect(peer.url("/echo"), max_message_size=1000, reconnect=False) as ws:
        ws.send("x" * 1000)
        assert len(ws.recv(timeout=10)) == 1000
        ws.send("x" * 1001)
        with pytest.raises(pulsews.ConnectionClosed) as caught:
            ws.recv(timeout=10)
        assert caught.value.name == "PULSEWS_ETOOBIG"
