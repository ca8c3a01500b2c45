# SPDX-License-Identifier: Apache-2.0
"""What the classes have in common, their types and their repr, and functions for URL, headers and login."""

import asyncio
import inspect
import logging
import re
import time
import typing
from datetime import timedelta

import pulsews
import pytest
from conftest import eventually
from pulsews import _options
from station import FAST

ALL = ["Client", "aio.Client", "WebSocketManager", "BlockingManager"]


def cls(name):
    return pulsews.aio.Client if name == "aio.Client" else getattr(pulsews, name)


# ---- names


@pytest.mark.parametrize("name", ALL)
def test_the_same_names(name):
    for member in ("status", "is_connected", "is_ready", "state", "latency", "statistics", "prometheus", "send", "send_many",
                   "ping", "flush", "purge", "subscribe", "unsubscribe", "set_header", "set_url", "release", "reconnect",
                   "disconnect", "close", "wait_ready", "url"):
        assert hasattr(cls(name), member), member
    assert isinstance(inspect.getattr_static(cls(name), "is_connected"), property)


def test_status_and_is_connected(arun, station):
    async def main():
        async with pulsews.aio.connect(station.url(), **FAST) as ws:
            assert ws.is_connected and ws.status()["state"] == "connected"
        async with pulsews.WebSocketManager(station.url(), **FAST) as manager:
            assert manager.is_connected and manager.status()["state"] == manager.get_status()["state"] == "connected"
        assert not manager.is_connected and not ws.is_connected

    arun(main())
    with pulsews.connect(station.url(), **FAST) as ws:
        assert ws.is_connected
    assert not ws.is_connected


@pytest.mark.parametrize("name", ["WebSocketManager", "BlockingManager"])
def test_attributes_that_there_are_not(name, station):
    manager = cls(name)(station.url())
    with pytest.raises(AttributeError, match=f"on_message is an argument of {name}"):
        manager.on_message = print
    with pytest.raises(AttributeError, match="heartbeat"):
        manager.heartbeat = 5
    with pytest.raises(AttributeError, match="no attribute|no setter|can't set"):
        manager.is_connected = True

    class Own(cls(name)):
        pass

    own = Own(station.url())
    own.book = {}
    with pytest.raises(AttributeError, match="on_error"):
        own.on_error = print


# ---- types


def test_choices_are_the_library_s():
    rows = {row.name: row for row in pulsews.option_table()}
    hints = typing.get_type_hints(_options.Options)
    checked = 0
    for name, row in rows.items():
        if row.type == "choice" or name == "preset":
            assert set(re.split(r", | or ", row.range)) == set(typing.get_args(hints[name])), name
            checked += 1
    assert checked >= 7


def test_status_is_of_its_type(station):
    from pulsews import _status

    with pulsews.connect(station.url(), **FAST) as ws:
        status = ws.status()
    assert set(status) == set(_status.Status.__annotations__)
    assert set(status["stats"]) == set(_status.Stats.__annotations__)
    assert set(status["endpoints"][0]) == set(_status.EndpointStatus.__annotations__)
    manager = pulsews.WebSocketManager(station.url())
    assert set(manager.status()) == set(_status.ManagerStatus.__annotations__)
    hints = typing.get_type_hints(_status.Stats)
    for name, value in status["stats"].items():
        kinds = typing.get_args(hints[name]) or (hints[name],)
        assert isinstance(value, kinds) or (float in kinds and isinstance(value, int)), name
    assert set(typing.get_args(_status.State)) == set(pulsews._tables.STATES)


def test_timedelta(dial, station):
    with dial(
        station.url(), heartbeat_interval=timedelta(milliseconds=50), open_timeout=timedelta(seconds=5), **FAST
    ) as ws:
        start = time.monotonic()
        with pytest.raises(TimeoutError, match="0.1 s"):
            ws.recv(timeout=timedelta(milliseconds=100))
        assert 0.1 <= time.monotonic() - start < 5
        assert ws.recv_batch(timeout=timedelta(0)) == []
        assert ws.send("x", ttl=timedelta(minutes=1), timeout=timedelta(seconds=1)) == 1
        ws.flush(timedelta(seconds=5))
        assert eventually(lambda: ws.statistics()["pings_sent"] > 1)
        for bad in (timedelta(seconds=-1),):
            with pytest.raises(ValueError, match="timeout"):
                ws.recv(timeout=bad)
    with pytest.raises(ValueError, match="open_timeout"):
        dial(station.url(), open_timeout=timedelta(seconds=-1))


# ---- repr and log


def test_repr_tells_clients_apart(dial, station):
    with dial(station.url("/path?key=secret"), **FAST) as one, dial(station.url(), name="two", **FAST) as two:
        one, two = (repr(getattr(ws, "_client", ws)) for ws in (one, two))
    assert one != two and "secret" not in one and "two" in two and " connected>" in one
    numbers = [re.search(r" #(\d+) ", text)[1] for text in (one, two)]
    assert numbers[0] != numbers[1]


def test_repr_has_the_number_of_the_metrics(station):
    with pulsews.connect(station.url(), **FAST) as ws:
        assert f'id="{re.search(r"#([0-9]+)", repr(ws))[1]}"' in ws.prometheus()
    manager = pulsews.WebSocketManager(station.url(), name="mine")
    assert re.fullmatch(rf"<pulsews.WebSocketManager #\d+ mine ws://127.0.0.1:{station.port} disconnected>", repr(manager))


def test_repr_in_a_forked_child(python, station):
    process = python(
        "import os, sys, pulsews\n"
        "ws = pulsews.connect(sys.argv[1], name='mine')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    print(ws, flush=True)\n"
        "    os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "ws.close()\n",
        station.url(),
    )
    out, error = process.communicate(timeout=30)
    assert re.search(r"<pulsews.client.Client .*mine ws://127.* not usable after fork\(\)>", out), (out, error)


def test_a_namesake_in_use_is_a_warning(dial, station, caplog):
    def warnings():
        return [record for record in caplog.records if "same name" in record.getMessage()]

    with dial(station.url(), name="feed", **FAST):
        assert not warnings()
        with dial(station.url(), name="other", **FAST), dial(station.url(), **FAST), dial(station.url(), **FAST):
            assert not warnings()
        with dial(station.url(), name="feed", **FAST):
            assert len(warnings()) == 1 and "feed" in warnings()[0].getMessage()
            assert warnings()[0].levelno == logging.WARNING
    with dial(station.url(), name="feed", **FAST):  # the others were closed
        assert len(warnings()) == 1


def test_a_send_after_the_server_s_close_says_that_it_closed(dial, station):
    with dial(station.url(), reconnect=False, close_timeout=1) as ws:
        station.session(0).close(1001, "bye")
        assert eventually(lambda: ws.state != "connected")
        for keywords in ({}, {"live_only": True}, {"report": True}):
            with pytest.raises(pulsews.ConnectionClosed) as caught:
                ws.send("late", **keywords)
            assert caught.value.code == 1001 and caught.value.reason == "bye"


# ---- functions


def test_a_function_for_the_url(dial, station):
    calls = []

    def url():
        calls.append(1)
        return station.url(f"/key{len(calls)}")

    with dial(url, **FAST) as ws:
        assert station.session(0).path == "/key1"
        for number in (1, 2):
            station.session(number - 1).abort()
            # In the blocking client it runs in the thread that receives.
            assert eventually(lambda: not ws.recv_batch(timeout=0.02) and len(station.sessions) == number + 1)
            assert station.session(number).path == f"/key{number + 1}" and ws.url.endswith(f"key{number + 1}")
    assert len(calls) == 3


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_the_manager_with_a_function_for_the_url(arun, station, kind):
    calls = []

    def plain():
        calls.append(1)
        return station.url(f"/key{len(calls)}")

    async def later():
        await asyncio.sleep(0)
        return plain()

    async def main():
        manager = pulsews.WebSocketManager(plain if kind == "plain" else later, name="k", **FAST)
        assert not calls and manager.state == "disconnected" and not manager.is_connected and "Manager" in repr(manager)
        if kind == "async":
            with pytest.raises(RuntimeError, match="connect"):
                await manager.send("x")
        async with manager:
            first = await asyncio.to_thread(station.session, 0)
            assert first.path == "/key1"
            first.abort()
            second = await asyncio.to_thread(station.session, 1)
            assert second.path == "/key2"
        with pytest.raises(ValueError, match="no option"):
            pulsews.WebSocketManager(plain, no_such_option=1)

    arun(main())


@pytest.mark.parametrize("result, error", [(5, TypeError), ("http://x/", ValueError), (None, TypeError)])
def test_a_url_function_that_gives_no_url(dial, result, error):
    with pytest.raises(error, match="url|http"):
        dial(lambda: result)


def test_an_async_url_function_needs_asyncio(station):
    async def url():
        return station.url()

    for make in (pulsews.connect, lambda url: pulsews.BlockingManager(url).run_forever()):
        with pytest.raises(TypeError, match="url.*async"):
            make(url)


def test_what_a_url_function_raises_ends_connect(dial, station):
    def url():
        if calls:
            raise KeyError("no key")
        calls.append(1)
        return station.url()

    calls = []
    station.kill()
    with pytest.raises(KeyError):
        dial(url, wait=True, **FAST)


def test_a_login_function_gets_the_client(dial, station):
    seen = []

    def login(ws):
        seen.append((ws, ws.url))
        return ["hello"]

    def headers(ws, extra="given"):
        assert extra == "given"
        return {"X-State": ws.state}

    with dial(station.url(), login=login, headers=headers, **FAST) as ws:
        assert seen[0] == (getattr(ws, "_client", ws), station.url())
        assert eventually(lambda: station.session(0).texts == ["hello"])
        assert station.session(0).headers["x-state"] == "connecting"


@pytest.mark.parametrize("kind", ["WebSocketManager", "BlockingManager"])
def test_a_login_function_gets_the_manager(arun, station, kind):
    seen = []

    async def main():
        async with pulsews.WebSocketManager(station.url(), login=lambda manager: seen.append(manager), **FAST) as manager:
            assert seen == [manager]

    if kind == "WebSocketManager":
        arun(main())
    else:
        manager = pulsews.BlockingManager(
            station.url(), login=lambda manager: seen.append(manager), on_connect=lambda: manager.disconnect(), **FAST
        )
        manager.run_forever()
        assert seen == [manager]


def test_a_failing_function_is_logged_with_the_client(station, caplog):
    def login():
        if len(station.sessions) > 1:
            raise KeyError("key")

    with pulsews.connect(station.url(), login=login, name="mine", login_timeout="100ms", **FAST) as ws:
        station.session(0).abort()
        def logged():
            ws.recv_batch(timeout=0.02)
            return [r for r in caplog.records if "login" in r.getMessage() and r.exc_info and "mine" in r.getMessage()]
        assert eventually(logged)


# ---- the import


def test_asyncio_is_not_loaded_before_it_is_used(python):
    process = python(
        "import sys, pulsews\n"
        "assert 'asyncio' not in sys.modules\n"
        "assert 'aio' in dir(pulsews) and 'WebSocketManager' in dir(pulsews)\n"
        "pulsews.BlockingManager('ws://127.0.0.1/'), pulsews.presets()\n"
        "assert 'asyncio' not in sys.modules\n"
        "assert pulsews.aio.connect and 'asyncio' in sys.modules\n"
        "from pulsews import *\n"
        "assert WebSocketManager is pulsews.WebSocketManager and aio is pulsews.aio\n"
        "try: pulsews.nothing\n"
        "except AttributeError as problem: print(problem)\n"
    )
    out, error = process.communicate(timeout=30)
    assert "'pulsews' has no attribute 'nothing'" in out, error
