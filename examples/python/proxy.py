# SPDX-License-Identifier: Apache-2.0
"""A live proxy: takes an exchange's feed once, and serves its prices, candles and trades to any number of browsers.

    python proxy.py wss://stream.binance.com:9443/stream binance-spot 127.0.0.1:8080 solusdt@bookTicker btcusdt@kline_1m

Then, in a page: new WebSocket("ws://127.0.0.1:8080/ws/stream?topics=price.SOL,candle.BTC.1m").
"""
import asyncio
import logging
import signal
import sys

import pulsews


async def main(url, preset, address, *keys):
    hub = pulsews.Hub(address, origin="*")
    hub.topic("price.*", latest=True, stale_after=5)
    hub.topic("candle.**", history=500)
    hub.topic("trade.*", history=100)
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with hub, pulsews.aio.connect(url, preset=preset, name=preset) as client:
        hub.feed(client, preset)
        for key in keys:
            client.subscribe(key)
        print(f"ws://{hub.addresses[0]}/ws/stream", flush=True)
        await over.wait()
        await hub.drain(spread=0, timeout=5)


if len(sys.argv) < 5:
    sys.exit("usage: proxy.py URL PRESET ADDRESS KEY...")
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
asyncio.run(main(*sys.argv[1:]))
