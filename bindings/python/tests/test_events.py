# SPDX-License-Identifier: Apache-2.0
"""Events in their place among the messages."""

import json
import sys
import threading
import time

import pulsews
import pytest
from conftest import eventually, until
from station import FAST

NUMBERS = [1, 2, 3, 6]
FEED = {**FAST, "sequence_path": "n"}


def feed(session):
    return [json.dumps({"n": number}) for number in NUMBERS]


def number_of(message):
    return json.loads(message)["n"]


def all_there(ws, count=None):
    expected = len(NUMBERS) if count is None else count
    assert eventually(lambda: ws.statistics()["messages_received"] == expected)


@pytest.mark.parametrize("call", ["recv", "recv_message", "recv_batch"])
def test_an_event_waits_for_the_messages_in_front_of_it(dial, station, call):
    station.greeting = feed
    with dial(station.url(), **FEED) as ws:
        all_there(ws)
        told = []
        for number in NUMBERS:
            assert [event for event in ws.events() if event["event"] == "gap"] == told
            if call == "recv_batch":
                assert [number_of(message) for message in ws.recv_batch(1, timeout=5)] == [number]
            elif call == "recv_message":
                message = ws.recv_message(timeout=5)
                assert number_of(message.data) == number
            else:
                assert number_of(ws.recv(timeout=5)) == number
            if number == 3:
                gaps = [event for event in ws.events() if event["event"] == "gap"]
                assert [(gap["expected"], gap["received"], gap["missing"]) for gap in gaps] == [(4, 6, 2)]
                if call == "recv_message":
                    assert gaps[0]["sequence"] == message.sequence + 1
                    assert gaps[0].received_ns == gaps[0]["received_ns"] >= message.received_ns


def test_a_batch_ends_where_an_event_is(dial, station):
    station.greeting = feed
    with dial(station.url(), **FEED) as ws:
        all_there(ws)
        assert [number_of(message) for message in ws.recv_batch(timeout=5)] == [1, 2, 3]
        assert [event["event"] for event in ws.events() if event["event"] == "gap"] == ["gap"]
        assert [number_of(message) for message in ws.recv_batch(timeout=5)] == [6]
        assert ws.events() == [] and ws.recv_batch(timeout=0) == []


def items_of(ws, call, wanted):
    items = []
    while len([item for item in items if not isinstance(item, pulsews.Event)]) < wanted:
        if call == "recv":
            items.append(ws.recv(timeout=5))
        elif call == "recv_message":
            items.append(ws.recv_message(timeout=5))
        elif call == "recv_batch":
            items += ws.recv_batch(timeout=5)
        else:
            items.append(next(call))
    return items


@pytest.mark.parametrize("call", ["recv", "recv_message", "recv_batch", "iterator"])
def test_receiving_gives_events_in_their_place(dial, station, call):
    station.greeting = feed
    with dial(station.url(), recv_events=True, **FEED) as ws:
        all_there(ws)
        items = items_of(ws, iter(ws) if call == "iterator" else call, len(NUMBERS))
        assert ws.events() == []
    kinds = [item.kind if isinstance(item, pulsews.Event) else number_of(getattr(item, "data", item)) for item in items]
    assert kinds[-5:] == [1, 2, 3, "gap", 6] and "ready" in kinds and "state" in kinds
    events = [item for item in items if isinstance(item, pulsews.Event)]
    assert all(isinstance(event, dict) and abs(event.received_ns / 1e9 - time.time()) < 60 for event in events)
    if call == "recv_message":
        assert [item.sequence for item in items] == list(range(1, len(items) + 1))
    else:
        assert [event.sequence for event in events] == [
            index + 1 for index, item in enumerate(items) if isinstance(item, pulsews.Event)
        ]


def test_a_loss_is_received_at_once_and_not_after_the_return(dial, station):
    with dial(station.url(), recv_events=True, **FAST) as ws:
        station.kill()
        while True:
            event = ws.recv(timeout=10)
            assert isinstance(event, pulsews.Event)
            if event.get("state") == "reconnecting":
                break
        assert event["previous"] == "connected" and ws.state == "reconnecting"


def test_messages_and_events_mixed_by_every_call(dial, station):
    """What one call fetched ahead another one hands out, in order and whole."""
    station.greeting = lambda session: [json.dumps({"n": 2 * number}) for number in range(200)]
    with dial(station.url(), recv_events=True, **FEED) as ws:
        all_there(ws, 200)
        items = []
        while not items or items[-1] != json.dumps({"n": 398}):
            items.append(ws.recv(timeout=5))
            message = ws.recv_message(timeout=5)
            if isinstance(message, pulsews.Message):
                assert message.sequence == len(items) + 1
                message = message.data
            items += [message, *ws.recv_batch(5, timeout=5), *ws.events()]
        places = [item.sequence for item in items if isinstance(item, pulsews.Event)]
        assert places == [index + 1 for index, item in enumerate(items) if isinstance(item, pulsews.Event)]
        assert [number_of(item) for item in items if isinstance(item, str)] == [2 * number for number in range(200)]


def test_events_that_nobody_takes_are_bounded_and_counted(dial, station):
    count = 3000
    station.greeting = lambda session: [json.dumps({"n": 2 * number}) for number in range(count)]
    with dial(station.url(), **FEED) as ws:
        received = 0
        while received < count:
            received += len(ws.recv_batch(timeout=5))
        lost = ws.events_dropped
        gaps = int(ws.statistics()["sequence_gaps"])
        assert gaps == count - 1 and lost >= gaps - 1000
        assert ws.statistics()["events_dropped"] == ws.status()["stats"]["events_dropped"] == lost
        events = ws.events()
        assert events[0] == {"event": "events_dropped", "events": lost} and len(events) == 1001
        assert events[-1]["received"] == 2 * (count - 1)


def test_events_of_an_application_that_only_sends_are_bounded(station):
    """A login function makes the client look for holds among what nobody receives."""
    from pulsews import _inbox

    station.greeting = lambda session: ["first"]
    with pulsews.connect(station.url(), login=lambda: None, recv_events=True, **FAST) as ws:
        template = pulsews.Event(event="state")
        ws._prefetch.extend(pulsews.Event(template, sequence=number) for number in range(_inbox.AHEAD))
        assert ws._fetch_ahead(0) != 0
        assert len([item for item in ws._prefetch if isinstance(item, pulsews.Event)]) <= _inbox.EVENTS_KEPT + 64
        assert ws.events_dropped >= _inbox.AHEAD - _inbox.EVENTS_KEPT
        assert "first" in [getattr(item, "data", item) for item in ws._prefetch]


def test_the_manager_s_events_have_a_place(arun, station):
    station.greeting = feed
    seen = []

    async def main():
        async with pulsews.WebSocketManager(
            station.url(), on_message=seen.append, on_event=seen.append, **FEED
        ) as manager:
            await until(lambda: {"n": 6} in seen)
            assert manager.state == "connected"
        kinds = [item.kind if isinstance(item, pulsews.Event) else item["n"] for item in seen]
        start = kinds.index(1)
        assert kinds[start : start + 5] == [1, 2, 3, "gap", 6]
        places = [(index + 1, item.sequence) for index, item in enumerate(seen) if isinstance(item, pulsews.Event)]
        assert all(index == sequence for index, sequence in places)

    arun(main())


# ---- the journal takes an event as told when the next one is asked for


def in_doubt(path, url):
    """A journal with one message in doubt, as a process leaves it that was killed while it wrote."""
    ws = pulsews.Client(url, {"journal": str(path), "journal_size": "64KiB"})
    for text in ("first", "second"):
        ws.send(text)
    ws.close()
    del ws
    data = bytearray(path.read_bytes())
    state = data.index(b"QUEUED..", 4096)
    data[state : state + 8] = b"begun---"
    path.write_bytes(data)


PROGRAM = """
import asyncio, os, signal, sys, pulsews
path, url, how = sys.argv[1:]
options = dict(journal=path, journal_size="64KiB", backlog_interval=0, recv_events=how in ("recv", "recv ahead"))
if "ahead" in how: options["login"] = lambda: "login"
def told(events):
    return [event["in_doubt_ids"] for event in events if event["event"] == "journal"]
def until_echo(ws):
    while ws.recv(timeout=10) != "echo": pass
if how == "manager":
    async def main():
        echoes = asyncio.Queue()
        async with pulsews.WebSocketManager(
            url, on_event=lambda event: print(*told([event]), end=" ", flush=True), on_message=echoes.put, journal=path
        ) as manager:
            for _ in range(2):  # with the second echo it has asked for more after the batch of the first
                await manager.send("own")
                await echoes.get()
            await manager.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    asyncio.run(main())
ws = pulsews.connect(url, **options)
ws.send("own")
if how.startswith("recv"):
    while not told([event := ws.recv(timeout=10)]): pass
    print(*told([event]), flush=True)
elif how == "events":
    until_echo(ws)
    print(*told(ws.events()), flush=True)
elif how == "and on":
    print(*told(ws.events()), flush=True)
    until_echo(ws)
else:
    # The event stays in the binding, with messages received around it and others asked for.
    until_echo(ws)
    assert ws.recv_batch(timeout=0.05) == []
    print("nothing", flush=True)
ws.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


def run(python, path, url, how):
    process = python(PROGRAM, str(path), url, how)
    out, error = process.communicate(timeout=30)
    assert process.returncode == -9, error
    return out.strip()


def told_by_the_next(python, path, station):
    ws = pulsews.Client(station.url(), {"journal": str(path)})
    found = [event["in_doubt"] for event in ws.events() if event["event"] == "journal"]
    ws.close()
    return found


@pytest.mark.parametrize("how", ["buffered", "buffered ahead", "recv", "recv ahead", "events", "and on", "manager"])
def test_what_is_in_doubt_is_told_again_unless_the_application_has_it(python, station, tmp_path, how):
    """The process is killed: with the event in the binding, right after it was given, or after it asked for more."""
    path = tmp_path / "journal"
    in_doubt(path, station.url())
    station.answers = lambda session, message: "echo" if message == "own" else None
    assert run(python, path, station.url(), how) == ("nothing" if "buffered" in how else "[[1, 1]]")
    again = told_by_the_next(python, path, station)
    assert again == ([] if how in ("and on", "manager") else [1])


CUT = """
import os, signal, sys, pulsews
path, url, takes = sys.argv[1:]
ws = pulsews.connect(url, journal=path, message_queue_bytes="1GiB", reconnect_base_delay="20ms", jitter=0)
ws.send(b"x" * (32 << 20))
while ws.statistics()["bytes_sent"] < 1000: pass
print("half sent", flush=True)
assert ws.recv(timeout=20) == "one" and ws.recv(timeout=20) == "two"
assert ws.recv_batch(timeout=0) == [] and ws.statistics()["messages_failed"] == 1
if takes == "yes":
    assert "failed" in [event["event"] for event in ws.events()]
    ws.events()  # and comes back
ws.send("kept")
ws.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("takes", ["yes", "no"])
def test_a_message_that_was_cut_is_in_doubt_until_its_event_was_taken(python, station, tmp_path, takes):
    """The same for an event that comes while the client lives."""
    path = tmp_path / "journal"
    station.reading.clear()
    process = python(CUT, str(path), station.url(), takes)
    assert process.stdout.readline() == "half sent\n", process.communicate()
    station.session(0).abort()
    station.reading.set()
    for text in ("one", "two"):
        station.session(1).send(text)
    error = process.communicate(timeout=30)[1]
    assert process.returncode == -9, error
    assert told_by_the_next(python, path, station) == ([] if takes == "yes" else [1])


def test_threads_that_receive_while_events_are_looked_through():
    """What was fetched ahead is taken by other threads meanwhile."""
    ws = pulsews.Client("ws://127.0.0.1:1/", {}, recv_events=True)
    over = threading.Event()

    def take():
        while not over.is_set():
            try:
                ws._prefetch.popleft()
            except IndexError:
                time.sleep(0)

    thread = threading.Thread(target=take)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        for _ in range(3000):
            ws._prefetch.extend(["x"] * 300)
            ws._acknowledge()
            ws._drop_events()
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(interval)
