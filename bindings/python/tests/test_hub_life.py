# SPDX-License-Identifier: Apache-2.0
"""The life of a hub: start, drain, close, tasks, reload, adopted connections."""

import asyncio
import gc
import logging
import os
import socket
import ssl
import subprocess
import threading
import time

import pulsews
import pytest
import websockets
from hubs import Peer, Seen, make_hub, url
from pulsews import _hub_tasks

# ---- start and end


def test_addresses_of_several_places(arun, tmp_path):
    async def main():
        hub = pulsews.Hub(["127.0.0.1:0", f"unix:{tmp_path}/hub.sock"])
        hub.listen("[::1]:0")
        assert hub.addresses == [] and "made" in repr(hub)
        async with hub:
            first, second, third = hub.addresses
            assert first.startswith("127.0.0.1:") and second.endswith("hub.sock") and third.startswith("[::1]:")
            assert "started" in repr(hub)
            async with websockets.unix_connect(f"{tmp_path}/hub.sock", "ws://h/ws/stream") as ws:
                assert "welcome" in await ws.recv()
        assert "closed" in repr(hub) and not (tmp_path / "hub.sock").exists()

    arun(main())


def test_a_port_that_is_taken(arun):
    async def main():
        async with make_hub() as hub:
            other = pulsews.Hub(hub.addresses[0])
            with pytest.raises(pulsews.PulseError, match=hub.addresses[0]):
                await other.start()
            with pytest.raises(pulsews.PulseError, match="closed"):
                other.publish("t", "1")
            with pytest.raises(pulsews.PulseError, match="started"):
                await hub.start()
            async with Peer(hub) as peer:  # the second start has not harmed it
                assert peer.welcome

    arun(main())


def test_drain_says_goodbye_over_its_spread(arun):
    async def main():
        seen = Seen()
        hub = make_hub()
        hub.on_close(seen)
        await hub.start()
        peers = [await Peer(hub).__aenter__() for _ in range(10)]
        begin = time.monotonic()
        closed = [asyncio.ensure_future(peer.closed()) for peer in peers]
        await hub.drain(spread=0.4, timeout=20)
        assert 0.2 < time.monotonic() - begin < 15
        assert {(await one)[0] for one in closed} == {1012}
        assert [(await seen.next())[1] for _ in peers] == [1012] * 10
        assert hub.status()["state"] != "running"
        hub.close()
        hub.close()
        with pytest.raises(pulsews.PulseError, match="the hub is closed"):
            hub.publish("t", "1")
        with pytest.raises(pulsews.PulseError, match="the hub is closed"):
            await hub.drain()

    arun(main())


def test_a_drain_waits_for_handlers_and_no_longer_than_it_may(arun):
    async def main():
        hub = make_hub()
        begun, may_go, done = asyncio.Event(), asyncio.Event(), []

        @hub.on_message
        async def on_message(peer, message):
            begun.set()
            await may_go.wait()
            done.append(message)

        await hub.start()
        async with Peer(hub) as peer:
            await peer.send(["x"])
            await begun.wait()
            with pytest.raises(TimeoutError, match="handlers"):
                await hub.drain(spread=0, timeout=0.5)
            may_go.set()
            await hub.drain(timeout=10)
            assert done == [["x"]]
        hub.close()

    arun(main())


def test_a_drain_from_a_handler(arun):
    async def main():
        hub = make_hub()
        over = asyncio.Event()

        @hub.on_message
        async def on_message(peer, message):
            await hub.drain(spread=0, timeout=10)
            over.set()

        await hub.start()
        async with Peer(hub) as peer:
            await peer.send(["stop"])
            assert (await peer.closed())[0] == 1012
            await asyncio.wait_for(over.wait(), 20)
        hub.close()

    arun(main())


def test_close_cuts_and_cancels(arun):
    async def main():
        hub = make_hub()
        cancelled, begun = Seen(), asyncio.Event()

        async def wait(*_):
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled("yes")
                raise

        hub.on_connect(wait)
        hub.task(wait)
        await hub.start()
        async with Peer(hub) as peer:
            await begun.wait()
            hub.close()
            assert (await peer.closed())[0] == 1006
            assert await cancelled.next() == await cancelled.next() == ("yes",)

    arun(main())


def test_close_from_another_thread(arun):
    async def main():
        hub = make_hub()
        await hub.start()
        async with Peer(hub) as peer:
            await asyncio.get_running_loop().run_in_executor(None, hub.close)
            assert (await peer.closed())[0] == 1006
        assert "closed" in repr(hub)

    arun(main())


def test_publishing_while_the_hub_is_closed(arun):
    async def main():
        for _ in range(20):
            hub = make_hub()
            await hub.start()
            running = threading.Barrier(5)

            def work(hub=hub, running=running):
                running.wait()
                with pytest.raises(pulsews.PulseError, match="closed"):
                    while True:
                        hub.publish("t", b"1")
                        hub.status()

            jobs = [asyncio.get_running_loop().run_in_executor(None, work) for _ in range(4)]
            await asyncio.get_running_loop().run_in_executor(None, running.wait)
            hub.close()
            await asyncio.gather(*jobs)

    async def with_room():
        from concurrent.futures import ThreadPoolExecutor

        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(8))
        await main()

    arun(with_room())


def test_cancelling_the_program_drains(arun):
    async def main():
        hub = make_hub(drain_spread=0)
        ready = asyncio.Event()

        async def program():
            async with hub:
                ready.set()
                await asyncio.Event().wait()

        task = asyncio.ensure_future(program())
        await ready.wait()
        async with Peer(hub) as peer:
            task.cancel()
            assert (await peer.closed())[0] == 1012
        with pytest.raises(asyncio.CancelledError):
            await task
        assert "closed" in repr(hub)

    arun(main())


# ---- tasks


def test_tasks_are_kept_and_cancelled_at_the_end(arun):
    async def main():
        hub = make_hub()
        begun, ended = asyncio.Event(), []

        async def worker():
            begun.set()
            try:
                # Nobody but this frame knows what it waits for.
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                ended.append(hub.publish("t", "1"))  # the hub is still there
                raise

        task = hub.task(worker())
        assert task.name.endswith("worker") and not task.done and "made" in repr(task)
        async with hub:
            await begun.wait()
            gc.collect()
            assert not task.done and "running" in repr(task)
        assert ended == [1] and task.done

    arun(main())


def test_tasks_begin_again_by_their_policy(arun, monkeypatch, caplog):
    monkeypatch.setattr(_hub_tasks, "FIRST", 0.001)

    async def main():
        hub = make_hub()
        errors = Seen()
        hub.on_error(errors)
        runs = {"never": 0, "on_error": 0, "always": 0}
        enough = asyncio.Event()

        def worker(policy):
            async def work():
                runs[policy] += 1
                if policy == "always" and runs[policy] == 4:
                    enough.set()
                    await asyncio.Event().wait()
                if runs[policy] < 3:
                    raise ValueError(policy)

            return work

        async with hub:
            tasks = {policy: hub.task(worker(policy), restart=policy, name=policy) for policy in runs}
            await asyncio.wait_for(enough.wait(), 20)
            while not tasks["on_error"].done:
                await asyncio.sleep(0.001)
            assert runs == {"never": 1, "on_error": 3, "always": 4}
            assert [task.restarts for task in tasks.values()] == [0, 2, 3]
            assert tasks["never"].done and not tasks["always"].done
            found = [await errors.next() for _ in range(5)]
            assert sorted((str(problem), where) for problem, where in found) == sorted(
                [("never", "task never")] + [("on_error", "task on_error")] * 2 + [("always", "task always")] * 2)
            tasks["always"].cancel()
            while not tasks["always"].done:
                await asyncio.sleep(0)

    with caplog.at_level(logging.ERROR, "pulsews"):
        arun(main())
    assert sum("task on_error failed" in record.getMessage() for record in caplog.records) == 2


def test_a_task_that_cancels_itself_has_failed(arun):
    async def main():
        errors = Seen()
        hub = make_hub()
        hub.on_error(errors)

        async def work():
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        async with hub:
            task = hub.task(work)
            problem, where = await errors.next()
            assert isinstance(problem, asyncio.CancelledError) and "work" in where
            while not task.done:
                await asyncio.sleep(0)

    arun(main())


def test_a_task_of_a_hub_that_never_starts(arun):
    async def main():
        async def work():
            raise AssertionError

        hub = make_hub()
        task = hub.task(work())
        hub.close()
        assert task.done and hub.task(work()).done  # and no coroutine was never awaited

    arun(main())


# ---- reload and adopt


@pytest.fixture
def certificate(tmp_path):
    def make(name):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{tmp_path}/hub.key",
             "-out", f"{tmp_path}/hub.pem"], check=True, capture_output=True)
        return ssl.create_default_context(cafile=f"{tmp_path}/hub.pem")

    make.folder = tmp_path
    return make


def test_reload_reads_the_certificate_anew(arun, certificate):
    async def main():
        before = certificate("before")
        hub = pulsews.Hub("wss://127.0.0.1:0", certificate=certificate.folder / "hub.pem",
                          certificate_key=f"{certificate.folder}/hub.key")
        with pytest.raises(pulsews.PulseError):
            hub.reload()
        async with hub:
            async with websockets.connect(url(hub, scheme="wss"), ssl=before) as first:
                after = certificate("after")
                hub.reload()
                with pytest.raises(ssl.SSLError):
                    await websockets.connect(url(hub, scheme="wss"), ssl=before)
                async with websockets.connect(url(hub, scheme="wss"), ssl=after) as second:
                    hub.broadcast("both")
                    for ws in (first, second):
                        assert "welcome" in await ws.recv() and await ws.recv() == "both"
                (certificate.folder / "hub.pem").write_text("nothing")
                with pytest.raises(pulsews.PulseError, match="hub.pem"):
                    hub.reload()
                await websockets.connect(url(hub, scheme="wss"), ssl=after)  # with what was good

    arun(main())


def test_adopting_a_connection(arun):
    async def main():
        async with make_hub() as hub:
            ours, theirs = socket.socketpair()
            theirs.setblocking(False)
            hub.adopt(ours, b"GET /ws/health HTTP/1.1\r\nHost: h\r\nConn")
            assert ours.fileno() == -1
            reader, writer = await asyncio.open_connection(sock=theirs)
            writer.write(b"ection: close\r\n\r\n")
            assert b"200 OK" in await asyncio.wait_for(reader.read(), 20)
            writer.close()
            with open(os.devnull) as file, pytest.raises(pulsews.InvalidArgument, match="taken over"):
                hub.adopt(file)

    arun(main())
