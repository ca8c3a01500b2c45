# SPDX-License-Identifier: Apache-2.0
"""A screen that is slower than its feed: twice a second it shows what waits, which is never much, and has the latest
tick of each stream. The preset knows the exchange; connections are replaced before the exchange ends them.

    python screen.py wss://stream.binance.com:9443/stream 10 btcusdt@bookTicker,ethusdt@bookTicker [OPTION=VALUE ...]
"""
import sys
import time

import pulsews

if len(sys.argv) < 4:
    sys.exit("usage: screen.py URL SECONDS STREAM,STREAM... [OPTION=VALUE ...]")
url, seconds, streams = sys.argv[1:4]
options = dict(argument.split("=", 1) for argument in sys.argv[4:])
try:
    with pulsews.connect(url, preset="binance-spot", receive_queue_policy="conflate", receive_queue_bytes="4KiB",
                         events=True, **options) as ws:
        for stream in streams.split(","):
            ws.subscribe(stream)  # the preset has the text
        ws.wait_ready(timeout=30)
        end = time.monotonic() + float(seconds)
        while time.monotonic() < end:
            time.sleep(0.5)
            while batch := ws.recv_batch(timeout=0):
                print(*batch, sep="\n")
            for event in ws.events():
                print("event", event)
            print("--", flush=True)
        stats = ws.statistics()
        print("received {messages_received:.0f}, conflated {receive_conflated:.0f}, rotations {rotations:.0f}, copies "
              "{duplicates_discarded:.0f}, repeats {sequence_repeats:.0f}, steps back {sequence_steps_back:.0f}"
              .format(**stats))
except (pulsews.PulseError, TimeoutError) as error:
    sys.exit(f"screen: {error}")
