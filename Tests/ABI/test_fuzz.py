# SPDX-License-Identifier: Apache-2.0
"""The C interface under calls in any order with any arguments: the corpus, then a few seconds of random ones. One program
is for clients (fuzz_abi.c, corpus), one for hubs (fuzz_hub.c, corpus_hub).

By hand: FUZZ_SECONDS=600 make test-abi ONLY=test_random; FUZZ_SEED repeats a run."""
import os
import random
import subprocess
import sys

import pytest
from conftest import FOLDER, HERE, PROGRAM, ROOT, environment, run

sys.path.insert(0, str(ROOT / "examples" / "simulator"))
import certificate

SECONDS = int(os.environ.get("FUZZ_SECONDS", "5"))
CORPORA = {"fuzz_abi": HERE / "corpus", "fuzz_hub": HERE / "corpus_hub"}


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory):
    """Builds a fuzzer when it is first wanted, and runs it."""
    _, chain, key = certificate.make(tmp_path_factory.mktemp("certificates"))
    built = {}

    def build(name):
        program = PROGRAM.parent / name
        program.parent.mkdir(parents=True, exist_ok=True)
        run("gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'include'}", HERE / f"{name}.c",
            f"-L{FOLDER}", "-lpulsews", "-pthread", "-o", program)
        return program

    def start(name, folder, *arguments, timeout):
        if name not in built:
            built[name] = build(name)
        return run(built[name], *arguments, cwd=folder, stdin=subprocess.DEVNULL, timeout=timeout,
                   env=dict(environment(), CERTIFICATE=str(chain), CERTIFICATE_KEY=str(key)))

    return start


@pytest.mark.parametrize("name, entry", [(name, entry) for name, corpus in CORPORA.items()
                                         for entry in sorted(os.listdir(corpus))])
def test_corpus(fuzz, tmp_path, name, entry):
    fuzz(name, tmp_path, CORPORA[name] / entry, timeout=60)


@pytest.mark.timeout(SECONDS + 90)
@pytest.mark.parametrize("name", CORPORA)
def test_random(fuzz, tmp_path, name):
    seed = int(os.environ.get("FUZZ_SEED", random.randrange(1 << 31)))
    print(f"FUZZ_SEED={seed}")
    print(fuzz(name, tmp_path, "--random", SECONDS, seed, timeout=SECONDS + 60))
