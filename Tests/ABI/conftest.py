# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from generator.contract import Contract  # noqa: E402

HERE = ROOT / "Tests" / "ABI"
HEADER = ROOT / "include" / "pulsews.h"
HUB_HEADER = ROOT / "include" / "pulsews_hub.h"
LIBRARY = pathlib.Path(os.environ["PULSEWS_LIBRARY"]).resolve()
FOLDER = LIBRARY.parent
PROGRAM = pathlib.Path(os.environ["BUILD"]) / "abi" / "abi"


def build_tests():
    """The program of the C tests, built before pytest asks which tests it has."""
    PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'include'}", f"-I{HERE}",
                    *sorted(str(source) for source in HERE.glob("*.c") if not source.name.startswith("fuzz_")),
                    f"-L{FOLDER}", "-lpulsews", "-pthread", "-o", PROGRAM], check=True)
    return PROGRAM


def run(*command, **options):
    """Runs a command; its output, and an assertion that shows it if it fails."""
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))} exited with {done.returncode}:\n{done.stdout}"
    return done.stdout


def environment():
    return dict(os.environ, LD_LIBRARY_PATH=str(FOLDER), PYTHON=sys.executable,
                HOSTILE=str(ROOT / "Tests" / "Integration" / "hostile.py"))


@pytest.fixture(scope="session")
def contract():
    """The data of contract/, checked and completed."""
    return Contract()


def without_comments(path):
    return re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)


@pytest.fixture(scope="session")
def header():
    """The header's text without its comments."""
    return without_comments(HEADER)


@pytest.fixture(scope="session")
def hub_header():
    return without_comments(HUB_HEADER)


@pytest.fixture(scope="session")
def functions(header, hub_header):
    """The functions that the library exports."""
    return re.findall(r"\b(pulsews_\w+)\(", header + hub_header)


def pytest_generate_tests(metafunc):
    if "c_test" in metafunc.fixturenames:
        program = build_tests()
        names = subprocess.run([program, "--list"], env=environment(), check=True, capture_output=True, text=True).stdout
        metafunc.parametrize("c_test", sorted(names.split()))
