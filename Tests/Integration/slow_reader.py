# SPDX-License-Identifier: Apache-2.0
"""slow_reader.py URL POLICY SECONDS QUEUE-BYTES: reads 200 messages a second for so long, prints a line when that is over,
waits for a line with the number of texts the feed had, reads the rest, and prints what it has seen as one line of JSON."""
import json
import pathlib
import sys
import time

import pulsews

PAGE = 4096


def memory():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * PAGE


class Reader:
    def __init__(self, ws):
        self.ws, self.taken, self.highest, self.last, self.holes, self.values = ws, 0, -1, -1, 0, {}
        self.out_of_order, self.told, self.states = 0, 0, []

    def take(self, count, timeout):
        batch = self.ws.recv_batch(count, timeout=timeout)
        for text in batch:
            message = json.loads(text)
            self.taken += 1
            self.out_of_order += message["n"] <= self.last
            self.holes += message["n"] != self.last + 1
            self.last = message["n"]
            self.values[message["s"]] = message["u"]
        for event in self.ws.events():
            if event["event"] == "receive_dropped":
                self.told += event["messages"]
            if event["event"] == "state":
                self.states.append(event["error"])
        return len(batch)


def main():
    url, policy, seconds, limit = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]
    with pulsews.connect(url, receive_queue_policy=policy, receive_queue_bytes=limit, key_path=["s"], events=True,
                         compression=False, reconnect_base_delay="10ms", jitter=0, max_reconnect_attempts=0) as ws:
        reader = Reader(ws)
        while reader.taken < 100:
            reader.take(100, 10)
        before = highest = memory()
        queue_highest = 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            reader.take(10, 0)
            highest = max(highest, memory())
            queue_highest = max(queue_highest, ws.statistics()["receive_queue_bytes"])
            time.sleep(0.05)
        slow = reader.taken
        print("rested", flush=True)
        texts = int(sys.stdin.readline())
        end = time.monotonic() + 60
        while time.monotonic() < end:
            count = reader.take(1000, 0.2)
            highest = max(highest, memory())
            counts = ws.statistics()
            is_all = reader.last == texts - 1 or policy == "disconnect"
            told = reader.told == counts["receive_dropped"] + counts["receive_conflated"]
            if count == 0 and is_all and told and counts["receive_queue_size"] == 0 and counts["connected"] == 1:
                break
        counts = ws.statistics()
    wanted = ("messages_received", "receive_dropped", "receive_conflated", "slow_disconnects", "reading_pauses", "events_dropped",
              "connections", "receive_queue_bytes_high")
    print(json.dumps({"memory": before, "growth": highest - before, "queue": queue_highest, "slow": slow, "taken": reader.taken,
                      "last": reader.last, "holes": reader.holes, "out_of_order": reader.out_of_order, "told": reader.told,
                      "values": reader.values, "states": reader.states, "counts": {name: counts[name] for name in wanted}}))


main()
