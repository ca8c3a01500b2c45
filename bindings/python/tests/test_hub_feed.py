# SPDX-License-Identifier: Apache-2.0
"""Feeds: what a client receives goes to topics."""

import asyncio
import json

import pulsews
import pytest
from hubs import Peer, make_hub, url

MAP = """
rule=price
match={"e":"quote"}
topic=price.${s|strip(USDT)}
key=${s}
publish={"type":"price_update","symbol":${s|strip(USDT)},"price":${mid(b,a)}}
"""


def test_a_feed_publishes(arun):
    async def main():
        async with make_hub() as exchange, make_hub() as hub:
            async with pulsews.aio.connect(url(exchange), name="binance") as client, Peer(hub) as peer:
                hub.feed(client, MAP)
                await peer.subscribe("price.SOL")
                exchange.broadcast({"e": "quote", "s": "SOLUSDT", "b": "1.10", "a": "1.20"})
                assert (await peer.get())["feed"] == "binance"
                assert (await peer.get())["data"] == {"type": "price_update", "symbol": "SOL", "price": "1.15"}
                assert hub.statistics()["messages_published"] == 1
                with pytest.raises(pulsews.PulseError, match="that of a feed already"):
                    hub.feed(client, "kraken")
            assert await peer_state(hub) == "stale"

    arun(main())


async def peer_state(hub):
    """What a newcomer hears of the topic."""
    async with Peer(hub) as peer:
        return (await peer.subscribe("price.SOL"))["state"]


def test_a_client_that_resumes(arun):
    async def main():
        async with make_hub() as hub:
            async with pulsews.aio.connect(url(hub), resume=True, reconnect_base_delay=0.01, restart_delay=0.01) as client:
                client.subscribe("t")
                answers = [json.loads(await asyncio.wait_for(client.recv(), 20)) for _ in range(2)]
                assert [answer["type"] for answer in answers] == ["welcome", "subscribed"]
                hub.publish("t", 1)
                assert json.loads(await asyncio.wait_for(client.recv(), 20))["data"] == 1
                hub.close_peer(hub.peers()[0]["peer"], 1012)
                hub.publish("t", 2)
                answers = [json.loads(await asyncio.wait_for(client.recv(), 20)) for _ in range(3)]
                assert answers[1]["recovered"] and answers[2]["data"] == 2

    arun(main())


def test_what_is_refused(arun):
    async def main():
        hub = make_hub()
        async with hub:
            async with pulsews.aio.connect(url(hub)) as client:
                with pytest.raises(ValueError, match="neither a known map"):
                    hub.feed(client, "nothing")
                with pytest.raises(ValueError, match="line 1: rule= comes first"):
                    hub.feed(client, "topic=x")
                with pytest.raises(TypeError, match="a feed needs a client, not str"):
                    hub.feed("wss://ws.kraken.com/v2", "kraken")
            with pytest.raises(pulsews.PulseError):
                hub.feed(client, "kraken")

    arun(main())


def test_feed_maps():
    maps = pulsews.feed_maps()
    assert len(maps) > 7 and set(maps) <= set(pulsews.presets())
    assert all("publish=" in row["map"] and row["text"] for row in maps.values())
