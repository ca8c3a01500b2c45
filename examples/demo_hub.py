# SPDX-License-Identifier: Apache-2.0
"""The part of the demo that is served: `pulsews-hub --demo`, and a client of its hub in Python."""
import json
import os
import selectors
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pulsews

SYMBOLS = ["BTC", "ETH", "SOL", "BNB", "XRP", "DOGE", "ADA", "AVAX", "LINK", "DOT", "LTC", "TRX"]


class Hub:
    """`pulsews-hub --demo`: an exchange of its own, a hub with a feed to it, and the page."""

    language = "Hub"

    def __init__(self, folder, show):
        self.process = subprocess.Popen([folder / "pulsews-hub", "--demo", "--page", folder / "web"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.show = show
        self.readers = [threading.Thread(target=self.read_log)]
        self.readers[0].start()
        self.page = None
        for line in self.process.stdout:
            if self.page is None:
                self.page = line.split()[-1]  # the first line ends with the address
            if line.startswith("Ctrl-C"):     # and this is the last one
                break
        else:
            self.stop()
            sys.exit("demo: the hub did not start")

    def read_log(self):
        for line in self.process.stderr:
            if " info " not in line:
                self.show.log(self, line.rstrip("\n"))

    def status_of_page(self):
        """The HTTP status of the page, or why there is none."""
        try:
            with urllib.request.urlopen(f"{self.page}page/", timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as problem:
            with problem:
                return problem.code
        except OSError as problem:
            return str(problem)

    def wait_for_the_user(self):
        """Until Enter, Ctrl-C, or the end of the hub."""
        try:
            print(f"\ndemo: hub and page stay: {self.page}\n      Enter or Ctrl-C ends them.", flush=True)
            self.wait_for(sys.stdin)
        except KeyboardInterrupt:
            self.wait_for(timeout=5)  # the hub has it from the terminal, too, and a second signal would cut it

    def wait_for(self, *files, timeout=None):
        """Until one can be read, or the hub has ended."""
        end = os.pidfd_open(self.process.pid)
        try:
            with selectors.DefaultSelector() as selector:
                for file in (end, *files):
                    selector.register(file, selectors.EVENT_READ)
                selector.select(timeout)
        finally:
            os.close(end)

    def stop(self):
        """The exit code."""
        self.process.terminate()
        code = self.process.wait()
        for reader in self.readers:
            reader.join()
        return code


class Watcher:
    """A client of the hub, in Python: all prices and candles, and whether they came whole and in order."""

    language = "Hub"

    def __init__(self, hub, show):
        self.show, self.shown = show, 0
        self.messages = self.closed = self.gaps = 0
        self.last = {}        # topic -> the offset up to which nothing is missing
        self.candles = set()  # topic and open time
        self.failure = None
        url = hub.page.replace("http://", "ws://") + "ws/stream"
        self.client = pulsews.connect(url, resume=True, name="demo.py")
        for symbol in SYMBOLS:
            self.client.subscribe(f"price.{symbol}")
            self.client.subscribe(f"candle.{symbol}.1m")
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            for text in self.client:
                self.take(json.loads(text))
        except pulsews.ConnectionClosed:  # by stop()
            pass
        except pulsews.PulseError as problem:
            self.failure = str(problem)

    def take(self, message):
        kind, topic = message["type"], message.get("topic")
        if "o" not in message:
            if kind in ("subscribed", "snapshot"):
                self.last[topic] = message["offset"]
            self.gaps += kind == "gap"
            for item in message.get("items", []) if kind == "snapshot" else []:
                self.count(item["data"])
            return
        self.gaps += message["p"] != self.last.get(topic)
        self.last[topic] = message["o"]
        self.count(message["data"])

    def count(self, data):
        self.messages += 1
        if data["type"] == "candle":
            self.candles.add((data["symbol"], data["start"]))
            self.closed += data["closed"]
            what = f"candle.{data['symbol']}.{data['interval']}"
            value = f"close {data['close']}"
        else:
            what, value = f"price.{data['symbol']}", data["price"]
        now = time.monotonic()
        if now - self.shown >= 0.5:  # readable, not complete
            self.shown = now
            self.show.log(self, f"{what:20} {value}")

    def stop(self):
        self.client.close()
        self.thread.join()

    def judge(self, page):
        """(line of the summary, whether the hub served all)."""
        good = self.messages > 0 and len(self.candles) > 0 and self.gaps == 0 and self.failure is None and page == 200
        line = (f"Hub: {self.messages} messages of {len(self.last)} topics, {self.gaps} gaps; {len(self.candles)} candles, "
                f"{self.closed} closed; the page: {page}")
        return line + (f"; {self.failure}" if self.failure else ""), good
