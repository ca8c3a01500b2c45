# SPDX-License-Identifier: Apache-2.0
"""One publisher, many peers: the hub beside other servers. A round runs every server once; the best of the rounds counts,
and a run is discarded in which the load tool was over 80 % busy, or in which messages came together that were published one
at a time: then somebody was late, and to write two at once is cheap. fanout/fanout.h says how servers are told what to do."""

import json
import lzma
import os
import select
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from . import build

MOST_BUSY = 0.8
MOST_TOGETHER = 1.1  # messages a read
PATIENCE = 120
PULSE = ("path", "/pulse", "protocol", "pulse.v1", "subscribe", '{"type":"subscribe","topics":["fanout"]}')
EVERYBODY = ("raw", "hub", "hub pulse.v1", "uWebSockets", "gorilla", "websockets")
# Head and tail of a message, and the quotes of its text: 47 bytes.
HEAD = 47


@dataclass(frozen=True)
class Part:
    title: str
    burst: int = 1
    seconds: float = 0.0  # between bursts of 1,000 peers
    size: int = 128
    flush: int = 0  # us
    deflate: bool = False
    captured: bool = False
    stalled: float = 0.0
    secure: bool = False
    away: int = 0  # messages that are published while all peers are away
    servers: tuple = EVERYBODY


PARTS = {
    "one": Part("128 bytes, one message at a time", seconds=0.03),
    "ten": Part("128 bytes, ten messages in a flush", burst=10, seconds=0.1, flush=5000),
    "compressed": Part("Captured JSON, permessage-deflate", seconds=0.04, deflate=True, captured=True),
    "healthy": Part("1,024 bytes, all peers read", seconds=0.03, size=1024),
    "stalled": Part("1,024 bytes, one peer in ten more that never reads", seconds=0.03, size=1024, stalled=0.1),
    "idle": Part("Idle peers"),
    "idle-tls": Part("Idle peers over TLS", secure=True, servers=("hub", "uWebSockets", "gorilla", "websockets")),
    "return": Part("All peers come back at once and resume", away=20, servers=("hub",)),
}
TAKEN = 5  # messages before they are cut


@dataclass(frozen=True)
class Goal:
    part: str
    other: str  # "" compares with nothing, a part's name with the same server there
    bound: float
    key: str = "us"
    unit: str = ""


GOALS = (
    Goal("one", "raw", 1.10),
    Goal("one", "uWebSockets", 1.05),
    Goal("compressed", "uWebSockets", 0.65),
    Goal("ten", "raw", 1.10),
    Goal("stalled", "healthy", 1.20, "p99"),
    Goal("idle", "", 1.0, "kib", " KiB"),
    Goal("idle-tls", "", 20.0, "kib", " KiB"),
    Goal("return", "", 5.0, "last", " s"),
)
WORDS = {"us": "CPU", "p99": "p99", "kib": "memory", "last": "the last peer that comes back"}


class Program:
    """A process that answers in lines, on a processor of its own."""

    def __init__(self, command: list, processor: int) -> None:
        self.name = Path(str(command[-1] if str(command[0]).endswith("python") else command[0])).name
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, preexec_fn=lambda: os.sched_setaffinity(0, {processor}))

    def line(self) -> str:
        # Each line is waited for before the next one is asked for, so that none hides in the buffer.
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            self.process.kill()
            raise RuntimeError(f"{self.name} said nothing for {PATIENCE} s")
        text = self.process.stdout.readline().decode().strip()
        if not text:
            raise RuntimeError(f"{self.name} ended: {self.process.stderr.read().decode().strip()[-400:]}")
        return text

    def ask(self, command: str) -> dict:
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(self.line())

    def stop(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


def text_of(size: int) -> Path:
    """A file with one line that makes messages of `size` bytes."""
    path = build.WORK / f"text-{size}"
    path.write_text('"' + "x" * (size - HEAD) + '"\n')
    return path


def captures() -> Path:
    for folder in (os.environ.get("PULSEWS_CAPTURES"), build.ROOT.parent / "shared/captures", build.ROOT / "Tests/Captures"):
        if folder and sorted(Path(folder).glob("*.xz")):
            return Path(folder)
    raise build.Broken("no folder of captures")


def captured() -> Path:
    """What exchanges sent, of 200 to 2,000 bytes: 100 messages of each capture at most."""
    path, found = build.WORK / "captured", []
    for file in sorted(captures().glob("*.xz")):
        count = 0
        with lzma.open(file, "rt") as lines:
            for line in lines:
                text = line.rstrip("\n").partition(": ")[2]
                if count < 100 and line[:1].isdigit() and 200 <= len(text) <= 2000 and text[:1] in "[{":
                    found.append(json.dumps(json.loads(text), separators=(",", ":")))
                    count += 1
    path.write_text("\n".join(found) + "\n")
    return path


class Fanout:
    def __init__(self, options, say) -> None:
        self.say, self.rounds = say, options.fanout_rounds
        self.duration, self.peers, self.parts = options.fanout_seconds, options.peers, options.parts
        self.server_cpu, self.client_cpu, self.returning = options.server_cpu, options.client_cpu, options.returning
        self.results, self.failed, self.absent, self.commands = {}, [], {}, {}
        self.certificate = build.certificate()
        self.load, self.load_returns = build.fanout_load(), build.fanout_return()
        for name, make in build.SERVERS.items():
            try:
                self.commands[name] = make()
            except build.Absent as reason:
                self.absent[name] = str(reason)
                say(f"absent: {name}: {reason}")
            except build.Broken as problem:
                self.failed.append(("building", name, str(problem)))
                say(f"failed: {name}: {problem}")

    # ---- One run

    def once(self, part: Part, name: str, peers: int) -> dict:
        server = Program([*self.commands[name], "tls" if part.secure else "plain", *self.certificate, part.flush],
                         self.server_cpu)
        load = None
        try:
            port = server.line().split()[1]
            before = server.ask("report")
            interval = part.seconds * peers / 1000
            count = part.burst * max(5, int(self.duration / interval)) if interval else 0
            words = ["tls"] * part.secure + ["deflate"] * part.deflate + list(PULSE) * name.endswith("pulse.v1")
            words += ["stalled", int(peers * part.stalled)] if part.stalled else []
            load = Program([self.load, port, peers, count, *words], self.client_cpu)
            load.line()
            after = server.ask("report")
            if not count:
                return {"kib": (after["rss"] - before["rss"]) / peers}
            file = captured() if part.captured else text_of(part.size)
            server.ask(f"publish {count} {part.burst} {int(interval * 1e6)} {file}")
            found = json.loads(load.line())
            cpu = server.ask("report")["cpu"] - after["cpu"]
        finally:
            if load:
                load.stop()
            server.stop()
        if found["messages"] != count * peers:
            raise RuntimeError(f"{found['messages']} of {count * peers} messages arrived")
        return {"us": cpu * 1e6 / found["messages"], "p50": found["p50_us"] / 1e3, "p99": found["p99_us"] / 1e3,
                "together": found["messages"] / found["reads"] / part.burst,
                "busy": found["cpu"] / max(found["seconds"], 1e-9), "server": cpu / max(found["seconds"], 1e-9)}

    def returned(self, part: Part, name: str) -> dict:
        """A run of peers that are cut and come back; the load tool looks that each gets every number."""
        server = Program([*self.commands[name], "plain", *self.certificate, 0, 10 * part.away], self.server_cpu)
        load = None
        try:
            port = server.line().split()[1]
            load = Program([self.load_returns, port, self.returning, TAKEN, part.away], self.client_cpu)
            load.line()
            server.ask(f"publish {TAKEN} 1 10000 {text_of(part.size)}")
            load.line()
            server.ask(f"publish {part.away} 1 1000 {text_of(part.size)}")
            before = server.ask("report")["cpu"]
            found = load.ask("return")
            cpu = server.ask("report")["cpu"] - before
        finally:
            if load:
                load.stop()
            server.stop()
        return {"last": found["seconds"], "half": found["p50_s"], "busy": found["cpu"] / found["seconds"],
                "server": cpu / found["seconds"]}

    def run(self) -> None:
        for peers in self.peers:
            for key in self.parts:
                part = PARTS[key]
                if part.away and peers != self.peers[0]:
                    continue
                self.say(f"fan-out, {peers} peers, {key} ...")
                names = [name for name in part.servers if name in self.commands]
                for _ in range(self.rounds):
                    for name in names:
                        self.add((peers, key, name), part)

    def add(self, place: tuple, part: Part) -> None:
        peers, key, name = place
        if place in [failure[:3] for failure in self.failed]:
            return
        try:
            found = self.returned(part, name) if part.away else self.once(part, name, peers)
        except (RuntimeError, OSError, ValueError) as problem:
            self.failed.append((peers, key, name, str(problem)))
            self.say(f"failed: {name}, {key}: {problem}")
            return
        if found.get("busy", 0) > MOST_BUSY and not part.away:
            self.say(f"discarded: {name}, {key}: the load tool was {found['busy']:.0%} busy")
            return
        if found.get("together", 0) > MOST_TOGETHER:
            self.say(f"discarded: {name}, {key}: {found['together']:.2f} times as many messages came together as should")
            return
        self.results.setdefault(place, []).append(found)

    # ---- The report

    def best(self, peers: int, part: str, name: str, key: str) -> Optional[float]:
        return min((found[key] for found in self.results.get((peers, part, name), [])), default=None)

    def table_of_returns(self, peers: int, key: str) -> str:
        lines = [f"\n### fan-out, {key}: {PARTS[key].title}, {self.returning:,} peers\n",
                 "| server | the last is back after s | half are after s | server busy | load busy |", "|---|---:|---:|---:|---:|"]
        for name in PARTS[key].servers:
            if self.results.get((peers, key, name)):
                cells = [f"{self.best(peers, key, name, 'last'):.2f}", f"{self.best(peers, key, name, 'half'):.2f}"]
                cells += [f"{self.best(peers, key, name, share):.0%}" for share in ("server", "busy")]
                lines.append(f"| {name} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def table(self, peers: int, key: str) -> str:
        part = PARTS[key]
        if part.away:
            return self.table_of_returns(peers, key)
        lines = [f"\n### fan-out, {key}: {part.title}, {peers:,} peers\n"]
        if part.seconds:
            lines.append("| server | CPU us per delivery | x raw | x uWebSockets | p50 ms | p99 ms | server busy | load busy |")
            lines.append("|---|---:|---:|---:|---:|---:|---:|---:|")
        else:
            lines += ["| server | KiB per peer |", "|---|---:|"]
        for name in part.servers:
            if not self.results.get((peers, key, name)):
                continue
            if not part.seconds:
                lines.append(f"| {name} | {self.best(peers, key, name, 'kib'):.2f} |")
                continue
            cpu = self.best(peers, key, name, "us")
            cells = [f"{cpu:.2f}"]
            for other in ("raw", "uWebSockets"):
                theirs = self.best(peers, key, other, "us")
                cells.append(f"{cpu / theirs:.2f}" if theirs else "-")
            cells += [f"{self.best(peers, key, name, 'p50'):.2f}", f"{self.best(peers, key, name, 'p99'):.2f}"]
            cells += [f"{self.best(peers, key, name, share):.0%}" for share in ("server", "busy")]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def goals(self, peers: int) -> str:
        lines = []
        for goal in GOALS:
            if PARTS[goal.part].away and peers != self.peers[0]:
                continue
            found = self.best(peers, goal.part, "hub", goal.key)
            text = f"{goal.part}, {WORDS[goal.key]} of the hub"
            if goal.other:
                text += f" to that of {goal.other}"
                theirs = (self.best(peers, goal.other, "hub", goal.key) if goal.other in PARTS
                          else self.best(peers, goal.part, goal.other, goal.key))
                found = found / theirs if found is not None and theirs else None
            verdict = "not measured" if found is None else "met" if found <= goal.bound else "NOT MET"
            shown = "-" if found is None else f"{found:.2f}{goal.unit}"
            lines.append(f"- {verdict}: {text}: {shown} (at most {goal.bound:g}{goal.unit})")
        return f"\n### Goals of the fan-out, {peers:,} peers\n\n" + "\n".join(lines)

    def report(self) -> str:
        parts = []
        for peers in self.peers:
            parts += [self.table(peers, key) for key in self.parts if not PARTS[key].away or peers == self.peers[0]]
            parts.append(self.goals(peers))
        parts.append(f"\nbest of {self.rounds} rounds in turn")
        parts += [f"absent: {name}: {reason}" for name, reason in self.absent.items()]
        parts += [f"FAILED: {', '.join(map(str, failure))}" for failure in self.failed]
        return "\n".join(parts)
