# SPDX-License-Identifier: Apache-2.0
"""Runs test suites side by side, stops at the first that fails, and closes with the summary line.

    suites.py [--verbose] NAME...

A suite is what .ci/suite.sh does for its name. Its output goes to $BUILD/results/NAME.log and is shown when it fails
(with --verbose: as it comes). It is counted from what it leaves: JUnit files $BUILD/results/NAME*.xml, the result lines of
`go test -v`, the report of `node --test` in TAP, or lines "N passed, N failed, N skipped". A suite that counts no test has
failed.

LANES=n runs n suites at once (default: one for each processor, 2 to 4). ONLY=... picks tests of one suite.
"""
import ctypes
import os
import pathlib
import re
import selectors
import signal
import subprocess
import sys
import time
import typing
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ["BUILD"])
RESULTS = BUILD / "results"
COMMAND = [ROOT / ".ci" / "suite.sh"]
SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.M)
GO_RESULT = re.compile(r"^--- (PASS|FAIL|SKIP): ", re.M)
TAP_SUMMARY = re.compile(r"^# (pass|fail|cancelled|skipped|todo) (\d+)$", re.M)
TAP_FAILED = re.compile(r"^ *not ok \d+ - (.*)$", re.M)
TAP_UNWANTED = re.compile(r"^ *ok \d+ - .* # SKIP test name does not match pattern$", re.M)  # by ONLY

# How a suite gets on with others.
WAITS = "waits"    # mostly for peers and timers, on free ports and in folders of its own: beside any other
BUILDS = "builds"  # Swift, with all processors and some 4 GB: one for every two lanes
ALONE = "alone"    # its clock runs thousands of times faster, or it loads the machine: after all others, beside none


class Traits(typing.NamedTuple):
    kind: str
    limit: int  # seconds


TABLE = {
    "check": Traits(WAITS, 120),
    "runner": Traits(WAITS, 120),
    "abi": Traits(WAITS, 900),
    "python": Traits(WAITS, 600),
    "integration": Traits(WAITS, 900),
    "go": Traits(WAITS, 400),
    "web": Traits(WAITS, 400),
    "unit": Traits(BUILDS, 1500),
    "asan": Traits(BUILDS, 1500),
    "tsan": Traits(BUILDS, 1500),
    "daemon": Traits(BUILDS, 1500),
    "packaging": Traits(WAITS, 600),
    "reproducible": Traits(BUILDS, 900),
    "fuzz-replay": Traits(BUILDS, 300),
    "chaos": Traits(ALONE, 300),
    "exchanges": Traits(ALONE, 300),
}


def count(name, log):
    """(passed, failed, skipped) of a suite, from what it left behind."""
    totals = [0, 0, 0]
    for report in RESULTS.glob(f"{name}*.xml"):
        try:
            cases = list(ElementTree.parse(report).iter("testcase"))
        except ElementTree.ParseError as problem:  # what wrote it has crashed
            totals[1] += 1
            print(f"   failed: {report.name} is cut short: {problem}")
            continue
        for case in cases:
            if case.find("failure") is not None or case.find("error") is not None:
                totals[1] += 1
                print(f"   failed: {case.get('classname')} {case.get('name')}")
            elif case.find("skipped") is not None:
                totals[2] += 1
            else:
                totals[0] += 1
    for result in GO_RESULT.findall(log):
        totals[("PASS", "FAIL", "SKIP").index(result)] += 1
    totals = [total + number for total, number in zip(totals, count_tap(log))]
    for line in SUMMARY.findall(log):
        totals = [total + int(number) for total, number in zip(totals, line)]
    return totals


def count_tap(log):
    found = dict(TAP_SUMMARY.findall(log))
    if not found:
        return [0, 0, 0]
    for title in TAP_FAILED.findall(log):
        print(f"   failed: {title}")
    number = {word: int(found.get(word, 0)) for word in ("pass", "fail", "cancelled", "skipped", "todo")}
    return [number["pass"], number["fail"] + number["cancelled"],
            number["skipped"] + number["todo"] - len(TAP_UNWANTED.findall(log))]


def environment():
    # A machine's proxy is not for tests, which stay on the machine.
    values = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    values["PATH"] = f"{BUILD}/venv/bin:{values['PATH']}"
    values["RESULTS"] = str(RESULTS)
    values["PYTHONDONTWRITEBYTECODE"] = "1"
    values["PYTHONPATH"] = f"{ROOT}/bindings/python"
    # Go from the virtual environment, its caches with the other build output, and nothing from the network.
    values.update(GOCACHE=f"{BUILD}/go/cache", GOPATH=f"{BUILD}/go/path", GOENV="off", GOFLAGS="-mod=mod",
                  GOPROXY="off", GOSUMDB="off", GOTOOLCHAIN="local", CGO_ENABLED="1")
    return values


class Suite:
    """A suite that runs. Its output is kept in its log, and shown with a prefix unless that is None."""

    def __init__(self, name, prefix):
        for old in RESULTS.glob(f"{name}*"):
            old.unlink()
        self.name, self.prefix, self.limit = name, prefix, TABLE[name].limit
        self.log = RESULTS / f"{name}.log"
        self.file = open(self.log, "wb")
        self.rest = b""  # of a line whose end has not come
        self.begin = time.monotonic()
        self.process = subprocess.Popen([*COMMAND, name], cwd=ROOT, env=environment(), start_new_session=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.output = self.process.stdout.fileno()
        os.set_blocking(self.output, False)
        self.end = os.pidfd_open(self.process.pid)  # readable when the process has ended

    def seconds(self):
        return time.monotonic() - self.begin

    def read(self):
        """Takes a piece of the output; None if there is none yet, and False at its end."""
        try:
            data = os.read(self.output, 1 << 16)
        except BlockingIOError:
            return None
        self.file.write(data)
        if self.prefix is not None:
            *lines, self.rest = (self.rest + data).split(b"\n")
            self.show(lines)
        return bool(data)

    def show(self, lines):
        for line in lines:
            sys.stdout.buffer.write(self.prefix.encode() + line + b"\n")
        sys.stdout.flush()

    def judge(self, timed_out):
        """(passed, failed, skipped), after the end of its process."""
        while self.read():  # what a process that outlives it writes is not waited for
            pass
        if self.rest:
            self.show([self.rest])
        self.file.close()
        os.close(self.end)
        status = self.process.wait()
        self.process.stdout.close()
        text = self.log.read_text(errors="replace")
        if status != 0 and self.prefix is None:
            print(f"-- the output of {self.name}\n{text.rstrip()}\n-- end of the output of {self.name}")
        passed, failed, skipped = count(self.name, text)
        if status == 0 and passed + failed == 0:
            if self.prefix is None:
                print(text.rstrip())
            only = os.environ.get("ONLY")
            print(f"{self.name}: no test ran" + (f" with ONLY={only}" if only else ""))
            failed = 1
        if status != 0 and failed == 0:
            failed = 1  # it broke before or beside its tests
        if timed_out:
            print(f"{self.name}: stopped after {self.limit} s")
        print(f"   {self.name}: {passed} passed, {failed} failed, {skipped} skipped, {self.seconds():.0f} s", flush=True)
        (RESULTS / f"{self.name}.txt").write_text(f"{passed} passed, {failed} failed, {skipped} skipped\n")
        return passed, failed, skipped


def choose(waiting, running, lanes):
    """The first suite that may start now, or None."""
    kinds = [TABLE[name].kind for name in running]
    if len(running) >= lanes or ALONE in kinds:
        return None
    for name in sorted(waiting, key=lambda name: TABLE[name].kind == ALONE):
        kind = TABLE[name].kind
        if not (kind == ALONE and running or kind == BUILDS and kinds.count(BUILDS) >= max(1, lanes // 2)):
            return name
    return None


def run(names, lanes, verbose):
    """(passed, failed, skipped) of the suites that came to their end: all, or those up to the first that failed."""
    waiting, running, totals, next_reap = list(names), {}, (0, 0, 0), 0
    with selectors.DefaultSelector() as selector:
        while waiting or running:
            while name := choose(waiting, running, lanes):
                waiting.remove(name)
                if TABLE[name].kind == ALONE:
                    end_processes()  # what others have left behind
                print(f"== {name}", flush=True)
                prefix = None if not verbose else "" if len(names) == 1 else f"{name}: "
                suite = running[name] = Suite(name, prefix)
                selector.register(suite.output, selectors.EVENT_READ, suite)
                selector.register(suite.end, selectors.EVENT_READ, suite)
            left = min(suite.limit - suite.seconds() for suite in running.values())
            ended = set()
            for key, _ in selector.select(max(0, min(left, 1))):
                if key.fd == key.data.end:
                    ended.add(key.data)
                elif key.data.read() is False:
                    selector.unregister(key.fd)
            if time.monotonic() >= next_reap:
                reap({suite.process.pid for suite in running.values()})
                next_reap = time.monotonic() + 1
            late = {suite for suite in running.values() if suite.seconds() >= suite.limit} - ended
            if late:
                end_processes()
            for suite in ended | late:
                for descriptor in (suite.output, suite.end):
                    if descriptor in selector.get_map():
                        selector.unregister(descriptor)
                totals = tuple(map(sum, zip(totals, suite.judge(suite in late))))
                del running[suite.name]
            if totals[1]:
                break
    for suite in running.values():
        print(f"   {suite.name}: ended after {suite.seconds():.0f} s, not counted", flush=True)
    return totals


def end_processes():
    """Kills all that this process has started, also what has left its session or lost its parent."""
    foreign = set()
    while living := [process for process in descendants() if process not in foreign]:
        for process in living:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
            except PermissionError:  # it runs as another user
                foreign.add(process)


def reap(suites):
    """Lets go of orphans that have ended: a test that waits for one to vanish would wait for ever."""
    for process, state in children().get(os.getpid(), []):
        if state == "Z" and process not in suites:
            os.waitpid(process, os.WNOHANG)


def children():
    """Of each process: those that it is the parent of, with their states."""
    found = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        found.setdefault(int(parent), []).append((int(folder.name), state))
    return found


def descendants():
    families = children()
    found, parents = [], [os.getpid()]
    while parents:
        for process, state in families.get(parents.pop(), []):
            parents.append(process)
            if state not in "ZX":
                found.append(process)
    return found


def adopt_orphans():
    """Processes that lose their parent become children of this one, so that they are found."""
    PR_SET_CHILD_SUBREAPER = 36
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def stop(number, _):
    raise SystemExit(128 + number)


def main(arguments):
    names = [argument for argument in arguments if argument != "--verbose"]
    if unknown := [name for name in names if name not in TABLE]:
        sys.exit(f"suites: what is '{unknown[0]}'? There are: {' '.join(TABLE)}")
    if os.environ.get("ONLY") and len(names) != 1:
        sys.exit("suites: ONLY is for one suite, such as make test-python ONLY=...")
    wanted = os.environ.get("LANES") or str(max(2, min(4, os.cpu_count())))
    if not wanted.isdigit() or int(wanted) < 1:
        sys.exit(f"suites: LANES is {wanted!r}; allowed: 1 and more")
    lanes = int(wanted)
    sys.stdout.reconfigure(errors="backslashreplace")  # whatever a suite prints
    RESULTS.mkdir(parents=True, exist_ok=True)
    adopt_orphans()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    begin = time.monotonic()
    try:
        totals = run(names, lanes, "--verbose" in arguments)
    finally:
        end_processes()
    if len(names) > 1:
        print(f"   all: {time.monotonic() - begin:.0f} s")
    print("%d passed, %d failed, %d skipped" % totals, flush=True)
    sys.exit(totals[1] != 0)


if __name__ == "__main__":
    main(sys.argv[1:])
