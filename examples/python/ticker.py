# SPDX-License-Identifier: Apache-2.0
"""Subscribes to market streams and prints what arrives, with the one-way latency of each tick. When the connection is
lost it comes back and subscribes again by itself; the summary tells how long the ticks were away.

    python ticker.py wss://localhost:8443/stream --ca ca.pem --seconds 10
"""
import argparse
import json
import logging
import sys
import time

import pulsews

STREAMS = ["btcusdt@bookTicker", "ethusdt@bookTicker", "btcusdt@kline_1m", "ethusdt@kline_1m"]


class Ticker:
    def __init__(self):
        self.last = dict.fromkeys(STREAMS, 0)  # sequence number of each stream's last tick
        self.latencies = []                    # of every tick, in ns
        self.drops = 0
        self.in_order = True
        self.printed = 0
        self.last_ns = 0                       # when the last tick came
        self.restarts = 0                      # streams that began again: on a new connection each counts from 1
        self.before = self.lost_ns = self.back_ns = 0
        self.reconnections = 0

    def tick(self, stream, data, received_ns):
        sequence, delay = data["u"], received_ns - data["ns"]
        if sequence == 1 and self.last[stream]:
            self.restarts += 1
            self.last[stream] = 0
            if not self.back_ns:
                self.before, self.lost_ns, self.back_ns = len(self.latencies), self.last_ns, received_ns
        expected = self.last[stream] + 1
        self.drops += max(0, sequence - expected)
        self.in_order &= sequence == expected
        self.last[stream] = sequence
        self.last_ns = received_ns
        self.latencies.append(delay)
        if received_ns - self.printed >= 200_000_000:  # readable, not complete
            self.printed = received_ns
            what = f"close {data['k']['c']}" if "k" in data else f"bid {data['b']}  ask {data['a']}"
            print(f"{stream:20} {what}  {delay // 1000} us", flush=True)

    def run(self, url, ca_file, seconds):
        with pulsews.connect(url, ca_file=ca_file, name="ticker.py") as ws:
            # Sent now, and again on every connect.
            ws.subscribe("ticker", {"method": "SUBSCRIBE", "params": STREAMS, "id": 1},
                         unsubscribe={"method": "UNSUBSCRIBE", "params": STREAMS, "id": 2})
            end = time.monotonic() + seconds
            leaving = done = False
            while not done:
                left = end - time.monotonic()
                if not leaving and left <= 0:
                    ws.unsubscribe("ticker")  # the answer to it marks the end of the ticks
                    leaving = True
                try:
                    received = ws.recv_message(timeout=5 if leaving else left)
                except TimeoutError:
                    if leaving:
                        raise
                    continue
                message = json.loads(received.data)
                if "data" in message:
                    self.tick(message["stream"], message["data"], received.received_ns)
                elif message.get("id") == 2:
                    done = True
            self.reconnections = int(ws.statistics()["reconnections"])

    def summary(self):
        delays = sorted(self.latencies)

        def percentile(percent):
            return round(delays[(len(delays) - 1) * percent // 100] / 1000, 1) if delays else 0

        return {"language": "Python", "messages": len(delays), "p50_us": percentile(50), "p99_us": percentile(99),
                "drops": self.drops, "in_order": self.in_order, "reconnections": self.reconnections,
                "restarted_streams": self.restarts, "before": self.before or len(delays), "lost_ns": self.lost_ns,
                "back_ns": self.back_ns}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--ca", help="file with the certificates to trust; default: the system's")
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    # The library tells what happens to the connection: lost, why, when it tries again, connected.
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    ticker = Ticker()
    try:
        ticker.run(options.url, options.ca, options.seconds)
        failed = False
    except (pulsews.PulseError, TimeoutError) as error:
        print(f"ticker: {error}", file=sys.stderr)
        failed = True
    print(json.dumps(ticker.summary()), flush=True)
    sys.exit(failed)


main()
