# SPDX-License-Identifier: Apache-2.0
"""What breaks trading services in practice, each failure once, seen as the application sees it: over the built library,
from Python, with a server that does what hurts."""
import ctypes
import itertools
import os
import queue
import signal
import subprocess
import sys
import threading
import time

import pulsews
import pytest
from conftest import HERE, Server

PATIENCE = 20
QUICK = {"reconnect_base_delay": "50ms", "reconnect_max_delay": "200ms", "jitter": 0, "backlog_interval": 0}


class Scripted:
    """A running scripted.py, and what it has told."""

    def __init__(self, *scripts):
        self.process = subprocess.Popen([sys.executable, HERE / "scripted.py", *scripts], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        self.url = f"ws://127.0.0.1:{int(self.process.stdout.readline())}/"
        self.news, self.told = queue.Queue(), []
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            number, micros, kind, *text = line.rstrip("\n").split(" ", 3)
            self.news.put((int(number), int(micros) / 1e6, kind, text[0] if text else ""))

    def command(self, line):
        self.process.stdin.write(line + "\n")

    def wait(self, kind, connection):
        """The time of the first thing of that kind on that connection."""
        while True:
            for number, moment, what, _ in self.told:
                if (number, what) == (connection, kind):
                    return moment
            self.told.append(self.news.get(timeout=PATIENCE))

    def texts(self, connection, count):
        """The first `count` texts that the connection got."""
        while True:
            found = [text for number, _, kind, text in self.told if (number, kind) == (connection, "text")]
            if len(found) >= count:
                return found
            self.told.append(self.news.get(timeout=PATIENCE))

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def scripted():
    started = []

    def start(*scripts):
        started.append(Scripted(*scripts))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def wait_for_loss(ws):
    """The event that tells of a lost connection; looked for without taking messages."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for event in ws.events():
            if event["event"] == "state" and event["trigger"] == "retry":
                return event
        time.sleep(0.005)
    raise AssertionError(f"it is {ws.state}")


def test_failure_1_connected_but_mute(scripted):
    """The server answers pings and heartbeats, and has stopped to send data: only the timer for data notices."""
    server = scripted("accept | answer ping -> pong | text tick", "accept | text tick again")
    with pulsews.connect(server.url, heartbeat_message="ping", heartbeat_interval="50ms", heartbeat_timeout="10s",
                         stale_timeout="500ms", stale_action="reconnect", **QUICK) as ws:
        assert ws.recv(timeout=PATIENCE) == "tick"
        assert ws.recv(timeout=PATIENCE) == "tick again"
        counts = ws.statistics()
        assert counts["reconnects_stale"] == 1 and counts["reconnects_dead"] == 0
        assert counts["heartbeats_received"] >= 3  # it was alive all the time


def test_failure_2_a_busy_interpreter_misses_no_heartbeat(servers):
    """The server gives up a client whose pong is late by a second. One C call holds the interpreter for four: no thread
    of Python runs."""
    with pulsews.connect(servers.peer("websockets", ping=1) + "/echo", **QUICK) as ws:
        ws.send("before")
        assert ws.recv(timeout=PATIENCE) == "before"
        ctypes.PyDLL(None).usleep(4_000_000)
        ws.send("after")
        assert ws.recv(timeout=PATIENCE) == "after"
        counts = ws.statistics()
        assert counts["connections"] == 1 and counts["pongs_sent"] >= 2


def test_failure_3_half_open_links():
    """The peer says nothing any more, not even that it has ended: as after a pulled cable."""
    server = Server(HERE / "peers.py", "websockets")
    try:
        with pulsews.connect(f"ws://127.0.0.1:{server.port}/echo", heartbeat_interval="100ms",
                             heartbeat_timeout="600ms", open_timeout="300ms", max_reconnect_attempts=0, events=True,
                             **QUICK) as ws:
            ws.subscribe("a", "subscribe a")
            assert ws.recv(timeout=PATIENCE) == "subscribe a"
            os.kill(server.process.pid, signal.SIGSTOP)
            begin = time.monotonic()
            event = wait_for_loss(ws)
            assert event["error"] == "PULSEWS_EDEAD" and time.monotonic() - begin < 5
            os.kill(server.process.pid, signal.SIGCONT)
            assert ws.recv(timeout=PATIENCE) == "subscribe a"
            assert ws.statistics()["reconnects_dead"] == 1
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
        server.stop()


def test_failure_4_reconnect_storms(scripted):
    """A server that accepts and drops at once: the delays grow all the same. Then it asks for a pause, and gets it."""
    drops = ["accept | cut"] * 4
    server = scripted(*drops, "accept | close 1013 later", "refuse 503 Retry-After: 2", "accept | text at last")
    with pulsews.connect(server.url, reconnect_base_delay="100ms", reconnect_max_delay="60s", jitter=0,
                         restart_delay="2s", max_reconnect_attempts=0) as ws:
        assert ws.recv(timeout=PATIENCE) == "at last"
    moments = [server.wait("request", number) for number in range(1, 8)]
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    least = [0.1, 0.2, 0.4, 0.8, 2, 3.2]  # the formula; at least restart_delay, at least Retry-After
    assert all(gap > bound - 0.02 for gap, bound in zip(gaps, least)), gaps


def test_failure_5_giving_up_is_not_silent(scripted):
    """Who waits for a message is told, and a program that only receives ends, and says why."""
    server = scripted("accept | text hello")
    program = ("import sys, pulsews\n"
               "with pulsews.connect(sys.argv[1], max_reconnect_attempts=3, reconnect_base_delay='20ms') as ws:\n"
               "    for message in ws:\n"
               "        print(message, flush=True)\n")
    process = subprocess.Popen([sys.executable, "-c", program, server.url], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    try:
        with pulsews.connect(server.url, max_reconnect_attempts=3, **QUICK) as ws:
            assert ws.recv(timeout=PATIENCE) == "hello"
            assert process.stdout.readline() == "hello\n"
            told = queue.Queue()

            def receive():
                try:
                    told.put(ws.recv())
                except pulsews.PulseError as problem:
                    told.put(problem)

            waiting = threading.Thread(target=receive)
            waiting.start()
            server.command("down")
            problem = told.get(timeout=PATIENCE)
            waiting.join()
            assert isinstance(problem, pulsews.ConnectError) and "gave up after 3 attempts" in str(problem)
            assert ws.state == "error"
            with pytest.raises(pulsews.NotConnected):
                ws.send("lost otherwise")
        _, error = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1 and "gave up after 3 attempts" in error
    finally:
        process.kill()
        process.communicate()


def test_failure_6_coming_back_deaf(scripted):
    """A login that is signed anew, then the subscriptions in their order, then what was queued: on every connect."""
    stamps = itertools.count(1)
    server = scripted("accept | got 3 | go | cut", "accept | got 4 | go | cut", "accept")
    with pulsews.connect(server.url, login=lambda: f"login, signed at {next(stamps)}", events=True, **QUICK) as ws:
        ws.subscribe("a", "subscribe a")
        ws.subscribe("b", "subscribe b")
        assert server.texts(1, 3) == ["login, signed at 1", "subscribe a", "subscribe b"]
        for connection in (2, 3):
            server.command("go")
            wait_for_loss(ws)
            ws.send(f"queued {connection}")
            ws.wait_ready(timeout=PATIENCE)
            assert server.texts(connection, 4) == [f"login, signed at {connection}", "subscribe a", "subscribe b",
                                                   f"queued {connection}"]


@pytest.mark.parametrize("peer", ["websockets", "aiohttp"])
def test_failure_9_403_and_why(servers, peer):
    """Status, headers, body and a hint are in the error. Trying again would not help: it comes at once."""
    begin = time.monotonic()
    with pytest.raises(pulsews.HandshakeError) as refused:
        pulsews.connect(servers.peer(peer) + "/refused")
    assert time.monotonic() - begin < 5
    error = refused.value
    assert error.status == 403 and error.body == b"not for you\n"
    assert {name.lower() for name in error.headers} >= {"content-type", "content-length"}
    assert "403 Forbidden" in str(error) and "token" in str(error)  # the hint: what to look at


def test_failure_11_fork(servers):
    """A child gets an error from a client that it inherited, at once, also while that is coming back; its own works."""
    server = Server(HERE / "peers.py", "websockets")
    program = ("import os, signal, sys, time, pulsews\n"
               "inherited = pulsews.connect(sys.argv[1], max_reconnect_attempts=0, reconnect_base_delay='20ms')\n"
               "print('connected', flush=True)\n"
               "sys.stdin.readline()\n"
               "while inherited.state == 'connected': time.sleep(0.005)\n"
               "child = os.fork()\n"
               "if child == 0:\n"
               "    signal.alarm(15)\n"
               "    names = []\n"
               "    send = lambda: inherited.send('x')\n"
               "    for call in (inherited.recv, send, inherited.reconnect, inherited.wait_ready):\n"
               "        try: names.append(repr(call()))\n"
               "        except pulsews.PulseError as problem: names.append(problem.name)\n"
               "    with pulsews.connect(sys.argv[2]) as own:\n"
               "        own.send('own')\n"
               "        names.append(own.recv(timeout=10))\n"
               "    print(*names, flush=True)\n"
               "    os._exit(0)\n"
               "print(os.waitpid(child, 0)[1], inherited.state, flush=True)\n"
               "inherited.close()\n")
    process = subprocess.Popen([sys.executable, "-c", program, f"ws://127.0.0.1:{server.port}/echo",
                                servers.peer("websockets") + "/echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "connected\n"
        server.stop()
        out, error = process.communicate("\n", timeout=PATIENCE)
        *refusals, own = out.splitlines()[0].split()
        assert refusals == ["PULSEWS_EFORK"] * 4 and own == "own", (out, error)
        assert out.splitlines()[1].startswith("0 ") and "reconnecting" in out and process.returncode == 0, (out, error)
    finally:
        process.kill()
        process.communicate()
