# SPDX-License-Identifier: Apache-2.0
"""The hub as a part of its process: fork, exit, signals, garbage."""

import asyncio
import gc
import inspect
import json
import os
import signal
import time
import weakref
from pathlib import Path

import pytest
import websockets
from hubs import Peer, ask, make_hub, url


def test_forked_child(python):
    process = python(
        "import asyncio, os, sys, pulsews\n"
        "from hubs import *\n"
        "early = pulsews.Hub(ANYWHERE, name='early'); early.topic('t', history=3)\n"
        "async def serve(hub):\n"
        "    async with hub, Peer(hub) as peer:\n"
        "        answer = await peer.subscribe('t')\n"
        "        hub.publish('t', '1')\n"
        "        return (await peer.get())['data'], peer.welcome['data']['hub']\n"
        "async def main():\n"
        "    hub = make_hub()\n"
        "    async with hub, Peer(hub) as peer:\n"
        "        await peer.subscribe('t')\n"
        "        child = os.fork()\n"
        "        if child == 0:\n"
        "            names = []\n"
        "            for call in (lambda: hub.publish('t', '2'), hub.status, hub.peers, lambda: hub.broadcast('x'), hub.reload):\n"
        "                try: call(); names.append('nothing raised')\n"
        "                except pulsews.PulseError as problem: names.append(problem.name)\n"
        "            hub.close()\n"
        "            print(*names, flush=True)\n"
        "            asyncio.events._set_running_loop(None)\n"
        "            print(*asyncio.new_event_loop().run_until_complete(serve(early)), flush=True)\n"
        "            os._exit(0)\n"
        "        assert os.waitpid(child, 0)[1] == 0\n"
        "        hub.publish('t', '3')\n"
        "        print((await peer.get())['data'], flush=True)\n"
        "asyncio.run(main())\n",
    )
    out, error = process.communicate(timeout=40)
    assert out.split("\n")[:3] == [" ".join(["PULSEWS_EFORK"] * 5), "1 early", "3"], error
    assert process.returncode == 0, error


@pytest.mark.parametrize("ending", [
    "", "sys.exit(7)", "raise KeyError", "os._exit(7)",
    "threading.Thread(target=lambda: [hub.publish('t', b'1') for _ in range(10**9)], daemon=True).start()",
    "threading.Thread(target=lambda: [hub.status() for _ in range(10**9)], daemon=True).start()",
    "loop.close()",
])
def test_interpreter_exit_with_a_running_hub(python, ending):
    process = python(
        "import asyncio, os, sys, threading, pulsews\n"
        "hub = pulsews.Hub('127.0.0.1:0'); hub.on_message(print)\n"
        "loop = asyncio.new_event_loop()\n"
        "loop.run_until_complete(hub.start())\n"
        "print(hub.addresses[0], flush=True)\n"
        + ending,
    )
    start = time.monotonic()
    out, error = process.communicate(timeout=30)
    assert time.monotonic() - start < 15 and out.startswith("127.0.0.1:")
    assert process.returncode in (0, 1, 7), (process.returncode, error)
    assert "Fatal" not in error


def test_interpreter_exit_says_goodbye(arun, python):
    async def main():
        process = python(
            "import asyncio, sys, pulsews\n"
            "async def main():\n"
            "    hub = pulsews.Hub('127.0.0.1:0')\n"
            "    seen = asyncio.Event()\n"
            "    hub.on_message(lambda peer, message: seen.set())\n"
            "    await hub.start()\n"
            "    print(hub.addresses[0], flush=True)\n"
            "    await seen.wait()\n"
            "    return hub\n"
            "hub = asyncio.run(main())\n"
        )
        address = await asyncio.get_running_loop().run_in_executor(None, process.stdout.readline)
        async with websockets.connect(f"ws://{address.strip()}/ws/stream") as ws:
            await ws.send("[]")
            with pytest.raises(websockets.ConnectionClosed) as end:
                while True:
                    await asyncio.wait_for(ws.recv(), 20)
            assert end.value.rcvd.code == 1012

    arun(main())


def test_control_c_drains(python):
    process = python(
        "import asyncio, pulsews\n"
        "async def main():\n"
        "    hub = pulsews.Hub('127.0.0.1:0')\n"
        "    async with hub:\n"
        "        print('up', flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "try: asyncio.run(main())\n"
        "except KeyboardInterrupt: print('interrupted', flush=True)\n"
    )
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=20)
    assert out == "interrupted\n" and process.returncode == 0, error


def test_a_running_hub_is_held_by_its_event_loop(arun):
    async def main():
        async def begin():
            hub = make_hub()
            await hub.start()
            return weakref.ref(hub)

        reference = await begin()
        gc.collect()
        assert reference() is not None
        assert (await ask(reference(), target="/ws/health"))[0] == 200
        reference().close()
        await asyncio.sleep(0)
        gc.collect()
        assert reference() is None

    arun(main())


def test_a_hub_that_was_never_started_leaves_nothing():
    reference = weakref.ref(make_hub())
    gc.collect()
    assert reference() is None


def test_a_hub_that_nobody_closed_is_told_of():
    loop = asyncio.new_event_loop()
    hub = make_hub()
    loop.run_until_complete(hub.start())
    loop.close()
    reference = weakref.ref(hub)
    with pytest.warns(ResourceWarning, match="was not closed"):
        del hub
        gc.collect()
    assert reference() is None


def test_hubs_leave_no_descriptors_and_threads(arun):
    def count():
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    async def once():
        async with make_hub() as hub, Peer(hub, "/ws/stream?topics=t") as peer:
            hub.publish("t", "1")
            await peer.get()

    async def main():
        await once()
        before = count()
        for _ in range(20):
            await once()
        gc.collect()
        # What a loop's thread has closed may be seen a moment later.
        for _ in range(200):
            after = count()
            if after[0] <= before[0] and after[1] <= before[1]:
                return
            await asyncio.sleep(0.02)
        raise AssertionError((before, after))

    arun(main())


def test_the_example_serves_prices_until_control_c(arun, python):
    program = Path(__file__).resolve().parents[3] / "examples" / "python" / "hub.py"

    async def main():
        process = python(f"import sys; sys.argv[1:] = ['127.0.0.1:0']; exec(open({str(program)!r}).read())")
        address = (await asyncio.get_running_loop().run_in_executor(None, process.stdout.readline)).strip()
        async with websockets.connect(address, origin="https://page.example", proxy=None) as ws:
            prices = []
            while len(prices) < 3:
                message = json.loads(await asyncio.wait_for(ws.recv(), 20))
                if message["type"] == "price_update":
                    prices.append(message)
            assert {price["symbol"] for price in prices} <= {"SOL", "BTC"} and isinstance(prices[0]["price"], str)
            await ws.send('{"side":"buy"}')
            while json.loads(await asyncio.wait_for(ws.recv(), 20)) != {"type": "order_received", "order": {"side": "buy"}}:
                pass
            process.send_signal(signal.SIGINT)
            out, error = await asyncio.get_running_loop().run_in_executor(None, process.communicate)
            assert process.returncode == 0 and "Traceback" not in error, error

    arun(main())


def test_what_is_cancelled_before_it_begins(arun):
    async def never():
        raise AssertionError

    task, handler = never(), never()

    async def main():
        hub = make_hub()
        called = asyncio.Event()

        @hub.on_connect
        def on_connect(peer):
            # All in one turn of the event loop.
            hub.task(task)
            asyncio.get_running_loop().call_soon(hub.close)
            called.set()
            return handler

        await hub.start()
        connecting = asyncio.ensure_future(websockets.connect(url(hub), proxy=None))
        await called.wait()
        await asyncio.gather(connecting, return_exceptions=True)
        hub.close()

    arun(main())
    assert inspect.getcoroutinestate(task) == inspect.getcoroutinestate(handler) == inspect.CORO_CLOSED


def test_an_interrupt_in_a_handler_loses_no_event():
    loop = asyncio.new_event_loop()
    hub, got, interrupts = make_hub(), [], 0

    @hub.on_message
    def on_message(peer, message):
        got.append(message)
        if message == [1]:
            raise KeyboardInterrupt

    async def talk():
        await hub.start()
        async with Peer(hub) as peer:
            for n in range(3):
                await peer.send([n])
            while [2] not in got:
                await asyncio.sleep(0.005)

    task = loop.create_task(talk())
    task.add_done_callback(lambda _: loop.stop())
    while not task.done():
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            interrupts += 1
    assert task.result() is None and got == [[0], [1], [2]] and interrupts == 1
    hub.close()
    loop.close()
