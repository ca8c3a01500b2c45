# SPDX-License-Identifier: Apache-2.0
"""The header alone: it compiles everywhere, and its example is a program."""
import re
import textwrap

import pytest
from conftest import FOLDER, HEADER, HUB_HEADER, ROOT, run

STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


@pytest.mark.parametrize("compiler, language, standard", [
    ("gcc", "c", "c99"), ("gcc", "c", "c11"), ("gcc", "c", "c17"), ("g++", "c++", "c++11"), ("g++", "c++", "c++20"),
    ("clang", "c", "c99"), ("clang", "c++", "c++11")])
@pytest.mark.parametrize("name", ["pulsews.h", "pulsews_hub.h"])
def test_compiles_alone(tmp_path, name, compiler, language, standard):
    source = tmp_path / f"alone.{'c' if language == 'c' else 'cpp'}"
    source.write_text(f"#include <{name}>\n#include <{name}>\nint main(void) {{ return PULSEWS_OK; }}\n")
    run(compiler, "-x", language, f"-std={standard}", *STRICT, f"-I{ROOT / 'include'}", "-fsyntax-only", source)


@pytest.mark.parametrize("compiler, suffix, standard", [("gcc", "c", "c99"), ("g++", "cpp", "c++11")])
def test_every_declaration_links(tmp_path, functions, compiler, suffix, standard):
    source = tmp_path / f"all.{suffix}"
    uses = "\n".join(f"    count += (void (*)(void)){name} != 0;" for name in functions)
    source.write_text(f"#include <pulsews_hub.h>\nint main(void) {{\n    int count = 0;\n{uses}\n"
                      f"    return count != {len(functions)};\n}}\n")
    # An address is never NULL: the compiler may say so, the linker must find it all the same.
    run(compiler, f"-std={standard}", "-O0", "-w", f"-I{ROOT / 'include'}", source, f"-L{FOLDER}", "-lpulsews",
        "-o", tmp_path / "all")
    run(tmp_path / "all", env={"LD_LIBRARY_PATH": str(FOLDER)})


@pytest.mark.parametrize("header, title", [(HEADER, "EXAMPLE"), (HUB_HEADER, "HUB IN 40 LINES")])
def test_the_example_compiles(tmp_path, header, title):
    comment = header.read_text().split("*/")[0]
    lines = re.findall(r"^ \*     (.*)$", comment.split(title, 1)[1].split("THREADS", 1)[0], re.M)
    assert 10 < len(lines) <= 40
    source = tmp_path / "example.c"
    source.write_text(textwrap.dedent("\n".join(lines)) + "\n")
    run("gcc", "-std=c99", *STRICT, f"-I{ROOT / 'include'}", source, f"-L{FOLDER}", "-lpulsews", "-o", tmp_path / "example")


def test_example_programs_compile_strictly(tmp_path):
    for source in (ROOT / "examples" / "c").glob("*.c"):
        run("gcc", "-std=gnu11", "-O2", *STRICT, f"-I{ROOT / 'include'}", source, f"-L{FOLDER}", "-lpulsews",
            "-o", tmp_path / source.stem)
