# SPDX-License-Identifier: Apache-2.0
"""The C tests, one process each: a crash, a hang or a trap fails one test and is told apart."""
import re
import subprocess

from conftest import PROGRAM, environment, run


def test_c(c_test):
    output = run(PROGRAM, c_test, env=environment(), stdin=subprocess.DEVNULL, timeout=110)
    print(output)


def test_error_table_is_that_of_the_header(header):
    declared = {name: int(value) for name, value in re.findall(r"\b(PULSEWS_E[A-Z0-9]+) = (-\d+)", header)}
    listed = dict(line.split(" = ") for line in run(PROGRAM, "error_table_is_sane", env=environment()).splitlines())
    assert {name: int(value) for name, value in listed.items()} == declared
