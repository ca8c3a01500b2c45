# SPDX-License-Identifier: Apache-2.0
"""A Python program that reads a hundredth of what comes: the memory stays bounded, and every message is accounted for.
PULSEWS_SLOW_SECONDS says for how long, for each policy."""
import json
import os
import subprocess
import sys

import pytest
from conftest import HERE
from scripted_server import Scripted

SECONDS = float(os.environ.get("PULSEWS_SLOW_SECONDS", "5"))
KEYS = 50
LIMIT = 1 << 20


@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("policy", ["pause", "drop_oldest", "conflate", "disconnect"])
def test_memory_is_bounded_and_counts_are_exact(policy):
    server = Scripted(f"accept | feed ms=5 keys={KEYS} burst=100 size=150")
    reader = subprocess.Popen([sys.executable, HERE / "slow_reader.py", server.url(), policy, str(SECONDS), str(LIMIT)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert reader.stdout.readline() == "rested\n"
        texts = server.quiet()
        output, _ = reader.communicate(f"{texts}\n", timeout=100)
    finally:
        reader.kill()
        server.stop()
    assert reader.returncode == 0
    seen = json.loads(output)
    values, counts = seen.pop("values"), seen["counts"]
    print(f"{policy}: {texts} texts in {SECONDS:g} s, {seen}")
    # The feed was much faster than its reader. With pause it waits for it, and what the system's buffers hold is its lead.
    assert texts > 20 * seen["slow"] if policy in ("drop_oldest", "conflate") else texts > 2 * seen["slow"]
    assert seen["growth"] < 12 << 20
    assert seen["queue"] < 2 * LIMIT + (512 << 10)
    assert seen["out_of_order"] == 0
    assert counts["messages_received"] == seen["taken"] + counts["receive_dropped"] + counts["receive_conflated"]
    assert seen["told"] == counts["receive_dropped"] + counts["receive_conflated"]
    assert counts["events_dropped"] == 0
    newest = {f"K{key}": (texts - 1 - key) // KEYS for key in range(KEYS)}
    if policy == "pause":
        assert seen["holes"] == 0 and seen["taken"] == texts and values == newest
        assert counts["reading_pauses"] > 0 and counts["connections"] == 1
    elif policy == "drop_oldest":
        assert counts["messages_received"] == texts and seen["last"] == texts - 1 and counts["receive_dropped"] > texts / 2
        assert counts["receive_conflated"] == 0 and values == newest
    elif policy == "conflate":
        assert counts["messages_received"] == texts and values == newest and counts["receive_conflated"] > texts / 2
        assert counts["receive_dropped"] == 0
    else:
        assert counts["slow_disconnects"] > 0 and counts["connections"] > 1 and "PULSEWS_ESLOW" in seen["states"]
        # Each connection brings a piece without a hole.
        assert seen["holes"] <= counts["connections"]
