# SPDX-License-Identifier: Apache-2.0
"""The C++ wrapper include/pulsews.hpp: clean for two compilers, whole, and run under the address and the undefined behaviour
sanitizer."""
import os
import pathlib
import re
import subprocess
import textwrap

import pytest
from conftest import FOLDER, HERE, ROOT, run

STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Werror"]
INCLUDE = ROOT / "include"
SOURCE = HERE / "wrapper.cpp"
TESTS = re.findall(r"\bTEST\((\w+)\)", SOURCE.read_text().split("tests = {")[1])


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("wrapper") / "wrapper"
    run("g++", "-std=c++17", "-g", *STRICT, "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{INCLUDE}", SOURCE,
        f"-L{FOLDER}", "-lpulsews", "-pthread", "-o", path)
    return path


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
@pytest.mark.parametrize("standard", ["c++17", "c++20"])
def test_compiles_without_a_warning(compiler, standard):
    run(compiler, f"-std={standard}", *STRICT, f"-I{INCLUDE}", "-fsyntax-only", SOURCE)


@pytest.mark.parametrize("name", sorted(path.name for path in (INCLUDE / "pulsews").iterdir()))
def test_each_part_compiles_alone(tmp_path, name):
    source = tmp_path / "alone.cpp"
    source.write_text(f"#include <pulsews/{name}>\n#include <pulsews/{name}>\nint main() {{}}\n")
    run("g++", "-std=c++17", *STRICT, f"-I{INCLUDE}", "-fsyntax-only", source)


@pytest.mark.parametrize("name", TESTS)
def test_wrapper(program, name):
    environment = dict(os.environ, LD_LIBRARY_PATH=str(FOLDER), UBSAN_OPTIONS="print_stacktrace=1")
    run(program, name, env=environment, timeout=100)


def test_every_function_is_reached(program, contract):
    """What the tests call through the wrapper, and nothing of it themselves."""
    listed = subprocess.run(["nm", "--undefined-only", program], check=True, capture_output=True, text=True).stdout
    called = set(re.findall(r"\bU (pulsews_\w+)", listed))
    assert called == {row["name"] for row in [*contract.functions, *contract.hub.functions]}
    assert not re.search(r"\bpulsews_\w+\(", SOURCE.read_text())


def test_the_wrapper_has_no_macros():
    for path in [INCLUDE / "pulsews.hpp", *(INCLUDE / "pulsews").iterdir()]:
        guard = re.sub(r"\W", "_", path.name.upper()).removeprefix("PULSEWS_")
        assert re.findall(r"^ *# *define (.*)$", path.read_text(), re.M) == [f"PULSEWS_{guard}".replace("PULSEWS_PULSEWS", "PULSEWS")]


@pytest.mark.parametrize("title", ["EXAMPLE", "HUB"])
def test_the_example_compiles(tmp_path, title):
    head = pathlib.Path(INCLUDE / "pulsews.hpp").read_text().split(f"/// {title}: ", 1)[1]
    block = re.search(r"(?:^///     .*\n)+", head, re.M)[0]
    source = tmp_path / "example.cpp"
    source.write_text(textwrap.dedent(block.replace("///", "")))
    run("g++", "-std=c++17", *STRICT, f"-I{INCLUDE}", source, f"-L{FOLDER}", "-lpulsews", "-o", tmp_path / "example")
