# SPDX-License-Identifier: Apache-2.0
"""The client as a part of its process: threads, signals, fork, exit, leaks, and a busy interpreter."""

import ctypes
import gc
import json
import os
import signal
import threading
import time

import pulsews
import pytest
from conftest import eventually


def test_other_threads_run_while_one_waits(peer):
    with pulsews.connect(peer.url("/echo")) as ws:
        received = []
        thread = threading.Thread(target=lambda: received.append(ws.recv(timeout=20)))
        thread.start()
        start, turns = time.monotonic(), 0
        while time.monotonic() - start < 0.5:
            turns += 1
        assert turns > 1000 and time.monotonic() - start < 5
        ws.send("now")
        thread.join(10)
        assert received == ["now"]


@pytest.mark.parametrize("call", ["ws.recv()", "ws.recv_batch()", "next(iter(ws))", "ws.recv(timeout=60)"])
def test_control_c_ends_a_wait(peer, python, call):
    process = python(
        "import pulsews, sys\n"
        "with pulsews.connect(sys.argv[1]) as ws:\n"
        "    print('waiting', flush=True)\n"
        f"    try: {call}\n"
        "    except KeyboardInterrupt: print('interrupted', ws.state, flush=True)\n",
        peer.url("/wait"),
    )
    assert process.stdout.readline() == "waiting\n"
    threading.Event().wait(0.3)  # so that the wait has begun; a signal before it would be seen as well
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=20)
    assert out == "interrupted connected\n" and process.returncode == 0, error
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("ending", [
    "",
    "sys.exit(7)",
    "threading.Thread(target=list, args=(ws,), daemon=True).start()",
    "threading.Thread(target=lambda: [ws.recv_batch(1) for _ in range(10**9)], daemon=True).start(); ws.recv()",
    "raise KeyError",
    "os._exit(7)",
    "keep = [pulsews.connect(sys.argv[1]) for _ in range(20)]; ws.loop = ws",
])
def test_interpreter_exit_with_an_open_client(peer, python, ending):
    process = python(
        "import os, sys, threading, pulsews\nws = pulsews.connect(sys.argv[1])\nws.recv()\n" + ending,
        peer.url("/trickle"),
    )
    start = time.monotonic()
    out, error = process.communicate(timeout=30)
    assert time.monotonic() - start < 15
    assert process.returncode in (0, 1, 7), (process.returncode, error)
    assert "Fatal" not in error


def test_interpreter_exit_says_goodbye(peer, python, raw_server):
    from conftest import accept_upgrade, frame, receive_frame

    seen = []

    def script(connection):
        accept_upgrade(connection)
        seen.append(receive_frame(connection))
        connection.sendall(frame(8, b"\x03\xe9"))

    server = raw_server(script)
    process = python("import sys, pulsews\nws = pulsews.connect(sys.argv[1])", server.url)
    process.communicate(timeout=30)
    assert server.over.wait(10) and seen == [(8, b"\x03\xe9")]


def test_forked_child(peer, python):
    process = python(
        "import os, sys, pulsews\n"
        "ws = pulsews.connect(sys.argv[1]); ws.send('a'); ws.recv(); ws.send('b'); ws.send('c')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    names = []\n"
        "    calls = ws.recv, ws.recv_batch, ws.close, ws.status, ws.ping, lambda: ws.send('x'), lambda: ws.state\n"
        "    for call in calls:\n"
        "        try: call(); names.append('nothing raised')\n"
        "        except pulsews.PulseError as problem: names.append(problem.name)\n"
        "    with pulsews.connect(sys.argv[1]) as own:\n"
        "        own.send('own'); names.append(own.recv(timeout=10))\n"
        "    print(*names, flush=True)\n"
        "    del ws\n"
        "    sys.exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "print(ws.recv(timeout=10), ws.recv(timeout=10))\n"
        "ws.close()\n",
        peer.url("/echo"),
    )
    out, error = process.communicate(timeout=40)
    assert out.split() == ["PULSEWS_EFORK"] * 7 + ["own", "b", "c"], error
    assert process.returncode == 0, error


def test_forked_child_of_an_asyncio_program(peer, python):
    process = python(
        "import asyncio, os, sys, pulsews\n"
        "async def main():\n"
        "    ws = await pulsews.aio.connect(sys.argv[1])\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        try: await ws.recv()\n"
        "        except pulsews.PulseError as problem: print(problem.name, flush=True)\n"
        "        del ws\n"
        "        os._exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "    waiting = asyncio.ensure_future(ws.recv())\n"
        "    await asyncio.sleep(0)\n"
        "    await ws.send('parent')\n"
        "    print(await asyncio.wait_for(waiting, 10))\n"
        "    await ws.close()\n"
        "asyncio.run(main())\n",
        peer.url("/echo"),
    )
    out, error = process.communicate(timeout=40)
    assert out.split() == ["PULSEWS_EFORK", "parent"], error


def used():
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


def test_no_leak_of_descriptors_and_threads(peer):
    def once():
        with pulsews.connect(peer.url("/echo")) as ws:
            ws.send("x")
            assert ws.recv(timeout=10) == "x"

    for _ in range(5):
        once()
    gc.collect()
    before = used()
    for _ in range(200):
        once()
        with pytest.raises(ValueError):
            pulsews.connect("http://bad/")
    assert eventually(lambda: used()[0] <= before[0] and used()[1] <= before[1]), (before, used())


def test_200_clients_at_once_and_none_left(peer):
    with pulsews.connect(peer.url("/echo")):
        pass
    eventually(lambda: False, 0.3)
    before = used()
    clients = [pulsews.connect(peer.url("/echo")) for _ in range(200)]
    assert used()[1] <= before[1] + 4  # they share one loop
    for ws in clients:
        ws.send("x")
    assert [ws.recv(timeout=10) for ws in clients] == ["x"] * 200
    for ws in clients:
        ws.close()
    del clients, ws
    assert eventually(lambda: used()[0] <= before[0] and used()[1] <= before[1]), (before, used())


@pytest.mark.timeout(90)
def test_pings_are_answered_while_python_is_stuck(peer_process):
    """The server pings every 0.2 s and wants each answer within 2 s, while this thread computes for 20 s."""
    seconds = 20
    with pulsews.connect(f"{peer_process}/pinger?every=0.2&within=2&seconds={seconds - 1}") as ws:
        end = time.monotonic() + seconds
        number = 1
        while time.monotonic() < end:
            for _ in range(1000):
                number = number * 31 % 1_000_003
        result = json.loads(ws.recv(timeout=10))
    assert result["answered"] >= (seconds - 1) / 0.2 / 2 and result["slowest"] < 2  # the machine may be busy, too


def test_pings_are_answered_while_the_interpreter_lock_is_held(peer_process):
    """As above, but in one C call that never gives the interpreter lock away."""
    with pulsews.connect(f"{peer_process}/pinger?every=0.1&within=2&seconds=2") as ws:
        ctypes.PyDLL(None).usleep(4_000_000)
        assert json.loads(ws.recv(timeout=10))["slowest"] < 2
