# SPDX-License-Identifier: Apache-2.0
"""The hub: requests of the application's routes, and the types of the protocol."""

import asyncio
import json

import pulsews
import pytest
from hubs import Peer, Seen, ask, make_hub
from pulsews import pulse


def test_requests_and_answers(arun):
    async def main():
        hub = make_hub()
        hub.route("/api/", kind="application")
        answers = {
            "/api/text": "grüße", "/api/bytes": b"\x00\x01", "/api/dict": {"a": 1}, "/api/list": [1], "/api/none": None,
            "/api/own": pulsews.HubResponse(201, {"id": 7}, {"X-Made": "yes"}),
            "/api/type": pulsews.HubResponse(200, "<p>", [("content-type", "text/html")]),
        }
        seen = Seen()

        @hub.on_request
        async def on_request(request):
            seen(request)
            await asyncio.sleep(0)
            return answers[request.path]

        async with hub:
            status, headers, body = await ask(hub, target="/api/text?a=1&b=%20x&a=2")
            assert (status, headers["Content-Type"], body.decode()) == (200, "text/plain; charset=utf-8", "grüße")
            request, = await seen.next()
            assert (request.method, request.path, request.query) == ("GET", "/api/text", {"a": "2", "b": " x"})
            assert request.headers["host"] == "h" and request.body == b"" and request.route == "/api/"
            status, headers, body = await ask(hub, target="/api/bytes")
            assert (status, headers["Content-Type"], body) == (200, "application/octet-stream", b"\x00\x01")
            assert json.loads((await ask(hub, target="/api/dict"))[2]) == {"a": 1}
            assert json.loads((await ask(hub, target="/api/list"))[2]) == [1]
            assert (await ask(hub, target="/api/none"))[0] == 204
            status, headers, body = await ask(hub, "POST", "/api/own", b'{"x":1}')
            assert (status, headers["X-Made"], headers["Content-Type"], body) == (201, "yes", "application/json", b'{"id":7}')
            assert (await ask(hub, target="/api/type"))[1]["Content-Type"] == "text/html"
            while not seen.is_empty():
                request, = await seen.next()
                if request.method == "POST":
                    assert request.json() == {"x": 1}

    arun(main())


@pytest.mark.parametrize("answer, sentence", [
    (KeyError("x"), "x"), (12, "int"), (pulsews.HubResponse(200, "", {"X": "a\nSet-Cookie: b"}), "X"),
    (pulsews.HubResponse(99, ""), "99"), (pulsews.HubResponse("200", ""), "str"),
    (pulsews.HubResponse(200, {1, 2}), "set"),
])
def test_an_answer_that_is_none_is_status_500(arun, answer, sentence):
    async def main():
        hub = make_hub()
        hub.route("/api", kind="application")
        errors = Seen()
        hub.on_error(errors)

        @hub.on_request
        def on_request(request):
            if isinstance(answer, Exception):
                raise answer
            return answer

        async with hub:
            status, headers, body = await ask(hub, target="/api")
            assert status == 500 and json.loads(body)["error"]["code"] == "internal" and "Set-Cookie" not in headers
            problem, where = await errors.next()
            assert where == "on_request" and sentence in str(problem)

    arun(main())


@pytest.mark.parametrize("plain", [True, False])
def test_what_a_handler_cancels_is_not_the_end_of_its_peer(arun, plain):
    async def main():
        hub = make_hub()
        hub.route("/ws/stream")
        hub.route("/api", kind="application")
        errors, seen = Seen(), Seen()
        hub.on_error(errors)

        async def cancelled(*_):
            work = asyncio.ensure_future(asyncio.sleep(60))
            work.cancel()
            await work

        def fails(*_):
            raise asyncio.CancelledError

        bad = fails if plain else cancelled
        hub.on_request(bad)
        hub.on_message(lambda peer, message: bad() if message == "bad" else seen(message))
        hub.on_close(lambda peer, code, reason: seen(code))
        async with hub:
            assert (await ask(hub, target="/api"))[0] == 500
            problem, where = await errors.next()
            assert isinstance(problem, asyncio.CancelledError) and where == "on_request"
            async with Peer(hub) as peer:
                for message in ("bad", "bad", "good"):
                    await peer.send(message)
            assert [(await errors.next())[1] for _ in range(2)] == ["on_message"] * 2
            assert await seen.next() == ("good",) and await seen.next() == (1000,)

    arun(main())


def test_without_a_handler_for_requests_the_hub_answers(arun):
    async def main():
        hub = make_hub()
        hub.route("/api", kind="application")
        async with hub:
            assert (await ask(hub, target="/api"))[0] == 503
            assert (await ask(hub, target="/ws/health"))[0] == 200

    arun(main())


# ---- the types of the protocol


def required(kind):
    """The keys that a message always has."""
    return set(kind.__required_keys__)


def test_messages_have_the_keys_of_their_types(arun):
    async def main():
        hub = make_hub()
        hub.topic("l", latest=True)
        hub.route("/ws/stream")
        hub.route("/ws/ui", heartbeat_message="20ms")
        async with hub, Peer(hub) as peer, Peer(hub, "/ws/ui") as other:
            got = {"welcome": peer.welcome}
            hub.publish("l", {"type": "n"})

            async def exchange(message, *types):
                await peer.send(message)
                missing = set(types)
                while missing:
                    one = await peer.get()
                    got[one["type"]] = one
                    missing.discard(one["type"])

            await exchange({"type": "subscribe", "id": "s", "topics": ["l"]}, "subscribed", "snapshot")
            hub.publish("l", {"type": "n"}, key="k")
            hub.set_state("l", "stale", "why")
            await exchange({"type": "ping", "id": 3, "data": {"sent": 1}}, "n", "topic_state", "pong")
            await exchange({"type": "unsubscribe", "topics": ["l"]}, "unsubscribed")
            await exchange({"type": "subscribe", "topics": 1}, "error")
            await exchange({"type": "subscribe", "topics": [{"topic": "t", "since": {"epoch": "zz", "offset": 3}}]}, "gap")
            got["heartbeat"] = await other.get()
            types = {"welcome": pulse.Welcome, "subscribed": pulse.Subscribed, "unsubscribed": pulse.Unsubscribed,
                     "snapshot": pulse.Snapshot, "gap": pulse.Gap, "topic_state": pulse.TopicStateMessage, "error": pulse.Error,
                     "pong": pulse.Pong, "heartbeat": pulse.Heartbeat, "n": pulse.Published}
            assert set(got) == set(types)
            for name, kind in types.items():
                assert required(kind) <= set(got[name]) <= set(kind.__annotations__), (name, got[name])
            for name, kind in (("welcome", pulse.WelcomeData), ("error", pulse.ErrorData), ("pong", pulse.PongData)):
                assert required(kind) <= set(got[name]["data"]) <= set(kind.__annotations__)

    arun(main())
