# SPDX-License-Identifier: Apache-2.0
"""The middleware for a hub alone: the test plays the server."""

import asyncio
import json

import pytest
from asgis import make_hub
from conftest import until
from pulsews.asgi import HubMiddleware


class Server:
    """Plays the server for one connection."""

    def __init__(self, app, path, send=None, **scope):
        self.told, self.asked = asyncio.Queue(), asyncio.Queue()
        self.asked.put_nowait({"type": "websocket.connect"})
        self.scope = {"type": "websocket", "path": path, "query_string": b"", "headers": [], "subprotocols": [], **scope}
        self.task = asyncio.ensure_future(app(self.scope, self.asked.get, send or self.told.put))

    async def next(self):
        return await asyncio.wait_for(self.told.get(), 20)


def test_a_server_that_can_not_refuse_in_http(arun):
    async def main():
        async with make_hub(origin="https://page.example") as hub:
            app = HubMiddleware(None, hub)
            server = Server(app, "/ws/nowhere", subprotocols=["pulse.v1", "other"])
            assert await server.next() == {"type": "websocket.accept", "subprotocol": "pulse.v1"}
            error = json.loads((await server.next())["text"])
            assert error["type"] == "error" and error["data"]["code"] == "no_such_path"
            assert (await server.next())["code"] == 4040
            await server.task
            server = Server(app, "/ws/stream", headers=[(b"origin", b"https://other.example")])
            assert (await server.next())["type"] == "websocket.close"
            await server.task
            hub.close()
            server = Server(app, "/ws/stream")
            await server.next()
            assert json.loads((await server.next())["text"])["data"]["code"] == "unavailable"
            assert (await server.next())["code"] == 1013

    arun(main())


@pytest.mark.parametrize("token", [b"wrong", b"e30.e30.AAAA"])
def test_a_wrong_token_where_a_server_can_not_refuse_in_http(arun, token):
    async def main():
        async with make_hub(auth="optional", keys={"main": ("HS256", "an example secret of 32 bytes ok")}) as hub:
            server = Server(HubMiddleware(None, hub), "/ws/stream", headers=[(b"authorization", b"Bearer " + token)])
            await server.next()
            assert json.loads((await server.next())["text"])["data"]["code"].startswith("token_")
            assert (await server.next())["code"] == 4001
            await server.task

    arun(main())


def test_paths_as_servers_tell_them(arun):
    async def main():
        async with make_hub() as hub:
            hub_app, targets = HubMiddleware(None, hub), asyncio.Queue()
            for scope in (
                {"path": "/ws/stream"}, {"path": "/api/ws/stream", "root_path": "/api"},
                {"path": "/api/ws/stream", "root_path": "/api", "raw_path": b"/api/ws/stream"},
                {"path": "/ws/stream", "raw_path": b"/ws/stream?topics=t", "query_string": b"topics=t"},
                {"path": "/ws/stream", "root_path": "", "client": None, "server": None, "extensions": None},
                {"path": "/ws/stream", "client": ("testclient", 50000), "server": ("::1", 80)},
                {"path": "/ws/stream", "client": ("fe80::1%eth0", 1), "method": None},
            ):
                server = Server(hub_app, scope.pop("path"), **scope)
                assert await server.next() == {"type": "websocket.accept", "subprotocol": None}, scope
                assert "welcome" in (await server.next())["text"]
                server.asked.put_nowait({"type": "websocket.disconnect"})
                await server.task
            assert targets.empty()

            async def other(scope, receive, send):
                await targets.put(scope["path"])

            app = HubMiddleware(other, hub)
            for path in ("/", "/w", "/wsx", "/WS/stream", "/api/ws/stream"):
                await app({"type": "http", "path": path, "headers": []}, None, None)
                assert targets.get_nowait() == path

    arun(main())


def test_what_can_not_be_sent_on_is_refused(arun):
    async def main():
        async with make_hub() as hub:
            app = HubMiddleware(None, hub)
            for scope in ({"headers": [(b"x", b"a\r\nevil: 1")]}, {"query_string": b"a b"}, {"headers": [(b"a\r\nb", b"")]}):
                server = Server(app, "/ws/stream", **scope)
                assert (await server.next())["type"] == "websocket.accept"
                assert "can't be sent" in (await server.next())["text"]
                await server.task
            assert hub.statistics()["requests"] == 0

    arun(main())


def test_a_peer_that_goes_while_it_is_sent_to(arun):
    async def main():
        hub, closed = make_hub(), asyncio.Queue()
        hub.on_close(lambda peer, code, reason: closed.put_nowait((code, reason)))

        async def send(message):
            if message["type"] == "websocket.send":
                raise OSError("the peer has gone")

        async with hub:
            app = HubMiddleware(None, hub)
            server = Server(app, "/ws/stream", send=send)
            await until(hub.peers)
            for n in range(1000):
                hub.publish("t", n)
            server.asked.put_nowait({"type": "websocket.disconnect", "code": 3001, "reason": "gone"})
            await server.task
            assert await asyncio.wait_for(closed.get(), 20) == (3001, "gone")

    arun(main())


def test_the_pings_of_the_hub_are_answered(arun):
    async def main():
        async with make_hub(heartbeat=0.05, heartbeat_timeout=0.5) as hub:
            server = Server(HubMiddleware(None, hub), "/ws/stream")
            # Longer than the hub would wait for a peer that says nothing.
            await until(lambda: hub.statistics()["pongs_received"] > 15)
            assert len(hub.peers()) == 1
            server.asked.put_nowait({"type": "websocket.disconnect", "code": 1000})
            await server.task

    arun(main())


def test_a_hub_that_is_cut_off(arun):
    async def main():
        hub = make_hub()
        await hub.start()
        server = Server(HubMiddleware(None, hub), "/ws/stream")
        assert [(await server.next())["type"] for _ in range(2)] == ["websocket.accept", "websocket.send"]
        hub.close()
        assert (await server.next()) == {"type": "websocket.close", "code": 1012, "reason": "the hub has ended"}
        await server.task

    arun(main())


def test_what_waits_for_a_hub_that_has_closed_is_left(arun):
    async def main():
        hub, may_go = make_hub(event_queue_messages=10, close_timeout=40), asyncio.Event()

        @hub.on_message
        async def on_message(peer, message):
            await may_go.wait()

        async with hub:
            server = Server(HubMiddleware(None, hub), "/ws/stream")
            for _ in range(3000):
                server.asked.put_nowait({"type": "websocket.receive", "text": "x" * 60_000})
            await until(lambda: hub.statistics()["messages_received"] > 10)
            number = hub.peers()[0]["peer"]
            hub.close_peer(number, 4000)
            while (message := await server.next())["type"] != "websocket.close":
                pass
            assert message["code"] == 4000
            await server.task
            assert server.asked.qsize() > 0
            may_go.set()
            await until(lambda: not hub.peers())

    arun(main())


def test_an_application_that_is_cancelled_by_its_server(arun):
    async def main():
        async with make_hub() as hub:
            server = Server(HubMiddleware(None, hub), "/ws/stream")
            await until(hub.peers)
            assert [(await server.next())["type"] for _ in range(2)] == ["websocket.accept", "websocket.send"]
            server.task.cancel()
            # One that can still send, such as Hypercorn, closes with this code.
            assert (await server.next())["code"] == 1012
            with pytest.raises(asyncio.CancelledError):
                await server.task
            await until(lambda: not hub.peers())

    arun(main())
