# SPDX-License-Identifier: Apache-2.0
"""FastAPI with routes of its own, and a hub at the same port, below /ws.

    uvicorn fastapi_hub:app --ws pulsews.asgi:HubProtocol      the hub takes its connections over from the server
    uvicorn fastapi_hub:app                                    the middleware pumps, as under any other server: slower

Then, in a page: new WebSocket("ws://127.0.0.1:8000/ws/stream?topics=price.all")
"""
import asyncio
import random

import pulsews
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from pulsews.asgi import HubMiddleware

hub = pulsews.Hub(origin="*")  # listens nowhere by itself
hub.topic("price.*", conflate="symbol", latest=True, history=1000)


async def prices():
    while True:
        publish("BTC", f"{random.uniform(97000, 98000):.2f}")
        await asyncio.sleep(0.1)


def publish(symbol, price):
    return hub.publish("price.all", {"type": "price_update", "symbol": symbol, "price": price})


hub.task(prices, restart="on_error")  # begins when the hub starts, with the application
app = FastAPI()
app.add_middleware(HubMiddleware, hub=hub, path="/ws")


@app.post("/prices/{symbol}")
def set_price(symbol: str, price: str):  # a plain function runs in a thread of FastAPI's: publish is for any thread
    return {"offset": publish(symbol, price)}


@app.get("/hub")
async def show_hub():
    return hub.status()["asgi"]  # which way the peers come, and how many


@app.websocket("/echo")
async def echo(ws: WebSocket):
    await ws.accept()
    try:
        while True:
            await ws.send_text(await ws.receive_text())
    except WebSocketDisconnect:
        pass
