# SPDX-License-Identifier: Apache-2.0
"""The event loop has its turn, however many messages wait and whatever callbacks do."""

import asyncio
import logging
import signal
import time

import pulsews
import pytest
from conftest import until
from station import FAST

COUNT, WORK = 200, 0.005


class Turns:
    """Counts how many messages were handled between two turns of the event loop."""

    def __init__(self):
        self.handled = 0
        self.most = 0
        self._before = 0

    def look(self):
        self.most = max(self.most, self.handled - self._before)
        self._before = self.handled

    async def watch(self):
        while True:
            self.look()
            await asyncio.sleep(0)

    def handle(self, message=None):
        time.sleep(WORK)
        self.handled += 1


async def all_there(ws):
    while ws.statistics()["messages_received"] < COUNT:
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("call", ["iterator", "recv", "recv_message", "recv_batch"])
def test_waiting_messages_do_not_keep_the_event_loop(arun, station, call):
    station.greeting = lambda session: [str(number) for number in range(COUNT)]
    turns = Turns()

    async def receive(ws):
        if call == "iterator":
            async for message in ws:
                turns.handle()
                if message == str(COUNT - 1):
                    return
        while turns.handled < COUNT:
            if call == "recv_batch":
                for _ in await ws.recv_batch(1):
                    turns.handle()
            else:
                await getattr(ws, call)()
                turns.handle()

    async def main():
        async with pulsews.aio.connect(station.url(), **FAST) as ws:
            await all_there(ws)
            watcher = asyncio.ensure_future(turns.watch())
            await receive(ws)
            turns.look()
            watcher.cancel()
        assert turns.handled == COUNT and turns.most <= 3

    arun(main())


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_callbacks_do_not_keep_the_event_loop(arun, station, kind):
    turns = Turns()

    async def handle(message):
        turns.handle()

    async def main():
        callback = turns.handle if kind == "plain" else handle
        async with pulsews.WebSocketManager(station.url(), on_message=callback, **FAST):
            watcher = asyncio.ensure_future(turns.watch())
            session = await asyncio.to_thread(station.session, 0)
            for number in range(COUNT):
                session.send(str(number))
            await until(lambda: turns.handled == COUNT)
            turns.look()
            watcher.cancel()
        assert turns.most <= 3

    arun(main())


def test_what_is_fast_is_not_slowed_down(arun, station):
    """Giving way is for what takes long: 20,000 messages do not need 20,000 turns."""
    station.greeting = lambda session: ["x"] * 20_000
    turns = []

    async def main():
        async with pulsews.aio.connect(station.url(), **FAST) as ws:
            while ws.statistics()["messages_received"] < 20_000:
                await asyncio.sleep(0.005)

            async def watch():
                while True:
                    turns.append(1)
                    await asyncio.sleep(0)

            watcher = asyncio.ensure_future(watch())
            for _ in range(20_000):
                await ws.recv()
            watcher.cancel()
        assert len(turns) < 2_000

    arun(main())


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_callback_that_keeps_the_loop_is_counted_and_named(arun, station, caplog, kind):
    def slow_handler(message):
        time.sleep(0.12)

    async def slow_coroutine(message):
        await asyncio.sleep(0.12)  # this is no fault
        time.sleep(0.12)
        await asyncio.sleep(0)

    handler = slow_handler if kind == "plain" else slow_coroutine

    async def main():
        async with pulsews.WebSocketManager(station.url(), on_message=handler, name="mine", **FAST) as manager:
            session = await asyncio.to_thread(station.session, 0)
            for text in ("a", "b", "c"):
                session.send(text)
            await until(lambda: manager.get_status()["slow_callbacks"] >= 3)
            status = manager.get_status()
            assert status["slow_callbacks"] == 3 and 0.12 <= status["slowest_callback"] < 5
        # One line for all of them.
        lines = [record.getMessage() for record in caplog.records if "kept the event loop" in record.getMessage()]
        assert len(lines) == 1 and "on_message" in lines[0] and handler.__name__ in lines[0] and "mine" in lines[0]
        assert [record.levelno for record in caplog.records if "kept" in record.getMessage()] == [logging.WARNING]

    arun(main())


def test_an_exception_and_a_result_pass_through_the_steps(arun):
    from pulsews._callbacks import Steps

    async def fine(value):
        await asyncio.sleep(0)
        return value

    async def bad():
        await asyncio.sleep(0)
        raise KeyError("x")

    async def cancelled():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            return "cleaned up"

    async def main():
        times = []
        assert await Steps(fine(5), times.append) == 5 and len(times) == 2
        future = asyncio.get_running_loop().create_future()
        future.set_result("there")
        assert await Steps(future, times.append) == "there"
        with pytest.raises(KeyError):
            await Steps(bad(), times.append)

        async def outer():
            return await Steps(cancelled(), times.append)

        task = asyncio.ensure_future(outer())
        await asyncio.sleep(0)
        task.cancel()
        assert await task == "cleaned up"

    arun(main())


PROGRAM = """
import asyncio, sys, time, pulsews
async def main():
    def handle(message):
        if message == "0": print("handling", flush=True)
        time.sleep(0.02)
    if sys.argv[2] == "manager":
        async with pulsews.WebSocketManager(sys.argv[1], on_message=handle) as manager:
            await manager.wait_closed()
    else:
        async with pulsews.aio.connect(sys.argv[1]) as ws:
            async for message in ws: handle(message)
try: asyncio.run(main())
except KeyboardInterrupt: print("interrupted", flush=True)
"""


@pytest.mark.parametrize("what", ["client", "manager"])
def test_control_c_ends_a_busy_asyncio_program(python, station, what):
    station.greeting = lambda session: [str(number) for number in range(1000)]  # 20 s of work
    process = python(PROGRAM, station.url(), what)
    assert process.stdout.readline() == "handling\n"
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=30)
    assert out == "interrupted\n", error
    assert time.monotonic() - start < 3  # with the end of the interpreter, on a busy machine
