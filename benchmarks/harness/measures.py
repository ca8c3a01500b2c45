# SPDX-License-Identifier: Apache-2.0
"""What is measured, of whom, and what is to be reached."""

from dataclasses import dataclass, field
from typing import Callable, Optional

EVERYBODY = ("raw C", "Beast", "PulseWS C", "picows", "PulseWS Python", "gorilla", "PulseWS Go")
ASYNC = "PulseWS Python aio"


@dataclass(frozen=True)
class Measure:
    title: str
    task: str  # the client's word for it
    path: str  # {count} and {size} stand for numbers
    columns: tuple
    clients: tuple = EVERYBODY
    secure: bool = False
    size: int = 128
    count: int = 0  # 0: as many as take the time that was asked for
    first: int = 20000  # to find out how many those are
    most: int = 40_000_000
    preload: bool = False
    baseline: str = "raw C"
    against: str = ""  # a measure that each round is followed by, as "plain" in the result


def rate(r: dict) -> float:
    return r["messages"] / max(r["seconds"], 1e-9)


def cpu_ns(r: dict) -> float:
    return r["cpu"] * 1e9 / r["messages"]


def writes(r: dict) -> Optional[float]:
    return r["writes"] / r["messages"] if "writes" in r else None


def get(key: str) -> Callable[[dict], Optional[float]]:
    return lambda r: r.get(key)


RATE = ("messages/s", rate, "{:,.0f}")
CPU = ("CPU ns per message", cpu_ns, "{:,.1f}")
CPU_US = ("CPU us each", lambda r: cpu_ns(r) / 1e3, "{:,.1f}")
P50 = ("p50 us", get("p50_us"), "{:,.1f}")
P99 = ("p99 us", get("p99_us"), "{:,.1f}")
WRITES = ("write calls per message", writes, "{:.4f}")
BURST_WRITES = ("write calls per 64 messages", writes, "{:.2f}")
MEMORY = ("KiB per connection", get("kib_each"), "{:,.2f}")
RATE_TO_PLAIN = ("messages/s, x flood", lambda r: rate(r) / rate(r["plain"]), "{:.2f}")
CPU_TO_PLAIN = ("CPU, x flood", lambda r: cpu_ns(r) / cpu_ns(r["plain"]), "{:.2f}")
CPU_MORE = ("CPU ns more than sink", lambda r: cpu_ns(r) - cpu_ns(r["plain"]), "{:,.1f}")
DRAIN = ("drained, messages/s", lambda r: r["messages"] / max(r["drain_seconds"], 1e-9), "{:,.0f}")
DRAIN_CPU = ("CPU ns to drain one", lambda r: r["drain_cpu"] * 1e9 / r["messages"], "{:,.1f}")
ALLOCATIONS = ("allocations", get("allocations"), "{:,.0f}")

FLOOD = "/flood?size={size}&count={count}"
MEASURES = {
    "flood": Measure("Receive 128-byte texts, in batches where there are any", "flood", FLOOD, (RATE, CPU), EVERYBODY + (ASYNC,)),
    "flood-one": Measure("The same, one call for each message", "flood-one", FLOOD, (RATE, CPU), EVERYBODY + (ASYNC,)),
    "flood-1k": Measure("Receive 1,024-byte texts", "flood", FLOOD, (RATE, CPU), size=1024),
    "flood-tls": Measure("Receive 128-byte texts over TLS", "flood", FLOOD, (RATE, CPU), secure=True),
    "allocations": Measure("Allocations between message 100,000 and message 1,000,000", "flood", FLOOD, (ALLOCATIONS,),
                           ("PulseWS C",), count=1_100_000, preload=True),
    "allocations-one": Measure("The same, one call for each message", "flood-one", FLOOD, (ALLOCATIONS,),
                               ("PulseWS C",), count=1_100_000, preload=True),
    "echo": Measure("Round trip of 128 bytes", "echo", "/echo", (P50, P99, CPU_US), EVERYBODY + (ASYNC,), first=1000, most=50_000),
    "sink": Measure("Send 128-byte texts, one call each", "sink", "/sink?count={count}", (RATE, CPU, WRITES)),
    "journal": Measure("Send 128-byte texts, one call each, with a journal", "journal", "/sink?count={count}",
                       (RATE, CPU, CPU_MORE, WRITES), ("PulseWS C",), against="sink"),
    "burst": Measure("Send 64 in a row, receive their 64 echoes", "burst", "/echo", (P50, P99, CPU_US, BURST_WRITES),
                     first=200, most=20_000),
    "connect": Measure("Connect until open", "connect", "/idle", (P50, P99, CPU_US), count=200),
    "queue": Measure("Accept 128-byte texts before there is a connection, then connect and send them", "queue",
                     "/sink?count={count}", (RATE, CPU, DRAIN, DRAIN_CPU), ("PulseWS C",), most=2_000_000),
    "patterns": Measure("Receive 128-byte texts, each of which is looked at: heartbeat_reply and stale_timeout are set",
                        "patterns", FLOOD, (RATE, CPU, RATE_TO_PLAIN, CPU_TO_PLAIN), ("PulseWS C", "PulseWS Python"),
                        against="flood"),
    "publish": Measure("Publish ready JSON of 128 bytes to a hub of the process that has no peer, one call each", "publish", "/idle",
                       (RATE, CPU), ("PulseWS C", "PulseWS Python", "PulseWS Go"), baseline="PulseWS C"),
    "idle": Measure("1,000 idle connections", "idle", "/idle", (MEMORY,), count=1000),
}


@dataclass(frozen=True)
class Goal:
    """Holds when the value is at least, or at most, the bound. With `other` the value is a ratio to that client, taken
    round by round, so that what disturbs both does not count."""

    text: str
    measure: str
    client: str
    value: Callable[[dict], Optional[float]]
    bound: float
    at_least: bool = False
    other: str = field(default="")


GOALS = (
    Goal("C recv_batch, rate to Beast's", "flood", "PulseWS C", rate, 3, True, "Beast"),
    Goal("C recv_batch, CPU ns per message", "flood", "PulseWS C", cpu_ns, 50),
    Goal("Python recv_batch, rate to picows's", "flood", "PulseWS Python", rate, 2, True, "picows"),
    Goal("Go RecvBatch, rate to gorilla's", "flood", "PulseWS Go", rate, 1.5, True, "gorilla"),
    Goal("echo p50, to raw C's", "echo", "PulseWS C", get("p50_us"), 1.1, False, "raw C"),
    Goal("echo p99, to raw C's", "echo", "PulseWS C", get("p99_us"), 1.1, False, "raw C"),
    Goal("echo CPU, to raw C's", "echo", "PulseWS C", cpu_ns, 1.1, False, "raw C"),
    Goal("Python hub.publish, CPU ns per message", "publish", "PulseWS Python", cpu_ns, 2000),
    Goal("Go Hub.Publish, CPU ns per message", "publish", "PulseWS Go", cpu_ns, 1000),
    Goal("write calls for 64 messages that are ready together", "burst", "PulseWS C", writes, 8),
    Goal("allocations in 900,000 messages, recv_batch", "allocations", "PulseWS C", get("allocations"), 0),
    Goal("allocations in 900,000 messages, recv", "allocations-one", "PulseWS C", get("allocations"), 0),
)
