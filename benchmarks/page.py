# SPDX-License-Identifier: Apache-2.0
"""What the page of bindings/web costs the browser: 200 symbols, each 20 times a second, in Chromium. A part of `make bench`.

    page.py [--symbols 200] [--rate 20] [--seconds 10]

A long task is one of the page's main thread that takes more than 50 ms (Long Tasks API); busy is the time of all tasks there.
Nothing is asserted: the figures are of this machine.
"""
import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "Integration"))
os.environ.setdefault("BUILD", str(ROOT / ".build"))
os.environ.setdefault("PULSEWS_LIBRARY", str(ROOT / "dist" / "libpulsews.so.0"))

from browser import Browser  # noqa: E402
from hub import Hub  # noqa: E402

TOPICS = {"as it comes": {"latest": "true"}, "flush 50 ms, conflated": {"latest": "true", "flush": "50ms", "conflate": "symbol"}}
PARTS = 10  # the symbols take turns
WATCH = """window.longTasks = [];
           new PerformanceObserver((list) => longTasks.push(...list.getEntries().map(({duration}) => duration)))
             .observe({type: "longtask", buffered: false});"""
READY = """const end = performance.now() + 9000;
           const count = () => document.querySelectorAll('.lines .line[data-kind="live"]').length;
           while (count() < 20 && performance.now() < end) await new Promise((done) => requestAnimationFrame(done));
           return count();"""


def free_address():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return "127.0.0.1:%d" % holder.getsockname()[1]


class Publisher(threading.Thread):
    """Publishes each symbol `rate` times a second, spread over the second, until it is told to end."""

    def __init__(self, hub, symbols, rate):
        super().__init__()
        self.hub, self.symbols, self.rate = hub, symbols, rate
        self.over = threading.Event()
        self.turn = 0

    def run(self):
        due = time.monotonic()
        while not self.over.wait(max(0.0, due - time.monotonic())):
            due += 1 / self.rate / PARTS
            self.turn += 1
            for symbol in self.symbols[self.turn % PARTS::PARTS]:
                price = f"{100 + self.turn % 997 / 100:.2f}"
                self.hub.publish(f"price.{symbol}", {"type": "price_update", "symbol": symbol, "price": price})


def metrics(driver):
    return {entry["name"]: entry["value"] for entry in driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]}


def measure(browser, folder, topic, options):
    symbols = [f"S{number:03}" for number in range(options.symbols)]
    (folder / "page" / "page.json").write_text(json.dumps({"symbols": symbols}))
    address = free_address()
    with Hub(address, origin=f"http://{address}", topics={"price.*": topic, "**": {}},
             routes={"/": {"kind": "static", "folder": str(folder)}, "/ws/stream": {}}) as hub:
        publisher = Publisher(hub, symbols, options.rate)
        publisher.start()
        try:
            driver = browser.driver
            driver.get(f"http://{address}/page/")
            if browser.run(READY) == 0:
                sys.exit("page.py: no price has come to the page")
            browser.run(WATCH)
            driver.execute_cdp_cmd("Performance.enable", {})
            before, received, begin = metrics(driver), browser.run("return pulsewsPage.client.statistics().messages"), time.monotonic()
            time.sleep(options.seconds)
            after, span = metrics(driver), time.monotonic() - begin
            received = browser.run("return pulsewsPage.client.statistics().messages") - received
            tasks = browser.run("return longTasks")
        finally:
            publisher.over.set()
            publisher.join()
        driver.get("about:blank")
    busy = {name: (after[name] - before[name]) / span * 100 for name in
            ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration")}
    return {"received": received / span, "tasks": len(tasks), "longest": max(tasks, default=0), "busy": busy}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=200)
    parser.add_argument("--rate", type=float, default=20, help="updates of each symbol a second (20)")
    parser.add_argument("--seconds", type=float, default=10, help="of each measure (10)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made) / "web"
        subprocess.run([ROOT / ".ci" / "page.sh", folder], check=True)
        profile = pathlib.Path(made) / "profile"
        profile.mkdir()
        with Browser(profile) as browser:
            browser.driver.set_window_size(1440, 900)
            rows = {name: measure(browser, folder, topic, options) for name, topic in TOPICS.items()}
    print(f"\n### page: {options.symbols} symbols, each {options.rate:g} times a second, {options.seconds:g} s\n")
    print("| prices | messages/s | long tasks | longest, ms | busy, % | script | style | layout |\n|---" + "|---:" * 7 + "|")
    for name, row in rows.items():
        busy = row["busy"]
        print(f"| {name} | {row['received']:.0f} | {row['tasks']} | {row['longest']:.0f} | {busy['TaskDuration']:.0f} "
              f"| {busy['ScriptDuration']:.0f} | {busy['RecalcStyleDuration']:.0f} | {busy['LayoutDuration']:.0f} |")


main()
