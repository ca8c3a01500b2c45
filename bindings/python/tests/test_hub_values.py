# SPDX-License-Identifier: Apache-2.0
"""The hub's arguments: what is taken, what is refused in words; tables and types; who may connect."""

import asyncio
import base64
import hashlib
import hmac
import json
import re
import time
import typing
from datetime import timedelta
from decimal import Decimal

import pulsews
import pytest
import websockets
from hubs import ANYWHERE, Peer, Seen, make_hub, url
from pulsews import _hub_contract, _hub_native, _hub_options

# ---- arguments


@pytest.mark.parametrize("options", [
    {"heartbeat": 25}, {"heartbeat": 2.5}, {"heartbeat": "250ms"}, {"heartbeat": timedelta(seconds=3)}, {"heartbeat": None},
    {"origin": "https://a.example"}, {"origin": ["https://a.example", "https://b.example"]}, {"max_message_size": "1MiB"},
    {"compression": False}, {"slow_policy": "conflate"}, {"name": "prices"}, {"loops": 2},
])
def test_options_of_the_hub_that_are_taken(options):
    pulsews.Hub(ANYWHERE, **options)


@pytest.mark.parametrize("options, kind, sentence", [
    ({"hartbeat": 1}, pulsews.InvalidArgument, "heartbeat"),
    ({"heartbeat": "soon"}, pulsews.InvalidArgument, "heartbeat"),
    ({"heartbeat": []}, TypeError, "heartbeat"),
    ({"loops": 65}, pulsews.InvalidArgument, "loops.*64"),
    ({"loops": 1.5}, pulsews.InvalidArgument, "loops"),
    ({"name": 5}, TypeError, "name"),
    ({"origin": "a.example"}, pulsews.InvalidArgument, "origin"),
    ({"events": "closed"}, pulsews.InvalidArgument, "handlers"),
    ({"certificate": True}, TypeError, "certificate"),
    ({"slow_policy": "patience"}, pulsews.InvalidArgument, "drop_oldest"),
    ({"name": "a\0b"}, pulsews.InvalidArgument, "NUL"),
    ({"listen": "example.com:80"}, pulsews.InvalidArgument, "example.com"),
    ({"listen": ["127.0.0.1"]}, pulsews.InvalidArgument, "port"),
    ({"listen": 8080}, TypeError, "int"),
    ({"listen": [8080]}, TypeError, "listen must be a str"),
    ({"dump_json": 1}, pulsews.InvalidArgument, "dump_json"),
    ({"parse_json": 1}, pulsews.InvalidArgument, "parse_json"),
    ({"keys": {"main": ("HS256", "short")}}, pulsews.InvalidArgument, "32"),
    ({"keys": {"main": ("none", "x" * 40)}}, pulsews.InvalidArgument, "HS256"),
    ({"keys": {"main": ("HS256", 7)}}, TypeError, "int"),
])
def test_what_a_hub_refuses(options, kind, sentence):
    with pytest.raises(kind, match=sentence):
        pulsews.Hub(**options)


def test_a_secret_is_not_quoted():
    with pytest.raises(pulsews.InvalidArgument) as problem:
        pulsews.Hub(publish_token="correct-horse" * 400)
    assert "horse" not in str(problem.value)
    assert "horse" not in repr(pulsews.Hub(publish_token="correct-horse"))


@pytest.mark.parametrize("call, kind, sentence", [
    (lambda hub: hub.topic("price.x*"), pulsews.InvalidArgument, "price.x"),
    (lambda hub: hub.topic("t", hystory=1), pulsews.InvalidArgument, "history"),
    (lambda hub: hub.topic(5), TypeError, "pattern"),
    (lambda hub: hub.route("no-slash"), pulsews.InvalidArgument, "no-slash"),
    (lambda hub: hub.route("/x", kind="other"), pulsews.InvalidArgument, "stream"),
    (lambda hub: hub.publish("", "1"), pulsews.InvalidArgument, "was not taken"),
    (lambda hub: hub.publish(5, "1"), TypeError, "topic must be a str"),
    (lambda hub: hub.publish(b"t", "1"), TypeError, "topic must be a str"),
    (lambda hub: hub.publish("a\0b", "1"), pulsews.InvalidArgument, "NUL"),
    (lambda hub: hub.publish("t", "1", key=7), TypeError, "key must be a str"),
    (lambda hub: hub.publish("t", "1", "a\0b"), pulsews.InvalidArgument, "NUL"),
    (lambda hub: hub.publish("t", b"{"), pulsews.InvalidArgument, "'t' was not taken"),
    (lambda hub: hub.publish("t", "not json"), pulsews.InvalidArgument, "'t' was not taken"),
    (lambda hub: hub.publish("t", "\ud800"), pulsews.InvalidArgument, "surrogate"),
    (lambda hub: hub.publish("t", {1, 2}), TypeError, "set"),
    (lambda hub: hub.publish("t", Decimal(1)), TypeError, "Decimal"),
    (lambda hub: hub.publish("t", [float("nan")]), pulsews.InvalidArgument, "nan"),
    (lambda hub: hub.publish_many([("t",)]), TypeError, "data"),
    (lambda hub: hub.publish_many(["t"]), TypeError, "data"),
    (lambda hub: hub.publish_many(5), TypeError, "iter"),
    (lambda hub: hub.load("t", ["{"]), pulsews.InvalidArgument, "history of 't'"),
    (lambda hub: hub.send(0, "x"), pulsews.InvalidArgument, "0 is no peer"),
    (lambda hub: hub.send(-1, "x"), pulsews.InvalidArgument, "-1 is no peer"),
    (lambda hub: hub.send("7", "x"), TypeError, "str"),
    (lambda hub: hub.send(1 << 64, "x"), pulsews.InvalidArgument, "no peer"),
    (lambda hub: hub.send(1, 5), TypeError, "int"),
    (lambda hub: hub.broadcast(None), TypeError, "NoneType"),
    (lambda hub: hub.close_peer(1, 70000), pulsews.InvalidArgument, "70000"),
    (lambda hub: hub.close_peer(1, 1005), pulsews.InvalidArgument, "1005"),
    (lambda hub: hub.close_peer(1, 1000, "x" * 124), pulsews.InvalidArgument, "124 bytes"),
    (lambda hub: hub.close_peer(1, "1000"), TypeError, "code"),
    (lambda hub: hub.subscribe(1, ""), pulsews.InvalidArgument, "''"),
    (lambda hub: hub.set_state("t", "fresh"), pulsews.InvalidArgument, "live"),
    (lambda hub: hub.task(5), TypeError, "coroutine"),
    (lambda hub: hub.task(print, restart="sometimes"), pulsews.InvalidArgument, "on_error"),
    (lambda hub: hub.on_message(5), TypeError, "function"),
    (lambda hub: hub.on_message(lambda: 0, lambda: 0), TypeError, "argument"),
    (lambda hub: hub.on_connect(lambda peer, two, three: 0), TypeError, "at most 1"),
])
def test_what_calls_refuse(call, kind, sentence):
    hub = make_hub()
    with pytest.raises(kind, match=sentence):
        call(hub)
    hub.close()


def test_what_comes_before_the_start(arun):
    async def main():
        hub = make_hub()
        hub.on_message(print)
        with pytest.raises(pulsews.InvalidArgument, match="a handler for on_message already"):
            hub.on_message(print)
        with pytest.raises(pulsews.PulseError):
            await hub.drain()
        async with hub:
            with pytest.raises(pulsews.PulseError, match="before the start"):
                hub.on_close(print)

    arun(main())


def test_a_coroutine_can_t_begin_again():
    async def work():
        pass

    coroutine = work()
    with pytest.raises(pulsews.InvalidArgument, match="function that makes the coroutine"):
        make_hub().task(coroutine, restart="always")
    coroutine.close()


def test_the_publishing_budget_is_told(arun):
    async def main():
        hub = make_hub(publish_queue_bytes="4KiB")
        async with hub, Peer(hub, "/ws/stream?topics=t"):
            with pytest.raises(pulsews.QueueFull, match="'t' was not taken"):
                for _ in range(100_000):
                    hub.publish("t", b'"' + b"x" * 4000 + b'"')
            assert hub.statistics()["publishes_refused"] == 1

    arun(main())


# ---- tables and types


def test_types_have_the_options_of_the_library():
    kinds = {"hub": _hub_options.HubOptions, "route": _hub_options.RouteOptions, "topic": _hub_options.TopicOptions}
    rows = pulsews.hub_option_table()
    for of, kind in kinds.items():
        assert set(typing.get_type_hints(kind)) == {row.name for row in rows if row.of == of} - {"events"}
    checked = 0
    for row in rows:
        if row.type == "choice":
            hint = typing.get_type_hints(kinds[row.of])[row.name]
            assert set(re.split(r", | or ", row.range)) == set(typing.get_args(hint)), row.name
            checked += 1
    assert checked >= 3


def test_statistics_have_the_names_of_the_table(arun):
    async def main():
        async with make_hub(name="edge") as hub:
            table = pulsews.hub_statistic_table()
            assert list(hub.statistics()) == [row.name for row in table] == list(hub.status()["statistics"])
            text = hub.prometheus()
            for row in table:
                assert f'pulsews_hub_{row.name}{"_total" if row.type == "counter" else ""}{{hub="edge"}} ' in text

    arun(main())


def test_what_is_imported_when(python):
    out, error = python(
        "import sys, pulsews\n"
        "print('asyncio' in sys.modules, 'Hub' in dir(pulsews))\n"
        "from pulsews import *\n"
        "print(Hub.__name__, pulse.Welcome.__name__)\n"
    ).communicate(timeout=20)
    assert out == "False True\nHub Welcome\n", error


def test_a_handler_for_every_event():
    from pulsews._hub_events import HANDLERS

    handled = {event for event, _, _ in HANDLERS.values()} - {0}
    assert set(_hub_contract.EVENTS) - handled == {_hub_contract.DRAINED}


def test_what_never_waits_keeps_the_interpreter_lock():
    assert _hub_native.publish._flags_ != _hub_native.lib.pulsews_hub_publish._flags_
    assert "pulsews_hub_publish" in _hub_contract.QUICK and "pulsews_hub_next" not in _hub_contract.QUICK


# ---- who may connect


def token(secret, **claims):
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    head = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (head + b"." + part(hmac.new(secret, head, hashlib.sha256).digest())).decode()


def bearer(text):
    return {"additional_headers": {"Authorization": f"Bearer {text}"}}


def test_tokens(arun):
    async def main():
        secret = b"s" * 32
        hub, seen = make_hub(keys={"main": ("HS256", secret)}, auth="required", explain_in_band=False), Seen()
        hub.on_authenticated(seen)
        async with hub:
            claims = {"sub": "ann", "exp": int(time.time()) + 60, "accounts": ["a"]}
            good = token(secret, **claims)
            async with Peer(hub, **bearer(good)) as peer:
                assert (await peer.subscribe("t"))["type"] == "subscribed"
                who, user, said = await seen.next()
                assert who.route == "/ws/stream" and user == "ann" and said == claims
                await peer.send({"type": "auth", "data": {"token": token(secret, sub="ann", exp=claims["exp"])}})
                assert await seen.next() == (who, "ann", {"sub": "ann", "exp": claims["exp"]})
            with pytest.raises(websockets.InvalidStatus, match="401"):
                await websockets.connect(url(hub), proxy=None, **bearer(token(b"t" * 32, sub="ann", exp=2**33)))
            assert hub.statistics()["tokens_refused"] == 1

    arun(main())


def test_the_application_decides_who_connects(arun):
    answers = {"in": True, "out": False, "words": "come back on Monday", "own": pulsews.HubResponse(401, "who are you?"),
               "none": None, "bad": pulsews.HubResponse(200, "")}

    async def main():
        hub = make_hub(explain_in_band=False)
        connected, errors = Seen(), Seen()
        hub.on_connect(connected)
        hub.on_error(errors)

        @hub.on_authorize
        async def on_authorize(request):
            await asyncio.sleep(0)
            assert request.target == "/ws/stream?x=1" and request.method == "GET"
            if request.token == "raise":
                raise LookupError(request.peer)
            return answers[request.token]

        async def status(word):
            with pytest.raises(websockets.InvalidStatus) as end:
                await websockets.connect(url(hub, "/ws/stream?x=1"), proxy=None, **bearer(word))
            return end.value.response.status_code, end.value.response.body.decode()

        async with hub:
            async with Peer(hub, "/ws/stream?x=1", **bearer("in")):
                peer, = await connected.next()
                assert "authorization" not in peer.headers
            assert (await status("out"))[0] == 403
            code, body = await status("words")
            assert code == 403 and "Monday" in body
            code, body = await status("own")
            assert code == 401 and "who are you" in body
            for word, kind in (("none", TypeError), ("bad", pulsews.InvalidArgument), ("raise", LookupError)):
                assert (await status(word))[0] == 500
                problem, where = await errors.next()
                assert isinstance(problem, kind) and where == "on_authorize"
            assert connected.is_empty()

    arun(main())
