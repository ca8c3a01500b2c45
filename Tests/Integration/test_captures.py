# SPDX-License-Identifier: Apache-2.0
"""Traffic of four exchanges, invented or recorded, with messages left out, sent twice and swapped at known places: each is told
where it is, and nothing else is. What has to be told is worked out here, message by message, from the numbers in the
messages."""
import collections
import json
import lzma
import os
import pathlib
import random
import signal
import subprocess
import sys

import captures as capture_files
import pytest
from conftest import HERE, ROOT

sys.path.insert(0, str(ROOT / "Tests" / "Captures"))
import invent

LIBRARY = pathlib.Path(os.environ["PULSEWS_LIBRARY"]).parent
SEED = int(os.environ.get("SEED", "20260"))


def fields(value, path):
    """What a path such as data.u finds; None if there is nothing."""
    for part in path.split("."):
        if isinstance(value, list):
            value = value[int(part)] if part.isdigit() and int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


class Feed:
    """How the messages of a capture are numbered: paths of the numbers, the one before, the keys."""

    def __init__(self, name, first, last=None, previous=None, keys=(), rule="consecutive", prepare=None):
        self.name, self.first, self.last, self.previous, self.keys, self.rule = name, first, last, previous, keys, rule
        self.prepare = prepare or (lambda texts: texts)

    def options(self):
        chosen = [f"sequence_path={self.first}" + (f",{self.last}" if self.last else "")]
        if self.previous:
            chosen.append(f"sequence_previous={self.previous}")
        return [*chosen, *(f"sequence_key={key}" for key in self.keys), f"sequence_rule={self.rule}"]

    def read(self, text):
        """(key, first, last, the number before) of a message, or None if it is not numbered."""
        try:
            message = json.loads(text)
        except ValueError:
            return None
        first = fields(message, self.first)
        last = fields(message, self.last) if self.last else first
        if type(first) is not int or type(last) is not int:
            return None
        key = "/".join(str(part) for part in (fields(message, key) for key in self.keys) if part is not None)
        return key, first, last, fields(message, self.previous) if self.previous else None

    def judge(self, texts):
        """What has to be told before each message: [(index, event, key, number)]."""
        told, lasts = [], {}
        for index, text in enumerate(texts):
            read = self.read(text)
            if not read:
                continue
            key, first, last, before = read
            known = lasts.get(key)
            lasts[key] = last if known is None else max(known, last)
            if known is None or (self.previous and before is None):
                lasts[key] = last
                continue
            if self.previous:
                if before == known:
                    lasts[key] = last
                    continue
                follows, is_gap = False, last > known and before >= known
            elif self.rule == "increasing":
                follows, is_gap = first > known, False
            else:
                follows, is_gap = first == known + 1, first > known + 1
            if not follows:
                told.append((index, "gap" if is_gap else "repeat" if last == known else "step_back", key))
        return told


def numbered(texts):
    """With a number of its own for each, as this exchange's later feeds have."""
    return [json.dumps({"sequence_num": number, "message": json.loads(text)}, separators=(",", ":"))
            for number, text in enumerate(texts)]


FEEDS = [
    # Each update names the last number of the one before it; the best prices have no such number and are not checked.
    Feed("binance-futures", "data.U", "data.u", "data.pu", ["stream"]),
    Feed("binance-futures", "data.u", rule="increasing", keys=["stream"]),
    Feed("binance-futures", "data.a", keys=["stream"], prepare=lambda texts: [t for t in texts if "aggTrade" in t or "kline" in t]),
    # First and last number, without a hole.
    Feed("binance-spot", "data.U", "data.u", keys=["stream"]),
    Feed("binance-spot", "data.u", rule="increasing", keys=["stream"]),
    # Numbers of the whole market's messages, of which this feed has some.
    Feed("coinbase", "sequence", rule="increasing", keys=["type", "product_id"]),
    Feed("coinbase", "sequence_num", prepare=numbered),
    # This feed has no numbers.
    Feed("kraken", "sequence_num", prepare=numbered),
]


def damage(feed, texts, dice, count):
    """The texts with messages left out, sent twice and swapped: (texts, [what was done]). Each damage has whole messages
    of its key on both sides, so that each is told on its own."""
    places = collections.defaultdict(list)
    for index, text in enumerate(texts):
        read = feed.read(text)
        if read and not (feed.previous and read[3] is None):
            places[read[0]].append(index)
    # Every fifth of a key can be damaged, so that what was done before is over.
    choices = [(indexes[k], indexes[k + 1]) for indexes in places.values() for k in range(2, len(indexes) - 2, 5)]
    dice.shuffle(choices)
    result, done = list(texts), collections.Counter()
    for number, (index, following) in enumerate(choices[:count]):
        kind = ("drop", "repeat", "swap")[number % 3]
        done[kind] += 1
        if kind == "drop":
            result[index] = None
        elif kind == "repeat":
            result[index] = [result[index], result[index]]
        else:
            result[index], result[following] = result[following], result[index]
    flat = []
    for text in result:
        flat += text if isinstance(text, list) else [] if text is None else [text]
    return flat, done


@pytest.fixture(scope="module")
def listen(tmp_path_factory):
    program = tmp_path_factory.mktemp("listen") / "listen"
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", HERE / "replay" / "listen.c", f"-I{ROOT / 'include'}",
                    f"-L{LIBRARY}", "-lpulsews", "-o", program], check=True)
    return program


@pytest.fixture
def replay(tmp_path):
    """Starts the simulator with these texts; gives what it says about itself."""
    started = []

    def start(texts):
        path = tmp_path / "capture.log"
        path.write_text("".join(f"{number}.0: {text}\n" for number, text in enumerate(texts)), encoding="utf-8")
        process = subprocess.Popen([sys.executable, ROOT / "examples" / "simulator" / "exchange.py", "--capture", path,
                                    "--speed", "max", "--with-parent"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return json.loads(process.stdout.readline())

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
        process.stdin.close()
        process.stdout.close()


def receive(listen, ready, feed):
    """(texts, [(index of the message that follows, event)]) that a client with the feed's options receives."""
    command = [listen, ready["url"] + "/stream", f"ca_file={ready['ca_file']}", "reconnect=false", "events=true", *feed.options()]
    done = subprocess.run(list(map(str, command)), env=dict(os.environ, LD_LIBRARY_PATH=str(LIBRARY)), capture_output=True,
                          text=True, encoding="utf-8", timeout=90)
    assert done.returncode == 0, done.stderr
    texts, told = [], []
    for line in done.stdout.split("\n")[:-1]:
        if line.startswith("T "):
            texts.append(line[2:])
        else:
            event = json.loads(line[2:])
            if event["event"] in ("gap", "repeat", "step_back"):
                told.append((len(texts), event))
    return texts, told


@pytest.mark.parametrize("feed", FEEDS, ids=[f"{feed.name}-{feed.first}-{feed.rule}" for feed in FEEDS])
@pytest.mark.parametrize("is_damaged", [False, True], ids=["whole", "damaged"])
def test_what_is_missing_is_told(captures, replay, listen, feed, is_damaged):
    texts = feed.prepare([text for _, text in capture_files.read(captures / f"{feed.name}.log.xz")])
    own = feed.judge(texts)
    done = collections.Counter()
    if is_damaged:
        texts, done = damage(feed, texts, random.Random(SEED), 60)
        assert sum(done.values()) >= 6 and len(done) == 3, done
    expected = feed.judge(texts)
    print(f"seed {SEED}: {len(texts)} messages, {sum(feed.read(t) is not None for t in texts)} numbered; of the capture's "
          f"own: {len(own)}; done: {dict(done)}; to be told: {len(expected)}")
    if is_damaged:
        # One event for each message that came twice; a swap is one or two; one left out shows where numbers are
        # consecutive.
        kinds = collections.Counter(event for _, event, _ in expected)
        unseen = feed.rule == "increasing"
        assert kinds["repeat"] >= done["repeat"] and kinds["step_back"] >= done["swap"]
        assert kinds["gap"] == len([event for event in own if event[1] == "gap"]) + (0 if unseen else done["drop"] + done["swap"])
    received, told = receive(listen, replay(texts), feed)
    assert received == texts
    assert [(index, event["event"], event["key"]) for index, event in told] == expected
    for index, event in told:
        _, first, last, _ = feed.read(texts[index])
        assert event["received"] in (first, last)
        if event["event"] == "gap" and not feed.previous:
            assert event["missing"] == event["received"] - event["expected"] > 0


@pytest.mark.parametrize("name, preset", [("binance-futures", "binance-futures"), ("binance-futures", "binance-futures-depth"),
                                          ("binance-spot", "binance-spot"), ("binance-spot", "binance-spot-depth")])
def test_a_preset_knows_its_feed(captures, replay, listen, name, preset):
    """With the preset of the feed nothing is told of a whole capture, and something of one that is not."""
    texts = [text for _, text in capture_files.read(captures / f"{name}.log.xz")]
    feed = Feed(name, "data.u", keys=["stream"])
    feed.options = lambda: [f"preset={preset}"]
    received, told = receive(listen, replay(texts), feed)
    assert received == texts and told == []
    texts, _ = damage(feed, texts, random.Random(SEED), 9)
    received, told = receive(listen, replay(texts), feed)
    assert received == texts and len(told) >= 6


def test_the_invented_captures_are_those_of_their_script():
    for name, text in invent.captures().items():
        with lzma.open(ROOT / "Tests" / "Captures" / f"{name}.log.xz", "rt", encoding="utf-8") as file:
            assert file.read() == text, f"{name}: run Tests/Captures/invent.py"
