# SPDX-License-Identifier: Apache-2.0
"""docs/PYTHON.md: complete, and its programs are programs."""

import re
from pathlib import Path

import pulsews
import pytest

DOCS = Path(__file__).resolve().parents[3] / "docs"
TEXT = (DOCS / "PYTHON.md").read_text()
WORDS = set(re.findall(r"\w+", TEXT))


def test_every_public_name_is_there():
    assert not [name for name in pulsews.__all__ if name not in WORDS]


@pytest.mark.parametrize("kind", ["Client", "WebSocketManager", "BlockingManager", "Hub", "HubPeer", "HubRequest"])
def test_every_method_is_there(kind):
    members = [name for name in dir(getattr(pulsews, kind)) if not name.startswith("_")]
    rare = {"subprotocol", "close_code", "close_reason", "response_headers", "events_dropped", "get_status", "wait_closed", "connect"}
    assert not [name for name in members if name not in WORDS | rare]


def test_every_callback_is_there():
    from pulsews._callbacks import CALLBACKS

    assert set(CALLBACKS) <= WORDS


def test_every_handler_of_a_hub_is_there():
    from pulsews._hub_events import HANDLERS

    assert set(HANDLERS) <= WORDS


def test_the_programs_are_programs():
    blocks = re.findall(r"^```python\n(.*?)^```", TEXT, re.S | re.M)
    assert len(blocks) >= 5
    options = {row.name for row in pulsews.option_table()}
    own = {"wait", "timeout", "recv_events", "parse_json", "dump_json"}
    for block in blocks:
        compile(block, "PYTHON.md", "exec")
        for call in re.findall(r"pulsews\.connect\((.*?)\)\n", block, re.S):
            names = set(re.findall(r"(?:, |\n\s+)(\w+)=", re.sub(r"lambda.*", "", call)))
            assert names <= options | own, names


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (DOCS / target).exists(), target


def test_nobody_is_told_to_copy_the_library_into_the_package():
    assert "site-packages" not in (DOCS / "INSTALL.md").read_text()
    assert "PULSEWS_LIBRARY" in (DOCS / "INSTALL.md").read_text()
