# SPDX-License-Identifier: Apache-2.0
"""In the minimal system of check.sh: the daemon's page, and what clients get from the daemon and from the program in C.

One round at the start, and one for each line of the input. A client that is there from the start stays, and each round has new
ones besides.
"""
import asyncio
import json
import sys
import urllib.request

import pulsews
from pulsews import aio

DAEMON, PROGRAM = "127.0.0.1:8080", "ws://127.0.0.1:8081/ws/stream?topics=price.SOL"


def page():
    for path in ("/", "/page/", "/page/main.js"):
        with urllib.request.urlopen(f"http://{DAEMON}{path}") as answer:
            assert answer.status == 200, path


async def receive(ws):
    """The next price, past what a hub says of itself."""
    while True:
        message = json.loads(await ws.recv(timeout=20))
        if message["type"] in ("price_update", "snapshot"):
            return


async def greet(url):
    async with aio.connect(url, reconnect=False) as ws:
        assert json.loads(await ws.recv(timeout=20))["type"] == "welcome"


async def rounds():
    async with aio.connect(PROGRAM) as kept:
        while True:
            page()
            await greet(f"ws://{DAEMON}/ws/stream")
            await receive(kept)
            async with aio.connect(PROGRAM, reconnect=False) as ws:
                await receive(ws)
            print("round", pulsews.library_version().split()[0], flush=True)  # without its OpenSSL
            if not await asyncio.to_thread(sys.stdin.readline):
                return


asyncio.run(rounds())
