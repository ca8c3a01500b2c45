# SPDX-License-Identifier: Apache-2.0
"""Under gevent and eventlet, which replace threads by their own, with the log on: nothing hangs."""

import pytest
from station import FAST

PATCH = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}

PROGRAM = """
{patch}
import logging, select, sys, threading, time
logging.basicConfig(level=logging.DEBUG, format="%(levelname)s:%(name)s:%(message)s")
import pulsews
from pulsews._cooperative import threads_are_green
assert threads_are_green()
turns = 0
def others():
    global turns
    while True:
        turns += 1
        time.sleep(0.001)
threading.Thread(target=others, daemon=True).start()
with pulsews.connect(sys.argv[1], {options}) as ws:
    received = []
    before = turns
    while len(received) < 3:
        select.select([ws], [], [])
        while batch := ws.recv_batch(timeout=0):
            received += batch
    assert turns - before > 100, turns
    print(*received, flush=True)
    ws.disconnect()
    ws.reconnect()
    ws.wait_ready(timeout=10)
    print(ws.state, flush=True)
time.sleep(0.2)
pulsews.disable_logging()
print("done", flush=True)
"""


@pytest.fixture(params=list(PATCH))
def patch(request):
    return PATCH[request.param]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_program_waits_for_the_descriptor(python, station, patch):
    def greet(session):
        # The last one when others had their turn.
        session.send("one")
        session.send("two")
        import threading

        threading.Timer(0.5, session.send, ["three"]).start()

    station.greeting = greet
    options = ", ".join(f"{name}={value!r}" for name, value in FAST.items())
    process = python(PROGRAM.format(patch=patch, options=options), station.url())
    out, error = process.communicate(timeout=40)
    assert out.split("\n") == ["one two three", "connected", "done", ""], (out, error)
    assert process.returncode == 0
    assert "INFO:pulsews:" in error and "DEBUG:pulsews:" in error


def test_without_the_patch_threads_are_threads():
    from pulsews._cooperative import threads_are_green

    assert not threads_are_green()


@pytest.mark.parametrize("module", ["select", "selectors"])
def test_the_descriptor_without_any_of_them(station, module):
    import select
    import selectors

    import pulsews

    with pulsews.connect(station.url(), **FAST) as ws:
        if module == "selectors":
            selector = selectors.DefaultSelector()
            selector.register(ws, selectors.EVENT_READ)
            wait = selector.select
        else:
            def wait(timeout):
                return select.select([ws], [], [], timeout)[0]
        while wait(0.05):  # the events of the connect
            assert ws.recv_batch(timeout=0) == []
        for text in ("a", "b"):
            station.session(0).send(text)
            assert wait(10)
            assert ws.recv(timeout=0) == text
            while ws.recv_batch(timeout=0):
                pass
            while wait(0.05):
                ws.recv_batch(timeout=0)
        if module == "selectors":
            selector.close()
