# SPDX-License-Identifier: Apache-2.0
"""The pages that are written by hand say what the library does; the tables come from the contract."""
import ctypes
import json
import re
import subprocess

import pytest
from conftest import LIBRARY, PROGRAM, ROOT, build_tests, environment
from generator import docs

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def library():
    return ctypes.CDLL(str(LIBRARY))


def page(name):
    return (DOCS / name).read_text()


def keys(text):
    """The words in code style in the first column of the tables."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def sections(text):
    """Heading -> text below it, of the second level."""
    parts = re.split(r"^## (.*)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def test_every_key_of_the_status_is_documented(contract):
    if not PROGRAM.exists():
        build_tests()
    shown = subprocess.run([PROGRAM, "status_of_an_open_client"], env=environment(), check=True, capture_output=True,
                           text=True)
    status = json.loads(shown.stdout)
    text = page("STATUS.md").partition("| key of `stats` |")
    assert keys(text[0]) == list(status)
    stats, _, endpoints = text[2].partition("| key of `endpoints` |")
    assert [row["name"] for row in contract.statistics] + keys(stats) == list(status["stats"])
    assert keys(endpoints) == list(status["endpoints"][0])


def recipes():
    """(heading, lines `option = value`) of every block of settings."""
    return [(title, [line.split(" = ", 1) for line in block.splitlines()])
            for title, text in sections(page("RECIPES.md")).items()
            for block in re.findall(r"^```ini\n(.*?)^```", text, re.S | re.M)]


@pytest.mark.parametrize("title, settings", recipes(), ids=lambda value: value if isinstance(value, str) else "")
def test_the_library_takes_the_settings_of_the_recipes(library, title, settings):
    library.pulsews_config_create.restype = ctypes.c_void_p
    library.pulsews_config_free.argtypes = [ctypes.c_void_p]
    library.pulsews_config_set.argtypes = [ctypes.c_void_p, *[ctypes.c_char_p] * 3, ctypes.c_size_t]
    config, why = library.pulsews_config_create(), ctypes.create_string_buffer(512)
    for name, value in settings:
        status = library.pulsews_config_set(config, name.encode(), value.encode(), why, 512)
        assert status == 0, f"{name} = {value}: {why.value.decode()}"
    library.pulsews_config_free(config)


def test_the_pythons_of_the_recipes_are_programs():
    for block in re.findall(r"^```python\n(.*?)^```", page("RECIPES.md"), re.S | re.M):
        compile(block, "RECIPES.md", "exec")


def anchors(text):
    """What links to headings are made of."""
    heads = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def test_the_links_lead_somewhere():
    for path in DOCS.glob("*.md"):
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", path.read_text()):
            to = DOCS / target if target else path
            assert to.exists(), f"{path.name}: {target}"
            assert not anchor or anchor in anchors(to.read_text()), f"{path.name}: {target}#{anchor}"


ELSEWHERE = {"live_only", "in_doubt_ids", "PULSEWS_LOG", "https_proxy", "all_proxy", "no_proxy"}


def test_the_names_in_the_recipes_exist(contract, header):
    known = {row["name"] for rows in (contract.options, contract.statistics, contract.events) for row in rows}
    known |= {word for row in contract.options for word in row.get("words", ())} | {docs.prometheus(row) for row in contract.statistics}
    known |= set(re.findall(r"\w+", header)) | set(keys(page("STATUS.md")))
    text = re.sub(r"^```python\n.*?^```", "", page("RECIPES.md"), flags=re.S | re.M)
    named = re.findall(r"\b(pulsews_[a-z_]+[a-z]|PULSEWS_[A-Z_]+|(?<=`)[a-z]+(?:_[a-z]+)+(?=`))\b", text)
    assert named and set(named) - known - ELSEWHERE == set()
