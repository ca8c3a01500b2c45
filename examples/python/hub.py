# SPDX-License-Identifier: Apache-2.0
"""Prices to browsers: a newcomer gets the latest price of each symbol, a slow page the latest that it has missed.

    python hub.py 127.0.0.1:8080      then, in a page: new WebSocket("ws://127.0.0.1:8080/ws/stream?topics=price.all")
"""
import asyncio
import logging
import random
import sys

import pulsews

hub = pulsews.Hub(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8080", origin="*")
hub.topic("price.*", conflate="symbol", latest=True, history=1000, stale_after=3)


@hub.on_message
async def order(peer, message):
    peer.send({"type": "order_received", "order": message})


async def prices():
    while True:
        price = f"{random.uniform(180, 190):.2f}"  # a text, so that it stays exact
        hub.publish("price.all", {"type": "price_update", "symbol": random.choice(["SOL", "BTC"]), "price": price})
        await asyncio.sleep(0.1)


async def main():
    hub.task(prices, restart="on_error")
    async with hub:
        print(f"ws://{hub.addresses[0]}/ws/stream?topics=price.all", flush=True)
        await asyncio.Event().wait()  # until Ctrl-C


logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
