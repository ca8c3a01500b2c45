# SPDX-License-Identifier: Apache-2.0
"""A hub that serves the page and feeds it from an exchange: page_hub.py ADDRESS FOLDER URL KEY... Ends with its standard input."""
import asyncio
import sys

import pulsews


async def main(address, folder, url, *keys):
    hub = pulsews.Hub(address, origin=f"http://{address}")
    hub.topic("price.*", latest=True)
    hub.topic("candle.*.1m", latest=True)
    hub.topic("**", history=100)
    hub.route("/", kind="static", folder=folder)
    hub.route("/ws/stream")
    async with hub, pulsews.aio.connect(url, preset="binance-spot", name="exchange", reconnect_max_delay=1) as client:
        hub.feed(client, "binance-spot")
        for key in keys:
            client.subscribe(key)
        print(address, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main(*sys.argv[1:]))
