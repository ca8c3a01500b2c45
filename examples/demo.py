# SPDX-License-Identifier: Apache-2.0
"""The demo: a local exchange over TLS, and one client each in C, Python and Go on it at once, through the same library.
In the middle the exchange is killed, and started again. Beside them a hub serves a page and a client from a feed of its own.

    demo.py --library FOLDER --work FOLDER [--seconds N]       live ticks for about 12 s
    CAPTURE=file [SPEED=n] demo.py ...                          a captured session, n times faster (0: at once), without a hub

FOLDER of the library has the daemon and its page, too. Exits with 0 only if all three received every message, in order, and
came back and subscribed again by themselves, and the hub served its page, prices and candles without a gap. On a terminal
hub and page stay until Enter or Ctrl-C.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
COLOURS = {"C": "36", "Python": "33", "Go": "32", "Hub": "35"}
STREAMS = 4        # that each client subscribes to
BEFORE_KILL = 3.0  # seconds of ticks in all three
OUTAGE = 1.0       # seconds without an exchange, besides the time that it takes to start


class Client:
    """One example program, and what it printed."""

    def __init__(self, language, command, environment, show):
        self.language = language
        self.show = show
        self.summary = None
        self.times = []
        self.ticks = threading.Event()  # the first one came
        self.process = subprocess.Popen(list(map(str, command)), env=environment, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.readers = [threading.Thread(target=reader) for reader in (self.read, self.read_log)]
        for reader in self.readers:
            reader.start()

    def read(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                self.summary = json.loads(line)
            else:
                self.show(self, line.rstrip("\n"))

    def read_log(self):
        for line in self.process.stderr:
            self.show.log(self, line.rstrip("\n"))

    def wait(self, seconds):
        """The exit code; that of a process that was killed if it takes longer."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            for reader in self.readers:
                reader.join()


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
        client.ticks.set()
        self.log(client, line)

    def log(self, client, line):
        name = f"{client.language:6}"
        if self.colour:
            name = f"\033[{COLOURS[client.language]}m{name}\033[0m"
        with self.lock:
            print(f"  {name}  {line}", flush=True)


def build(library, work, capture):
    """Compiles the C and the Go client; the three commands."""
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


class Exchange:
    """The simulator, which can be killed and started again for the same clients."""

    def __init__(self, work, capture):
        self.report = work / "report.json"
        self.report.unlink(missing_ok=True)
        certificates = work / "certificates"
        shutil.rmtree(certificates, ignore_errors=True)  # old ones may have run out
        self.command = [sys.executable, ROOT / "examples" / "simulator" / "exchange.py", "--with-parent", "--report",
                        self.report, "--certificates", certificates]
        if capture:
            self.command += ["--capture", capture, "--speed", os.environ.get("SPEED") or "1"]
        self.spare = self.run("--port", "0")
        self.start()
        if not capture:  # on a busy machine Python takes its time to begin, and the clients wait ever longer
            self.spare = self.run("--port", self.port, "--standby")

    def run(self, *more):
        return subprocess.Popen([*map(str, (*self.command, *more))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self):
        self.process, self.spare = self.spare, None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit("demo: the exchange did not start")
        said = json.loads(line)
        self.url, self.ca_file, self.port = said["url"], said["ca_file"], said["port"]

    def kill(self):
        """kill -9, as a machine dies: no close frame, no report."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """What it has sent: client -> its connections."""
        if self.spare:
            self.spare.kill()
            self.spare.wait()
        self.process.terminate()
        self.process.wait()
        connections = {}
        if self.report.exists():
            for each in json.loads(self.report.read_text())["connections"]:
                connections.setdefault(each["client"], []).append(each)
        return connections


def fail_once(exchange, clients):
    """Kills the exchange while ticks flow, and starts it again. Returns when it was back, in ns since 1970."""
    for client in clients:
        if not client.ticks.wait(10):
            print(f"demo: no tick in {client.language} yet", flush=True)
    time.sleep(BEFORE_KILL)
    print(f"demo: kill -9 {exchange.process.pid}, the exchange", flush=True)
    exchange.kill()
    time.sleep(OUTAGE)
    exchange.start()
    back_ns = time.time_ns()
    print(f"demo: the exchange is back, with pid {exchange.process.pid}", flush=True)
    return back_ns


def percentile(values, percent):
    ordered = sorted(values)
    return round(ordered[(len(ordered) - 1) * percent // 100] / 1000, 1) if ordered else 0.0


def judge_replay(client, code, connections):
    """(table row, whether everything arrived in order)."""
    got, sent = client.summary, connections[0] if connections else None
    if got is None or sent is None:
        return [0, 0, "", "", "?", "NO"], False
    delays = [received - at for received, at in zip(client.times, sent["sent_ns"])]
    missing = sent["messages"] - got["messages"]
    whole = code == 0 and got["sha256"] == sent["sha256"] and missing == 0
    return [got["messages"], sent["messages"], percentile(delays, 50), percentile(delays, 99), missing,
            "yes" if whole else "NO"], whole


def judge(client, code, connections, exchange_back_ns):
    """(table row, whether it came back, subscribed again, and got everything in order). `connections` are those to the
    second exchange; of the first, which was killed, only the clients can tell."""
    got = client.summary
    if got is None:
        return [0, "", "", "", "NO", 0, 0, "", "", "?", "NO"], False
    after, sent = got["messages"] - got["before"], sum(each["messages"] for each in connections)
    subscribed = bool(connections) and len(connections[-1]["sequence"]) == STREAMS
    drops = got["drops"] + sent - after
    in_order = got["in_order"] and drops == 0
    came_back = got["back_ns"] > 0
    good = (code == 0 and in_order and came_back and subscribed and after > 0
            and got["reconnections"] == len(connections) and got["restarted_streams"] == STREAMS * len(connections))
    gap, late = (got["back_ns"] - got["lost_ns"]) / 1e9, (got["back_ns"] - exchange_back_ns) / 1e9
    return [got["before"], f"{gap:.2f}" if came_back else "-", f"{max(0, late):.2f}" if came_back else "-",
            got["reconnections"], "yes" if subscribed else "NO", after, sent, f"{got['p50_us']:.1f}",
            f"{got['p99_us']:.1f}", drops, "yes" if in_order else "NO"], good


def show_table(heads, rows):
    """Right-aligned under heads of two lines, but for the first and the last column."""
    lines = [[head[0] for head in heads], [head[1] for head in heads], *rows]
    widths = [max(len(str(line[i])) for line in lines) for i in range(len(heads))]
    print()
    for line in lines:
        cells = [str(cell).rjust(width) for cell, width in zip(line, widths)]
        cells[0] = str(line[0]).ljust(widths[0])
        print("  ".join(cells).rstrip())


REPLAY_HEADS = [("", "language"), ("", "messages"), ("", "sent"), ("p50", "us"), ("p99", "us"), ("", "drops"),
                ("in", "order")]
HEADS = [("", "language"), ("messages", "before"), ("gap", "s"), ("restart to", "first message s"),
         ("recon-", "nections"), ("resub-", "scribed"), ("messages", "after"), ("", "sent"), ("p50", "us"), ("p99", "us"),
         ("", "drops"), ("in", "order")]


def run(options, commands, environment, capture):
    """The exchange with its three clients: (rows of the table, whether all is well)."""
    exchange = Exchange(options.work, capture)
    clients, sent, back_ns = [], {}, 0
    try:
        what = f"replay of {capture}" if capture else "live market"
        print(f"demo: {what} at {exchange.url}, three clients", flush=True)
        for language, command in commands.items():
            mode = ["--times"] if capture else ["--seconds", options.seconds]
            url = f"{exchange.url}/stream?client={language}"
            clients.append(Client(language, [*command, *mode, "--ca", exchange.ca_file, url], environment, options.show))
        if not capture:
            back_ns = fail_once(exchange, clients)
        patience = None if capture else options.seconds + 15
        codes = [client.wait(patience) for client in clients]
    finally:
        for client in clients:
            client.process.kill()
        sent = exchange.stop()
    rows, good = [], True
    for client, code in zip(clients, codes):
        connections = sent.get(client.language, [])
        row, whole = (judge_replay(client, code, connections) if capture
                      else judge(client, code, connections, back_ns))
        rows.append([client.language, *row])
        good &= whole
    return rows, good


def show_replay(options, commands, environment, capture):
    rows, good = run(options, commands, environment, capture)
    show_table(REPLAY_HEADS, rows)
    if not good:
        sys.exit("demo: not every message arrived in order")


def show_all(options, commands, environment):
    import demo_hub  # and with it pulsews, whose library is known by now

    hub = demo_hub.Hub(options.library, options.show)
    try:
        print(f"demo: the page, of a hub with an exchange of its own: {hub.page}", flush=True)
        watcher = demo_hub.Watcher(hub, options.show)
        try:
            rows, good = run(options, commands, environment, None)
            page = hub.status_of_page()
        finally:
            watcher.stop()
        line, served = watcher.judge(page)
        show_table(HEADS, rows)
        print(f"{line}\n\nA client that finds nobody waits: 1 s, then 2 s, each shortened at random by up to half. So it is not there\n"
              "at once when the exchange is back. \"Sent\" is what the second exchange counts. The hub has an exchange of its own.")
        if not good:
            sys.exit("demo: not every client came back, subscribed again and got everything in order")
        if not served:
            sys.exit("demo: the hub did not serve everything")
        if sys.stdout.isatty():
            hub.wait_for_the_user()
    finally:
        code = hub.stop()
    if code != 0:
        sys.exit(f"demo: the hub ended with {code}")


def main():
    for number in (signal.SIGTERM, signal.SIGHUP):  # what runs beside it ends with it
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", type=pathlib.Path, required=True, help="folder of libpulsews.so")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for what is built here")
    parser.add_argument("--seconds", type=float, default=12)
    options = parser.parse_args()
    options.library, options.work = options.library.resolve(), options.work.resolve()
    capture = os.environ.get("CAPTURE")
    options.work.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ, PULSEWS_LIBRARY=str(options.library / "libpulsews.so.0"),
                       LD_LIBRARY_PATH=str(options.library), PYTHONPATH=str(ROOT / "bindings" / "python"),
                       PYTHONDONTWRITEBYTECODE="1")
    sys.path.insert(0, environment["PYTHONPATH"])
    os.environ["PULSEWS_LIBRARY"] = environment["PULSEWS_LIBRARY"]
    options.show = View(capture)
    commands = build(options.library, options.work, capture)
    if capture:
        show_replay(options, commands, environment, capture)
    else:
        show_all(options, commands, environment)


main()
