# SPDX-License-Identifier: Apache-2.0
"""The demo: a local exchange over TLS, and one client each in C, Python and Go on it at once, through the same library.

    demo.py --library FOLDER --work FOLDER [--seconds N]       live ticks for about 10 s
    CAPTURE=file [SPEED=n] demo.py ...                          a captured session, n times faster (0: at once)

Exits with 0 only if all three received every message, in order.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
COLOURS = {"C": "36", "Python": "33", "Go": "32"}


class Client:
    """One example program, and what it printed."""

    def __init__(self, language, command, environment, show):
        self.language = language
        self.show = show
        self.summary = None
        self.times = []
        self.process = subprocess.Popen(list(map(str, command)), env=environment, stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                self.summary = json.loads(line)
            else:
                self.show(self, line.rstrip("\n"))

    def wait(self):
        self.reader.join()
        return self.process.wait()


class View:
    """The merged live view: whole lines, each with its language."""

    def __init__(self, capture):
        self.capture = capture
        self.lock = threading.Lock()
        self.shown = {}
        self.colour = sys.stdout.isatty()

    def __call__(self, client, line):
        if self.capture:
            received_ns, _, line = line.partition(" ")
            client.times.append(int(received_ns))
            now = time.monotonic()
            if now - self.shown.get(client, 0) < 0.2:
                return
            self.shown[client] = now
        name = f"{client.language:6}"
        if self.colour:
            name = f"\033[{COLOURS[client.language]}m{name}\033[0m"
        with self.lock:
            print(f"  {name}  {line}", flush=True)


def build(library, work, capture):
    """Compiles the C and the Go client; returns the three commands."""
    environment = dict(os.environ, GOENV="off", GOFLAGS="-mod=mod", GOPROXY="off", GOTOOLCHAIN="local", CGO_ENABLED="1")
    environment.setdefault("GOCACHE", str(work.parent / "go" / "cache"))
    environment.setdefault("GOPATH", str(work.parent / "go" / "path"))
    print("demo: building the C and the Go client", flush=True)
    replay = ROOT / "Tests" / "Integration" / "replay"
    c = replay / "replay.c" if capture else ROOT / "examples" / "c" / "ticker.c"
    go_folder = replay / "go" if capture else ROOT / "examples" / "go" / "ticker"
    python = replay / "replay.py" if capture else ROOT / "examples" / "python" / "ticker.py"
    name = c.stem
    subprocess.run(["gcc", "-O2", c, f"-I{ROOT / 'include'}", f"-L{library}", "-lpulsews", "-lcrypto",
                    "-o", work / f"{name}-c"], check=True)
    subprocess.run([pathlib.Path(sys.executable).parent / "go", "build", "-o", work / f"{name}-go", "."], cwd=go_folder,
                   env=environment, check=True)
    return {"C": [work / f"{name}-c"], "Python": [sys.executable, python], "Go": [work / f"{name}-go"]}


def start_exchange(work, capture):
    """Returns the process and what it says about itself."""
    command = [sys.executable, ROOT / "examples" / "simulator" / "exchange.py", "--with-parent", "--report", work / "report.json"]
    if capture:
        command += ["--capture", capture, "--speed", os.environ.get("SPEED") or "1"]
    process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    if not line:
        sys.exit("demo: the exchange did not start")
    return process, json.loads(line)


def percentile(values, percent):
    ordered = sorted(values)
    return round(ordered[(len(ordered) - 1) * percent // 100] / 1000, 1) if ordered else 0.0


def verdict(client, code, sent, capture):
    """(table row, whether everything arrived in order)."""
    got = client.summary
    if got is None or sent is None:
        return {"messages": 0, "p50_us": 0, "p99_us": 0, "drops": "?"}, False
    if capture:
        delays = [received - at for received, at in zip(client.times, sent["sent_ns"])]
        got.update(p50_us=percentile(delays, 50), p99_us=percentile(delays, 99),
                   in_order=got["sha256"] == sent["sha256"])
    missing = sent["messages"] - got["messages"]
    return dict(got, drops=missing), code == 0 and got["in_order"] and missing == 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", type=pathlib.Path, required=True, help="folder of libpulsews.so")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for what is built here")
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    capture = os.environ.get("CAPTURE")
    options.work.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ, PULSEWS_LIBRARY=str(options.library / "libpulsews.so.0"),
                       LD_LIBRARY_PATH=str(options.library), PYTHONPATH=str(ROOT / "bindings" / "python"),
                       PYTHONDONTWRITEBYTECODE="1")
    commands = build(options.library, options.work, capture)
    exchange, ready = start_exchange(options.work, capture)
    clients = []
    try:
        print(f"demo: {'replay of ' + capture if capture else 'live market'} at {ready['url']}, three clients", flush=True)
        show = View(capture)
        for language, command in commands.items():
            mode = ["--times"] if capture else ["--seconds", options.seconds]
            url = f"{ready['url']}/stream?client={language}"
            clients.append(Client(language, [*command, *mode, "--ca", ready["ca_file"], url], environment, show))
        codes = [client.wait() for client in clients]
    finally:
        for client in clients:
            client.process.kill()
        exchange.terminate()
        exchange.wait()
    sent = {each["client"]: each for each in json.loads((options.work / "report.json").read_text())["connections"]}

    print(f"\n{'language':10}{'messages':>10}{'sent':>10}{'p50 us':>10}{'p99 us':>10}{'drops':>8}  in order")
    good = True
    for client, code in zip(clients, codes):
        row, whole = verdict(client, code, sent.get(client.language), capture)
        good &= whole
        total = sent[client.language]["messages"] if client.language in sent else 0
        print(f"{client.language:10}{row['messages']:>10}{total:>10}{row['p50_us']:>10}{row['p99_us']:>10}"
              f"{row['drops']:>8}  {'yes' if whole else 'NO'}")
    sys.exit(0 if good else "demo: not every message arrived in order")


main()
