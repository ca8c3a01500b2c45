# SPDX-License-Identifier: Apache-2.0
"""A hub beside FastAPI, as it is started from the command line: the example, the page, and what is refused."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest
import websockets
from asgis import Serving, get, make_application, make_hub
from conftest import PACKAGE_ROOT
from fastapi import WebSocket, WebSocketException

ROOT = Path(__file__).resolve().parents[3]
WAYS = {"handed_over": ("--ws", "pulsews.asgi:HubProtocol"), "pumped": ()}


@contextlib.asynccontextmanager
async def uvicorn_runs(folder, *arguments):
    """The process, and its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "uvicorn", *arguments, "--port", "0", cwd=folder, stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=str(PACKAGE_ROOT), NO_COLOR="1"))
    try:
        yield process, (await said(process, r"running on http://([\d.:]+)"))[1]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process, pattern):
    """Waits for a line."""
    while line := (await asyncio.wait_for(process.stderr.readline(), 40)).decode():
        found = re.search(pattern, line)
        if found:
            return found
    raise AssertionError(f"it has not said {pattern}")


async def listens(address):
    """Workers don't tell when they begin to listen, which is shortly after the last that they say."""
    host, port = address.split(":")
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.close()
            return await writer.wait_closed()
        await asyncio.sleep(0.01)


async def until_type(ws, kind):
    while True:
        message = await get(ws)
        if message["type"] == kind:
            return message


@pytest.mark.parametrize("way", WAYS)
def test_the_example_with_both_ways(way):
    async def main():
        async with uvicorn_runs(ROOT / "examples" / "python", "fastapi_hub:app", *WAYS[way]) as (process, address):
            url = f"ws://{address}/ws/stream?topics=price.all"
            async with websockets.connect(url, origin="https://page.example", proxy=None) as ws:
                assert (await until_type(ws, "price_update"))["symbol"] == "BTC"
                body = json.loads(await http(address, "POST", "/prices/SOL?price=187.23"))
                assert body["offset"] > 0
                while (price := await until_type(ws, "price_update"))["symbol"] != "SOL":
                    pass
                assert price == {"type": "price_update", "symbol": "SOL", "price": "187.23"}
                async with websockets.connect(f"ws://{address}/echo", proxy=None) as own:
                    await own.send("x")
                    assert await own.recv() == "x"
                shown, = json.loads(await http(address, "GET", "/hub"))
                assert shown["way"] == way and shown[way] == 1 and shown["path"] == ["/ws"]
                process.send_signal(signal.SIGINT)
                with pytest.raises(websockets.ConnectionClosed) as end:
                    while True:
                        await asyncio.wait_for(ws.recv(), 20)
                assert end.value.rcvd.code == 1012
            _, error = await asyncio.wait_for(process.communicate(), 20)
            assert b"Application shutdown complete" in error and b"Traceback" not in error

    asyncio.run(asyncio.wait_for(main(), 100))


async def http(address, method, target):
    """The body of an answer."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("way", WAYS)
def test_the_program_of_the_page(way, tmp_path):
    section = (ROOT / "docs" / "HUB.md").read_text().split("\n## Beside FastAPI", 1)[1].split("\n## ", 1)[0]
    (tmp_path / "main.py").write_text(re.findall(r"^```python\n(.*?)^```", section, re.S | re.M)[0])
    assert all(" ".join(WAYS["handed_over"]) in line or "uvicorn main:app" in line
               for line in re.findall(r"^uvicorn.*", section, re.M))

    async def main():
        async with uvicorn_runs(tmp_path, "main:app", *WAYS[way]) as (_, address):
            async with websockets.connect(f"ws://{address}/ws/stream?topics=price.SOL", proxy=None) as ws:
                assert (await get(ws))["type"] == "welcome"
                await http(address, "POST", "/prices/SOL?price=1.50")
                assert (await get(ws))["price"] == "1.50"
            assert json.loads(await http(address, "GET", "/ws/health")) == {"status": "ok"}

    asyncio.run(asyncio.wait_for(main(), 100))


def test_several_workers_are_refused_unless_they_are_wanted(tmp_path):
    program = ("import pulsews\nfrom fastapi import FastAPI\nfrom pulsews.asgi import HubMiddleware\napp = FastAPI()\n"
               "app.add_middleware(HubMiddleware, hub=pulsews.Hub(){})\n")
    (tmp_path / "refused.py").write_text(program.format(""))
    (tmp_path / "wanted.py").write_text(program.format(", separate_workers=True"))

    async def main():
        async with uvicorn_runs(tmp_path, "refused:app", "--workers", "2") as (process, _):
            # The parent tells its address before its workers start.
            _, error = await asyncio.wait_for(process.communicate(), 40)
            assert b"separate_workers=True" in error and b"Application startup failed" in error
        async with uvicorn_runs(tmp_path, "wanted:app", "--workers", "2", *WAYS["handed_over"]) as (process, address):
            await said(process, "Application startup complete")
            await said(process, "Application startup complete")
            await listens(address)
            async with websockets.connect(f"ws://{address}/ws/stream", proxy=None) as ws:
                assert (await get(ws))["type"] == "welcome"
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.communicate(), 40)

    asyncio.run(asyncio.wait_for(main(), 100))


# ---- an empty 403, and what the hub says in its place


def make_refusing():
    hub = make_hub()

    @hub.on_authorize
    def decide(request):
        if "broken" in request.query:
            raise KeyError("broken")
        return "the parameter symbol is missing" if "symbol" not in request.query else True

    app = make_application(hub)

    @app.websocket("/close")
    async def close(ws: WebSocket):
        await ws.close()

    @app.websocket("/raise")
    async def fail(ws: WebSocket):
        raise WebSocketException(4000, "not you")

    @app.websocket("/symbol")
    async def with_symbol(ws: WebSocket, symbol: str):
        await ws.accept()

    return hub, app


REASONS = [
    # The application's path; the hub's, its status, its code, a word of its sentence.
    ("/nowhere", "/ws/nowhere", 404, "no_such_path", "there is no path"),
    ("/echo/", "/ws/stream/", 404, "no_such_path", "slash"),
    ("/Echo", "/ws/Stream", 404, "no_such_path", "upper and lower case"),
    ("/plain", "/ws/health", 404, "not_a_websocket_path", "/ws/health"),
    ("/close", "/ws/stream", 403, "forbidden", "symbol is missing"),
    ("/raise", "/ws/stream?broken=1", 500, "forbidden", "could not decide"),
    ("/symbol", "/ws/stream", 403, "forbidden", "symbol is missing"),
]


@pytest.mark.parametrize("path, hub_path, status, code, word", REASONS)
@pytest.mark.parametrize("way", WAYS)
def test_the_reasons_of_an_empty_403(way, path, hub_path, status, code, word):
    async def refusal(server, path):
        with pytest.raises(websockets.InvalidStatus) as refused:
            await server.connect(path, pulse=False)
        return refused.value.response.status_code, refused.value.response.body

    async def main():
        hub, app = make_refusing()
        async with Serving(app, ws=WAYS[way][1] if WAYS[way] else "auto") as server:
            assert await refusal(server, path) == (403, b"")
            found, body = await refusal(server, hub_path)
            error = json.loads(body)["error"]
            assert (found, error["code"]) == (status, code) and word in error["message"], error
            async with server.connect("/ws/stream?symbol=SOL", pulse=False) as ws:
                assert (await get(ws))["type"] == "welcome"

    asyncio.run(asyncio.wait_for(main(), 100))


def test_the_page_names_the_reasons():
    section = (ROOT / "docs" / "HUB.md").read_text().split("\n## Beside FastAPI", 1)[1].split("\n## ", 1)[0]
    rows = [row.split("|") for row in section.splitlines() if row.startswith("| ") and re.search(r"\b[345]\d\d `", row)]
    assert [re.findall(r"(\d+) `(\w+)`", row[2])[0] for row in rows] == [
        (str(status), code) for _, _, status, code, _ in REASONS]
