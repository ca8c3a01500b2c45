# SPDX-License-Identifier: Apache-2.0
"""The callbacks of pulsews.WebSocketManager: their order, what they get, what they may do, what goes wrong in them."""

import asyncio
import time

import pulsews
import pytest
from conftest import Calls, until
from station import FAST


@pytest.mark.parametrize("sent, got", [
    ('{"a": 1}', {"a": 1}), ("[1, 2]", [1, 2]), (' \n{"a":null}', {"a": None}), ("text", "text"), ("", ""), ("5", "5"),
    ("null", "null"), ('"quoted"', '"quoted"'), ("{broken", "{broken"), ("[" * 100_000, "[" * 100_000),
    (b"binary", b"binary"), (b'{"a": 1}', b'{"a": 1}'),
])
@pytest.mark.parametrize("parse", [True, False])
def test_what_on_message_gets(arun, station, sent, got, parse):
    received = []

    async def main():
        manager = pulsews.WebSocketManager(station.url(), on_message=received.append, parse_json=parse, **FAST)
        await manager.connect()
        station.session(0).send(sent)
        await until(lambda: received)
        assert received == [got if parse else sent]
        await manager.disconnect()

    arun(main())


def test_a_slow_async_callback_keeps_the_order(arun, station):
    station.greeting = lambda session: [str(number) for number in range(200)]
    received, running = [], []

    async def slowly(message):
        assert not running
        running.append(1)
        if int(message) % 10 == 0:
            await asyncio.sleep(0.005)
        received.append(message)
        running.pop()

    async def main():
        async with pulsews.WebSocketManager(station.url(), on_message=slowly, **FAST):
            await until(lambda: len(received) == 200)
            assert received == [str(number) for number in range(200)]

    arun(main())


def test_the_event_loop_gets_its_turn_in_a_flood(arun, station):
    station.greeting = lambda session: ["x"] * 20_000
    received, turns = [], []

    async def main():
        async with pulsews.WebSocketManager(station.url(), on_message=received.append, **FAST):
            while len(received) < 20_000:
                turns.append(1)
                await asyncio.sleep(0)
            assert len(turns) > 20

    arun(main())


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize(
    "name", ["on_message", "on_connect", "on_disconnect", "on_error", "on_state_change", "on_event"]
)
def test_exceptions_in_callbacks_are_reported_and_survived(arun, station, caplog, kind, name):
    received, errors = [], []

    def plain(*arguments):
        raise KeyError("in the callback")

    async def later(*arguments):
        await asyncio.sleep(0)
        raise KeyError("in the callback")

    async def main():
        callbacks = {"on_message": received.append, "on_error": errors.append}
        callbacks[name] = plain if kind == "plain" else later
        async with pulsews.WebSocketManager(station.url(), **callbacks, **FAST) as manager:
            station.session(0).send("a")
            station.session(0).send("b")
            await until(lambda: manager.get_status()["stats"]["messages_received"] == 2)
            await asyncio.sleep(0.05)
            station.restart()
            await asyncio.to_thread(station.session, 1)
            await manager.wait_ready(timeout=10)
            station.session(1).send("c")
            if name != "on_message":
                await until(lambda: "c" in received)
            await until(lambda: manager.get_status()["callback_errors"] >= (1 if name != "on_message" else 3))
            if name != "on_error":
                assert any(isinstance(error, KeyError) for error in errors)
            if name != "on_message":
                assert received == ["a", "b", "c"]
        records = [record for record in caplog.records if record.name == "pulsews" and record.exc_info]
        assert records and name in records[0].getMessage()

    arun(main())


def test_a_callback_that_is_cancelled_does_not_end_the_manager(arun, station):
    received = []

    async def cancelled(message):
        if message == "a":
            waiter = asyncio.get_running_loop().create_future()
            waiter.cancel()
            await waiter
        if message == "b":
            raise asyncio.CancelledError
        received.append(message)

    async def main():
        async with pulsews.WebSocketManager(station.url(), on_message=cancelled, **FAST) as manager:
            for text in ("a", "b", "c"):
                station.session(0).send(text)
            await until(lambda: received == ["c"])
            assert manager.get_status()["callback_errors"] == 2

    arun(main())


def test_callbacks_may_call_every_method(arun, station):
    station.answers = lambda session, message: message
    log, manager = Calls(), None

    async def on_connect():
        manager.subscribe("k", "subscribe k")
        await manager.send("hello")

    async def on_message(message):
        log.calls.append(("on_message", message))
        if message == "reconnect":
            await manager.reconnect(timeout=10)
        if message == "disconnect":
            await manager.disconnect()

    async def on_error(error):
        log.calls.append(("on_error", error))
        if str(error).startswith("gave up"):
            station.start()
            await manager.reconnect(timeout=10)

    async def main():
        nonlocal manager
        manager = pulsews.WebSocketManager(
            station.url(), on_connect=on_connect, on_message=on_message, on_error=on_error,
            **{**FAST, "max_reconnect_attempts": 2},
        )
        await manager.connect()
        await until(lambda: ("on_message", "hello") in log.calls)
        await manager.send("reconnect")
        await until(lambda: len(station.sessions) == 2 and "hello" in station.sessions[1].texts)
        station.kill()
        await until(lambda: len(station.sessions) == 3 and "hello" in station.sessions[2].texts)
        assert manager.is_ready
        start = time.monotonic()
        await manager.send("disconnect")
        await manager.wait_closed()
        assert manager.state == "disconnected" and time.monotonic() - start < 4
        assert [session.texts[0] for session in station.sessions] == ["subscribe k"] * 3 or (
            station.sessions[0].texts[:2] in (["subscribe k", "hello"], ["hello", "subscribe k"])
        )

    arun(main())


def test_slow_messages_do_not_keep_a_login_waiting(arun, station):
    received = []
    station.greeting = lambda session: [f"{len(station.sessions)}"] * 20

    async def slowly(message):
        await asyncio.sleep(0.05)
        received.append(message)

    async def main():
        async with pulsews.WebSocketManager(
            station.url(), on_message=slowly, login=lambda: "login", login_timeout="500ms", **FAST
        ) as manager:
            await until(lambda: manager.statistics()["messages_received"] == 20)
            station.session(0).close(1012)
            await asyncio.to_thread(station.session, 1)
            session = station.session(1)
            await asyncio.to_thread(station.wait, lambda: session.texts == ["login"])
            assert manager.statistics()["logins_rejected"] == 0
            await until(lambda: len(received) == 40)
            assert received == ["1"] * 20 + ["2"] * 20 and len(station.sessions) == 2

    arun(main())


def test_callbacks_get_as_many_arguments_as_they_need(arun, station):
    got = []

    class Service:
        def on_connect(self):
            got.append(("on_connect",))

        def on_disconnect(self, event):
            got.append(("on_disconnect", event["state"]))

        async def on_state_change(self, state):
            got.append(("state", state))

        def on_message(self, message, log=got):
            log.append(("message", message))

    service = Service()

    async def main():
        manager = pulsews.WebSocketManager(
            station.url(), on_connect=service.on_connect, on_disconnect=service.on_disconnect,
            on_state_change=service.on_state_change, on_message=service.on_message, **FAST,
        )
        await manager.connect()
        station.session(0).send("x")
        await until(lambda: ("message", "x") in got)
        await manager.disconnect()
        assert got == [
            ("state", "connecting"), ("state", "connected"), ("on_connect",), ("message", "x"),
            ("state", "disconnected"), ("on_disconnect", "disconnected"),
        ]

    arun(main())


def test_messages_without_on_message_are_counted(arun, station):
    async def main():
        async with pulsews.WebSocketManager(station.url(), **FAST) as manager:
            station.session(0).send("a")
            station.session(0).send("b")
            await until(lambda: manager.get_status()["messages_unhandled"] == 2)

    arun(main())
