# SPDX-License-Identifier: Apache-2.0
"""docs/ARCHITECTURE.md names what exists."""
import re

import pytest
from conftest import ROOT


def page():
    return re.sub(r"^```.*?^```", "", (ROOT / "docs" / "ARCHITECTURE.md").read_text(), flags=re.S | re.M)


def quoted(pattern):
    return sorted({name for name in re.findall(r"`([^`\n]+)`", page()) if re.fullmatch(pattern, name)})


@pytest.fixture(scope="module")
def words():
    """Every word of the sources, the contract, the header and the manifest."""
    files = [path for folder in ("Sources", "contract") for path in (ROOT / folder).rglob("*") if path.is_file()]
    files += [ROOT / "include" / "pulsews.h", ROOT / "include" / "pulsews_hub.h", ROOT / "Package.swift"]
    return {word for path in files for word in re.findall(r"\w+", path.read_text())}


def test_every_file_exists():
    names = quoted(r"[\w.+/-]+\.(?:swift|c|h|py|sh|map|toml)")
    here = {path.name for top in ("Sources", "Tests") for path in (ROOT / top).rglob("*")}
    assert len(names) > 20
    assert [name for name in names if not (ROOT / name).exists() and name not in here] == []


def test_every_name_is_in_the_sources(words):
    names = quoted(r"[A-Za-z]\w+")
    assert len(names) > 100
    assert [name for name in names if name not in words] == []


def test_names_are_in_the_file_behind_them():
    pairs = re.findall(r"`(\w+)`\s+\(`([\w+]+\.swift)`", page())
    assert len(pairs) > 20
    texts = {path.name: path.read_text() for path in (ROOT / "Sources").rglob("*.swift")}
    assert [(name, file) for name, file in pairs if not re.search(rf"\b{name}\b", texts[file])] == []
