# SPDX-License-Identifier: Apache-2.0
"""The hub: topics and publishing, handlers."""

import asyncio
import logging
import threading

import pulsews
import pytest
from hubs import Peer, Seen, make_hub
from pulsews import _hub_events

# ---- topics


def test_prices_to_a_peer(arun):
    async def main():
        async with make_hub(name="edge") as hub:
            async with Peer(hub) as peer:
                assert peer.welcome["data"]["hub"] == "edge"
                answer = await peer.subscribe("price.SOL")
                assert (answer["type"], answer["offset"], answer["state"]) == ("subscribed", 0, "live")
                assert hub.publish("price.SOL", b'{"type":"price_update","price":"1.50"}') == 1
                assert hub.publish("price.SOL", '{"type":"price_update","price":"2"}') == 2
                assert hub.publish("price.SOL", {"type": "price_update", "price": "3"}) == 3
                got = [await peer.get() for _ in range(3)]
                assert [(one["type"], one["o"], one["p"], one["data"]["price"]) for one in got] == [
                    ("price_update", 1, 0, "1.50"), ("price_update", 2, 1, "2"), ("price_update", 3, 2, "3")]
            statistics = hub.statistics()
            assert statistics["messages_published"] == 3 and statistics["topics"] == 1

    arun(main())


@pytest.mark.parametrize("data, arrives", [
    (b"[1,2]", "[1,2]"), (bytearray(b"3"), "3"), (memoryview(b'{"a":1}'), '{"a":1}'), ('"text"', '"text"'),
    ([1, None], "[1,null]"), ((1, 2), "[1,2]"), (1.5, "1.5"), (7, "7"), (True, "true"), (None, "null"),
    ({"ü": "€"}, '{"\\u00fc":"\\u20ac"}'),
])
def test_what_can_be_published(arun, data, arrives):
    async def main():
        async with make_hub() as hub, Peer(hub, "/ws/stream?topics=t", pulse=False) as peer:
            hub.publish("t", data)
            assert await peer.text() == arrives

    arun(main())


def test_an_encoder_of_the_application(arun):
    async def main():
        async with make_hub(dump_json=lambda value: b'{"own":"%d"}' % value) as hub:
            async with Peer(hub, "/ws/stream?topics=t", pulse=False) as peer:
                hub.publish("t", 12)
                assert await peer.get() == {"own": "12"}

    arun(main())


def test_many_at_once_with_keys_and_stamps(arun):
    async def main():
        hub = make_hub()
        hub.topic("book.*", latest=True, history=10)
        async with hub:
            rows = [("book.a", {"n": 1}, "x"), ("book.a", b'{"n":2}', "y"), ("book.b", "3"),
                    pulsews.Publication("book.a", {"n": 4}, "x", exchange_ns=1_500_000, received_ns=2_000_000)]
            assert hub.publish_many(rows) == 4 and hub.publish_many([]) == 0
            async with Peer(hub) as peer:
                await peer.subscribe("book.a")
                snapshot = await peer.get()
                assert sorted(item["data"]["n"] for item in snapshot["items"]) == [2, 4]
                assert next(item for item in snapshot["items"] if item["o"] == 3)["t"][:2] == [1.5, 2.0]
            # From the first on.
            assert hub.publish_many([("t", "1"), ("t", b"{"), ("t", "3")]) == 1
            with pytest.raises(pulsews.InvalidArgument, match="'t' was not taken"):
                hub.publish_many([("t", b"{"), ("t", "3")])

    arun(main())


def test_conflation_keeps_the_latest_of_a_key(arun):
    async def main():
        hub = pulsews.Hub("127.0.0.1:0")
        hub.topic("price.*", conflate="symbol", flush=0.05)
        async with hub, Peer(hub, "/ws/stream?topics=price.all") as peer:
            assert (await peer.get())["type"] == "subscribed"
            for n in range(100):
                hub.publish("price.all", {"symbol": "SOL", "n": n})
            hub.publish("price.all", {"symbol": "BTC", "n": 100})
            got = [await peer.get()]
            while got[-1]["data"]["n"] != 100:
                got.append(await peer.get())
            assert [one["data"]["n"] for one in got][-2:] == [99, 100] and len(got) < 101
            statistics = hub.statistics()
            assert statistics["messages_conflated"] == sum(one.get("skipped", 0) for one in got) > 0

    arun(main())


def test_history_that_was_loaded(arun):
    async def main():
        hub = make_hub()
        hub.load("t", [{"n": 1}, pulsews.Publication("t", b'{"n":5}', offset=5, published_ns=10**15)])
        with pytest.raises(pulsews.InvalidArgument, match="history"):
            hub.load("t", [pulsews.Publication("t", "1", offset=2)])
        async with hub, Peer(hub) as peer:
            answer = await peer.subscribe({"topic": "t", "history": 10})
            assert answer["offset"] == 5
            assert [item["o"] for item in (await peer.get())["items"]] == [1, 5]
            assert hub.publish("t", {}) == 6

    arun(main())


def test_the_state_of_a_topic_is_told(arun):
    async def main():
        async with make_hub() as hub, Peer(hub) as peer:
            await peer.subscribe("t")
            hub.publish("t", {})
            await peer.get()
            hub.set_state("t", "failover", "binance-1 is gone")
            message = await peer.get()
            assert (message["type"], message["state"], message["cause"]) == ("topic_state", "failover", "binance-1 is gone")
            with pytest.raises(pulsews.InvalidArgument, match="fresh.*live, stale"):
                hub.set_state("t", "fresh")

    arun(main())


def test_publishing_from_eight_threads(arun):
    async def main():
        async with make_hub(queue_messages=10_000) as hub, Peer(hub) as peer:
            await peer.subscribe("t")
            start = threading.Barrier(8)

            def work(thread):
                start.wait()
                offsets = [hub.publish("t", {"thread": thread, "n": n}) for n in range(500)]
                assert offsets == sorted(offsets)
                return offsets

            loop = asyncio.get_running_loop()
            jobs = [loop.run_in_executor(None, work, thread) for thread in range(8)]
            got = [await peer.get() for _ in range(4000)]
            offsets = [offset for job in await asyncio.gather(*jobs) for offset in job]
            assert sorted(offsets) == list(range(1, 4001)) == [one["o"] for one in got]
            for thread in range(8):
                assert [one["data"]["n"] for one in got if one["data"]["thread"] == thread] == list(range(500))

    # Each thread of the eight waits for the others.
    async def with_room():
        from concurrent.futures import ThreadPoolExecutor

        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(8))
        await main()

    arun(with_room())


def test_two_hundred_peers(arun):
    async def main():
        seen = Seen()
        hub = make_hub()
        hub.on_close(seen)
        async with hub:
            peers = [Peer(hub) for _ in range(200)]
            for peer in peers:
                await peer.__aenter__()
            await asyncio.gather(*(peer.subscribe("t") for peer in peers))
            for n in range(20):
                hub.publish("t", {"n": n})
            for peer in peers:
                assert [(await peer.get())["data"]["n"] for _ in range(20)] == list(range(20))
            assert len(hub.peers()) == 200 == hub.statistics()["active_connections"]
            await asyncio.gather(*(peer.ws.close() for peer in peers))
            gone = {(await seen.next())[0].number for _ in peers}
            assert len(gone) == 200 and seen.is_empty()
            assert hub._peers == {}

    arun(main())


# ---- handlers


def test_the_life_of_a_peer(arun):
    async def main():
        seen = {name: Seen() for name in ("connect", "close", "message", "subscribe", "unsubscribe", "topic_idle", "topic_wanted")}
        hub = make_hub()
        for name, handler in seen.items():
            assert getattr(hub, f"on_{name}")(handler) is handler
        async with hub:
            async with Peer(hub, "/ws/stream", additional_headers={"X-Test": "yes"}) as peer:
                first, = await seen["connect"].next()
                assert (first.route, first.target, first.subprotocol) == ("/ws/stream", "/ws/stream", "pulse.v1")
                assert first.address == "127.0.0.1" and first.headers["x-test"] == "yes" and first.state == {}
                await peer.subscribe("t")
                assert await seen["subscribe"].next() == (first, "t")
                assert await seen["topic_wanted"].next() == ("t",)
                for sent, got in (({"type": "order"}, {"type": "order"}), ("[1]", [1]), ("{", "{"), ("plain", "plain"), (b"\x00", b"\x00")):
                    await peer.send(sent)
                    assert await seen["message"].next() == (first, got)
                await peer.send({"type": "unsubscribe", "topics": ["t"]})
                assert await seen["unsubscribe"].next() == (first, "t")
                assert await seen["topic_idle"].next() == ("t",)
            assert await seen["close"].next() == (first, 1000, "")
            async with Peer(hub) as again:
                second, = await seen["connect"].next()
                assert second.number != first.number and again.welcome

    arun(main())


def test_what_a_topic_has(arun):
    async def main():
        async with make_hub() as hub:
            with pytest.raises(pulsews.InvalidArgument):
                hub.snapshot("price")
            for price in ("1.50", "1.60"):
                hub.publish("price", {"type": "price_update", "price": price})
            shown = hub.snapshot("price")
            assert (shown["type"], shown["topic"], shown["offset"]) == ("snapshot", "price", 2)
            assert [item["data"]["price"] for item in shown["items"]] == ["1.50", "1.60"]

    arun(main())


def test_what_a_hub_says_to_one_peer(arun):
    async def main():
        seen = Seen()
        hub = make_hub()
        hub.on_connect(seen)
        left = Seen()
        hub.on_unsubscribe(left)
        async with hub, Peer(hub) as one, Peer(hub) as other:
            first, = await seen.next()
            second, = await seen.next()
            hub.send(first, {"to": "one"})
            second.send("[2]")
            assert await one.get() == {"to": "one"} and await other.get() == [2]
            hub.send(first.number, b"\x01\x02")
            assert await one.text() == b"\x01\x02"
            hub.broadcast("[3]")
            assert await one.get() == await other.get() == [3]
            hub.subscribe(first, "t")
            assert (await one.get())["type"] == "subscribed"
            hub.publish("t", "1")
            assert (await one.get())["data"] == 1
            first.unsubscribe("t")
            assert await left.next() == (first, "t")
            hub.publish("t", "2")
            assert hub.statistics()["messages_offered"] == 1
            hub.close_peer(first, 4003, "enough")
            second.close()
            assert await one.closed() == (4003, "enough") and await other.closed() == (1000, "")
            hub.send(first, "late")  # a peer that is gone gets nothing

    arun(main())


def test_handlers_of_one_peer_run_in_order_and_others_do_not_wait(arun):
    async def main():
        hub = make_hub()
        seen, may_go = Seen(), asyncio.Event()

        @hub.on_message
        async def on_message(peer, message):
            if message == ["wait"]:
                await may_go.wait()
            seen(message)

        @hub.on_close
        def on_close(peer):
            seen("closed")

        async with hub:
            async with Peer(hub) as slow:
                for n in range(50):
                    await slow.send(["wait"] if n == 0 else [n])
                async with Peer(hub) as quick:
                    await quick.send(["quick"])
                    assert await seen.next() == (["quick"],)
                assert await seen.next() == ("closed",)
            assert seen.is_empty()
            may_go.set()
            assert [(await seen.next())[0] for _ in range(51)] == [["wait"], *([n] for n in range(1, 50)), "closed"]

    arun(main())


def test_events_wait_in_the_library_while_handlers_are_at_work(arun, monkeypatch):
    monkeypatch.setattr(_hub_events, "_MOST", 20)

    async def main():
        hub = make_hub()
        may_go, most, count = asyncio.Event(), 0, 0

        @hub.on_message
        async def on_message(peer, message):
            nonlocal most, count
            await may_go.wait()
            most, count = max(most, hub._count), count + 1

        @hub.on_request
        async def on_request(request):
            return "never"

        async with hub, Peer(hub) as peer:
            for n in range(1000):
                await peer.send([n])
            while not hub._is_paused:
                await asyncio.sleep(0)
            assert hub._count == 20
            while hub.statistics()["messages_received"] < 1000:
                await asyncio.sleep(0.01)
            may_go.set()
            while count < 1000:
                await asyncio.sleep(0.01)
            assert most <= 20 and not hub._is_paused and hub._count == 0

    arun(main())


def test_exceptions_in_handlers(arun, caplog):
    async def main():
        hub = make_hub()
        errors, seen = Seen(), Seen()

        @hub.on_connect
        def on_connect(peer):
            raise KeyError("connect")

        @hub.on_message
        async def on_message(peer, message):
            if message == ["bad"]:
                raise ValueError("message")
            seen(message)

        @hub.on_error
        async def on_error(problem, where):
            errors(type(problem), where)
            raise RuntimeError("of on_error itself")

        async with hub, Peer(hub) as peer:
            assert await errors.next() == (KeyError, "on_connect")
            await peer.send(["bad"])
            await peer.send(["good"])
            assert await errors.next() == (ValueError, "on_message")
            assert await seen.next() == (["good"],)
            assert peer.ws.close_code is None

    with caplog.at_level(logging.ERROR, "pulsews"):
        arun(main())
    texts = [record.getMessage() for record in caplog.records]
    assert texts.count("[hub] on_connect failed") == 1 and texts.count("[hub] on_message failed") == 1
    assert texts.count("[hub] on_error failed") == 2


def test_a_slow_peer(arun):
    async def main():
        hub = make_hub(queue_messages=5, slow_policy="disconnect")
        seen = Seen()
        hub.on_slow(lambda peer, lost: seen(peer.route))
        closed = Seen()
        hub.on_close(lambda peer, code: closed(code))
        async with hub, Peer(hub, "/ws/stream?topics=t", max_queue=1, compression=None) as peer:
            peer.ws.transport.pause_reading()
            while seen.is_empty():
                hub.publish("t", {"x": "x" * 20000})
                await asyncio.sleep(0)
            assert await seen.next() == ("/ws/stream",)
            peer.ws.transport.resume_reading()
            assert (await closed.next())[0] == 4008

    arun(main())
