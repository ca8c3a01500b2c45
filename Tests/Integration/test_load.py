# SPDX-License-Identifier: Apache-2.0
"""Many clients, and a consumer that has no time."""
import asyncio
import os
import time

import pulsews

CLIENTS = 1000
UNHURRIED = {"open_timeout": 60, "host_connect_rate": "100000/s", "reconnect": False}  # nothing here is about pacing


def threads():
    return len(os.listdir("/proc/self/task"))


def test_a_thousand_clients_on_one_loop(servers):
    base = servers.peer("websockets")
    before = threads()
    clients = [pulsews.connect(base + "/echo", **UNHURRIED) for _ in range(CLIENTS)]
    try:
        assert threads() <= before + 2  # the loop's, and one for a name that is still being resolved
        for round_number in range(3):
            for index, ws in enumerate(clients):
                ws.send(f"{round_number} {index}")
            for index, ws in enumerate(clients):
                assert ws.recv(timeout=60) == f"{round_number} {index}"
    finally:
        for ws in clients:
            ws.close()


def test_a_thousand_asyncio_clients(servers):
    base = servers.peer("websockets")

    async def one(index, gate):
        async with gate:
            ws = await pulsews.aio.connect(base + "/echo", **UNHURRIED)
        async with ws:
            await ws.send(f"hello {index}")
            assert await ws.recv(timeout=60) == f"hello {index}"

    async def everyone():
        gate = asyncio.Semaphore(100)
        await asyncio.gather(*(one(index, gate) for index in range(CLIENTS)))

    asyncio.run(everyone())


def test_heartbeats_while_python_is_busy(servers):
    """The server gives up a client whose pong is late by a second; the interpreter is busy for 20."""
    with pulsews.connect(servers.peer("websockets", ping=1) + "/echo", reconnect=False) as ws:
        ws.send("before")
        assert ws.recv(timeout=30) == "before"
        end = time.monotonic() + 20
        while time.monotonic() < end:
            sum(range(1000))
        ws.send("after")
        assert ws.recv(timeout=30) == "after"
