# SPDX-License-Identifier: Apache-2.0
"""The README's examples are programs: they run, and come back when the exchange was killed, as they say. So does the
example of the manager; the screens show what is latest, over connections that are replaced; the hubs serve, and say
goodbye."""
import json
import os
import pathlib
import queue
import re
import signal
import subprocess
import sys
import threading

import pytest
from conftest import ROOT
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

README = (ROOT / "README.md").read_text()
LIBRARY = pathlib.Path(os.environ["PULSEWS_LIBRARY"]).parent
PATIENCE = 20  # seconds; the delays to come back are far below


def example(language, url):
    code = re.search(rf"```{language}\n(.*?)```", README, re.S)[1]
    assert code.count("wss://") == 1
    return re.sub(r'"wss://[^"]*"', f'"{url}"', code)


def build_c(folder, url):
    (folder / "app.c").write_text(example("c", url))
    subprocess.run(["gcc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", folder / "app.c",
                    f"-I{ROOT / 'include'}", f"-L{LIBRARY}", "-lpulsews", "-o", folder / "app"], check=True)
    return ["stdbuf", "-oL", folder / "app"]


def build_python(folder, url):
    (folder / "app.py").write_text(example("python", url))
    return [sys.executable, "-u", folder / "app.py"]


def build_go(folder, url):
    (folder / "main.go").write_text(example("go", url))
    (folder / "go.mod").write_text(
        "module example\n\ngo 1.21\n\nrequire pulsews.dev/go v0.0.0\n\n"
        f"replace pulsews.dev/go => {ROOT / 'bindings' / 'go'}\n")
    subprocess.run(["go", "vet", "."], cwd=folder, check=True)
    subprocess.run(["go", "build", "-o", "app", "."], cwd=folder, check=True)
    return [folder / "app"]


class Exchange:
    """The simulator, without TLS."""

    def __init__(self, port=0, *options):
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "examples" / "simulator" / "exchange.py", "--plain", "--with-parent",
             "--port", str(port), *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.process.stdout.readline())["port"]

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Program:
    """A running example, and the lines that it prints."""

    def __init__(self, command):
        environment = dict(os.environ, LD_LIBRARY_PATH=str(LIBRARY), PYTHONPATH=str(ROOT / "bindings" / "python"))
        self.lines = queue.Queue()
        self.process = subprocess.Popen(list(map(str, command)), env=environment, stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def wait_for(self, text):
        while text not in (line := self.lines.get(timeout=PATIENCE)):
            assert line, f"it has ended, with {self.process.wait()}"
        return line

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()


@pytest.fixture
def running():
    """Started exchanges and programs, which end with the test."""
    found = []
    yield found
    for one in found:
        one.stop() if isinstance(one, Program) else one.kill()


def check_that_it_comes_back(running, exchange, command, wanted):
    """`wanted` is printed once on every connection."""
    program = Program(command)
    running.append(program)
    program.wait_for(wanted)
    running.remove(exchange)
    exchange.kill()
    running.append(Exchange(exchange.port))
    program.wait_for(wanted)


@pytest.mark.parametrize("build", [build_c, build_python, build_go], ids=["C", "Python", "Go"])
def test_the_example_comes_back(build, tmp_path, running):
    exchange = Exchange()
    running.append(exchange)
    command = build(tmp_path, f"ws://127.0.0.1:{exchange.port}/ws")
    check_that_it_comes_back(running, exchange, command, '"u":1,')  # each connection's first tick


def test_the_manager_comes_back(running):
    exchange = Exchange()
    running.append(exchange)
    command = [sys.executable, ROOT / "examples" / "python" / "manager.py", f"ws://127.0.0.1:{exchange.port}/ws"]
    check_that_it_comes_back(running, exchange, command, "ready: 3 subscriptions")


def screen_c(folder):
    subprocess.run(["gcc", ROOT / "examples" / "c" / "screen.c", f"-I{ROOT / 'include'}", f"-L{LIBRARY}", "-lpulsews",
                    "-o", folder / "screen"], check=True)
    return [folder / "screen"]


def screen_python(folder):
    return [sys.executable, ROOT / "examples" / "python" / "screen.py"]


def screen_go(folder):
    subprocess.run(["go", "build", "-o", folder / "screen", "./screen"], cwd=ROOT / "examples" / "go", check=True)
    return [folder / "screen"]


@pytest.mark.parametrize("build", [screen_c, screen_python, screen_go], ids=["C", "Python", "Go"])
def test_the_screen_shows_the_latest(build, tmp_path, running):
    exchange = Exchange(0, "--numbers", "feed", "--rate", "200")
    running.append(exchange)
    program = Program([*build(tmp_path), f"ws://127.0.0.1:{exchange.port}/stream", "3",
                       "btcusdt@bookTicker,ethusdt@bookTicker", "max_age=1s", "rotation_overlap=200ms"])
    running.append(program)
    lines = [line for line in iter(lambda: program.lines.get(timeout=PATIENCE), "")]
    assert program.process.wait(PATIENCE) == 0, lines
    said = {name: int(number) for name, number in re.findall(r"([a-z ]+) (\d+)", lines[-1].replace(", ", ","))}
    assert said["rotations"] >= 1 and said["conflated"] > 0 and said["copies"] > 0
    assert said["repeats"] == said["steps back"] == 0
    shown = [json.loads(line)["data"] for line in lines if line.startswith('{"stream"')]
    assert {each["s"] for each in shown} == {"BTCUSDT", "ETHUSDT"} and 0 < len(shown) < said["received"]
    for symbol in ("BTCUSDT", "ETHUSDT"):
        numbers = [each["u"] for each in shown if each["s"] == symbol]
        assert numbers == sorted(set(numbers))


def in_c(name, folder):
    subprocess.run(["gcc", ROOT / "examples" / "c" / f"{name}.c", f"-I{ROOT / 'include'}", f"-L{LIBRARY}", "-lpulsews",
                    "-o", folder / name], check=True)
    return [folder / name]


def in_python(name, folder):
    return [sys.executable, ROOT / "examples" / "python" / f"{name}.py"]


def in_go(name, folder):
    subprocess.run(["go", "build", "-o", folder / name, f"./{name}"], cwd=ROOT / "examples" / "go", check=True)
    return [folder / name]


@pytest.mark.parametrize("build, answers", [(in_c, False), (in_python, True), (in_go, True)], ids=["C", "Python", "Go"])
def test_the_hub_serves(build, answers, tmp_path, running):
    program = Program([*build("hub", tmp_path), "127.0.0.1:0"])
    running.append(program)
    with connect(program.wait_for("ws://").strip(), proxy=None) as peer:
        received = [json.loads(peer.recv(PATIENCE)) for _ in range(3)]
        assert [one["type"] for one in received] == ["welcome", "price_update", "price_update"]
        assert all(re.fullmatch(r"\d+\.\d\d", one["price"]) for one in received[1:])
        if answers:
            peer.send("buy")
            while "order" not in (last := json.loads(peer.recv(PATIENCE))):
                pass
            assert last == {"type": "order_received", "order": "buy"}
        program.process.send_signal(signal.SIGINT)
        with pytest.raises(ConnectionClosed) as end:
            while True:
                peer.recv(PATIENCE)
        assert end.value.rcvd and end.value.rcvd.code == 1012
    assert program.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("build", [in_c, in_python, in_go], ids=["C", "Python", "Go"])
def test_the_proxy_serves_a_feed(build, tmp_path, running):
    exchange = Exchange()
    running.append(exchange)
    program = Program([*build("proxy", tmp_path), f"ws://127.0.0.1:{exchange.port}/stream", "binance-spot", "127.0.0.1:0",
                       "solusdt@bookTicker", "btcusdt@kline_1m"])
    running.append(program)
    url = program.wait_for("ws://").strip()
    with connect(f"{url}?topics=price.SOL,candle.BTC.1m", subprotocols=["pulse.v1"], proxy=None) as peer:
        seen = {}
        while not {"price_update", "candle"} <= set(seen):
            message = json.loads(peer.recv(PATIENCE))
            seen[message["type"]] = message
        price, candle = seen["price_update"]["data"], seen["candle"]["data"]
        assert set(price) == {"type", "symbol", "price", "ts"} and price["symbol"] == "SOL"
        assert (candle["symbol"], candle["interval"], candle["start"] % 60_000) == ("BTC", "1m", 0)
        # The exchange is gone: what was live is stale at once, and says whose it was.
        exchange.kill()
        while (state := json.loads(peer.recv(PATIENCE))).get("state") != "stale":
            pass
        assert state["feed"] == "binance-spot"
    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(PATIENCE) == 0


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
