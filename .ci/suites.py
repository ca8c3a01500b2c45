# SPDX-License-Identifier: Apache-2.0
"""Runs test suites one after another, stops at the first that fails, and closes with the summary line.

    suites.py [--verbose] NAME...

A suite is what .ci/suite.sh does for its name. Its output goes to $BUILD/results/NAME.log and is shown when it fails
(with --verbose: as it comes). It is counted from what it leaves: JUnit files $BUILD/results/NAME*.xml, the result lines of
`go test -v`, or lines "N passed, N failed, N skipped". A suite that counts no test has failed.
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ["BUILD"])
RESULTS = BUILD / "results"
LIMIT = 900  # seconds for one suite
SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.M)
GO_RESULT = re.compile(r"^--- (PASS|FAIL|SKIP): ", re.M)


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
    for line in SUMMARY.findall(log):
        totals = [total + int(number) for total, number in zip(totals, line)]
    return totals


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
    captures = ROOT.parent / "shared" / "captures"
    if "PULSEWS_CAPTURES" not in values and captures.is_dir():
        values["PULSEWS_CAPTURES"] = str(captures)
    return values


def run(name, verbose):
    for old in RESULTS.glob(f"{name}*"):
        old.unlink()
    path = RESULTS / f"{name}.log"
    print(f"== {name}", flush=True)
    begin = time.monotonic()
    timed_out = False
    with open(path, "wb") as log:
        suite = subprocess.Popen([ROOT / ".ci" / "suite.sh", name], cwd=ROOT, env=environment(), start_new_session=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if verbose else log,
                                 stderr=subprocess.STDOUT)
        # The clock runs also while the output is read, so a timer ends the suite's whole session.
        signal.signal(signal.SIGALRM, lambda *_: os.killpg(suite.pid, signal.SIGKILL))
        signal.alarm(LIMIT)
        try:
            if verbose:
                for line in suite.stdout:
                    sys.stdout.buffer.write(line)
                    sys.stdout.flush()
                    log.write(line)
            status = suite.wait()
            timed_out = status == -signal.SIGKILL
        except BaseException:
            os.killpg(suite.pid, signal.SIGKILL)
            raise
        finally:
            signal.alarm(0)
    text = path.read_text(errors="replace")
    if status != 0 and not verbose:
        print(text.rstrip())
    passed, failed, skipped = count(name, text)
    if status != 0 and failed == 0:
        failed = 1  # it broke before or beside its tests
    if status == 0 and passed + failed == 0:
        print(f"{text.rstrip()}\n{name}: no test ran")
        failed = 1
    if timed_out:
        print(f"{name}: stopped after {LIMIT} s")
    print(f"   {name}: {passed} passed, {failed} failed, {skipped} skipped, {time.monotonic() - begin:.0f} s", flush=True)
    (RESULTS / f"{name}.txt").write_text(f"{passed} passed, {failed} failed, {skipped} skipped\n")
    return passed, failed, skipped


def main():
    arguments = sys.argv[1:]
    verbose = "--verbose" in arguments
    RESULTS.mkdir(parents=True, exist_ok=True)
    totals = (0, 0, 0)
    for name in (argument for argument in arguments if argument != "--verbose"):
        totals = tuple(map(sum, zip(totals, run(name, verbose))))
        if totals[1]:
            break
    print("%d passed, %d failed, %d skipped" % totals, flush=True)
    sys.exit(totals[1] != 0)


main()
