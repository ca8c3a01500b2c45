# SPDX-License-Identifier: Apache-2.0
"""picows on uvloop, each message taken as str."""

import asyncio
import ssl
from time import monotonic_ns

import picows
import uvloop
from bench import BURST, WARM_UP, Task, resident_kib

TEXT, CLOSE = picows.WSMsgType.TEXT, picows.WSMsgType.CLOSE


class Receiver(picows.WSListener):
    received = 0

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type == TEXT:
            frame.get_payload_as_utf8_text()
            self.received += 1
        elif frame.msg_type == CLOSE:
            transport.disconnect()


class Repeater(picows.WSListener):
    """Sends `group` messages and, when as many have come back, the next ones."""

    def __init__(self, task: Task, group: int, warm_up: int) -> None:
        self.task, self.group, self.index, self.left = task, group, -warm_up, group
        self.text, self.times = b"a" * task.size, []

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self.task.start()
        self.step(transport)

    def step(self, transport: picows.WSTransport) -> None:
        self.before = monotonic_ns()
        for _ in range(self.group):
            transport.send(TEXT, self.text)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        frame.get_payload_as_utf8_text()
        self.left -= 1
        if self.left:
            return
        if self.index >= 0:
            self.times.append(monotonic_ns() - self.before)
        self.left, self.index = self.group, self.index + 1
        if self.index == 0:
            self.task.start()
        if self.index == self.task.count:
            self.task.done(self.task.count, self.times)
        self.step(transport)


class Sender(picows.WSListener):
    def __init__(self) -> None:
        self.room, self.confirmed = asyncio.Event(), asyncio.Event()
        self.room.set()
        self.full = False

    def pause_writing(self) -> None:
        self.full = True
        self.room.clear()

    def resume_writing(self) -> None:
        self.full = False
        self.room.set()

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        self.confirmed.set()


async def run(task: Task) -> None:
    context = ssl.create_default_context(cafile=task.ca) if task.secure else None

    async def connect(listener):
        return await picows.ws_connect(listener, task.url, ssl_context=context)

    if task.measure in ("flood", "flood-one"):
        transport, receiver = await connect(Receiver)
        task.start()
        await transport.wait_disconnected()
        task.done(receiver.received)
    elif task.measure == "echo":
        transport, _ = await connect(lambda: Repeater(task, 1, WARM_UP))
        await transport.wait_disconnected()
    elif task.measure == "burst":
        transport, _ = await connect(lambda: Repeater(task, BURST, 0))
        await transport.wait_disconnected()
    elif task.measure == "sink":
        transport, sender = await connect(Sender)
        text, send = b"a" * task.size, transport.send
        task.start()
        for _ in range(task.count):
            send(TEXT, text)
            if sender.full:
                await sender.room.wait()
        await sender.confirmed.wait()
        task.done(task.count)
    elif task.measure == "connect":
        times = []
        task.start()
        for _ in range(task.count):
            before = monotonic_ns()
            transport, _ = await connect(picows.WSListener)
            times.append(monotonic_ns() - before)
            transport.disconnect()
            await transport.wait_disconnected()
        task.done(task.count, times)
    elif task.measure == "idle":
        all_of_them = [await connect(picows.WSListener)]
        first = resident_kib()
        for _ in range(task.count - 1):
            all_of_them.append(await connect(picows.WSListener))
        task.idle(first, resident_kib())
    raise SystemExit("unknown measure, or the connection ended")


uvloop.run(run(Task()))
