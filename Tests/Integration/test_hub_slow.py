# SPDX-License-Identifier: Apache-2.0
"""Peers that stop reading: the others get everything in order, memory stays bounded, and the stopped ones learn exactly
what they have missed."""
import asyncio
import contextlib
import json
import re
import resource
import socket

import pytest
import websockets.asyncio.client
from hub import CODES, PULSE, Follower, Hub
from websockets.exceptions import ConnectionClosed

MESSAGES = 20_000
PEERS, STOPPED = 20, 3
AHEAD = 500
KEYS = 40
NUMBERS = re.compile(rb'"o":(\d+),"p":(\d+),("skipped":(\d+),)?')


class Reader(Follower):
    def __init__(self, ws):
        super().__init__()
        self.ws = ws
        self.progress = asyncio.Event()

    async def follow(self, count):
        while self.last < count:
            text = await self.ws.recv(decode=False)
            found = NUMBERS.search(text[:200])
            if found and text.startswith(b'{"type":"n"'):
                self.take({"type": "n", "o": int(found[1]), "p": int(found[2]), "skipped": int(found[4] or 0)})
            else:
                self.take(json.loads(text))
            self.progress.set()


@contextlib.asynccontextmanager
async def subscribed(hub, compression=None):
    """Its buffers are small, so that it is the hub that has to keep what is not read."""
    tcp = socket.socket()
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    tcp.connect(("127.0.0.1", hub.port))
    connecting = websockets.asyncio.client.connect(
        hub.url(), sock=tcp, subprotocols=[PULSE], compression=compression, max_queue=16, ping_interval=None, close_timeout=60)
    async with connecting as ws:
        assert json.loads(await ws.recv())["type"] == "welcome"
        await ws.send('{"type":"subscribe","topics":["t"]}')
        assert json.loads(await ws.recv())["type"] == "subscribed"
        yield Reader(ws)


def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def publish(hub, number, keyed):
    key = f"k{number % KEYS}" if keyed else None
    hub.publish("t", b'{"type":"n","fill":"%01000d"}' % number, key=key)


async def run(hub, keyed, after):
    async with contextlib.AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(subscribed(hub)) for _ in range(PEERS)]
        healthy, stopped = readers[STOPPED:], readers[:STOPPED]
        following = [asyncio.create_task(reader.follow(MESSAGES)) for reader in healthy]
        begin = most = memory()
        for number in range(MESSAGES):
            publish(hub, number, keyed)
            while number - min(reader.last for reader in healthy) > AHEAD:
                slowest = min(healthy, key=lambda reader: reader.last)
                slowest.progress.clear()
                await asyncio.wait_for(slowest.progress.wait(), 30)
            if number % 1000 == 0:
                most = max(most, memory())
                hub.check_books()
        await asyncio.wait_for(asyncio.gather(*following), 60)
        for reader in healthy:
            assert (reader.got, reader.missing, reader.skipped) == (MESSAGES, 0, 0)
        assert most - begin < 32 << 20
        await after(stopped)


def check_end(hub, stopped):
    """Sums over all peers, and row by row."""
    hub.until("messages_written", (PEERS - STOPPED) * MESSAGES + sum(reader.got for reader in stopped))
    hub.check_books()
    rows = {row["written"]: row for row in hub.peers()}
    for reader in stopped:
        row = rows[reader.got]
        assert (row["offered"], row["conflated"], row["dropped"], row["queued"]) == (
            MESSAGES, reader.skipped, reader.missing, 0)
    assert hub["messages_offered"] == PEERS * MESSAGES
    assert hub["messages_conflated"] == sum(reader.skipped for reader in stopped)
    assert hub["messages_dropped"] == sum(reader.missing for reader in stopped)
    assert hub["gaps_sent"] == sum(reader.gaps for reader in stopped)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("policy", ["drop_oldest", "conflate"])
def test_stopped_peers_learn_what_they_missed(policy):
    async def read_on(stopped):
        for reader in stopped:
            await asyncio.wait_for(reader.follow(MESSAGES), 30)
            assert reader.got + reader.missing + reader.skipped == MESSAGES
            if policy == "drop_oldest":
                assert reader.gaps > 0 and reader.missing > MESSAGES / 4 and reader.skipped == 0
            else:
                assert reader.skipped > MESSAGES / 4 and reader.missing == 0
        check_end(hub, stopped)
        slow = [hub.event("slow") for _ in stopped]
        assert {event.code for event in slow} == {CODES["HUB_" + policy.upper()]} and len({event.peer for event in slow}) == 3

    with Hub(slow_policy=policy, events="slow") as hub:
        asyncio.run(run(hub, policy == "conflate", read_on))
        hub.check_books()


@pytest.mark.timeout(180)
def test_a_topic_that_conflates_spares_slow_peers():
    async def read_on(stopped):
        for reader in stopped:
            await asyncio.wait_for(reader.follow(MESSAGES), 30)
            assert reader.got + reader.skipped == MESSAGES and reader.missing == 0 and reader.skipped > MESSAGES / 4
        check_end(hub, stopped)
        assert hub["peers_slow"] == 0

    # The healthy ones would conflate too where they fall behind: they take each message before the next.
    with pytest.MonkeyPatch.context() as patch, Hub(topics={"t": {"conflate": "data.symbol"}}) as hub:
        patch.setitem(globals(), "AHEAD", KEYS // 2)
        asyncio.run(run(hub, True, read_on))


@pytest.mark.timeout(180)
def test_policy_disconnect():
    """What was on its way is whole, and the close frame follows."""
    async def read_on(stopped):
        for reader in stopped:
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(reader.follow(MESSAGES), 30)
            assert closed.value.rcvd and (closed.value.rcvd.code, closed.value.rcvd_then_sent) == (4008, True), closed.value
            assert 0 < reader.got < MESSAGES and reader.missing == 0
        hub.until("peers_closed", STOPPED)
        hub.check_books()
        assert hub["peers_slow"] == STOPPED

    with Hub(slow_policy="disconnect", close_timeout="60s") as hub:
        asyncio.run(run(hub, False, read_on))
        hub.check_books()


def test_close_peer_of_a_slow_one():
    """The application closes a peer in the middle of a message."""
    async def close(hub):
        async with subscribed(hub) as reader:
            peer = hub.peers()[0]["peer"]
            for _ in range(30):
                hub.publish("t", {"type": "n", "fill": "x" * 1_000_000})
            await asyncio.sleep(0)
            hub.do("close_peer", peer, 4003, "enough")
            hub.event("slow")
            await asyncio.to_thread(hub.until, "messages_dropped", 1)
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(reader.follow(31), 30)
            assert closed.value.rcvd and (closed.value.rcvd.code, closed.value.rcvd.reason) == (4003, "enough"), closed.value

    with Hub(close_timeout="1s", events="slow") as hub:
        asyncio.run(close(hub))
        hub.until("peers_closed", 1)
        hub.check_books()
