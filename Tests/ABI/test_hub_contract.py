# SPDX-License-Identifier: Apache-2.0
"""pulsews_hub.h says what contract/hub says."""
import ctypes
import re

import pytest
from conftest import HUB_HEADER, LIBRARY, ROOT, run
from test_contract import rows


@pytest.mark.parametrize("compiler, standard", [("gcc", "c11"), ("clang", "c11")])
def test_the_header_declares_the_functions(contract, tmp_path, compiler, standard):
    """Each through a pointer of the contract's type; and the structs have the sizes that are promised."""
    lines = ["#include <pulsews_hub.h>",
             '_Static_assert(sizeof(pulsews_hub_event) == 128, "frozen");',
             '_Static_assert(sizeof(pulsews_hub_publication) == 64, "frozen");', "int main(void) {"]
    for index, row in enumerate(contract.hub.functions):
        arguments = ", ".join(row["arguments"])
        lines.append(f"    {row['result']} (*f{index})({arguments}) = {row['name']}; (void)f{index};")
    source = tmp_path / "functions.c"
    source.write_text("\n".join([*lines, "    return 0;", "}", ""]))
    run(compiler, f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{ROOT / 'include'}", "-fsyntax-only", source)


def test_the_header_declares_no_other_functions(contract, hub_header):
    names = re.findall(r"\b(pulsews_\w+)\(", hub_header)
    assert sorted(names) == sorted(row["name"] for row in contract.hub.functions)


def test_the_header_has_the_numbers(contract):
    """Where a program reads them: one enum each, with nothing else."""
    found = {name: int(value) for name, value in re.findall(r"^    PULSEWS_(\w+) = (\d+)", HUB_HEADER.read_text(), re.M)}
    events = {f"HUB_{row['name'].upper()}": number for number, row in enumerate(contract.hub.events, 1)}
    groups = {row["name"]: row["value"] for group in contract.hub.groups for row in group["constants"]}
    assert found == {**events, **groups} and len(found) == len(events) + len(groups)


def test_no_function_stands_in_both_tables(contract):
    assert not {row["name"] for row in contract.functions} & {row["name"] for row in contract.hub.functions}


@pytest.fixture(scope="module")
def library():
    return ctypes.CDLL(str(LIBRARY))


def test_options(contract, library):
    assert rows(library.pulsews_hub_option_at, ["c_char_p"] * 5) == [
        (row["of"], row["name"], row["kind"], row["default"], row["allowed"]) for row in contract.hub.options]


def test_statistics(contract, library):
    assert rows(library.pulsews_hub_statistic_at, ["c_char_p"] * 4) == [
        (row["name"], row["kind"], row["unit"], row["meaning"]) for row in contract.hub.statistics]
