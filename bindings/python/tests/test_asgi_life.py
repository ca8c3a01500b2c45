# SPDX-License-Identifier: Apache-2.0
"""A hub beside an application: start and end with the server, TLS, workers, and what else a server can do."""

import asyncio
import contextlib
import json
import os
import ssl
import subprocess

import pulsews
import pytest
import websockets
from asgis import Serving, close_of, get, make_application, make_hub, subscribed, ways
from conftest import until
from fastapi import FastAPI
from pulsews.asgi import HubMiddleware


@pytest.fixture
def certificate(tmp_path):
    names = {"ssl_certfile": f"{tmp_path}/server.pem", "ssl_keyfile": f"{tmp_path}/server.key"}
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=server",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", names["ssl_keyfile"], "-out", names["ssl_certfile"]],
        check=True, capture_output=True)
    return names


# ---- the end of the server


def test_the_end_of_the_server_drains_the_hub(arun):
    async def main():
        order = []

        @contextlib.asynccontextmanager
        async def lifespan(app):
            order.append("application starts")
            yield
            order.append(("application ends", hub.status()["state"] if not hub._closed else "closed"))

        hub = make_hub(drain_spread=0.1)
        app = make_application(hub)
        app.router.lifespan_context = lifespan
        serving = Serving(app)
        async with serving:
            assert hub.status()["state"] == "running"
            peers = [await serving.connect() for _ in range(5)]
            codes = [asyncio.ensure_future(close_of(ws)) for ws in peers]
            await until(lambda: len(hub.peers()) == 5)
        assert {(await code)[0] for code in codes} == {1012}
        assert order == ["application starts", ("application ends", "closed")]
        with pytest.raises(pulsews.PulseError, match="closed"):
            hub.status()

    arun(main())


def test_a_hub_that_the_application_starts_is_the_applications(arun):
    async def main():
        hub = make_hub()

        @contextlib.asynccontextmanager
        async def lifespan(app):
            async with hub:
                yield

        app = make_application(hub)
        app.router.lifespan_context = lifespan
        serving = Serving(app)
        async with serving:
            ws = await serving.connect()
            await subscribed(ws)
            code = asyncio.ensure_future(close_of(ws))
        assert (await code)[0] == 1012 and hub._closed

    arun(main())


def test_a_hub_that_runs_longer_than_the_server(arun, caplog):
    async def main():
        async with make_hub() as hub:
            for _ in range(2):
                async with Serving(make_application(hub)) as server, server.connect() as ws:
                    await subscribed(ws)
                    kept = ws
            assert hub.status()["state"] == "running"
            assert [mount["handed_over"] for mount in hub.status()["asgi"]] == [1, 1]
            assert kept.close_code == 1000
        assert "runs already" in caplog.text

    arun(main())


def test_an_application_without_a_lifespan(arun):
    async def bare(scope, receive, send):
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def returns(scope, receive, send):
        if scope["type"] == "http":
            await bare(scope, receive, send)

    async def main():
        for app in (bare, returns):
            hub = make_hub()
            serving = Serving(HubMiddleware(app, hub))
            async with serving, serving.connect() as ws:
                await subscribed(ws)
                assert (await serving.ask("/"))[2] == b"ok"
                code = asyncio.ensure_future(close_of(ws))
                serving.server.should_exit = True
                assert (await code)[0] == 1012

    arun(main())


def test_a_server_without_a_lifespan_refuses_for_the_hub(arun, caplog):
    async def main():
        hub = make_hub()
        async with Serving(make_application(hub), lifespan="off") as server:
            with pytest.raises(websockets.InvalidStatus) as refused:
                await server.connect()
            assert refused.value.response.status_code == 503
        hub.close()
        assert "run its lifespan" in caplog.text

    arun(main())


# ---- a start that fails


PROGRAM = """
import contextlib, sys, pulsews, uvicorn
from fastapi import FastAPI
from pulsews.asgi import HubMiddleware

@contextlib.asynccontextmanager
async def lifespan(app):
    print("starts", flush=True)
    yield
    print("ends", flush=True)

app = FastAPI(lifespan=lifespan)
hub = pulsews.Hub({listen!r})
app.add_middleware(HubMiddleware, hub=hub)
"""


def test_a_hub_that_can_not_start_fails_the_start(arun, python):
    async def main():
        async with pulsews.Hub("127.0.0.1:0") as other:
            process = python(PROGRAM.format(listen=other.addresses[0]) + "uvicorn.run(app, port=0, ws='pulsews.asgi:HubProtocol')")
            out, error = await asyncio.get_running_loop().run_in_executor(None, process.communicate)
            assert process.returncode == 3 and out == "starts\nends\n", error
            assert "the hub does not start" in error and other.addresses[0] in error and "Traceback" not in error

    arun(main())


def test_a_hub_that_is_closed_fails_the_start(arun):
    async def main():
        hub, told = make_hub(), asyncio.Queue()
        hub.close()
        asked = asyncio.Queue()
        asked.put_nowait({"type": "lifespan.startup"})
        await make_application(hub)({"type": "lifespan", "state": {}}, asked.get, told.put)
        message = told.get_nowait()
        assert message["type"] == "lifespan.startup.failed" and "closed" in message["message"] and told.empty()

    arun(main())


def test_importing_it_imports_no_server(python):
    process = python(
        "import sys, pulsews.asgi\n"
        "assert pulsews.asgi.HubMiddleware and pulsews.asgi.HubProtocol\n"
        "print([name for name in ('uvicorn', 'fastapi', 'starlette', 'websockets', 'h11', 'httptools') if name in sys.modules])\n")
    out, error = process.communicate(timeout=30)
    assert out == "[]\n", error


# ---- TLS


@pytest.mark.parametrize("http", ["httptools", "h11"])
def test_tls_that_ends_in_uvicorn_is_relayed(arun, certificate, http):
    async def main():
        hub = make_hub(max_message_size="4 MiB")
        hub.on_message(lambda peer, message: peer.send(message))
        context = ssl.create_default_context(cafile=certificate["ssl_certfile"])
        async with Serving(make_application(hub), http, **certificate) as server:
            assert hub.status()["asgi"][0]["way"] == "relayed"
            before = len(os.listdir("/proc/self/fd"))
            async with server.connect(scheme="wss", ssl=context, additional_headers={"X-Forwarded-For": "192.0.2.1"}) as ws:
                await subscribed(ws)
                # Of the peer itself, and not what it says about itself.
                assert hub.peers()[0]["address"] == "127.0.0.1"
                assert "permessage-deflate" in ws.response.headers["Sec-WebSocket-Extensions"]
                for size in (1, 70_000, 1_000_000):
                    await ws.send("x" * size)
                    assert await asyncio.wait_for(ws.recv(), 20) == "x" * size
                async with server.connect("/echo", pulse=False, scheme="wss", ssl=context) as other:
                    await other.send("x")
                    assert await other.recv() == "echo x"
                assert json.loads((await server.ask("/ws/health", tls=context))[2]) == {"status": "ok"}
                await ws.close(4321)
            assert ways(hub) == {"handed_over": 0, "relayed": 1, "pumped": 0}
            await until(lambda: not hub.peers() and not server.server.server_state.connections)
            await until(lambda: len(os.listdir("/proc/self/fd")) <= before)

    arun(main())


async def leaves_the_hub(hub):
    """Whether all that was published is written soon."""
    end = asyncio.get_running_loop().time() + 0.5
    while hub.peers()[0]["queued"]:
        if asyncio.get_running_loop().time() > end:
            return False
        await asyncio.sleep(0)
    return True


def test_a_relay_holds_back_and_ends_with_either_side(arun, certificate):
    async def main():
        hub = make_hub(queue_messages=20)
        slow, closed = asyncio.Event(), asyncio.Queue()
        hub.on_slow(lambda peer: slow.set())
        hub.on_close(lambda peer, code: closed.put_nowait(code))
        context = ssl.create_default_context(cafile=certificate["ssl_certfile"])
        serving = Serving(make_application(hub), **certificate)
        async with serving:
            # A peer that stops reading: what it does not take waits in the hub.
            async with serving.connect("/ws/stream?topics=t", scheme="wss", ssl=context, max_queue=1, compression=None) as ws:
                assert (await get(ws))["type"] == "welcome"
                server, = serving.server.server_state.connections
                # As soon as a message has left the hub the next one comes; the relay holds little of them back.
                for n in range(2000):
                    hub.publish("t", {"n": n, "more": "x" * 20000})
                    if await leaves_the_hub(hub):
                        continue
                    for _ in range(25):
                        hub.publish("t", {"n": n})
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(slow.wait(), 2)
                        break
                assert slow.is_set() and server._transport.get_write_buffer_size() < 1_000_000
                ws.transport.abort()
            assert await asyncio.wait_for(closed.get(), 20) == 1006
            # One that the application closes, and one at the end of the server.
            async with serving.connect(scheme="wss", ssl=context) as ws:
                await subscribed(ws)
                hub.close_peer(hub.peers()[0]["peer"], 4000, "enough")
                assert await close_of(ws) == (4000, "enough")
            last = await serving.connect(scheme="wss", ssl=context)
            await subscribed(last)
            code = asyncio.ensure_future(close_of(last))
        assert (await code)[0] == 1012

    arun(main())


def test_the_application_object_of_fastapi_keeps_its_state(arun):
    """What the middleware leaves in the state of the lifespan harms no request."""

    async def main():
        hub = make_hub()

        @contextlib.asynccontextmanager
        async def lifespan(app):
            yield {"own": 7}

        app = FastAPI(lifespan=lifespan)
        app.add_middleware(HubMiddleware, hub=hub)

        from fastapi import Request

        @app.get("/own")
        async def own(request: Request):
            return request.state.own

        async with Serving(app) as server:
            assert (await server.ask("/own"))[2] == b"7"

    arun(main())
