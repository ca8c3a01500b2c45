# SPDX-License-Identifier: Apache-2.0
"""To begin while the server is down, and Ctrl-C in every call that waits."""

import logging
import signal
import threading
import time
from datetime import timedelta

import pulsews
import pytest
from conftest import accept_upgrade
from station import FAST

# ---- connect() before the server is there


def later(seconds, do):
    timer = threading.Timer(seconds, do)
    timer.start()
    return timer


def test_wait_begins_while_the_server_is_down(dial, station):
    station.kill()
    timer = later(0.3, station.restart)
    with dial(station.url(), wait=True, timeout=20, **FAST) as ws:
        ws.send("there")
        assert station.session(0) and ws.statistics()["attempts"] > 1
    timer.join()


def test_without_it_the_first_attempt_counts_and_the_log_says_so(dial, station, caplog):
    station.kill()
    with pytest.raises(pulsews.ConnectError):
        dial(station.url(), **FAST)
    assert any("wait=True" in record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)


def test_wait_ends_with_the_attempts(dial, station):
    station.kill()
    with pytest.raises(pulsews.ConnectError):
        dial(station.url(), wait=True, timeout=20, **{**FAST, "max_reconnect_attempts": 3})


def test_wait_ends_at_once_where_a_retry_can_not_help(dial, station):
    station.refusals.append(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(pulsews.HandshakeError) as caught:
        dial(station.url(), wait=True, timeout=20, **FAST)
    assert caught.value.status == 401 and len(station.requests) == 1


@pytest.mark.parametrize("timeout", [0.3, timedelta(milliseconds=300)])
def test_wait_ends_with_its_time(dial, station, timeout):
    station.kill()
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"0\.3 s.*refused"):
        dial(station.url(), wait=True, timeout=timeout, **FAST)
    assert 0.3 <= time.monotonic() - start < 5


def test_a_time_without_wait_bounds_the_attempt(dial, station):
    station.accepting = False
    with pytest.raises(TimeoutError, match=r"0\.2 s"):
        dial(station.url(), timeout=0.2, **FAST)


def test_wait_with_functions(dial, station):
    """They are called for every attempt, and the login is waited for."""
    station.kill()
    calls, logins = [], []
    station.answers = lambda session, message: None if "login" not in message else "bad" if message == "login 1" else "welcome"

    def login():
        logins.append(1)
        return f"login {len(logins)}"

    timer = later(0.2, station.restart)
    with dial(
        station.url(), wait=True, timeout=20, login=login, login_confirm="welcome", login_reject="bad",
        headers=lambda: calls.append(1), **FAST
    ) as ws:
        assert ws.is_ready and len(logins) == 2 and len(calls) > 2
    timer.join()


def test_the_manager_begins_while_the_server_is_down(arun, station):
    station.kill()
    errors = []

    async def main():
        timer = later(0.3, station.restart)
        async with pulsews.WebSocketManager(station.url(), on_error=errors.append, **FAST) as manager:
            assert manager.is_connected and errors
        timer.join()

    arun(main())


# ---- Ctrl-C


PROGRAM = """
import asyncio, sys, time, pulsews
url, options = sys.argv[1], dict(reconnect_base_delay="20ms", jitter=0, max_reconnect_attempts=0, close_timeout=30)
def waiting(): print("waiting", flush=True)
try:
%s
except KeyboardInterrupt:
    print(time.monotonic(), flush=True)
    import os; os._exit(0)
print("it ended by itself", flush=True)
"""
CONNECTED = "    ws = pulsews.connect(url, **options); waiting()\n    "
FULL = (
    "    ws = pulsews.connect(url, backlog_interval=0, rate_limit='1/60s', message_queue_size=2, "
    "message_queue_policy='block', **options)\n    for _ in range(3): ws.send('x')\n    waiting()\n    "
)
ASYNC = "    async def main():\n        %s\n    asyncio.run(main())"
ASYNC_CONNECTED = "ws = await pulsews.aio.connect(url, **options); waiting()\n        "
CALLS = {
    "recv": CONNECTED + "ws.recv()",
    "recv_message": CONNECTED + "ws.recv_message(timeout=60)",
    "recv_batch": CONNECTED + "ws.recv_batch()",
    "iterator": CONNECTED + "for _ in ws: pass",
    "recv_events": "    ws = pulsews.connect(url, recv_events=True, **options); waiting()\n    while True: ws.recv()",
    "flush": FULL + "ws.flush()",
    "send": FULL + "ws.send('y')",
    "send_many": FULL + "ws.send_many(['y'] * 9)",
    "send in_limit": FULL + "ws.send('y', in_limit=True)",
    "wait_ready": "    ws = pulsews.connect(url, subscribe_confirm='done', **options)\n"
                  "    ws.subscribe('k', 'sub'); ws.reconnect(); waiting()\n    ws.wait_ready()",
    "disconnect": CONNECTED + "ws.disconnect()",
    "disconnect with a queue": FULL + "ws.disconnect()",
    "close": CONNECTED + "ws.close()",
    "close with a queue": FULL + "ws.close()",
    "with": "    with pulsews.connect(url, **options) as ws:\n        waiting(); ws.recv()",
    "login": "    waiting()\n    pulsews.connect(url, login=lambda: 'l', login_confirm='never', login_timeout=60, **options)",
    "run_forever": "    pulsews.BlockingManager(url, on_connect=waiting, **options).run_forever()",
    "asyncio recv": ASYNC % (ASYNC_CONNECTED + "await ws.recv()"),
    "asyncio close": ASYNC % (ASYNC_CONNECTED + "await ws.close()"),
    "asyncio disconnect": ASYNC % (ASYNC_CONNECTED + "await ws.disconnect()"),
    "asyncio flush": ASYNC % (
        "ws = await pulsews.aio.connect(url, rate_limit='1/60s', backlog_interval=0, **options)\n        "
        "for _ in range(3): await ws.send('x')\n        waiting()\n        await ws.flush()"),
    "asyncio with": ASYNC % ("async with pulsews.aio.connect(url, **options) as ws: waiting(); await ws.recv()"),
    "manager": ASYNC % (
        "async with pulsews.WebSocketManager(url, **options) as m: waiting(); await m.wait_closed()"),
}
DOWN = {
    "connect": "    waiting(); pulsews.connect(url, wait=True, **options)",
    "asyncio connect": ASYNC % "waiting(); await pulsews.aio.connect(url, wait=True, **options)",
    "manager connect": ASYNC % "waiting(); await pulsews.WebSocketManager(url, **options).connect()",
}


def interrupted_after(process):
    assert process.stdout.readline() == "waiting\n", process.communicate()
    # So that the call has begun; a signal before it would be seen as well.
    threading.Event().wait(0.3)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=40)
    assert out.strip().replace(".", "").isdigit(), (out, error)
    return float(out) - start


@pytest.mark.parametrize("call", CALLS)
def test_control_c_ends_every_call_that_waits(python, raw_server, call):
    """The server accepts, and is mute."""
    over = threading.Event()

    def script(connection):
        accept_upgrade(connection)
        over.wait(40)

    try:
        process = python(PROGRAM % CALLS[call], raw_server(script).url)
        # Half a second is the promise; the rest is for a machine that is busy.
        seconds = interrupted_after(process)
        print(f"after {seconds:.3f} s")
        assert seconds < 0.5 + 2.5
    finally:
        over.set()


@pytest.mark.parametrize("call", DOWN)
def test_control_c_ends_the_wait_for_a_server(python, station, call):
    station.kill()
    assert interrupted_after(python(PROGRAM % DOWN[call], station.url())) < 3


def test_a_close_goes_on_after_control_c(python, raw_server):
    from conftest import receive_frame

    frames = []

    def script(connection):
        accept_upgrade(connection)
        while True:
            frames.append(receive_frame(connection)[0])

    server = raw_server(script)
    program = (
        "import sys, pulsews\nws = pulsews.connect(sys.argv[1], close_timeout=30)\nprint('waiting', flush=True)\n"
        "try: ws.disconnect()\nexcept KeyboardInterrupt: print(ws.state, flush=True)\n"
        "try: ws.send('x')\nexcept pulsews.ConnectionClosed: print('closing', flush=True)\n"
    )
    process = python(program, server.url)
    assert process.stdout.readline() == "waiting\n"
    threading.Event().wait(0.3)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=30)
    assert out.split() == ["connected", "closing"], error
    assert frames[0] == 8
