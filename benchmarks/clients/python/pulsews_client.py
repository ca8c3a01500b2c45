# SPDX-License-Identifier: Apache-2.0
"""PulseWS from Python: the blocking client, or asyncio with the variant "aio"."""

import asyncio
import os
import sys
from time import monotonic_ns

from bench import BURST, WARM_UP, Task, resident_kib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../bindings/python"))
import pulsews
import pulsews.aio

BATCH = 1024


def options_of(task: Task) -> dict:
    """One connection, no pacing, and a send that waits for room: what the other clients do, too."""
    options = {"compression": False, "reconnect": False, "message_queue_policy": "block",
               "host_connect_rate": "100000/s"}
    if task.secure:
        options["ca_file"] = task.ca
    if task.measure == "patterns":
        options.update(heartbeat_reply={"type": "pong"}, stale_timeout=30)
    return options


def idle(task: Task, options: dict) -> None:
    clients = [pulsews.connect(task.url, **options)]
    first = resident_kib()
    clients += [pulsews.connect(task.url, **options) for _ in range(task.count - 1)]
    task.idle(first, resident_kib())


def connect(task: Task, options: dict) -> None:
    times = []
    task.start()
    for _ in range(task.count):
        before = monotonic_ns()
        client = pulsews.connect(task.url, **options)
        times.append(monotonic_ns() - before)
        client.close()
    task.done(task.count, times)


def flood(task: Task, client: pulsews.Client) -> None:
    received = 0
    try:
        while True:
            received += len(client.recv_batch(BATCH))
    except pulsews.ConnectionClosed:
        task.done(received)


def flood_one(task: Task, client: pulsews.Client) -> None:
    received, receive = 0, client.recv
    try:
        while True:
            receive()
            received += 1
    except pulsews.ConnectionClosed:
        task.done(received)


def echo(task: Task, client: pulsews.Client) -> None:
    text, times = "a" * task.size, []
    for i in range(-WARM_UP, task.count):
        if i == 0:
            task.start()
        before = monotonic_ns()
        client.send(text)
        client.recv()
        if i >= 0:
            times.append(monotonic_ns() - before)
    task.done(task.count, times)


def sink(task: Task, client: pulsews.Client) -> None:
    text = "a" * task.size
    writes = client.status()["stats"].get("writes", 0)
    for _ in range(task.count):
        client.send(text)
    client.recv()
    task.done(task.count, writes=client.status()["stats"].get("writes", 0) - writes)


def burst(task: Task, client: pulsews.Client) -> None:
    text, times = "a" * task.size, []
    for _ in range(task.count):
        before = monotonic_ns()
        for _ in range(BURST):
            client.send(text)
        left = BURST
        while left:
            left -= len(client.recv_batch(left))
        times.append(monotonic_ns() - before)
    task.done(task.count, times)


async def publish(task: Task) -> None:
    text, hub = b'"%s"' % (b"a" * (task.size - 2)), pulsews.Hub()
    hub.topic("price.*")
    await hub.start()
    call = hub.publish
    task.start()
    for _ in range(task.count):
        call("price.SOL", text, "SOL")
    task.done(task.count)


def blocking(task: Task) -> None:
    options = options_of(task)
    if task.measure == "idle":
        idle(task, options)
    if task.measure == "connect":
        connect(task, options)
    measures = {"flood": flood, "patterns": flood, "flood-one": flood_one, "echo": echo, "sink": sink, "burst": burst}
    if task.measure == "publish":
        asyncio.run(publish(task))
    if task.measure in measures:
        client = pulsews.connect(task.url, **options)
        task.start()
        measures[task.measure](task, client)


async def asynchronous(task: Task) -> None:
    options = options_of(task)
    text, times, received = "a" * task.size, [], 0
    client = await pulsews.aio.connect(task.url, **options)
    task.start()
    if task.measure in ("flood", "patterns"):
        try:
            while True:
                received += len(await client.recv_batch(BATCH))
        except pulsews.ConnectionClosed:
            task.done(received)
    elif task.measure == "flood-one":
        try:
            while True:
                await client.recv()
                received += 1
        except pulsews.ConnectionClosed:
            task.done(received)
    elif task.measure == "echo":
        for i in range(-WARM_UP, task.count):
            if i == 0:
                task.start()
            before = monotonic_ns()
            await client.send(text)
            await client.recv()
            if i >= 0:
                times.append(monotonic_ns() - before)
        task.done(task.count, times)


task = Task()
if task.variant == "aio":
    asyncio.run(asynchronous(task))
else:
    blocking(task)
sys.exit("unknown measure")
