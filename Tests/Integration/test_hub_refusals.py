# SPDX-License-Identifier: Apache-2.0
"""Upgrades that are refused, in band where a browser asks, and a hub that drains."""
import asyncio
import concurrent.futures
import http.client
import json
import os
import time

import pytest
import websockets.asyncio.client
from hub import PULSE, Hub, until
from test_hub_peers import Peer
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

ORIGIN = "https://app.example"


def refusal(hub, path="/ws/stream", **options):
    """The status and the code that the body gives."""
    with pytest.raises(InvalidStatus) as refused, connect(hub.url(path), **options):
        pass
    response = refused.value.response
    return response.status_code, json.loads(response.body)["error"]["code"], response.headers


@pytest.mark.parametrize("path", ["/ws/streams", "/ws/stream/", "/WS/stream", "/", "/ws/health", "/nothing?token=secret"])
@pytest.mark.parametrize("subprotocols", [[PULSE], None, ["graphql-ws"], ["x", PULSE]])
def test_a_wrong_path_is_explained_to_a_browser(path, subprotocols):
    with Hub(origin=ORIGIN) as hub:
        with connect(hub.url(path), origin=ORIGIN, subprotocols=subprotocols) as ws:
            message = json.loads(ws.recv(timeout=10))
            assert message["type"] == "error" and message["data"]["code"] in ("no_such_path", "not_a_websocket_path")
            assert "secret" not in message["data"]["message"]
            with pytest.raises(ConnectionClosed) as closed:
                ws.recv(timeout=10)
            assert closed.value.rcvd.code == 4040 and closed.value.rcvd_then_sent
        status, code, headers = refusal(hub, path, subprotocols=subprotocols)
        assert (status, code) == (404, message["data"]["code"]) and headers["Content-Type"] == "application/json"
        until(lambda: hub["http_connections"] == 0)
        assert (hub["upgrades"], hub["upgrades_refused"], hub["active_connections"]) == (0, 2, 0)


def test_a_browser_is_told_with_a_status_if_that_is_wanted():
    with Hub(explain_in_band=False, origin=ORIGIN) as hub:
        assert refusal(hub, "/nothing", origin=ORIGIN)[:2] == (404, "no_such_path")


@pytest.mark.parametrize("path", ["/ws/stream", "/nothing"])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://app.example", ORIGIN + ".evil", ORIGIN + ":444"])
def test_an_origin_that_is_not_allowed_is_refused_with_403(origin, path):
    with Hub(origin=ORIGIN) as hub:
        assert refusal(hub, path, origin=origin, subprotocols=[PULSE])[0] == 403
        assert (hub["upgrades"], hub["upgrades_refused"]) == (0, 1)
        with Peer(hub, origin=ORIGIN) as peer:
            peer.subscribe("t")


@pytest.mark.parametrize(("headers", "status"), [
    ({"Sec-WebSocket-Version": "12"}, 426), ({"Sec-WebSocket-Version": None}, 426), ({"Sec-WebSocket-Key": None}, 400),
    ({"Sec-WebSocket-Key": "short"}, 400), ({"Host": None}, 400), ({"Content-Length": "2"}, 400)])
def test_bad_upgrades(headers, status):
    fields = {"Host": "h", "Upgrade": "websocket", "Connection": "keep-alive, Upgrade", "Sec-WebSocket-Version": "13",
              "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", **headers}
    with Hub() as hub:
        connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=20)
        connection.putrequest("GET", "/ws/stream", skip_host=True, skip_accept_encoding=True)
        for name, value in fields.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(b"{}" if "Content-Length" in headers else None)
        answer = connection.getresponse()
        assert answer.status == status and json.loads(answer.read())["error"]["status"] == status
        assert status != 426 or answer.headers["Sec-WebSocket-Version"] == "13"
        connection.close()


def test_routes_with_a_protocol():
    with Hub(routes={"/pulse": {"protocol": "pulse"}, "/plain": {"protocol": "plain", "subprotocol": ["v2", "v1"]}}) as hub:
        assert refusal(hub, "/pulse")[:2] == (400, "subprotocol_required")
        assert refusal(hub, "/pulse", subprotocols=["other"])[:2] == (400, "no_common_subprotocol")
        with connect(hub.url("/plain"), subprotocols=["v1", "v2"]) as ws:
            assert ws.subprotocol == "v2"
        with connect(hub.url("/pulse"), subprotocols=["v1", PULSE]) as ws:
            assert ws.subprotocol == PULSE


async def ending(hub, connected):
    async with websockets.asyncio.client.connect(hub.url(), subprotocols=[PULSE]) as ws:
        await ws.recv()
        connected.release()
        with pytest.raises(ConnectionClosed) as closed:
            await ws.recv()
        return closed.value.rcvd.code, time.monotonic()


def health(hub):
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=20)
    connection.connect()
    return connection


def ask_health(connection):
    connection.request("GET", "/ws/health")
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())["status"]


@pytest.mark.parametrize("loops", [1, 3])
def test_drain_spreads_its_closes(loops):
    async def run(hub, pool):
        connected = asyncio.Semaphore(0)
        peers = [asyncio.create_task(ending(hub, connected)) for _ in range(100)]
        for _ in peers:
            await asyncio.wait_for(connected.acquire(), 20)
        begin = time.monotonic()
        drained = pool.submit(hub.drain, 1.0, 20)
        ends = await asyncio.wait_for(asyncio.gather(*peers), 20)
        assert await asyncio.wrap_future(drained)
        assert {code for code, _ in ends} == {1012}
        moments = sorted(moment - begin for _, moment in ends)
        assert 0.7 < moments[-1] < 5 and moments[0] < 0.5
        # No half of the time has nearly all of them.
        assert 15 < sum(moment < moments[-1] / 2 for moment in moments) < 85

    with Hub(loops=loops, events="drained") as hub, concurrent.futures.ThreadPoolExecutor(1) as pool:
        asyncio.run(run(hub, pool))
        event = hub.event("drained")
        assert event.count == 100
        assert hub.event() is None
        with pytest.raises(ConnectionRefusedError):
            hub.connect()


def test_health_while_it_drains():
    with Hub(keep_alive_timeout="20s") as hub, Peer(hub) as peer, Peer(hub) as last:
        first, second = health(hub), health(hub)
        assert ask_health(first) == (200, "ok")
        assert not hub.drain(30, 0) and hub.status()["state"] == "draining"
        assert ask_health(second) == (503, "draining")
        assert ask_health(first) == (503, "draining")
        assert peer.closed()[0] == 1012
        last.say(type="ping")
        assert last.get()["type"] == "pong"


def test_free_in_the_middle_of_a_drain():
    for loops in (1, 3):
        with Hub(loops=loops) as hub:
            peers = [Peer(hub) for _ in range(10)]
            assert not hub.drain(30, 0)
        for peer in peers:
            with pytest.raises(ConnectionClosed):
                peer.ws.recv(timeout=10)
            peer.stack.close()


@pytest.mark.parametrize("loops", [1, 4])
def test_a_hub_that_is_gone_leaves_no_descriptor(loops):
    def once():
        with Hub(loops=loops, events=["connected"]) as hub:
            peers = [Peer(hub, "/ws/stream?topics=t") for _ in range(4)]
            hub.publish("t", "x" * 1000)
        for peer in peers:
            peer.stack.close()

    once()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        once()
    until(lambda: len(os.listdir("/proc/self/fd")) <= before, why=lambda: f"{len(os.listdir('/proc/self/fd'))} after {before}")
