# SPDX-License-Identifier: Apache-2.0
"""One feed from two places, of which one is cut at random again and again: no number is missing, and what it costs is
measured. PULSEWS_TWIN_SECONDS says for how long."""
import json
import os
import random
import time

import pulsews
import pytest
from scripted_server import PATIENCE, Scripted

SECONDS = float(os.environ.get("PULSEWS_TWIN_SECONDS", "5"))
SEED = int(os.environ.get("SEED", "4711"))
FEED = "accept | got 1 | feed ms=1 keys=5 burst=2 size=100"
QUICK = {"login": ["hello"], "reconnect_base_delay": "10ms", "reconnect_max_delay": "50ms", "jitter": 0, "events": True,
         "max_reconnect_attempts": 0, "host_connect_rate": "10000/s"}
NUMBERED = {"sequence_path": "u", "sequence_key": ["s"]}


class Arrivals:
    """When each text came, and whether one is missing or came twice."""

    def __init__(self, ws):
        self.ws, self.at, self.next, self.missing, self.copies = ws, {}, {}, 0, 0

    def take(self, timeout=0.05):
        batch = self.ws.recv_batch(256, timeout=timeout)
        now = time.monotonic_ns()
        for text in batch:
            message = json.loads(text)
            self.at[message["n"]] = now
            key, number = message["s"], message["u"]
            self.missing += max(0, number - self.next.get(key, number))
            self.copies += number < self.next.get(key, number)
            self.next[key] = number + 1

    def take_to_the_end(self, server):
        texts, end = server.quiet(), time.monotonic() + PATIENCE
        while max(self.at) < texts - 1:
            assert time.monotonic() < end
            self.take()

    def latencies(self, server, path):
        """(p50, p99) in microseconds, from the moment when a text was first written, by whichever side."""
        server.command(f"times {path}")
        server.wait("times")
        written = json.loads(path.read_text())
        took = sorted((at - written[n]) / 1000 for n, at in self.at.items() if written[n])
        return took[len(took) // 2], took[len(took) * 99 // 100]


def is_settled(server):
    """Every connection that was made has joined the feed."""
    return server.count("text", "hello") == server.count("request")


@pytest.mark.timeout(2 * SECONDS + 120)
@pytest.mark.parametrize("lag", [0, 15])
def test_one_side_is_cut_at_random(tmp_path, lag):
    alone = Scripted(FEED)
    try:
        with pulsews.connect(alone.url(), **QUICK) as ws:
            single = Arrivals(ws)
            end = time.monotonic() + min(2, SECONDS)
            while time.monotonic() < end:
                single.take()
            single.take_to_the_end(alone)
            before = single.latencies(alone, tmp_path / "alone")
    finally:
        alone.stop()
    dice, cuts = random.Random(SEED), 0
    server = Scripted(f"/path: {FEED}", f"/twin: {FEED} lag={lag}")
    try:
        with pulsews.connect(server.url(), twin=server.url("/twin"), twin_wait="1s", **QUICK, **NUMBERED) as ws:
            twins = Arrivals(ws)
            end = time.monotonic() + PATIENCE
            while not is_settled(server) or ws.statistics()["sides_connected"] < 2 or len(twins.at) < 500:
                assert time.monotonic() < end
                twins.take()
            ws.events()
            twins.missing = 0
            end, due = time.monotonic() + SECONDS, None
            while time.monotonic() < end:
                twins.take()
                if not is_settled(server) or ws.statistics()["sides_connected"] < 2:
                    due = None
                elif due is None:
                    # From here on both are there, and the slower one needs its time to bring what the faster one had then:
                    # whoever is cut before that takes it along.
                    due = time.monotonic() + dice.uniform(0.02, 0.1) + 10 * lag / 1000
                elif time.monotonic() > due:
                    server.command("cut " + dice.choice(["/path", "/twin"]))
                    cuts += 1
                    server.wait("end", cuts)
                    due = None
            twins.take_to_the_end(server)
            counts, events = ws.statistics(), ws.events()
            after = twins.latencies(server, tmp_path / "twins")
    finally:
        server.stop()
    print(f"seed {SEED}, lag {lag} ms: {len(twins.at)} texts, {cuts} cuts, {counts['connections']:.0f} + "
          f"{counts['twin_connections']:.0f} connections; first by the URL {counts['first_by_url']:.0f}, by the twin "
          f"{counts['first_by_twin']:.0f}; from the faster side's write to Python: p50 {after[0]:.0f} us, p99 {after[1]:.0f} us;"
          f" one connection: p50 {before[0]:.0f} us, p99 {before[1]:.0f} us")
    assert cuts >= SECONDS and counts["twin_connections"] > 1 and counts["connections"] > 1
    assert twins.missing == 0 and twins.copies == 0
    assert counts["sequence_gaps"] == counts["sequence_repeats"] == counts["sequence_steps_back"] == 0
    assert not [event for event in events if event["event"] in ("state", "gap")]
    assert [event for event in events if event["event"] == "twin"]
    # Generous: the machine may be busy.
    assert after[0] < before[0] + 20_000
