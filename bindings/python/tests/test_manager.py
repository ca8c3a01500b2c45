# SPDX-License-Identifier: Apache-2.0
"""pulsews.WebSocketManager: connecting, staying connected, sending, and its end."""

import asyncio
import gc
import itertools
import json
import os
import time
import warnings

import pulsews
import pytest
from conftest import Calls, until
from station import FAST


def test_the_whole_story(arun, station):
    station.answers = lambda session, message: {"type": "echo", "data": json.loads(message)}
    log = Calls()

    async def main():
        manager = pulsews.WebSocketManager(
            url=station.url(), heartbeat_interval=30, max_reconnect_attempts=10, reconnect_base_delay=0.02,
            reconnect_max_delay=0.1, message_queue_size=1000, headers={"X-Token": "a"}, backlog_interval=0,
            **log.callbacks(),
        )
        assert manager.state == "disconnected" and not manager.is_connected and not manager.is_ready
        assert manager.get_status()["queue_size"] == 0
        await manager.disconnect()
        await manager.send({"early": 1})
        assert manager.state == "disconnected" and not manager.is_ready
        assert manager.get_status()["queue_size"] == 1
        assert await manager.connect() is True
        assert manager.is_connected and manager.is_ready and await manager.connect() is True
        await manager.send({"b": [1, "ü"]})
        await until(lambda: len(log.named("on_message")) == 2)
        assert log.named("on_message") == [
            ({"type": "echo", "data": {"early": 1}},), ({"type": "echo", "data": {"b": [1, "ü"]}},)
        ]
        assert station.session(0).headers["x-token"] == "a"
        station.kill()
        await until(lambda: manager.state == "reconnecting")
        await manager.send({"queued": True})
        station.start()
        await until(lambda: len(log.named("on_message")) == 3)
        status = manager.get_status()
        assert status["state"] == "connected" and status["callback_errors"] == 0
        stats = status["stats"]
        assert stats["messages_received"] == 3 and stats["messages_sent"] == 3 and stats["reconnections"] == 1
        assert stats["errors"] >= 1 and stats["uptime"] >= 0 and "last_error" in stats and "latency" in stats
        assert await manager.reconnect() is True
        station.session(2)
        await manager.disconnect()
        assert manager.state == "disconnected" and station.sessions[-1].close_code == 1000
        names = [call[0] for call in log.calls if call[0] in ("on_connect", "on_disconnect")]
        assert names == ["on_connect", "on_disconnect"] * 3
        changes = log.named("on_state_change")
        assert [change[0] for change in changes[:3]] == ["connecting", "connected", "reconnecting"]
        assert all(change[0] != change[1] for change in changes) and changes[-1][0] == "disconnected"
        errors = log.named("on_error")
        assert errors and all(isinstance(error, pulsews.PulseError) for error, in errors)
        with pytest.raises(pulsews.ConnectionClosed):
            await manager.send({"late": 1})
        assert await manager.connect() is True
        await manager.disconnect()
        await manager.disconnect()
        await manager.wait_closed()
        with pytest.raises(pulsews.ConnectionClosed):
            await manager.wait_ready()

    arun(main())


def test_connect_while_a_disconnect_is_on_its_way(arun, station):
    async def main():
        manager = pulsews.WebSocketManager(station.url(), **FAST)
        for _ in range(20):
            await manager.connect()
            closing = asyncio.ensure_future(manager.disconnect())
            await asyncio.sleep(0)
            assert await manager.connect(timeout=10) is True
            await closing
        assert manager.is_ready
        await manager.disconnect()

    arun(main())


def test_as_a_context_manager(arun, station):
    async def main():
        async with pulsews.WebSocketManager(station.url(), **FAST) as manager:
            assert manager.is_ready and "WebSocketManager" in repr(manager)
            with pytest.raises(KeyError):
                async with pulsews.WebSocketManager(station.url(), **FAST) as second:
                    raise KeyError
            assert second.state == "disconnected"
        assert manager.state == "disconnected"
        station.refuse(403, times=10)
        with pytest.raises(pulsews.HandshakeError):
            async with pulsews.WebSocketManager(station.url(), **FAST):
                raise AssertionError

    arun(main())


def test_what_can_be_sent(arun, station):
    async def main():
        async with pulsews.WebSocketManager(station.url(), **FAST) as manager:
            messages = [{"a": 1}, [1, {"b": "ü"}], ("x", 2), "text", b"bytes", bytearray(b"array"),
                        memoryview(b"view"),
                        {}, []]
            for message in messages:
                assert await manager.send(message) is None
            first = await manager.send({"c": 1}, report=True, ttl=5)
            assert await manager.send("x", live_only=True) == first + 1
            assert await manager.send_many([{"d": 1}, "e", b"f"]) == 3
            await manager.flush(timeout=10)
            await manager.ping()
            session = station.session(0)
            await asyncio.to_thread(station.wait, lambda: len(session.messages) == len(messages) + 5)
            assert session.messages == [
                '{"a":1}', '[1,{"b":"\\u00fc"}]', '["x",2]', "text", b"bytes", b"array", b"view", "{}", "[]",
                '{"c":1}', "x", '{"d":1}', "e", b"f",
            ]
            for wrong in (None, 5, object(), {"a": object()}, {1, 2}):
                with pytest.raises(TypeError):
                    await manager.send(wrong)
            for wrong in ("text", b"bytes", {"a": 1}, 5):
                with pytest.raises(TypeError):
                    await manager.send_many(wrong)

    arun(main())


def test_the_end_of_trying_is_told_to_all(arun, station):
    log = Calls()

    async def main():
        manager = pulsews.WebSocketManager(
            station.url(), **log.callbacks(), **{**FAST, "max_reconnect_attempts": 3}
        )
        await manager.connect()
        closed = asyncio.ensure_future(manager.wait_closed())
        ready = asyncio.ensure_future(manager.reconnect())
        await ready
        station.kill()
        with pytest.raises(pulsews.ConnectError, match="gave up after 3 attempts"):
            await closed
        assert manager.state == "error"
        final = log.named("on_error")[-1][0]
        assert isinstance(final, pulsews.ConnectError) and str(final).startswith("gave up after 3 attempts")
        assert log.named("on_disconnect")
        assert [str(error).startswith("gave up") for error, in log.named("on_error")].count(True) == 1
        for call in (manager.connect, manager.reconnect):
            with pytest.raises(pulsews.ConnectError):
                await call()
        station.start()
        assert await manager.connect() is True
        await manager.disconnect()

    arun(main())


def test_connect_goes_on_trying(arun, station):
    station.refuse(503, times=3)
    errors = []

    async def main():
        manager = pulsews.WebSocketManager(station.url(), on_error=errors.append, **FAST)
        assert await manager.connect() is True
        assert [error.status for error in errors] == [503] * 3
        assert all(isinstance(error, pulsews.HandshakeError) for error in errors)
        await manager.disconnect()

    arun(main())


def test_connect_with_a_time_out_goes_on_in_the_background(arun, station):
    connected = []

    async def main():
        station.kill()
        manager = pulsews.WebSocketManager(station.url(), on_connect=lambda: connected.append(1), **FAST)
        with pytest.raises(TimeoutError):
            await manager.connect(timeout=0.1)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(manager.connect(), 0.1)
        assert manager.state in ("connecting", "reconnecting")
        station.start()
        await until(lambda: connected)
        await manager.disconnect()

    arun(main())


def test_a_fatal_refusal_raises_from_connect(arun, station):
    station.refuse(401, body=b"bad key", times=9)
    errors = []

    async def main():
        manager = pulsews.WebSocketManager(station.url(), on_error=errors.append, **FAST)
        with pytest.raises(pulsews.HandshakeError) as caught:
            await manager.connect()
        assert caught.value.status == 401 and caught.value.body == b"bad key"
        await until(lambda: errors)
        assert isinstance(errors[-1], pulsews.HandshakeError) and errors[-1].status == 401
        assert len(station.requests) == 1

    arun(main())


@pytest.mark.parametrize("asynchronous", [False, True])
def test_login_and_headers_functions(arun, station, asynchronous):
    count = itertools.count(1)
    station.answers = lambda session, message: {"ok": True} if "nonce" in message else None

    def sign():
        return {"nonce": next(count)}

    async def sign_later():
        await asyncio.sleep(0.01)
        return sign()

    async def main():
        async with pulsews.WebSocketManager(
            station.url(), login=sign_later if asynchronous else sign, headers=lambda: {"X-Time": str(time.time())},
            login_confirm={"ok": True}, **FAST,
        ) as manager:
            manager.subscribe("k", "subscribe k")
            station.session(0).abort()
            await asyncio.to_thread(station.session, 1)
            session = station.session(1)
            await asyncio.to_thread(station.wait, lambda: len(session.texts) == 2)
            assert session.texts == ['{"nonce":2}', "subscribe k"]
            assert session.headers["x-time"] != station.sessions[0].headers["x-time"]

    arun(main())


def test_a_login_function_that_fails_is_told(arun, station):
    calls, errors = itertools.count(1), []

    def sign():
        if next(calls) < 3:
            raise KeyError("secret store")
        return "login"

    async def main():
        manager = pulsews.WebSocketManager(
            station.url(), login=sign, on_error=errors.append, login_timeout="50ms", **FAST
        )
        await manager.connect()
        assert [type(error) for error in errors].count(KeyError) == 2
        assert any(isinstance(error, pulsews.LoginError) for error in errors)
        assert manager.get_status()["callback_errors"] == 2
        await manager.disconnect()

    arun(main())


def test_holds_by_hand(arun, station):
    manager, seen = None, []

    async def on_event(event):
        if event["event"] == "hold":
            seen.append(event["at"])
            if event["at"] == "connect":
                manager.set_header("X-Fresh", str(len(seen)))
                manager.set_url(station.url(f"/{len(seen)}"))
            else:
                await manager.send({"login": len(seen)}, first=True)
            manager.release()

    async def main():
        nonlocal manager
        manager = pulsews.WebSocketManager(
            station.url(), on_event=on_event, hold_connect=True, hold_login=True, **FAST
        )
        async with manager:
            assert seen == ["connect", "login"]
            session = station.session(0)
            await asyncio.to_thread(station.wait, lambda: session.texts)
            assert session.path == "/1" and session.headers["x-fresh"] == "1" and session.texts == ['{"login":2}']
            assert manager.url.endswith("/1")

    arun(main())


@pytest.mark.parametrize("options, kind, sentence", [
    ({"url": "http://x/"}, ValueError, "ws"), ({"url": None}, TypeError, "url"),
    ({"heartbeat_intervall": 5}, ValueError, "heartbeat_interval"), ({"jitter": 2}, ValueError, "jitter"),
    ({"message_queue_policy": "lose"}, ValueError, "drop_oldest"), ({"stale_action": 5}, ValueError, "stale_action"),
    ({"on_message": 5}, TypeError, "on_message"), ({"on_message": lambda a, b: 1}, TypeError, "on_message"),
    ({"on_connect": lambda a, b: 1}, TypeError, "on_connect"),
    ({"login_confirm": "{broken"}, ValueError, "login_confirm"),
    ({"rate_limit": "many"}, ValueError, "rate_limit"), ({"endpoints": ["wss://x/"]}, ValueError, "endpoint"),
])
def test_bad_arguments(options, kind, sentence):
    with pytest.raises(kind, match=sentence):
        pulsews.WebSocketManager(**{"url": "ws://127.0.0.1:9/", **options})


def test_many_managers(arun, station):
    station.answers = lambda session, message: message
    received = {}

    async def main():
        managers = [
            pulsews.WebSocketManager(station.url(), on_message=received.setdefault(number, []).append, **FAST)
            for number in range(50)
        ]
        await asyncio.gather(*(manager.connect() for manager in managers))
        station.kill()
        await until(lambda: all(manager.state == "reconnecting" for manager in managers))
        for number, manager in enumerate(managers):
            await manager.send({"number": number})
        station.start()
        await until(lambda: all(received.values()), 30)
        assert all(messages == [{"number": number}] for number, messages in received.items())
        await asyncio.gather(*(manager.disconnect() for manager in managers))

    arun(main())


def test_one_manager_in_two_event_loops_one_after_the_other(station):
    received = []
    manager = pulsews.WebSocketManager(station.url(), on_message=received.append, **FAST)

    async def once(number):
        await manager.connect()
        station.session(number).send(f"{number}")
        await until(lambda: len(received) == number + 1)
        await manager.disconnect()

    asyncio.run(once(0))
    asyncio.run(once(1))
    assert received == ["0", "1"]


def test_a_loop_that_ends_with_a_manager_that_is_connected(station):
    async def main():
        manager = pulsews.WebSocketManager(station.url(), **FAST)
        await manager.connect()
        return manager

    manager = asyncio.run(main())
    assert manager.state == "connected"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del manager
        gc.collect()
    station.wait(lambda: station.session(0).over)


def test_no_leak(arun, station):
    def used():
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    async def main():
        before = None
        for turn in range(40):
            async with pulsews.WebSocketManager(station.url(), on_message=print, **FAST) as manager:
                await manager.send({"a": 1})
            del manager
            if turn == 9:
                gc.collect()
                before = used()
        gc.collect()
        await until(lambda: used()[0] <= before[0] + 2 and used()[1] <= before[1] + 1)

    arun(main())


def test_a_manager_made_before_a_fork_works_in_the_child(station, python):
    process = python(
        "import asyncio, os, sys, pulsews\n"
        "manager = pulsews.WebSocketManager(sys.argv[1])\n"
        "child = os.fork()\n"
        "async def main():\n"
        "    await manager.connect(); await manager.disconnect(); print('works', flush=True)\n"
        "asyncio.run(main())\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\n",
        station.url(),
    )
    out, error = process.communicate(timeout=40)
    assert out.count("works") == 2 and process.returncode == 0, error


def test_exit_of_a_program_with_a_connected_manager(station, python):
    for end in ("sys.exit(3)", "raise KeyError", "pass"):
        process = python(
            "import asyncio, sys, pulsews\n"
            "async def main():\n"
            "    global manager\n"
            "    manager = pulsews.WebSocketManager(sys.argv[1], on_message=print)\n"
            "    await manager.connect()\n"
            f"    {end}\n"
            "asyncio.run(main())\n",
            station.url(),
        )
        error = process.communicate(timeout=30)[1]
        assert process.returncode in (0, 1, 3) and "Fatal" not in error and "never retrieved" not in error


def test_close_is_for_good_and_frees_the_journal(arun, station, tmp_path):
    options = {"journal": str(tmp_path / "outbox"), "journal_size": "64KiB", **FAST}
    log = Calls()

    async def main():
        unused = pulsews.WebSocketManager(station.url(), **options)
        await unused.close()
        manager = pulsews.WebSocketManager(station.url(), **options, **log.callbacks())
        await manager.connect()
        with pytest.raises(pulsews.PulseError, match="in use by another client"):
            pulsews.WebSocketManager(station.url(), **options)
        await manager.close()
        assert [call[0] for call in log.calls if "connect" in call[0]] == ["on_connect", "on_disconnect"]
        await manager.close()
        await manager.wait_closed()
        assert manager.get_status()["state"] == "disconnected" and station.sessions[-1].close_code == 1000
        for one in (manager, unused):
            with pytest.raises(pulsews.ConnectionClosed):
                await one.connect()
        second = pulsews.WebSocketManager(station.url(), **options)
        await second.connect()
        await second.close()

    arun(main())
