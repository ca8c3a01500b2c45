# SPDX-License-Identifier: Apache-2.0
"""A hub beside FastAPI, with uvicorn's connections handed over to it."""

import asyncio
import base64
import gc
import json
import os
import socket
import threading

import aiohttp
import pulsews
import pytest
import websockets
from asgis import Serving, get, make_application, make_hub, subscribed, ways
from conftest import until
from pulsews import _asgi_protocol

KEY = base64.b64encode(b"sixteen bytes ok").decode()


@pytest.fixture(params=["httptools", "h11"])
def http(request):
    return request.param


def upgrade(path="/ws/stream", headers=""):
    return (f"GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n"
            f"Sec-WebSocket-Version: 13\r\n{headers}\r\n").encode()


def text(message):
    """A frame of a client; its mask of zeros changes nothing."""
    assert len(message) < 126
    return bytes((0x81, 0x80 | len(message))) + bytes(4) + message


async def head_of(reader):
    """The first line of an answer, and what comes with Content-Length."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode().lower()
    length = next((line.split(":")[1] for line in head.split("\r\n") if line.startswith("content-length:")), "0")
    return head.split("\r\n")[0], await reader.readexactly(int(length))


async def frame_of(reader):
    first, size = await asyncio.wait_for(reader.readexactly(2), 20)
    assert first == 0x81
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    return json.loads(await reader.readexactly(size))


# ---- the way there


def test_a_connection_is_handed_over(arun, http):
    async def main():
        hub = make_hub()
        async with Serving(make_application(hub), http) as server:
            assert hub.status()["asgi"] == [
                {"path": ["/ws"], "way": "handed_over", "handed_over": 0, "relayed": 0, "pumped": 0, "requests": 0}]
            async with server.connect() as ws:
                await subscribed(ws)
                hub.publish("t", {"n": 1})
                assert (await get(ws))["data"] == {"n": 1}
                peer, = hub.peers()
                assert peer["address"] == "127.0.0.1"
                assert not server.server.server_state.connections
                async with server.connect("/echo", pulse=False) as other:
                    await other.send("x")
                    assert await asyncio.wait_for(other.recv(), 20) == "echo x"
            assert ways(hub) == {"handed_over": 1, "relayed": 0, "pumped": 0}
            status, headers, body = await server.ask("/ws/status")
            assert status == 200 and headers["content-type"] == "application/json" and json.loads(body)["state"] == "running"

    arun(main())


def test_the_hub_gets_the_whole_handshake(arun, http):
    async def main():
        hub, seen = make_hub(), asyncio.Queue()
        hub.on_connect(seen.put_nowait)

        @hub.on_authorize
        def decide(request):
            seen.put_nowait(request.headers["Cookie"])
            return True

        async with Serving(make_application(hub), http) as server:
            headers = {"X-Own": "grüße".encode().decode("latin-1"), "Cookie": "a=1; b=2"}
            async with server.connect("/ws/stream?topics=t&x=%20y", additional_headers=headers):
                assert await asyncio.wait_for(seen.get(), 20) == "a=1; b=2"
                peer = await asyncio.wait_for(seen.get(), 20)
                assert peer.headers["X-Own"] == "grüße" and peer.subprotocol == "pulse.v1"
                assert peer.address == "127.0.0.1" and peer.target == "/ws/stream"
                assert hub.peers()[0]["route"] == "/ws/stream"

    arun(main())


def test_requests_before_the_upgrade_on_one_connection(arun, http):
    async def main():
        hub = make_hub()
        async with Serving(make_application(hub), http) as server:
            reader, writer = await server.raw()
            for n in range(3):
                writer.write(b"GET /async HTTP/1.1\r\nHost: h\r\n\r\n")
                assert await head_of(reader) == ("http/1.1 200 ok", b'{"offset":%d}' % (n + 1))
            writer.write(upgrade())
            assert (await head_of(reader))[0].startswith("http/1.1 101")
            assert (await frame_of(reader))["type"] == "welcome"
            writer.close()
            await until(lambda: not hub.peers())

    arun(main())


@pytest.mark.parametrize("path", ["/ws/stream", "/ws/stream?topics=t"])
def test_frames_behind_the_head_are_not_lost(arun, http, path):
    async def main():
        hub, got = make_hub(), asyncio.Queue()
        hub.on_message(lambda peer, message: got.put_nowait(message))
        async with Serving(make_application(hub), http) as server:
            for cut in (0, 7, -1):
                reader, writer = await server.raw()
                request = upgrade(path)
                if cut:
                    # In two segments, of which the server reads one first.
                    writer.write(request[:cut])
                    await until(lambda: server.server.server_state.connections)
                    request = request[cut:]
                writer.write(request + text(b'{"n":1}') + text(b'{"n":2}'))
                writer.write(text(b'{"n":3}'))
                assert [(await asyncio.wait_for(got.get(), 20))["n"] for _ in range(3)] == [1, 2, 3]
                assert (await head_of(reader))[0].startswith("http/1.1 101")
                writer.close()
            await until(lambda: not hub.peers())
            assert ways(hub)["handed_over"] == 3

    arun(main())


def test_an_upgrade_waits_for_the_answers_before_it(arun, http):
    """All in one segment: two requests, of which one takes its time and the other's answer is long, the upgrade, a frame."""

    async def main():
        hub, got, may_answer, long = make_hub(), asyncio.Queue(), asyncio.Event(), "x" * 20_000_000
        hub.on_message(lambda peer, message: got.put_nowait(message))
        app = make_application(hub)

        @app.get("/slow")
        async def slow():
            await may_answer.wait()
            return "slow"

        @app.get("/long")
        async def answer():
            return long

        async with Serving(app, http) as server:
            reader, writer = await server.raw()
            requests = b"".join(b"GET %s HTTP/1.1\r\nHost: h\r\n\r\n" % path for path in (b"/slow", b"/long"))
            writer.write(requests + upgrade() + text(b'{"n":1}'))
            await until(lambda: server.server.server_state.tasks)
            assert hub.peers() == []
            may_answer.set()
            assert await head_of(reader) == ("http/1.1 200 ok", b'"slow"')
            assert (await head_of(reader))[1] == f'"{long}"'.encode()
            assert (await head_of(reader))[0].startswith("http/1.1 101")
            assert (await asyncio.wait_for(got.get(), 20)) == {"n": 1}
            assert (await frame_of(reader))["type"] == "welcome"
            writer.close()

    arun(main())


def test_a_peer_that_goes_while_its_upgrade_waits(arun):
    async def main():
        hub, may_answer = make_hub(), asyncio.Event()
        app = make_application(hub)

        @app.get("/slow")
        async def slow():
            await may_answer.wait()
            return "slow"

        async with Serving(app) as server:
            _, writer = await server.raw()
            writer.write(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n" + upgrade())
            await until(lambda: server.server.server_state.tasks)
            writer.transport.abort()
            may_answer.set()
            await until(lambda: not server.server.server_state.tasks and not server.server.server_state.connections)
            await until(lambda: hub.statistics()["http_connections"] == hub.statistics()["active_connections"] == 0)
            async with server.connect() as ws:
                await subscribed(ws)

    arun(main())


# ---- peers


def test_peers_of_this_package_and_of_aiohttp(arun, http):
    async def main():
        hub = make_hub()
        hub.on_message(lambda peer, message: peer.send({"echo": message}))
        async with Serving(make_application(hub), http) as server:
            url = f"ws://{server.address}/ws/stream"
            async with pulsews.aio.connect(url, subprotocols=["pulse.v1"]) as ws:
                assert json.loads(await ws.recv())["type"] == "welcome"
                await ws.send('{"a":1}')
                assert json.loads(await ws.recv()) == {"echo": {"a": 1}}
            async with aiohttp.ClientSession() as session, session.ws_connect(url, compress=15) as ws:
                assert (await ws.receive_json())["type"] == "welcome"
                await ws.send_json({"b": "x" * 5000})
                assert (await ws.receive_json()) == {"echo": {"b": "x" * 5000}}
            assert ways(hub)["handed_over"] == 2

    arun(main())


def test_two_hundred_connections_leave_no_descriptors(arun):
    async def main():
        hub = make_hub()
        async with Serving(make_application(hub)) as server:
            async def one():
                async with server.connect(open_timeout=40, compression=None) as ws:
                    await subscribed(ws)
                    ready.append(ws)
                    assert (await get(ws))["data"] == {"n": 1}

            before = len(os.listdir("/proc/self/fd"))
            ready = []
            peers = [asyncio.ensure_future(one()) for _ in range(200)]
            await until(lambda: len(ready) == 200, 40)
            hub.publish("t", {"n": 1})
            await asyncio.gather(*peers)
            assert ways(hub)["handed_over"] == 200
            gc.collect()
            await until(lambda: len(os.listdir("/proc/self/fd")) <= before)

    arun(main())


def test_a_stopped_reader_does_not_hold_up_the_others(arun):
    async def main():
        hub = make_hub(queue_messages=50)
        slow = asyncio.Event()
        hub.on_slow(lambda peer: slow.set())
        async with Serving(make_application(hub)) as server:
            stopped = socket.socket()
            stopped.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stopped.setblocking(False)
            host, _, port = server.address.rpartition(":")
            loop = asyncio.get_running_loop()
            await loop.sock_connect(stopped, (host, int(port)))
            await loop.sock_sendall(stopped, upgrade("/ws/stream?topics=t"))
            async with server.connect() as ws:
                await subscribed(ws)
                await until(lambda: len(hub.peers()) == 2)
                n = 0
                while not slow.is_set():
                    n += 1
                    hub.publish("t", {"n": n, "more": "x" * 20000})
                    assert (await get(ws))["data"]["n"] == n
                assert (await server.ask("/async"))[0] == 200
            stopped.close()

    arun(main())


def test_publishing_from_plain_and_async_routes_and_from_threads(arun, http):
    async def main():
        hub = make_hub(queue_messages=5000)
        async with Serving(make_application(hub), http) as server:
            async with server.connect() as ws:
                await subscribed(ws)
                answers = await asyncio.gather(*(server.ask(f"/{kind}?price={n}") for n in range(20) for kind in ("plain", "async")))
                assert sorted(json.loads(body)["offset"] for _, _, body in answers) == list(range(1, 41))
                threads = [threading.Thread(target=lambda n=n: [hub.publish("t", {"from": n}) for _ in range(100)]) for n in range(4)]
                for thread in threads:
                    thread.start()
                got = [await get(ws) for _ in range(440)]
                assert [one["o"] for one in got] == list(range(1, 441))
                assert sorted(str(one["data"]["from"]) for one in got) == ["0"] * 100 + ["1"] * 100 + ["2"] * 100 + ["3"] * 100 + \
                    ["async"] * 20 + ["plain"] * 20
                for thread in threads:
                    thread.join()

    arun(main())


# ---- who the client is


def test_a_proxy_is_believed_if_the_hub_trusts_it(arun):
    async def main():
        for options, address in (({}, "127.0.0.1"), ({"trusted_proxy": "127.0.0.1"}, "192.0.2.7")):
            hub = make_hub(**options)
            async with Serving(make_application(hub)) as server:
                async with server.connect(additional_headers={"X-Forwarded-For": "192.0.2.7"}) as ws:
                    await subscribed(ws)
                    assert hub.peers()[0]["address"] == address

    arun(main())


@pytest.mark.parametrize("options, address", [({}, "unix"), ({"trusted_proxy": "unix"}, "192.0.2.7")])
def test_at_a_unix_socket(arun, tmp_path, options, address):
    async def main():
        hub, path = make_hub(**options), tmp_path / "server.sock"
        async with Serving(make_application(hub), uds=path):
            for target in ("/ws/stream", "/echo"):
                async with websockets.unix_connect(
                        str(path), f"ws://h{target}", additional_headers={"X-Forwarded-For": "192.0.2.7"}) as ws:
                    if target == "/echo":
                        await ws.send("x")
                        assert await ws.recv() == "echo x"
                    else:
                        assert (await get(ws))["type"] == "welcome"
                        assert hub.peers()[0]["address"] == address
                        assert ways(hub)["handed_over"] == 1

    arun(main())


# ---- where there is no hub for it


def test_a_hub_that_is_draining_refuses_in_http(arun, http):
    async def main():
        hub = make_hub()
        async with Serving(make_application(hub), http) as server:
            await hub.drain(spread=0, timeout=10)
            with pytest.raises(websockets.InvalidStatus) as refused:
                await server.connect()
            assert refused.value.response.status_code == 503
            assert b"the hub does not take this connection" in refused.value.response.body
            assert (await server.ask("/ws/health"))[0] == 503
            async with server.connect("/echo", pulse=False) as ws:
                await ws.send("x")
                assert await ws.recv() == "echo x"

    arun(main())


def test_a_server_without_a_hub_says_so_and_serves(arun, caplog):
    async def main():
        app = make_application(make_hub())
        app.user_middleware.clear()
        async with Serving(app) as server:
            for _ in range(2):
                async with server.connect("/echo", pulse=False) as ws:
                    await ws.send("x")
                    assert await ws.recv() == "echo x"

    arun(main())
    assert [record.message.split(":")[0] for record in caplog.records if record.name == "pulsews"] == [
        "no hub takes WebSocket connections of this server"]


def test_without_a_websocket_library_other_paths_say_so(arun, monkeypatch):
    async def main():
        monkeypatch.setattr(_asgi_protocol, "other_class", lambda: None)
        hub = make_hub()
        async with Serving(make_application(hub)) as server:
            with pytest.raises(websockets.InvalidStatus) as refused:
                await server.connect("/echo")
            assert refused.value.response.status_code == 501 and b"install" in refused.value.response.body
            async with server.connect() as ws:
                await subscribed(ws)

    arun(main())


def test_several_hubs_and_paths(arun):
    async def main():
        first, second = make_hub(name="first"), make_hub(name="second")
        second.route("/ws/second/stream", kind="stream")
        app = make_application(first, ("/ws", "/metrics"))
        app.add_middleware(pulsews.asgi.HubMiddleware, hub=second, path="/ws/second")
        async with Serving(app) as server:
            for path, name in (("/ws/stream", "first"), ("/ws/second/stream", "second")):
                async with server.connect(path) as ws:
                    assert (await get(ws))["data"]["hub"] == name
            assert ways(first)["handed_over"] == ways(second)["handed_over"] == 1
            assert b'hub="first"' in (await server.ask("/metrics"))[2]
            # Paths that merely begin alike are the application's.
            assert (await server.ask("/wsx"))[2] == b'{"detail":"Not Found"}'
            assert b"no_such_path" in (await server.ask("/ws/x"))[2]

    arun(main())


@pytest.mark.parametrize("path", ["ws", "/", "/ws/", (), ""])
def test_paths_that_are_none(path):
    with pytest.raises(pulsews.InvalidArgument, match="path"):
        pulsews.asgi.HubMiddleware(None, make_hub(), path)
    with pytest.raises(TypeError, match="path"):
        pulsews.asgi.HubMiddleware(None, make_hub(), [1])
