# SPDX-License-Identifier: Apache-2.0
"""Sending while there is no connection, or less room than messages: every accepted message has one fate."""

import math
import threading
import time

import pulsews
import pytest
from conftest import accept_upgrade, eventually, frame, receive_frame
from station import FAST, Events, balanced


@pytest.fixture
def away(dial, station):
    """Makes clients whose server is away."""
    clients = []

    def make(**options):
        ws = dial(station.url(), **{**FAST, **options})
        clients.append(ws)
        station.session(0)
        station.kill()
        assert eventually(lambda: ws.state == "reconnecting")
        return ws

    yield make
    for ws in clients:
        assert balanced(ws)
        ws.close()


def test_what_is_sent_meanwhile_arrives_in_order(away, station):
    ws = away()
    for number in range(100):
        assert ws.send(f"{number}") is None
    assert ws.send_many([f"{number}" for number in range(100, 200)]) == 100
    assert ws.status()["queue_size"] == 200
    station.start()
    session = station.session(1)
    station.wait(lambda: len(session.texts) == 200)
    ws.send("200")
    station.wait(lambda: len(session.texts) == 201)
    assert session.texts == [str(number) for number in range(201)]
    assert ws.statistics()["messages_sent"] == 201


def test_backlog_is_paced_and_new_messages_line_up_behind(away, station):
    ws = away(backlog_interval="50ms")
    for number in range(5):
        ws.send(f"old {number}")
    station.start()
    ws.wait_ready(timeout=10)
    ws.send("new")
    session = station.session(1)
    station.wait(lambda: len(session.texts) == 6)
    assert session.texts == [f"old {number}" for number in range(5)] + ["new"]
    assert session.times[4] - session.times[0] >= 0.15


@pytest.mark.parametrize("policy, kept", [("drop_oldest", range(5, 10)), ("drop_newest", range(5))])
def test_full_outbox_that_drops(away, station, policy, kept):
    ws = away(message_queue_size=5, message_queue_policy=policy)
    for number in range(10):
        ws.send(f"{number}")
    stats = ws.statistics()
    assert stats["messages_accepted"] == 10 and stats["messages_dropped"] == 5 and stats["queue_size"] == 5
    assert stats["messages_dropped_oldest" if policy == "drop_oldest" else "messages_dropped_newest"] == 5
    events = Events(ws)
    events.wait("dropped", cause=policy)
    assert eventually(lambda: sum(event["messages"] for event in events.look() if event["event"] == "dropped") == 5)
    station.start()
    session = station.session(1)
    station.wait(lambda: len(session.texts) == 5)
    assert session.texts == [str(number) for number in kept]


def test_drop_oldest_is_the_default(away):
    ws = away(message_queue_size=1)
    ws.send("a")
    ws.send("b")
    assert ws.statistics()["messages_dropped_oldest"] == 1


def test_full_outbox_that_rejects(away, station):
    ws = away(message_queue_size=3, message_queue_policy="reject")
    assert ws.send_many(["a", "b"]) == 2
    assert ws.send_many(["c", "d", "e"]) == 1
    for call in (lambda: ws.send("x"), lambda: ws.send("x", timeout=5), lambda: ws.send("x", report=True),
                 lambda: ws.send_many(["x", "y"])):
        start = time.monotonic()
        with pytest.raises(pulsews.QueueFull) as caught:
            call()
        assert caught.value.name == "PULSEWS_EQUEUEFULL" and time.monotonic() - start < 4
    stats = ws.statistics()
    assert stats["messages_accepted"] == 3 and stats["messages_rejected"] >= 4
    station.start()
    session = station.session(1)
    station.wait(lambda: len(session.texts) == 3)


def test_full_outbox_that_blocks(away, station):
    ws = away(message_queue_size=2, message_queue_policy="block")
    assert ws.send_many(["a", "b", "c"], timeout=0) == 2
    for call in (lambda: ws.send("x", timeout=0.3), lambda: ws.send("x", timeout=0.3, ttl=5),
                 lambda: ws.send_many(["x"], timeout=0.3)):
        start = time.monotonic()
        with pytest.raises(pulsews.QueueFull):
            call()
        assert 0.29 <= time.monotonic() - start < 20
    for call in (lambda: ws.send("x", timeout=0), lambda: ws.send("x", timeout=0, report=True)):
        with pytest.raises(pulsews.QueueFull):
            call()
    sent = []
    calls = [lambda: ws.send("c"), lambda: sent.append(ws.send("d", report=True)),
             lambda: sent.append(ws.send_many([f"e{number}" for number in range(20)]))]
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    threads[0].join(0.4)
    assert all(thread.is_alive() for thread in threads)
    station.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    session = station.session(1)
    station.wait(lambda: len(session.texts) == 24)
    assert session.texts[:2] == ["a", "b"] and {"c", "d"} < set(session.texts)
    assert [text for text in session.texts if text[0] == "e"] == [f"e{number}" for number in range(20)]
    assert 20 in sent


def test_ids_and_fates(away, station):
    ws = away(message_queue_size=3)
    events = Events(ws)
    first = ws.send("dropped", report=True)
    second = ws.send("expired", report=True, ttl=0.05)
    third = ws.send("sent", report=True)
    assert [second - first, third - second] == [1, 1]
    quiet = ws.send("quiet", ttl=math.inf)
    assert quiet == third + 1
    assert events.wait("fate", id=first)["fate"] == "dropped"
    assert events.wait("fate", id=second)["fate"] == "expired"
    assert events.wait("expired", first_id=second)["messages"] == 1
    station.start()
    assert events.wait("fate", id=third)["fate"] == "sent"
    session = station.session(1)
    station.wait(lambda: len(session.texts) == 2)
    assert session.texts == ["sent", "quiet"]
    assert not [event for event in events.look() if event["event"] == "fate" and event["id"] == quiet]


def test_time_to_live(away, station):
    ws = away(message_ttl="50ms")
    ws.send("by option")
    ws.send("longer", ttl=60)
    ws.send("for ever", ttl=math.inf)
    assert eventually(lambda: ws.statistics()["messages_expired"] == 1)
    assert ws.send_many(["a", "b"], ttl=0.01) == 2
    assert eventually(lambda: ws.statistics()["messages_expired"] == 3)
    station.start()
    session = station.session(1)
    station.wait(lambda: len(session.texts) == 2)
    assert session.texts == ["longer", "for ever"]


@pytest.mark.parametrize("ttl", [0, -1, math.nan, -math.inf, 1e10, 10**400])
def test_bad_time_to_live(dial, station, ttl):
    with dial(station.url()) as ws:
        for call in (lambda: ws.send("x", ttl=ttl), lambda: ws.send_many(["x"], ttl=ttl)):
            with pytest.raises(ValueError, match="ttl"):
                call()
        with pytest.raises(TypeError, match="ttl"):
            ws.send("x", ttl="5")
        assert ws.statistics()["messages_accepted"] == 0


def test_live_only_is_never_sent_late(away, station):
    ws = away()
    for call in (lambda: ws.send("order", live_only=True), lambda: ws.send_many(["order"], live_only=True),
                 lambda: ws.send("order", live_only=True, timeout=0)):
        with pytest.raises(pulsews.NotConnected):
            call()
    station.start()
    ws.wait_ready(timeout=10)
    assert ws.send("live", live_only=True) >= 1
    session = station.session(1)
    station.wait(lambda: session.texts)
    assert session.texts == ["live"]


def test_rate_limit_try_and_wait(dial, station):
    with dial(station.url(), rate_limit=["3/1500ms", "100/60s"], **FAST) as ws:
        session = station.session(0)
        for _ in range(3):
            ws.send("x", in_limit=True, timeout=0)
        for call in (lambda: ws.send("x", in_limit=True, timeout=0),
                     lambda: ws.send_many(["x"], in_limit=True, timeout=0)):
            with pytest.raises(pulsews.RateLimited) as caught:
                call()
            assert caught.value.name == "PULSEWS_ERATE"
        start = time.monotonic()
        with pytest.raises(pulsews.RateLimited):
            ws.send("x", in_limit=True, timeout=0.05)
        assert time.monotonic() - start < 1.3
        ws.send("waited", in_limit=True)
        assert ws.send_many(["a", "b", "c", "d"], in_limit=True, timeout=10) == 4
        ws.send("queued")
        station.wait(lambda: len(session.texts) == 9)
        assert session.texts[3:] == ["waited", "a", "b", "c", "d", "queued"]
        times = session.times
        # The station's clock sees them a little later than they were let go.
        assert all(times[number + 3] - times[number] > 1.2 for number in range(len(times) - 3)), times
        assert balanced(ws)


def test_send_many(dial, station):
    station.answers = lambda session, message: message
    with dial(station.url(), **FAST) as ws:
        messages = ["text", b"binary", "", b"", "Grüße", bytes(range(256)), bytearray(b"array"), memoryview(b"view"),
                    "a\0b", "x" * 70_000]
        assert ws.send_many(messages) == len(messages)
        assert ws.send_many(message for message in messages) == len(messages)
        assert ws.send_many([]) == 0
        plain = [message if isinstance(message, str) else bytes(message) for message in messages]
        assert [ws.recv(timeout=10) for _ in range(2 * len(messages))] == plain * 2
        total = 50_000
        options = {"ttl": 60}
        sent = 0
        while sent < total:
            sent += ws.send_many([str(number) for number in range(sent, min(total, sent + 500))], **options)
            received = []
            while len(received) < 500:
                received += ws.recv_batch(500, timeout=10)
            assert received == [str(number) for number in range(sent - 500, sent)]
        assert balanced(ws)


def test_bad_input_to_send_many(dial, station):
    with dial(station.url()) as ws:
        for messages in ("text", b"bytes", 5, None, {"a": 1}, [1], [None], ["a", 2]):
            with pytest.raises(TypeError):
                ws.send_many(messages)
        with pytest.raises(ValueError, match="surrogate"):
            ws.send_many(["a", "\ud800"])
        for timeout in (-1, math.nan):
            with pytest.raises(ValueError, match="timeout"):
                ws.send_many(["a"], timeout=timeout)
        assert ws.statistics()["messages_accepted"] == 0


def test_flush(away, station):
    ws = away()
    ws.flush(timeout=0)
    ws.send_many(["x"] * 50)
    for timeout in (0, 0.3):
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            ws.flush(timeout=timeout)
        assert timeout <= time.monotonic() - start < timeout + 3
    done = []
    thread = threading.Thread(target=lambda: done.append(ws.flush()))
    thread.start()
    thread.join(0.4)
    assert thread.is_alive()
    station.start()
    thread.join(10)
    assert done == [None]
    session = station.session(1)
    station.wait(lambda: len(session.texts) == 50)


def test_flush_ends_with_the_end_of_trying(away, station):
    ws = away(max_reconnect_attempts=20, message_queue_size=10)
    ws.send("x")
    with pytest.raises(pulsews.NotConnected):
        ws.flush(timeout=20)
    assert ws.state == "error"


def test_purge(away, station):
    ws = away()
    assert ws.purge() == 0
    ws.send_many(["x"] * 5)
    assert ws.purge() == 5
    stats = ws.statistics()
    assert stats["messages_purged"] == stats["messages_dropped"] == 5 and stats["queue_size"] == 0
    assert Events(ws).wait("dropped", cause="purge")["messages"] == 5
    ws.flush(timeout=5)


def test_ping_is_for_the_open_connection_only(away):
    ws = away()
    for timeout in (None, 0, 5):
        with pytest.raises(pulsews.NotConnected):
            ws.ping(timeout=timeout)


def test_many_pings_are_refused_at_once(dial, raw_server):
    release = threading.Event()

    def script(connection):
        accept_upgrade(connection)
        release.wait(30)

    with dial(raw_server(script).url, message_queue_policy="block", close_timeout=0.2) as ws:
        ws.send(b"x" * (12 << 20))  # more than the kernel takes, so that pings wait
        with pytest.raises(pulsews.QueueFull):
            for _ in range(100_000):
                ws.ping(b"x" * 125)
        release.set()


def test_disconnect_sends_what_was_accepted(dial, raw_server):
    got = []

    def script(connection):
        accept_upgrade(connection)
        while True:
            opcode, body = receive_frame(connection)
            if opcode == 8:
                connection.sendall(frame(8, body[:2]))
                return
            got.append(body)

    server = raw_server(script)
    with dial(server.url, **FAST) as ws:
        ws.send_many([b"x" * 1000] * 500)
        ws.disconnect()
        assert server.over.wait(10) and len(got) == 500
        assert balanced(ws) and ws.statistics()["messages_sent"] == 500


def test_the_books_balance_while_threads_send_and_the_server_comes_and_goes(dial, station):
    with dial(station.url(), message_queue_size=50, **FAST) as ws:
        stop, problems, unbalanced = threading.Event(), [], []

        def send(number):
            turn = 0
            while not stop.is_set():
                turn += 1
                try:
                    if number == 0:
                        ws.send(f"{turn}", ttl=0.01)
                    elif number == 1:
                        ws.send_many([f"{turn}"] * 10, report=True)
                    else:
                        ws.send(f"{turn}")
                except pulsews.NotConnected:
                    pass
                except Exception as problem:
                    problems.append(problem)
                    return

        def look():
            while not stop.is_set():
                if not balanced(ws):
                    unbalanced.append(ws.statistics())
                ws.events()

        threads = [threading.Thread(target=send, args=(number,)) for number in range(3)]
        threads.append(threading.Thread(target=look))
        for thread in threads:
            thread.start()
        for turn in range(6):
            session = station.session(turn)
            station.wait(lambda: session.texts)
            station.restart()
            station.session(turn + 1)
        stop.set()
        for thread in threads:
            thread.join(20)
        assert not problems and not unbalanced
        ws.flush(timeout=20)
        stats = ws.statistics()
        assert balanced(ws) and stats["queue_size"] == 0
        # At most once: what the server has got was sent or, cut in the middle, has failed.
        got = sum(len(session.messages) for session in station.sessions)
        assert got <= stats["messages_sent"] + stats["messages_failed"]
