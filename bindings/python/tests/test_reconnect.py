# SPDX-License-Identifier: Apache-2.0
"""Coming back: from lost connections, mute peers and refusals; and the end of trying, which nobody may miss."""

import os
import random
import signal
import threading
import time

import pulsews
import pytest
from conftest import accept_upgrade, eventually
from station import FAST, Events


def test_it_comes_back_after_the_server_was_killed(dial, station):
    with dial(station.url(), **FAST) as ws:
        events = Events(ws)
        station.session(0).send("before")
        assert ws.recv(timeout=10) == "before"
        station.kill()
        events.wait("state", state="reconnecting")
        with pytest.raises(TimeoutError):
            ws.recv(timeout=0.2)
        assert ws.state == "reconnecting" and not ws.is_ready
        station.start()
        station.session(1).send("after")
        assert ws.recv(timeout=10) == "after"
        assert ws.state == "connected" and ws.is_ready
        stats = ws.statistics()
        assert stats["reconnections"] == 1 and stats["connections"] == 2 and stats["errors"] >= 1
        states = [(event["previous"], event["state"], event["trigger"]) for event in events.look()
                  if event["event"] == "state"]
        assert states[:2] == [("disconnected", "connecting", "start"), ("connecting", "connected", "opened")]
        assert states[2] == ("connected", "reconnecting", "retry")
        assert states[-1] == ("reconnecting", "connected", "opened")
        assert set(states[3:-1]) <= {("reconnecting", "reconnecting", "attempt"),
                                     ("reconnecting", "reconnecting", "retry")}


def test_every_transition_tells_all(dial, station):
    with dial(station.url("/feed?key=secret"), **FAST) as ws:
        events = Events(ws)
        station.restart()
        lost = events.wait("state", state="reconnecting", previous="connected")
        assert lost["cause"] and lost["error"] in ("PULSEWS_ERESET", "PULSEWS_EEOF")
        assert lost["next_delay"] == pytest.approx(0.02) and lost["close_code"] == 1006 and lost["attempt"] == 2
        assert lost["endpoint"] == station.url("/feed")
        ready = events.wait("ready", attempt=2)
        assert ready["endpoint"] == station.url("/feed") and 0 <= ready["seconds"] < 10


def test_messages_keep_their_order_across_connections(dial, station):
    station.greeting = lambda session: [f"{len(station.sessions)}-{number}" for number in range(50)]
    with dial(station.url(), **FAST) as ws:
        received = []
        for turn in range(5):
            while len(received) < (turn + 1) * 50:
                received += ws.recv_batch(7, timeout=10)
            station.sessions[-1].close(1001)
        assert received == [f"{turn + 1}-{number}" for turn in range(5) for number in range(50)]


@pytest.mark.parametrize("take", ["recv", "recv_batch", "recv_message", "iterate"])
def test_the_end_of_trying_surfaces(dial, station, take):
    options = {**FAST, "max_reconnect_attempts": 3}
    with dial(station.url(), **options) as ws:
        station.session(0).send("last")
        assert ws.recv(timeout=10) == "last"
        station.kill()
        for _ in range(2):
            with pytest.raises(pulsews.ConnectError) as caught:
                list(ws) if take == "iterate" else getattr(ws, take)()
            assert str(caught.value).startswith("gave up after 3 attempts: ")
            assert caught.value.name == "PULSEWS_EREFUSED" and not isinstance(caught.value, TimeoutError)
        assert ws.state == "error"
        with pytest.raises(pulsews.NotConnected, match="gave up"):
            ws.send("x")
        with pytest.raises(pulsews.ConnectError):
            ws.wait_ready()


def test_iterating_does_not_end_in_silence_when_the_server_always_closes_in_order(dial, station):
    station.greeting = lambda session: session.close(1000)
    with dial(station.url(), **{**FAST, "max_reconnect_attempts": 3}) as ws:
        with pytest.raises(pulsews.ConnectionClosed, match="gave up after 3 attempts") as caught:
            list(ws)
        assert caught.value.code == 1000


def test_the_end_of_trying_is_never_a_time_out(dial, station):
    with dial(station.url(), **{**FAST, "max_reconnect_attempts": 2, "open_timeout": "100ms"}) as ws:
        station.accepting = False
        station.session(0).abort()
        with pytest.raises(pulsews.ConnectError) as caught:
            ws.recv()
        assert not isinstance(caught.value, TimeoutError) and caught.value.name == "PULSEWS_EOPENTIMEOUT"


def test_a_fatal_refusal_ends_trying_at_once(dial, station):
    with dial(station.url(), **FAST) as ws:
        station.refuse(403, "X-Why: key", body=b"no such key", times=5)
        station.session(0).abort()
        with pytest.raises(pulsews.HandshakeError) as caught:
            ws.recv(timeout=20)
        assert caught.value.status == 403 and caught.value.headers["x-why"] == "key"
        assert caught.value.body == b"no such key" and ws.state == "error"
        assert len(station.requests) == 2
        station.refusals.clear()
        ws.reconnect()
        ws.wait_ready(timeout=10)
        station.session(1).send("again")
        assert ws.recv(timeout=10) == "again"


def test_retry_after_is_honoured(dial, station):
    with dial(station.url(), **FAST) as ws:
        events = Events(ws)
        station.refuse(503, "Retry-After: 1")
        station.session(0).abort()
        assert events.wait("state", error="PULSEWS_EHANDSHAKE")["next_delay"] >= 1
        station.session(1)
        refused, accepted = station.requests[-2][0], station.requests[-1][0]
        assert 0.95 <= accepted - refused < 5


def test_connect_raises_the_first_failure_and_leaves_nothing_behind(dial, station):
    def used():
        return len(os.listdir("/proc/self/fd"))

    station.refuse(503, times=100)
    for _ in range(3):
        with pytest.raises(pulsews.HandshakeError):
            dial(station.url())
    before = used()
    for _ in range(10):
        start = time.monotonic()
        with pytest.raises(pulsews.HandshakeError) as caught:
            dial(station.url())
        assert caught.value.status == 503 and time.monotonic() - start < 5
    assert eventually(lambda: used() <= before), (before, used())
    assert len(station.requests) == 13
    station.kill()
    with pytest.raises(pulsews.ConnectError, match="127.0.0.1"):
        dial(station.url())


def test_reconnect_off_ends_the_client(dial, station):
    with dial(station.url(), reconnect=False) as ws:
        station.session(0).send("last")
        station.kill()
        try:
            assert ws.recv(timeout=10) == "last"
        except pulsews.ConnectionClosed:  # a reset may destroy what the kernel had not handed over
            pass
        with pytest.raises(pulsews.ConnectionClosed) as caught:
            ws.recv(timeout=10)
        assert caught.value.code == 1006 and ws.state == "error"


def test_reconnect_on_an_open_connection(dial, station):
    with dial(station.url(), **FAST) as ws:
        first = station.session(0)
        ws.reconnect()
        second = station.session(1)
        station.wait(lambda: first.over)
        assert first.close_code == 1000
        second.send("new")
        assert ws.recv(timeout=10) == "new"
        assert ws.statistics()["reconnects_manual"] == 1


def test_reconnect_skips_the_delay(dial, station):
    with dial(station.url(), **{**FAST, "reconnect_base_delay": "1h", "reconnect_max_delay": "1h"}) as ws:
        station.session(0).abort()
        Events(ws).wait("state", state="reconnecting")
        with pytest.raises(TimeoutError):
            ws.wait_ready(timeout=0.1)
        ws.reconnect()
        ws.wait_ready(timeout=10)
        station.session(1)


def test_disconnect_and_come_back(dial, station):
    with dial(station.url(), **FAST) as ws:
        for turn in range(3):
            session = station.session(turn)
            session.send(f"rest {turn}")
            assert ws.recv(timeout=10) == f"rest {turn}"
            ws.disconnect()
            assert ws.state == "disconnected" and session.close_code == 1000
            ws.disconnect()
            for call in (ws.recv, ws.recv_batch, ws.recv_message, lambda: ws.send("x"), ws.wait_ready):
                with pytest.raises(pulsews.ConnectionClosed) as caught:
                    call()
                assert caught.value.name == "PULSEWS_ECLOSED"
            assert list(ws) == []
            ws.reconnect()
            ws.wait_ready(timeout=10)
    assert ws.state == "disconnected"
    with pytest.raises(pulsews.ConnectionClosed):
        ws.reconnect()


def test_what_had_arrived_before_a_disconnect_can_be_received(dial, station):
    with dial(station.url(), **FAST) as ws:
        for number in range(5):
            station.session(0).send(str(number))
        assert eventually(lambda: ws.statistics()["messages_received"] == 5)
        ws.disconnect()
        assert list(ws) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("ending", ["close", "disconnect"])
def test_a_receiving_thread_ends_at_once_while_the_client_waits_to_reconnect(dial, station, ending):
    options = {**FAST, "reconnect_base_delay": "1h", "reconnect_max_delay": "1h"}
    with dial(station.url(), **options) as ws:
        station.kill()
        Events(ws).wait("state", state="reconnecting")
        results = []

        def receive():
            try:
                results.append(ws.recv())
            except pulsews.ConnectionClosed as end:
                results.append(end.name)

        thread = threading.Thread(target=receive)
        thread.start()
        thread.join(0.4)
        assert thread.is_alive()
        start = time.monotonic()
        getattr(ws, ending)()
        thread.join(10)
        assert results == ["PULSEWS_ECLOSED"] and time.monotonic() - start < 3


def test_disconnect_and_reconnect_from_many_threads(dial, station):
    """At any moment, in any order; at the end the client works."""
    with dial(station.url(), **FAST) as ws:
        problems, stop = [], threading.Event()

        def receive():
            while not stop.is_set():
                try:
                    ws.recv(timeout=0.05)
                except (TimeoutError, pulsews.ConnectionClosed):
                    pass
                except Exception as problem:
                    problems.append(problem)
                    return

        def disturb(seed):
            chance = random.Random(seed)
            for _ in range(30):
                try:
                    chance.choice((ws.reconnect, lambda: ws.disconnect(0), ws.purge, ws.statistics,
                                   lambda: ws.send("x"), lambda: ws.subscribe("k", "s")))()
                except pulsews.ConnectionClosed:
                    pass
                except Exception as problem:
                    problems.append(problem)
                    return

        threads = [threading.Thread(target=receive)] + [
            threading.Thread(target=disturb, args=(seed,)) for seed in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads[1:]:
            thread.join(40)
        stop.set()
        threads[0].join(20)
        assert not problems and not any(thread.is_alive() for thread in threads)
        ws.reconnect()
        ws.wait_ready(timeout=10)
        station.answers = lambda session, message: message if message == "check" else None
        ws.send("check")
        assert ws.recv(timeout=10) == "check"


def test_headers_and_url_for_the_next_attempt(dial, station):
    with dial(station.url("/first"), headers={"X-Token": "1", "X-Old": "a"}, **FAST) as ws:
        assert station.session(0).headers["x-token"] == "1"
        ws.set_header("X-Token", "2")
        ws.set_header("X-Old", None)
        ws.set_header("X-New", "b")
        ws.set_url(station.url("/second?listenKey=5"))
        assert ws.url.endswith("/second?listenKey=5")
        station.session(0).abort()
        session = station.session(1)
        assert session.headers["x-token"] == "2" and session.headers["x-new"] == "b"
        assert "x-old" not in session.headers and session.path == "/second?listenKey=5"


def test_bad_headers_and_urls_change_nothing(dial, station):
    with dial(station.url("/a"), **FAST) as ws:
        for name, value in [("X Y", "a"), ("", "a"), ("X", "a\r\nY: b"), ("Upgrade", "x"), ("X", "\0"), ("X:", "a")]:
            with pytest.raises(ValueError) as caught:
                ws.set_header(name, value)
            assert len(str(caught.value)) > 15
        for name, value in [(1, "a"), ("X", 1), (None, "a")]:
            with pytest.raises(TypeError):
                ws.set_header(name, value)
        for url in ("http://x/", "wss://127.0.0.1/", "", "ws://a b/"):
            with pytest.raises(ValueError):
                ws.set_url(url)
        with pytest.raises(TypeError):
            ws.set_url(None)
        assert ws.url == station.url("/a")
        station.session(0).abort()
        assert station.session(1).path == "/a"


def test_the_next_endpoint_takes_over(dial, station, other_station):
    with dial(station.url(), endpoints=[other_station.url("/b")], **FAST) as ws:
        station.session(0)
        station.kill()
        other_station.session(0).send("from b")
        assert ws.recv(timeout=10) == "from b"
        status = ws.status()
        assert status["endpoint"].endswith("/b") and len(status["endpoints"]) == 2


def test_a_mute_peer_is_left_for_a_new_connection(dial, station):
    with dial(station.url(), heartbeat_interval="50ms", heartbeat_timeout="200ms", **FAST) as ws:
        station.pongs = False
        first = station.session(0)
        station.session(1, 10)
        station.pongs = True
        assert ws.statistics()["reconnects_dead"] >= 1
        assert first is not station.sessions[-1]


@pytest.mark.parametrize("action", ["event", "reconnect"])
def test_a_feed_without_data(dial, station, action):
    station.answers = lambda session, message: "pong" if message == "ping" else None
    options = dict(heartbeat_message="ping", heartbeat_interval="50ms", stale_timeout="300ms", stale_action=action)
    with dial(station.url(), **options, **FAST) as ws:
        events = Events(ws)
        stale = events.wait("stale")
        assert stale["silence"] >= 0.3 and stale["action"] == action
        if action == "event":
            station.session(0).send("data")
            assert ws.recv(timeout=10) == "data"
            assert events.wait("fresh")["silence"] >= 0.3 and len(station.sessions) == 1
        else:
            station.session(1)
            assert ws.statistics()["reconnects_stale"] >= 1
        assert ws.latency is not None and ws.statistics()["heartbeats_received"] >= 1


def test_json_heartbeats_from_a_dict(dial, station):
    station.answers = lambda session, message: {"type": "pong", "ts": 5} if "ping" in message else None
    with dial(station.url(), heartbeat_message={"type": "ping"}, heartbeat_interval="50ms", **FAST) as ws:
        assert eventually(lambda: ws.latency is not None)
        assert station.session(0).texts[0] == '{"type":"ping"}'
        with pytest.raises(TimeoutError):
            ws.recv(timeout=0)


def test_control_c_ends_waits_of_a_client_that_is_coming_back(station, python):
    for number, call in enumerate(("ws.wait_ready()", "ws.recv()", "ws.flush()", "next(iter(ws))")):
        process = python(
            "import pulsews, sys\n"
            "ws = pulsews.connect(sys.argv[1], reconnect_base_delay='1h', reconnect_max_delay='1h')\n"
            "print('connected', flush=True)\n"
            "while ws.state == 'connected': pass\n"
            "ws.send('x')\n"
            "print('waiting', flush=True)\n"
            f"try: {call}\n"
            "except KeyboardInterrupt: print('interrupted', ws.state, flush=True)\n"
            "ws.close()\n",
            station.url(),
        )
        assert process.stdout.readline() == "connected\n"
        station.session(number).abort()
        assert process.stdout.readline() == "waiting\n"
        threading.Event().wait(0.3)  # so that the wait has begun; a signal before it would be seen as well
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=20)
        assert out == "interrupted reconnecting\n", (call, error)


def test_forked_child_gets_clear_errors(station, python):
    process = python(
        "import os, sys, pulsews\n"
        "ws = pulsews.connect(sys.argv[1])\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    calls = [ws.reconnect, ws.disconnect, ws.wait_ready, ws.release, ws.flush, ws.purge, ws.statistics,\n"
        "        ws.prometheus, lambda: ws.subscribe('k', 's'), lambda: ws.unsubscribe('k'),\n"
        "        lambda: ws.send('x', report=True), lambda: ws.send_many(['x']), lambda: ws.set_header('A', 'b'),\n"
        "        lambda: ws.set_url(sys.argv[1]), lambda: ws.is_ready]\n"
        "    names = []\n"
        "    for call in calls:\n"
        "        try: names.append(repr(call()))\n"
        "        except pulsews.PulseError as problem: names.append(problem.name)\n"
        "    print(*names, flush=True)\n"
        "    os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "ws.reconnect(); ws.wait_ready(10); ws.close()\n",
        station.url(),
    )
    out, error = process.communicate(timeout=40)
    assert out.split() == ["PULSEWS_EFORK"] * 15 and process.returncode == 0, (out, error)


def test_exit_while_it_is_coming_back(station, python):
    for option in ("'20ms'", "'1h'"):
        process = python(
            "import pulsews, sys, threading\n"
            f"ws = pulsews.connect(sys.argv[1], reconnect_base_delay={option}, max_reconnect_attempts=0)\n"
            "print('connected', flush=True)\n"
            "while ws.state == 'connected': pass\n"
            "threading.Thread(target=ws.recv, daemon=True).start()\n",
            station.url(),
        )
        assert process.stdout.readline() == "connected\n"
        station.kill()
        start = time.monotonic()
        error = process.communicate(timeout=30)[1]
        assert process.returncode == 0 and "Fatal" not in error and time.monotonic() - start < 10
        station.start()


def test_no_leak_over_many_reconnects(dial, station):
    def used():
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    with dial(station.url(), **FAST) as ws:
        before = None
        for turn in range(60):
            station.session(turn).close(1012)
            station.session(turn + 1)
            if turn == 9:
                station.wait(lambda: all(session.over for session in station.sessions[:-1]))
                before = used()
        station.wait(lambda: all(session.over for session in station.sessions[:-1]))
        assert eventually(lambda: used()[0] <= before[0] + 1 and used()[1] <= before[1] + 1), (before, used())
        ws.events()


def test_a_server_that_breaks_the_rules_is_left_again_and_again(dial, raw_server):
    def script(connection):
        accept_upgrade(connection)
        connection.sendall(b"\xff\xff\xff\xff")

    with dial(raw_server(script).url, **{**FAST, "max_reconnect_attempts": 3}) as ws:
        with pytest.raises(pulsews.ConnectionClosed, match="gave up after 3") as caught:
            ws.recv(timeout=20)
        assert caught.value.name == "PULSEWS_EPROTOCOL"
        assert ws.statistics()["reconnects_protocol"] >= 1
