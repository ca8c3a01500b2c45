# SPDX-License-Identifier: Apache-2.0
"""Login, subscriptions and renewed headers: what every connect begins with, in order."""

import asyncio
import itertools
import json
import threading
import time

import pulsews
import pytest
from conftest import eventually
from pulsews import aio
from station import FAST, Events


def test_login_texts_on_every_connect(dial, station):
    with dial(station.url(), login=["first ${id}", {"op": "auth"}], **FAST) as ws:
        ws.send("data")
        session = station.session(0)
        station.wait(lambda: len(session.texts) == 3)
        assert session.texts[1:] == ['{"op":"auth"}', "data"]
        station.kill()
        assert eventually(lambda: ws.state == "reconnecting")
        ws.send("queued")
        station.start()
        session = station.session(1)
        station.wait(lambda: len(session.texts) == 3)
        assert session.texts[0].startswith("first ") and session.texts[1:] == ['{"op":"auth"}', "queued"]
        assert ws.statistics()["session_messages_sent"] == 4


def test_one_login_text(dial, station):
    for number, (login, text) in enumerate([("text", "text"), ({"op": "auth"}, '{"op":"auth"}')]):
        with dial(station.url(), login=login):
            session = station.session(number)
            station.wait(lambda: session.texts == [text])


def test_connect_waits_for_the_confirmation(dial, station):
    station.answers = lambda session, message: ["greeting", {"op": "auth", "ok": True}] if "auth" in message else None
    with dial(station.url(), login={"op": "auth"}, login_confirm={"op": "auth", "ok": True}, **FAST) as ws:
        assert ws.is_ready
        assert ws.recv(timeout=10) == "greeting" and json.loads(ws.recv(timeout=10)) == {"op": "auth", "ok": True}


def test_connect_raises_when_the_login_is_rejected(dial, station):
    station.answers = lambda session, message: {"op": "auth", "ok": False}
    with pytest.raises(pulsews.LoginError) as caught:
        dial(station.url(), login={"op": "auth"}, login_confirm={"ok": True}, login_reject={"ok": False}, **FAST)
    assert caught.value.name == "PULSEWS_ELOGIN" and isinstance(caught.value, pulsews.ConnectError)
    assert json.loads(caught.value.server_message) == {"op": "auth", "ok": False} and "auth" in str(caught.value)
    station.answers = lambda session, message: None
    with pytest.raises(pulsews.LoginError, match="login_timeout") as caught:
        dial(station.url(), login={"op": "auth"}, login_confirm={"ok": True}, login_timeout="100ms", **FAST)
    assert caught.value.server_message == ""


def test_a_rejection_that_repeats_the_keys_is_not_quoted(dial, station, caplog):
    login = {"op": "authenticate", "signature": "5ec2e7ab", "args": ["k", "a1b2c3d4e5f6"]}
    for said, quoted in [
        ({"ok": False, "request": login}, False), ({"ok": False, "op": "authenticate", "why": "wrong signature"}, True),
        ({"ok": False, "why": "a1b2c3d4e5f6?"}, False), ({"ok": False, "why": "k is no key"}, True)
    ]:
        station.answers = lambda session, message: said
        caplog.clear()
        with pytest.raises(pulsews.LoginError) as caught:
            dial(station.url(), login=login, login_confirm={"ok": True}, login_reject={"ok": False}, reconnect=False)
        assert json.loads(caught.value.server_message) == said
        assert ('"ok' in str(caught.value).replace("\\", "")) == quoted, str(caught.value)
        assert eventually(lambda: "the server rejected the login" in caplog.text)
        assert "5ec2e7ab" not in caplog.text and "a1b2c3d4e5f6" not in caplog.text


def test_a_login_that_is_rejected_once_later_on(dial, station):
    verdicts = itertools.chain([True, False], itertools.repeat(True))
    station.answers = lambda session, message: {"ok": next(verdicts)} if "auth" in message else None
    options = dict(login={"op": "auth"}, login_confirm={"ok": True}, login_reject={"ok": False})
    with dial(station.url(), **options, **FAST) as ws:
        station.session(0).abort()
        station.session(2).send("data")
        while ws.recv(timeout=10) != "data":
            pass
        assert ws.statistics()["logins_rejected"] == 1


def test_a_function_signs_every_login_anew(dial, station):
    count = itertools.count(1)

    def sign():
        return {"op": "auth", "nonce": next(count)}

    with dial(station.url(), login=sign, **FAST) as ws:
        assert ws.is_ready
        ws.send("data")
        station.session(0)
        station.wait(lambda: len(station.session(0).texts) == 2)
        for turn in range(1, 4):
            station.kill()
            assert eventually(lambda: ws.state == "reconnecting")
            ws.send(f"queued {turn}")
            station.start()
            ws.wait_ready(timeout=10)
            station.wait(lambda: len(station.session(turn).texts) == 2)
        assert [session.texts for session in station.sessions] == [
            ['{"op":"auth","nonce":1}', "data"],
            *(['{"op":"auth","nonce":%d}' % (turn + 1), f"queued {turn}"] for turn in range(1, 4)),
        ]


@pytest.mark.parametrize("result, sent", [
    (None, []), ("text", ["text"]), (b"binary", [b"binary"]), ({"a": 1}, ['{"a":1}']), ([], []),
    (["x", b"y", {"z": None}], ["x", b"y", '{"z":null}']), (iter(["once"]), ["once"]), (bytearray(b"q"), [b"q"]),
])
def test_what_a_login_function_may_return(station, result, sent):
    with pulsews.connect(station.url(), login=lambda: result, **FAST) as ws:
        ws.send("end")
        session = station.session(0)
        station.wait(lambda: "end" in session.messages)
        assert session.messages == [*sent, "end"]


@pytest.mark.parametrize("wrong", [5, [5], [None], object()])
def test_what_a_login_function_may_not_return(dial, station, wrong):
    with pytest.raises(TypeError):
        dial(station.url(), login=lambda: wrong, **FAST)


@pytest.mark.parametrize("option", ["login", "headers"])
def test_connect_raises_what_the_function_raises(dial, station, option):
    def fail():
        raise KeyError("secret store")

    start = time.monotonic()
    with pytest.raises(KeyError, match="secret store"):
        dial(station.url(), **{option: fail}, **FAST)
    assert time.monotonic() - start < 5


def test_a_login_function_that_fails_later_is_logged_and_tried_again(dial, station, caplog):
    calls = itertools.count(1)

    def sign():
        number = next(calls)
        if number in (2, 3):
            raise KeyError("secret store")
        return f"login {number}"

    with dial(station.url(), login=sign, login_timeout="100ms", **FAST) as ws:
        station.session(0).abort()
        assert eventually(lambda: ws.events() is not None and any("login 4" in s.texts for s in station.sessions))
        assert eventually(lambda: ws.is_ready)
    records = [record for record in caplog.records if record.name == "pulsews" and record.exc_info]
    assert len(records) == 2 and "login" in records[0].getMessage()


def test_headers_from_a_function_for_every_attempt(dial, station):
    count = itertools.count(1)
    extra = {1: {"X-Once": "a"}, 2: {"X-Once": None}}

    def headers():
        number = next(count)
        return {"Authorization": f"Bearer {number}", **extra.get(number, {})}

    with dial(station.url(), headers=headers, **FAST) as ws:
        assert station.session(0).headers["authorization"] == "Bearer 1"
        station.session(0).abort()
        assert eventually(lambda: ws.events() is not None and len(station.sessions) == 2)
        assert station.session(1).headers["authorization"] == "Bearer 2"
        assert station.sessions[0].headers["x-once"] == "a" and "x-once" not in station.sessions[1].headers


def test_login_and_headers_from_functions(dial, station):
    with dial(station.url(), headers=lambda: [("X-A", "b")], login=lambda: "hello", **FAST) as ws:
        assert ws.is_ready and station.session(0).headers["x-a"] == "b"
        station.session(0).abort()
        assert eventually(lambda: ws.events() is not None and len(station.sessions) == 2
                          and station.sessions[1].texts == ["hello"])


def test_wait_ready_runs_the_functions_when_nobody_receives(dial, station):
    with dial(station.url(), login=lambda: "hello", **FAST) as ws:
        station.session(0).abort()
        assert eventually(lambda: ws.statistics()["connections"] == 2)
        ws.wait_ready(timeout=10)
        station.wait(lambda: station.session(1).texts == ["hello"])


def test_an_async_function_needs_asyncio(station):
    async def sign():
        return "x"

    for option in ("login", "headers"):
        with pytest.raises(TypeError, match="aio"):
            pulsews.connect(station.url(), **{option: sign})
        with pytest.raises(TypeError, match="aio"):
            pulsews.connect(station.url(), **{option: lambda: sign()}, **FAST)


def test_async_functions(arun, station):
    count = itertools.count(1)

    async def sign():
        await asyncio.sleep(0.02)
        return [f"login {next(count)}", "second"]

    async def headers():
        await asyncio.sleep(0.02)
        return {"X-A": "b"}

    async def main():
        async with aio.connect(station.url(), login=sign, headers=headers, **FAST) as ws:
            await ws.send("data")
            session = station.session(0)
            await asyncio.to_thread(station.wait, lambda: len(session.texts) == 3)
            assert session.texts == ["login 1", "second", "data"] and session.headers["x-a"] == "b"
            # Nobody receives from here on: the login does not depend on it.
            for turn in range(1, 4):
                station.sessions[-1].abort()
                await asyncio.to_thread(station.session, turn)
                session = station.sessions[turn]
                await asyncio.to_thread(station.wait, lambda: len(session.texts) == 2)
                assert session.texts == [f"login {turn + 1}", "second"]

    arun(main())


def test_login_while_messages_wait_that_nobody_takes(arun, station):
    station.greeting = lambda session: ["x" * 1000] * 500

    async def main():
        async with aio.connect(station.url(), login=lambda: "hello", **FAST) as ws:
            for turn in range(1, 4):
                while ws.statistics()["messages_received"] < turn * 500:
                    await asyncio.sleep(0.01)
                station.session(turn - 1).close(1012)
                await asyncio.to_thread(station.session, turn)
                session = station.sessions[turn]
                await asyncio.to_thread(station.wait, lambda: session.texts == ["hello"])
            received = 0
            while received < 2000:
                received += len(await ws.recv_batch(64, timeout=10))
            assert received == 2000

    arun(main())


def test_a_slow_login_is_not_sent_on_the_next_connection(arun, station):
    calls = itertools.count(1)
    go = {}

    async def sign():
        number = next(calls)
        if number == 2:
            go["event"] = asyncio.Event()
            try:
                await go["event"].wait()
            except asyncio.CancelledError:
                go["cancelled"] = True
                raise
        return f"login {number}"

    async def main():
        async with aio.connect(station.url(), login=sign, **FAST) as ws:
            station.session(0).abort()
            await asyncio.to_thread(station.session, 1)
            while "event" not in go:
                await asyncio.sleep(0.01)
            station.session(1).abort()
            await asyncio.to_thread(station.session, 2)
            session = station.sessions[2]
            await asyncio.to_thread(station.wait, lambda: session.texts)
            go["event"].set()
            await ws.wait_ready(timeout=10)
            assert session.texts == ["login 3"] and go["cancelled"]
            assert station.sessions[1].texts == []

    arun(main())


def test_a_hold_that_the_application_releases_itself(dial, station):
    with dial(station.url(), hold_login=True, **FAST) as ws:
        events = Events(ws)
        assert not ws.is_ready
        ws.send("data")
        assert events.wait("hold", at="login")["attempt"] == 1
        ws.send("signed", first=True)
        session = station.session(0)
        station.wait(lambda: session.texts == ["signed"])
        ws.release()
        station.wait(lambda: session.texts == ["signed", "data"])
        ws.wait_ready(timeout=10)
        ws.release()
        station.session(0).abort()
        events.wait("hold", at="login")
        ws.send("signed again", first=True)
        ws.release()
        ws.wait_ready(timeout=10)
        station.wait(lambda: station.session(1).texts == ["signed again"])


def test_a_hold_that_would_hold_connect_itself(dial, station):
    with pytest.raises(ValueError, match="hold_connect"):
        dial(station.url(), hold_connect=True)


def test_subscriptions_come_back_before_the_backlog(dial, station):
    with dial(station.url(), login="login", **FAST) as ws:
        ws.subscribe("a", {"op": "sub", "key": "a"}, {"op": "unsub", "key": "a"})
        ws.subscribe("b", "sub b")
        ws.subscribe("c", "sub c", "unsub c")
        ws.subscribe("a", {"op": "sub", "key": "a"}, {"op": "unsub", "key": "a"})
        session = station.session(0)
        station.wait(lambda: len(session.texts) == 4)
        assert session.texts == ["login", '{"op":"sub","key":"a"}', "sub b", "sub c"]
        ws.unsubscribe("c")
        ws.unsubscribe("never known")
        station.wait(lambda: len(session.texts) == 5)
        assert session.texts[4] == "unsub c" and ws.statistics()["subscriptions"] == 2
        station.kill()
        assert eventually(lambda: ws.state == "reconnecting")
        ws.send("queued")
        ws.subscribe("d", ["sub", "d"])
        ws.unsubscribe("b")
        station.start()
        session = station.session(1)
        station.wait(lambda: len(session.texts) == 4)
        assert session.texts == ["login", '{"op":"sub","key":"a"}', '["sub","d"]', "queued"]


def test_subscriptions_by_template(dial, station):
    options = dict(
        subscribe_message='{"method":"SUBSCRIBE","params":[${keys}]}', unsubscribe_message="unsub ${keys}",
        subscribe_batch=2,
    )
    with dial(station.url(), **options, **FAST) as ws:
        station.kill()
        assert eventually(lambda: ws.state == "reconnecting")
        for key in ("a", "b", "c"):
            ws.subscribe(key)
        station.start()
        session = station.session(1)
        station.wait(lambda: len(session.texts) == 2)
        assert [json.loads(text)["params"] for text in session.texts] == [["a", "b"], ["c"]]
        ws.unsubscribe("b")
        station.wait(lambda: len(session.texts) == 3)
        assert session.texts[2] == 'unsub "b"'


def test_a_rejected_subscription(dial, station):
    station.answers = lambda session, message: {"error": "no such key"} if message == "sub bad" else None
    options = dict(subscribe_confirm={"ok": "*"}, subscribe_reject={"error": "*"}, max_reconnect_attempts=2,
                   subscribe_reject_action="reconnect")
    with dial(station.url(), **{**FAST, **options}) as ws:
        ws.subscribe("k", "sub bad")
        with pytest.raises(pulsews.SubscribeError) as caught:
            while True:
                ws.recv(timeout=20)
        assert caught.value.name == "PULSEWS_ESUBSCRIBE" and str(caught.value).startswith("gave up after 2")
        assert json.loads(caught.value.server_message) == {"error": "no such key"}


def test_a_rejected_key_among_good_ones(dial, station):
    def answers(session, message):
        request = json.loads(message)
        bad = "dead" in request["keys"]
        return {"id": request["id"], "error" if bad else "ok": "no such key"}

    station.answers = answers
    with dial(station.url(), subscribe_message='{"keys":[${keys}],"id":${id}}', subscribe_confirm='{"ok":"*","id":${id}}',
              subscribe_reject='{"error":"*","id":${id}}', **FAST) as ws:
        for key in ("a", "b", "dead", "c"):
            ws.subscribe(key)
        while True:
            if told := [event for event in ws.events() if event["event"] == "subscription_rejected"]:
                break
            ws.recv(timeout=20)
        assert len(told) == 1 and told[0]["key"] == "dead" and json.loads(told[0]["text"])["error"] == "no such key"
        ws.wait_ready(timeout=20)
        assert ws.statistics()["subscriptions"] == 3 and ws.statistics()["connections"] == 1


def test_each_message_that_subscribes_has_its_time(dial, station):
    """One that is never answered is noticed, however often others are sent meanwhile."""
    def answers(session, message):
        request = json.loads(message)
        return None if "first" in request["keys"] else {"id": request["id"], "ok": 1}

    station.answers = answers
    with dial(station.url(), subscribe_message='{"keys":[${keys}],"id":${id}}', subscribe_confirm='{"ok":1,"id":${id}}',
              subscribe_timeout="300ms", reconnect=False) as ws:
        ws.subscribe("first")
        end = time.monotonic() + 10
        with pytest.raises(pulsews.SubscribeError, match="1 messages that subscribe were not confirmed within subscribe_timeout"):
            for number in itertools.count():
                assert time.monotonic() < end
                ws.recv_batch(timeout=0.05)
                time.sleep(0.05)
                ws.subscribe(str(number))


def test_a_key_that_a_successor_has_dropped_is_asked_for_again(dial, station):
    def answers(session, message):
        if message == "end":
            return {"bye": 1}
        number = station.sessions.index(session)
        if number == 1 and message == "sub c":
            return None  # so that it does not take over
        return {"error": message} if number == 1 and message == "sub b" else {"ok": message}

    station.answers = answers
    with dial(station.url(), rotate_on={"bye": 1}, subscribe_confirm={"ok": "*"},
              subscribe_reject={"error": "*"}, **FAST) as ws:
        ws.subscribe("a", "sub a")
        ws.subscribe("b", "sub b")
        ws.subscribe("c", "sub c")
        ws.wait_ready(timeout=20)
        ws.send("end")
        while "subscription_rejected" not in {event["event"] for event in ws.events()}:
            ws.recv_batch(timeout=0.05)
        ws.subscribe("b", "sub b")
        session = station.session(1)
        station.wait(lambda: session.texts.count("sub b") == 2)


def test_a_close_code_that_ends_the_trying(dial, station):
    with dial(station.url(), fatal_close_codes=[4001, "1008"], **FAST) as ws:
        station.session(0).close(1008, "key revoked")
        with pytest.raises(pulsews.ConnectionClosed, match="key revoked") as caught:
            ws.recv(timeout=20)
        assert caught.value.code == 1008 and ws.state == "error"


def test_bad_input_to_subscribe(dial, station):
    with dial(station.url()) as ws:
        for key in ("", "x" * 1025, "a\0b", "\ud800"):
            with pytest.raises(ValueError):
                ws.subscribe(key, "sub")
        for key, message in ((None, "sub"), (5, "sub"), ("k", 5), ("k", b"bytes")):
            with pytest.raises(TypeError):
                ws.subscribe(key, message)
        with pytest.raises(ValueError, match="subscribe_message"):
            ws.subscribe("k")
        with pytest.raises(TypeError):
            ws.unsubscribe(None)
        assert ws.statistics()["subscriptions"] == 0


def test_a_blocking_login_from_several_threads_happens_once_for_each_connect(station):
    count = itertools.count(1)
    with pulsews.connect(station.url(), login=lambda: f"login {next(count)}", **FAST) as ws:
        def receive():
            try:
                while True:
                    ws.recv()
            except pulsews.ConnectionClosed:
                pass

        threads = [threading.Thread(target=receive) for _ in range(4)]
        for thread in threads:
            thread.start()
        for turn in range(1, 6):
            station.session(turn - 1).abort()
            session = station.session(turn)
            station.wait(lambda: session.texts)
        ws.wait_ready(timeout=10)
        assert [session.texts for session in station.sessions] == [[f"login {number}"] for number in range(1, 7)]
        ws.close()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
