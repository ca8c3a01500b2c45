# SPDX-License-Identifier: Apache-2.0
"""The program that runs the suites, on made-up suites in a folder of its own."""
import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".ci"))

import suites  # noqa: E402

# suites.py with another table and another command.
DRIVER = """
import json, pathlib, sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import suites
suites.TABLE = {name: suites.Traits(*traits) for name, traits in json.loads(sys.argv[2]).items()}
suites.COMMAND = ["bash", sys.argv[3]]
suites.main(sys.argv[4:])
"""
PASSES = "echo '2 passed, 0 failed, 1 skipped'"
FAILS = "echo what went wrong; echo '3 passed, 1 failed, 0 skipped'; exit 1"
# Says that it runs, and waits for ever in a process group and a session of their own, as `timeout` and servers do.
HANGS = 'exec 3<>"$FIFO"; setsid sleep 1000 & timeout 1000 sleep 1000 & echo "started $$" >&3; wait'


class Runner:
    def __init__(self, folder):
        self.folder = folder
        self.results = folder / "results"
        self.fifo = folder / "fifo"
        os.mkfifo(self.fifo)
        self.kinds, self.bodies = {}, {}

    def suite(self, name, body, kind="waits", limit=60):
        self.kinds[name] = (kind, limit)
        self.bodies[name] = body

    def start(self, *arguments, **variables):
        script = self.folder / "suite.sh"
        cases = "".join(f"{name}) {body} ;;\n" for name, body in self.bodies.items())
        script.write_text(f"case $1 in\n{cases}*) exit 2 ;;\nesac\n")
        values = {name: value for name, value in os.environ.items() if name not in ("ONLY", "LANES")}
        values.update(BUILD=str(self.folder), FIFO=str(self.fifo), LANES="2", **variables)
        return subprocess.Popen([sys.executable, "-c", DRIVER, ROOT / ".ci", json.dumps(self.kinds), script,
                                 *(arguments or self.bodies)], env=values, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, *arguments, **variables):
        """(exit status, output)"""
        process = self.start(*arguments, **variables)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output

    def living(self):
        """The processes of the suites that still run, known by their environment."""
        found, mark = [], f"FIFO={self.fifo}".encode()
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append((process / "cmdline").read_bytes())
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return found


@pytest.fixture
def runner(tmp_path):
    return Runner(tmp_path)


def last(output):
    return output.rstrip("\n").split("\n")[-1]


def test_all_pass(runner):
    for name in ("one", "two", "three"):
        runner.suite(name, PASSES)
    status, output = runner.run()
    assert status == 0
    assert last(output) == "6 passed, 0 failed, 3 skipped"
    for name in ("one", "two", "three"):
        assert f"   {name}: 2 passed, 0 failed, 1 skipped, 0 s\n" in output
        assert (runner.results / f"{name}.log").read_text() == "2 passed, 0 failed, 1 skipped\n"


def test_one_fails_and_ends_the_others(runner):
    runner.suite("hanging", HANGS)
    # It fails when the other one is there.
    runner.suite("failing", f'read -r line <"$FIFO"; {FAILS}')
    runner.suite("never", PASSES)
    status, output = runner.run()
    assert status == 1
    assert last(output) == "3 passed, 1 failed, 0 skipped"
    assert "what went wrong\n" in output and "   hanging: ended after" in output
    assert "== never" not in output
    assert runner.living() == []


def test_one_hangs(runner):
    runner.suite("hanging", f"echo so far; {HANGS}", limit=1)
    status, output = runner.run()
    assert status == 1
    assert "so far\n" in output and "hanging: stopped after 1 s\n" in output
    assert last(output) == "0 passed, 1 failed, 0 skipped"
    assert runner.living() == []


def test_one_never_stops_to_write(runner):
    runner.suite("writing", "yes", limit=1)
    status, output = runner.run("--verbose", "writing")
    assert status == 1 and "writing: stopped after 1 s\n" in output


def test_what_outlives_its_suite_is_not_waited_for(runner):
    runner.suite("leaving", f"sleep 1000 & {PASSES}")
    assert runner.run()[0] == 0
    assert runner.living() == []


@pytest.mark.parametrize("body, counts", [
    ("true", "0 passed, 1 failed, 0 skipped"),
    ("echo '0 passed, 0 failed, 3 skipped'", "0 passed, 1 failed, 3 skipped"),
    ("echo '5 passed, 0 failed, 0 skipped'; exit 3", "5 passed, 1 failed, 0 skipped"),
    ("kill -SEGV $$", "0 passed, 1 failed, 0 skipped"),
], ids=["silent", "all skipped", "status", "crash"])
def test_a_suite_without_a_result_has_failed(runner, body, counts):
    runner.suite("odd", body)
    status, output = runner.run()
    assert (status, last(output)) == (1, counts)


def test_reports_are_counted(runner):
    case = "<testcase classname='c' name='{}'>{}</testcase>"
    cases = case.format("a", "") + case.format("b", "<skipped/>") + case.format("c", "<failure/>") + case.format("d", "<error/>")
    runner.suite("unit", f'echo "<testsuite>{cases}</testsuite>" >"$RESULTS/unit.xml"; echo "--- PASS: TestOne (0.0s)"; exit 1')
    status, output = runner.run()
    assert (status, last(output)) == (1, "2 passed, 2 failed, 1 skipped")
    assert "   failed: c c\n" in output and "   failed: c d\n" in output


def test_a_report_in_tap_is_counted(runner):
    lines = ["ok 1 - one", "    not ok 1 - two", "ok 2 - three # SKIP", "ok 3 - four # SKIP test name does not match pattern",
             "# tests 7", "# pass 1", "# fail 1", "# cancelled 1", "# skipped 2", "# todo 1"]
    runner.suite("web", "printf '%s\\n' " + " ".join(f"'{line}'" for line in lines) + "; exit 1")
    status, output = runner.run()
    assert (status, last(output)) == (1, "1 passed, 2 failed, 2 skipped")
    assert "   failed: two\n" in output


def test_a_report_that_is_cut_short_is_a_failure(runner):
    runner.suite("unit", 'echo "<testsuite><testcase" >"$RESULTS/unit.xml"')
    status, output = runner.run()
    assert (status, last(output)) == (1, "0 passed, 1 failed, 0 skipped")


@pytest.mark.parametrize("lanes, builds", [(1, 1), (2, 1), (3, 1), (4, 2)])
def test_who_runs_beside_whom(monkeypatch, lanes, builds):
    """In whatever order they end: no more than there are lanes, few that build at a time, and alone whoever has to be."""
    kinds = {"alone1": "alone", "build1": "builds", "build2": "builds", "wait1": "waits", "build3": "builds", "alone2": "alone",
             "wait2": "waits", "wait3": "waits"}
    monkeypatch.setattr(suites, "TABLE", {name: suites.Traits(kind, 1) for name, kind in kinds.items()})
    for seed in range(20):
        dice, waiting, running, order, most = random.Random(seed), list(kinds), [], [], collections.Counter()
        while waiting or running:
            while name := suites.choose(waiting, running, lanes):
                waiting.remove(name)
                running.append(name)
                order.append(name)
            assert running
            now = collections.Counter(kinds[name] for name in running)
            assert not now["alone"] or len(running) == 1
            most |= collections.Counter(all=len(running), builds=now["builds"])
            running.remove(dice.choice(running))
        assert most == {"all": lanes, "builds": builds}, seed
        assert sorted(order) == sorted(kinds) and order[-2:] == ["alone1", "alone2"], seed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all(runner, number):
    runner.suite("one", HANGS)
    runner.suite("two", HANGS)
    process = runner.start()
    with open(runner.fifo) as started:
        assert all(started.readline().startswith("started ") for _ in range(2))
        assert len(runner.living()) > 2
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "passed" not in output
    assert runner.living() == []


def test_verbose(runner):
    runner.suite("one", f"printf 'a\\nb'; echo; {PASSES}")
    runner.suite("two", PASSES)
    _, output = runner.run("--verbose", "one")
    assert "== one\na\nb\n2 passed, 0 failed, 1 skipped\n" in output
    _, output = runner.run("--verbose", "one", "two")
    # Lines of others may stand between.
    lines = output.splitlines()
    assert [line for line in lines if line.startswith("one: ")][:2] == ["one: a", "one: b"]
    assert "two: 2 passed, 0 failed, 1 skipped" in lines


def test_only(runner):
    runner.suite("one", "true")
    runner.suite("two", PASSES)
    status, output = runner.run("one", ONLY="such")
    assert status == 1 and "one: no test ran with ONLY=such\n" in output
    status, output = runner.run(ONLY="such")
    assert status == 1 and "ONLY is for one suite" in output
    status, output = runner.run("three")
    assert status == 1 and "what is 'three'?" in output
