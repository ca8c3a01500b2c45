# SPDX-License-Identifier: Apache-2.0
"""Servers that nobody here wrote are restarted in the middle: the client comes back and has subscribed again, before
what was queued."""
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pulsews
import pytest
from conftest import HERE, Server

PATIENCE = 20
GO_SOURCES = pathlib.Path("/usr/share/gocode")
QUICK = {"reconnect_base_delay": "50ms", "reconnect_max_delay": "200ms", "max_reconnect_attempts": 0,
         "restart_delay": "300ms", "jitter": 0, "backlog_interval": 0, "events": True}


class GoPeer(Server):
    def __init__(self, *command):
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.port = int(self.process.stdout.readline())


@pytest.fixture(scope="session")
def go_peer(tmp_path_factory):
    """The command of the Go server. It is built where Debian keeps Go's sources: no module is looked for anywhere."""
    if not (GO_SOURCES / "src/github.com/gorilla/websocket").exists() or not shutil.which("go"):
        pytest.fail("no Go or no gorilla/websocket; .ci/setup.sh installs them")
    program = tmp_path_factory.mktemp("gopeer") / "gopeer"
    own = {"GO111MODULE": "off", "GOFLAGS": "", "CGO_ENABLED": "0", "GOPATH": str(GO_SOURCES)}
    subprocess.run(["go", "build", "-o", program, "main.go"], cwd=HERE / "gopeer", check=True, env={**os.environ, **own})
    return program


@pytest.fixture
def start(request, certificates):
    """Starts a server of that name: a port, and once more at the same one."""
    running = []

    def begin(name, tls=False, port=0):
        if name == "Go":
            running.append(GoPeer(request.getfixturevalue("go_peer"), "-port", port))
        else:
            more = ["--tls", certificates["chain"], certificates["key"]] if tls else []
            running.append(Server(HERE / "peers.py", name, "--compression", "--port", port, *more))
        return running[-1]

    yield begin
    for server in running:
        server.stop()


def wait_for_loss(ws):
    """The event that tells of a lost connection; looked for without taking messages."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for event in ws.events():
            if event["event"] == "state" and event["trigger"] == "retry" and event["previous"] == "connected":
                return event
        time.sleep(0.005)
    raise AssertionError(f"it is {ws.state}")


def come_back(ws, server, how, restart):
    """Ends the server as `how` says and starts it anew: gives what the client says of the loss, and the new server."""
    server.process.send_signal(how)
    server.process.wait(timeout=PATIENCE)
    lost = wait_for_loss(ws)
    ws.send("queued 1")
    ws.send("queued 2")
    server = restart()
    assert [ws.recv(timeout=PATIENCE) for _ in range(4)] == ["subscribe a", "subscribe b", "queued 1", "queued 2"]
    return lost, server


PEERS = [("websockets", False), ("websockets", True), ("aiohttp", False), ("aiohttp", True), ("uvicorn", False),
         ("uvicorn", True), ("Go", False)]


@pytest.mark.parametrize("name, tls", PEERS, ids=[f"{name}-{'tls' if tls else 'plain'}" for name, tls in PEERS])
def test_it_comes_back_and_has_subscribed_again(start, certificates, name, tls):
    server = start(name, tls)
    url = f"{'wss://localhost' if tls else 'ws://127.0.0.1'}:{server.port}/echo"
    with pulsews.connect(url, **QUICK, **({"ca_file": certificates["ca"]} if tls else {})) as ws:
        ws.subscribe("a", "subscribe a")
        ws.subscribe("b", "subscribe b")
        assert [ws.recv(timeout=PATIENCE) for _ in range(2)] == ["subscribe a", "subscribe b"]
        for _ in range(2):
            lost, server = come_back(ws, server, signal.SIGKILL, lambda: start(name, tls, server.port))
            assert lost["close_code"] == 1006
            ws.send("live")
            assert ws.recv(timeout=PATIENCE) == "live"
        counts = ws.statistics()
        assert counts["connections"] == 3 and counts["messages_accepted"] == counts["messages_sent"] == 6


def test_a_service_that_ends_in_order_is_given_time(start):
    """uvicorn says 1012 to its clients when it is told to end; they come back after restart_delay."""
    server = start("uvicorn")
    with pulsews.connect(f"ws://127.0.0.1:{server.port}/echo", **QUICK) as ws:
        ws.subscribe("a", "subscribe a")
        ws.subscribe("b", "subscribe b")
        assert [ws.recv(timeout=PATIENCE) for _ in range(2)] == ["subscribe a", "subscribe b"]
        lost, _ = come_back(ws, server, signal.SIGTERM, lambda: start("uvicorn", False, server.port))
        assert lost["close_code"] == 1012 and lost["next_delay"] >= 0.3
