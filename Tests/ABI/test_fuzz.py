# SPDX-License-Identifier: Apache-2.0
"""The C interface under calls in any order with any arguments: the corpus, then a few seconds of random ones.

By hand: FUZZ_SECONDS=600 make test-abi ONLY=test_random; FUZZ_SEED repeats a run."""
import os
import random
import subprocess

import pytest
from conftest import FOLDER, HERE, PROGRAM, ROOT, environment, run

SECONDS = int(os.environ.get("FUZZ_SECONDS", "5"))


@pytest.fixture(scope="module")
def fuzzer():
    program = PROGRAM.parent / "fuzz_abi"
    program.parent.mkdir(parents=True, exist_ok=True)
    run("gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'include'}", HERE / "fuzz_abi.c",
        f"-L{FOLDER}", "-lpulsews", "-pthread", "-o", program)
    return program


@pytest.mark.parametrize("name", sorted(os.listdir(HERE / "corpus")))
def test_corpus(fuzzer, tmp_path, name):
    run(fuzzer, HERE / "corpus" / name, env=environment(), cwd=tmp_path, stdin=subprocess.DEVNULL, timeout=60)


@pytest.mark.timeout(SECONDS + 90)
def test_random(fuzzer, tmp_path):
    seed = int(os.environ.get("FUZZ_SEED", random.randrange(1 << 31)))
    print(f"FUZZ_SEED={seed}")
    print(run(fuzzer, "--random", SECONDS, seed, env=environment(), cwd=tmp_path, stdin=subprocess.DEVNULL,
              timeout=SECONDS + 60))
