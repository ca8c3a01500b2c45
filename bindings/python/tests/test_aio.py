# SPDX-License-Identifier: Apache-2.0
"""The asyncio client, on asyncio's own loop and on uvloop."""

import asyncio
import gc
import json
import threading
import time
import warnings

import pulsews
import pytest
from conftest import accept_upgrade, frame, receive_frame
from peer import KINDS
from pulsews import aio


def test_echo_of_every_kind(arun, peer):
    async def main():
        async with aio.connect(peer.url("/echo")) as ws:
            for message in KINDS:
                await ws.send(message)
                assert await ws.recv(timeout=10) == message
            await ws.send(bytearray(b"x"))
            await ws.send(memoryview(b"y"))
            assert [await ws.recv(), await ws.recv()] == [b"x", b"y"]
            assert ws.state == "connected" and ws.status()["stats"]["messages_sent"] == len(KINDS) + 2
        assert ws.state == "disconnected" and ws.close_code == 1000

    arun(main())


def test_awaited_connect(arun, peer):
    async def main():
        ws = await aio.connect(peer.url("/echo"), subprotocols=["quotes.v1"])
        assert ws.subprotocol == "quotes.v1" and ws.response_headers["upgrade"]
        await ws.send("x")
        assert (await ws.recv_message()).data == "x"
        await ws.ping(b"data")
        await ws.close()
        async with await aio.connect(peer.url("/echo")) as ws:
            await ws.send("y")
            assert await ws.recv() == "y"

    arun(main())


def test_order_over_all_ways_to_receive(arun, peer):
    async def main():
        async with aio.connect(peer.url("/push?n=5000")) as ws:
            received = []
            async for message in ws:
                received.append(message)
                if len(received) < 4000:
                    received += await ws.recv_batch(7, timeout=1)
                    received.append(await ws.recv(timeout=1))
                    received.append((await ws.recv_message(timeout=1)).data)
                ws.events()
                if len(received) == 5000:
                    break
            assert received == [str(number) for number in range(5000)]

    arun(main())


def test_iteration_ends(arun, peer):
    async def main():
        async with aio.connect(peer.url("/push?n=100&close=1001&reason=bye"), reconnect=False) as ws:
            assert [message async for message in ws] == [str(number) for number in range(100)]
            with pytest.raises(pulsews.ConnectionClosed) as caught:
                await ws.recv()
            assert (caught.value.code, caught.value.reason) == (1001, "bye")
        async with aio.connect(peer.url("/close?code=4001&reason=no"), reconnect=False) as ws:
            received = []
            with pytest.raises(pulsews.ConnectionClosed) as caught:
                async for message in ws:
                    received.append(message)
            assert received == ["last words"] and caught.value.code == 4001
            with pytest.raises(pulsews.PulseError):
                await ws.send("x")

    arun(main())


def test_time_outs(arun, peer):
    async def main():
        async with aio.connect(peer.url("/wait")) as ws:
            start = time.monotonic()
            for timeout in (0, 0.1, 0.3):
                with pytest.raises(TimeoutError):
                    await ws.recv(timeout=timeout)
                assert await ws.recv_batch(timeout=timeout) == []
            assert 0.78 <= time.monotonic() - start < 4
            assert not ws._waiters

    arun(main())


def test_waiting_costs_no_processor_time_and_no_thread(arun, peer):
    async def main():
        threads = threading.active_count()
        async with aio.connect(peer.url("/wait")) as ws:
            start = time.process_time()
            waiting = [asyncio.ensure_future(ws.recv_batch(timeout=1)) for _ in range(3)]
            await asyncio.gather(*waiting)
            assert time.process_time() - start < 0.2 and threading.active_count() == threads

    arun(main())


def test_a_message_that_is_not_fetched_costs_no_processor_time(arun, peer):
    async def main():
        async with aio.connect(peer.url("/push?n=5")) as ws:
            await asyncio.sleep(0.2)
            start = time.process_time()
            await asyncio.sleep(0.8)
            assert time.process_time() - start < 0.2
            assert len([await ws.recv() for _ in range(5)]) == 5

    arun(main())


def test_cancelled_receive_loses_nothing(arun, peer):
    async def main():
        async with aio.connect(peer.url("/trickle?every=0.002")) as ws:
            received, cancelled = [], 0
            end = time.monotonic() + 3
            while len(received) < 300 and time.monotonic() < end:
                try:
                    received.append(await asyncio.wait_for(ws.recv(), 0.001))
                except asyncio.TimeoutError:
                    cancelled += 1
                task = asyncio.ensure_future(ws.recv_batch())
                await asyncio.sleep(0)
                if task.cancel():
                    try:
                        received += await task
                    except asyncio.CancelledError:
                        cancelled += 1
                else:
                    received += task.result()
            assert cancelled > 10 and len(received) > 100
            assert received == [str(number) for number in range(len(received))]
            assert ws.state == "connected"

    arun(main())


def test_several_tasks_wait_at_once(arun, peer):
    async def main():
        async with aio.connect(peer.url("/echo")) as ws:
            tasks = [asyncio.ensure_future(ws.recv()) for _ in range(50)]
            await asyncio.sleep(0)
            for number in range(50):
                await ws.send(str(number))
            received = await asyncio.wait_for(asyncio.gather(*tasks), 10)
            assert sorted(received, key=int) == [str(number) for number in range(50)]

    arun(main())


def test_close_ends_waiting_tasks(arun, peer):
    async def main():
        ws = await aio.connect(peer.url("/wait"))
        tasks = [asyncio.ensure_future(call()) for call in (ws.recv, ws.recv_batch, ws.recv_message)]
        await asyncio.sleep(0.05)
        await asyncio.gather(ws.close(), ws.close(4000, "second"))
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
        assert [type(result) for result in results] == [pulsews.ConnectionClosed] * 3
        assert [message async for message in ws] == []
        await ws.close()

    arun(main())


def test_full_queue(arun, raw_server):
    go = threading.Event()

    def script(connection):
        accept_upgrade(connection)
        go.wait(30)
        while receive_frame(connection)[0] != 8:
            pass
        connection.sendall(frame(8, b"\x03\xe8"))

    async def main():
        options = dict(message_queue_bytes="256KiB", message_queue_policy="block", close_timeout=30)
        async with aio.connect(raw_server(script).url, **options) as ws:
            chunk = b"x" * 65536
            with pytest.raises(pulsews.QueueFull):
                for _ in range(10_000):
                    await ws.send(chunk, timeout=0)
            with pytest.raises(pulsews.QueueFull):
                for _ in range(1000):  # what the kernel still takes makes room again
                    start = time.monotonic()
                    await ws.send(chunk, timeout=0.2)
            assert 0.19 <= time.monotonic() - start < 5  # uvloop counts in milliseconds
            sending = [asyncio.ensure_future(ws.send(chunk)) for _ in range(5)]
            receiving = asyncio.ensure_future(ws.recv())
            await asyncio.sleep(0.1)
            assert not any(task.done() for task in sending)
            sending.pop().cancel()
            go.set()
            await asyncio.wait_for(asyncio.gather(*sending), 30)
            receiving.cancel()

    arun(main())


def test_refusals_and_bad_input(arun, peer):
    async def main():
        with pytest.raises(pulsews.HandshakeError) as caught:
            await aio.connect(peer.url("/refuse"))
        assert caught.value.status == 403 and caught.value.body.startswith(b"no entry")
        bad = [("http://x/", {}), ("ws://x:0/", {}), ("ws://x/", {"zzz": 1}), ("ws://x/", {"headers": {"a": "\n"}})]
        for url, options in bad:
            with pytest.raises(ValueError):
                await aio.connect(url, **options)
        async with aio.connect(peer.url("/echo")) as ws:
            nan = float("nan")
            for call in (lambda: ws.send("\ud800"), lambda: ws.recv(timeout=-1), lambda: ws.recv_batch(0),
                         lambda: ws.ping(b"x" * 126), lambda: ws.close(1005), lambda: ws.send("x", timeout=nan)):
                with pytest.raises(ValueError):
                    await call()
            with pytest.raises(TypeError):
                await ws.send(None)

    arun(main())


def test_open_timeout_and_cancelled_connect(arun, raw_server):
    release = threading.Event()
    server = raw_server(lambda connection: release.wait(30))

    async def main():
        with pytest.raises(pulsews.OpenTimeout):
            await aio.connect(server.url, open_timeout=0.3)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(aio.connect(server.url)._connect(), 0.2)

    arun(main())
    release.set()


def test_the_loop_goes_on_while_connecting(arun, raw_server):
    release = threading.Event()

    def script(connection):
        release.wait(30)
        accept_upgrade(connection)
        connection.sendall(frame(1, b"hello") + frame(8, b"\x03\xe8"))
        connection.recv(100)

    async def main():
        connecting = asyncio.ensure_future(aio.connect(raw_server(script).url, reconnect=False)._connect())
        await asyncio.sleep(0.1)
        release.set()
        async with await connecting as ws:
            assert [message async for message in ws] == ["hello"]

    arun(main())


def test_events(arun, peer):
    async def main():
        async with aio.connect(peer.url("/push?n=2&close=1000"), reconnect=False) as ws:
            assert [message async for message in ws] == ["0", "1"]
            assert "connected" in json.dumps(ws.events())

    arun(main())


def test_a_connection_that_ends_between_two_looks_was_open(arun, peer, monkeypatch):
    real = aio.Client._opened
    looks = []

    def look(client, status):
        looks.append(real(client, status))
        deadline = time.monotonic() + 20
        while not looks[-1] and client.state in ("connecting", "connected") and time.monotonic() < deadline:
            time.sleep(0.001)
        return looks[-1]

    async def main():
        monkeypatch.setattr(aio.Client, "_opened", look)
        async with aio.connect(peer.url("/push?n=2&close=1000"), reconnect=False) as ws:
            assert [message async for message in ws] == ["0", "1"]

    arun(main())


def test_many_clients_on_one_loop(arun, peer):
    async def one(number):
        async with aio.connect(peer.url("/echo")) as ws:
            for turn in range(10):
                await ws.send(f"{number}-{turn}")
                assert await ws.recv(timeout=20) == f"{number}-{turn}"

    async def main():
        await asyncio.gather(*(one(number) for number in range(100)))

    arun(main())


def test_forgotten_client_warns_and_is_freed(arun, peer):
    async def main():
        ws = await aio.connect(peer.url("/wait"))
        with pytest.warns(ResourceWarning, match="was not closed"):
            del ws
            gc.collect()
        await asyncio.sleep(0)

    arun(main())


def test_client_that_outlives_its_loop(arun, peer):
    kept = []

    async def main():
        kept.append(await aio.connect(peer.url("/wait")))

    arun(main())
    assert kept[0].state == "connected"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        kept.clear()
        gc.collect()


def test_needs_a_running_loop():
    with pytest.raises(RuntimeError):
        aio.Client("ws://127.0.0.1/", {})
