# SPDX-License-Identifier: Apache-2.0
"""A hub beside an application whose server keeps the connections: the middleware pumps."""

import asyncio
import json
import os
import ssl

import pulsews
import pytest
import websockets
from asgis import Serving, close_of, get, make_application, make_hub, subscribed, ways
from conftest import until
from hypercorn.asyncio import serve
from hypercorn.config import Config


class Hypercorn(Serving):
    """The same with Hypercorn."""

    def __init__(self, app, **options):
        super().__init__(app, ws="auto")
        self._app, self._end = app, asyncio.Event()
        bind = f"fd://{self.socket.fileno()}"
        self._config = Config.from_mapping(bind=bind, graceful_timeout=5, accesslog=None, errorlog=None, **options)

    async def __aenter__(self):
        self._task = asyncio.ensure_future(serve(self._app, self._config, shutdown_trigger=self._end.wait))
        # Connections wait in the socket until it serves.
        self.socket.listen()
        return self

    async def __aexit__(self, *_):
        self._end.set()
        await asyncio.wait_for(self._task, 20)
        self.socket.detach()


SERVERS = {
    "sansio": lambda app, **options: Serving(app, ws="websockets-sansio", **options),
    "wsproto": lambda app, **options: Serving(app, "h11", ws="wsproto", **options),
    "hypercorn": lambda app: Hypercorn(app),
}


@pytest.fixture(params=SERVERS)
def serving(request):
    return SERVERS[request.param]


def test_a_peer_is_pumped(arun, serving):
    async def main():
        hub = make_hub(max_message_size="2 MiB")
        hub.topic("raw", binary=True)
        hub.on_message(lambda peer, message: peer.send(message))
        async with serving(make_application(hub)) as server:
            async with server.connect(additional_headers={"Cookie": "a=1"}) as ws:
                assert ws.subprotocol == "pulse.v1"
                await subscribed(ws)
                hub.publish("t", {"n": 1})
                assert (await get(ws))["data"] == {"n": 1}
                assert hub.peers()[0]["address"] == "127.0.0.1"
                for message in ("grüße", "", b"", b"\0\1", "x" * 125, "x" * 126, b"x" * 65535, "x" * 65536, "y" * 1_000_000):
                    await ws.send(message)
                    assert await asyncio.wait_for(ws.recv(), 20) == message
                async with server.connect("/echo", pulse=False) as other:
                    await other.send("x")
                    assert await asyncio.wait_for(other.recv(), 20) == "echo x"
            assert ways(hub) == {"handed_over": 0, "relayed": 0, "pumped": 1}
            assert hub.status()["asgi"][0]["way"] == "pumped"

    arun(main())


@pytest.mark.parametrize("options, hub_options, said, address", [
    ({"proxy_headers": False}, {}, "198.51.100.1", "127.0.0.1"),
    # uvicorn believes the proxy, and then the hub, too, needs no more for it.
    ({}, {}, "198.51.100.1", "198.51.100.1"),
    # The hub does, and sees the hop that the server saw.
    ({"proxy_headers": False}, {"trusted_proxy": "127.0.0.1"}, "198.51.100.2, 198.51.100.1", "198.51.100.1"),
])
def test_the_address_of_a_client(arun, options, hub_options, said, address):
    async def main():
        hub = make_hub(**hub_options)
        async with Serving(make_application(hub), ws="auto", **options) as server:
            async with server.connect(additional_headers={"X-Forwarded-For": said}) as ws:
                await subscribed(ws)
                assert hub.peers()[0]["address"] == address

    arun(main())


def test_a_message_that_is_too_large_for_the_hub(arun, serving):
    async def main():
        hub, closed = make_hub(), asyncio.Queue()
        hub.on_close(lambda peer, code: closed.put_nowait(code))
        async with serving(make_application(hub)) as server:
            for size in (70_000, 5_000_000):
                async with server.connect(compression=None) as ws:
                    await subscribed(ws)
                    await ws.send("x" * size)
                    assert (await close_of(ws))[0] == 1009
                assert await asyncio.wait_for(closed.get(), 20) == 1009

    arun(main())


def test_close_codes_go_both_ways(arun, serving):
    async def main():
        hub, closed = make_hub(), asyncio.Queue()
        hub.on_close(lambda peer, code, reason: closed.put_nowait((code, reason)))
        async with serving(make_application(hub)) as server:
            async with server.connect() as ws:
                await subscribed(ws)
                hub.close_peer(hub.peers()[0]["peer"], 4000, "enough")
                assert await close_of(ws) == (4000, "enough")
            assert await asyncio.wait_for(closed.get(), 20) == (4000, "enough")
            async with server.connect() as ws:
                await subscribed(ws)
                await ws.close(4321, "bye")
            # Hypercorn tells applications no codes of peers.
            code, reason = await asyncio.wait_for(closed.get(), 20)
            assert code == 1006 if isinstance(server, Hypercorn) else (code, reason) == (4321, "bye")
            # One that is cut off.
            async with server.connect() as ws:
                await subscribed(ws)
                ws.transport.abort()
            assert (await asyncio.wait_for(closed.get(), 20))[0] in (1005, 1006)
            # A drain of the hub, while the server runs on.
            async with server.connect() as ws:
                await subscribed(ws)
                drain = asyncio.ensure_future(hub.drain(spread=0, timeout=20))
                assert (await close_of(ws))[0] == 1012
                await drain

    arun(main())


@pytest.mark.parametrize("name", ["sansio", "wsproto"])
def test_the_end_of_the_server(arun, name):
    async def main():
        hub, closed = make_hub(drain_spread=0), asyncio.Queue()
        hub.on_close(lambda peer, code: closed.put_nowait(code))
        server = SERVERS[name](make_application(hub))
        async with server:
            ws = await server.connect()
            await subscribed(ws)
            code = asyncio.ensure_future(close_of(ws))
        assert (await code)[0] == await closed.get() == 1012 and hub._closed

    arun(main())


def test_a_refusal_says_why(arun, serving):
    async def main():
        hub = make_hub(origin="https://page.example")
        hub.on_authorize(lambda request: "not today" if "no=1" in request.target else True)
        async with serving(make_application(hub)) as server:
            for path, status, code in (("/ws/Stream", 404, "no_such_path"), ("/ws/stream?no=1", 403, "forbidden")):
                with pytest.raises(websockets.InvalidStatus) as refused:
                    await server.connect(path)
                response = refused.value.response
                error = json.loads(response.body)["error"]
                assert (response.status_code, error["code"]) == (status, code)
            # A page, which sees no status, is told in band; and one of another site is told nothing.
            async with server.connect("/ws/Stream", origin="https://page.example") as ws:
                assert "upper and lower case" in (await get(ws))["data"]["message"]
                assert (await close_of(ws))[0] == 4040
            with pytest.raises(websockets.InvalidStatus) as refused:
                await server.connect(origin="https://other.example")
            assert refused.value.response.status_code == 403
            await hub.drain(spread=0, timeout=10)
            with pytest.raises(websockets.InvalidStatus) as refused:
                await server.connect()
            assert refused.value.response.status_code == 503

    arun(main())


def test_requests_for_the_hub(arun, serving, tmp_path):
    async def main():
        (tmp_path / "page.html").write_bytes(b"<p>" * 100_000)
        hub = make_hub(publish_token="secret" * 6, origin="https://page.example", max_request_body="1 MiB")
        hub.route("/ws/api/", kind="application")
        hub.route("/ws/files/", kind="static", folder=tmp_path)

        @hub.on_request
        def on_request(request):
            return {"method": request.method, "target": request.target, "size": len(request.body), "from": request.address,
                    "own": request.headers.get("X-Own")}

        async with serving(make_application(hub)) as server:
            status, headers, body = await server.ask("/ws/health")
            assert (status, json.loads(body)) == (200, {"status": "ok"})
            status, headers, body = await server.ask("/ws/api/a%20b?x=%20y", "POST", b"z" * 300_000, "X-Own: 1\r\n")
            assert json.loads(body) == {
                "method": "POST", "target": "/ws/api/a%20b?x=%20y", "size": 300_000, "from": "127.0.0.1", "own": "1"}
            chunks = b"5\r\nhello\r\n0\r\n\r\n"
            reader, writer = await server.raw()
            writer.write(b"PUT /ws/api/c HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
            assert b'"size":5' in await asyncio.wait_for(reader.read(), 20)
            writer.close()
            status, headers, body = await server.ask("/ws/files/page.html")
            assert body == b"<p>" * 100_000 and headers["X-Content-Type-Options"] == "nosniff"
            status, headers, none = await server.ask("/ws/files/page.html", "HEAD")
            assert (status, none, headers["Content-Length"]) == (200, b"", "300000")
            status, headers, none = await server.ask("/ws/files/page.html", headers=f"If-None-Match: {headers['ETag']}\r\n")
            assert (status, none) == (304, b"")
            answer = await server.ask("/ws/publish", "POST", b'{"topic":"t","data":1}', f"Authorization: Bearer {'secret' * 6}\r\n")
            assert answer[2] == b'{"offset":1}'
            assert (await server.ask("/ws/publish", "POST", b"{}"))[0] == 401
            preflight = "Origin: https://page.example\r\nAccess-Control-Request-Method: POST\r\n"
            status, headers, _ = await server.ask("/ws/publish", "OPTIONS", headers=preflight)
            assert headers["Access-Control-Allow-Origin"] == "https://page.example"
            assert (await server.ask("/ws/api/x", "POST", headers="Content-Length: 2000000\r\n"))[0] == 413
            assert (await server.ask("/ws/stream"))[0] == 426
            assert json.loads((await server.ask("/plain"))[2]) == {"offset": 2}
            assert hub.status()["asgi"][0]["requests"] == 11

    arun(main())


def test_a_stopped_reader_is_held_in_the_hub(arun, serving):
    async def main():
        hub = make_hub(queue_messages=20)
        slow = asyncio.Event()
        hub.on_slow(lambda peer: slow.set())
        async with serving(make_application(hub)) as server:
            async with server.connect("/ws/stream?topics=t", max_queue=1, compression=None) as ws:
                assert (await get(ws))["type"] == "welcome"
                for n in range(100_000):
                    if slow.is_set():
                        break
                    hub.publish("t", {"n": n, "more": "x" * 20000})
                    await asyncio.sleep(0)
                assert slow.is_set() and n < 10_000
                # The peer that reads again is told what it lost, and has the rest.
                last, gaps = -1, 0
                while last < n - 1:
                    message = await get(ws)
                    gaps += message["type"] == "gap"
                    last = message["data"]["n"] if "o" in message else last
                assert gaps
            assert (await server.ask("/ws/health"))[0] == 200

    arun(main())


def test_a_hub_that_does_not_read_holds_back_the_peer(arun):
    async def main():
        hub = make_hub(event_queue_messages=10, max_message_size="1 MiB")
        may_go, got = asyncio.Event(), []

        @hub.on_message
        async def on_message(peer, message):
            await may_go.wait()
            got.append(message)

        async with SERVERS["sansio"](make_application(hub), ws_max_size=1 << 20) as server, server.connect(compression=None) as ws:
            assert (await get(ws))["type"] == "welcome"

            async def send():
                for _ in range(3000):
                    await ws.send("x" * 100_000)

            sending = asyncio.ensure_future(send())
            before = 0
            # It comes to a stop, far from the end.
            while hub.statistics()["messages_received"] == 0 or before != hub.statistics()["messages_received"]:
                before = hub.statistics()["messages_received"]
                await asyncio.sleep(0.5)
            assert not sending.done() and before < 2500
            may_go.set()
            await sending
            await until(lambda: len(got) == 3000, 40)

    arun(main())


def test_over_tls(arun, tmp_path):
    async def main():
        process = await asyncio.create_subprocess_exec(
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=h",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{tmp_path}/key", "-out", f"{tmp_path}/pem", stderr=-3)
        assert await process.wait() == 0
        context = ssl.create_default_context(cafile=f"{tmp_path}/pem")
        for make, names in ((SERVERS["sansio"], ("ssl_certfile", "ssl_keyfile")), (Hypercorn, ("certfile", "keyfile"))):
            hub = make_hub()
            files = dict(zip(names, (f"{tmp_path}/pem", f"{tmp_path}/key")))
            async with make(make_application(hub), **files) as server:
                async with server.connect(scheme="wss", ssl=context) as ws:
                    await subscribed(ws)
                assert json.loads((await server.ask("/ws/health", tls=context))[2]) == {"status": "ok"}
                assert ways(hub)["pumped"] == 1

    arun(main())


def test_many_peers_leave_no_descriptors(arun, serving):
    async def main():
        hub = make_hub()
        async with serving(make_application(hub)) as server:
            async def one():
                async with server.connect(open_timeout=40, compression=None) as ws:
                    await subscribed(ws)
                    ready.append(ws)
                    assert (await get(ws))["data"] == {"n": 1}

            async with server.connect("/echo"):
                before = len(os.listdir("/proc/self/fd"))
            ready = []
            peers = [asyncio.ensure_future(one()) for _ in range(50)]
            await until(lambda: len(ready) == 50, 40)
            hub.publish("t", {"n": 1})
            await asyncio.gather(*peers)
            await until(lambda: not hub.peers() and len(os.listdir("/proc/self/fd")) <= before)

    arun(main())


def test_the_address_of_a_hub_with_a_unix_socket_of_its_own(arun, tmp_path, caplog):
    """Who connects there may say anything about itself, so that the hub can't believe what comes by socket pairs either."""

    async def main():
        hub = pulsews.Hub(f"unix:{tmp_path}/hub.sock")
        async with Serving(make_application(hub), ws="auto") as server, server.connect() as ws:
            assert (await get(ws))["type"] == "welcome"
            assert hub.peers()[0]["address"] == "unix"
        assert "listens at a Unix socket" in caplog.text

    arun(main())
