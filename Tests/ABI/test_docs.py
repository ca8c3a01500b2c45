# SPDX-License-Identifier: Apache-2.0
"""The reference pages say what the library does."""
import json
import re
import subprocess
import sys

from conftest import PROGRAM, ROOT, environment, run


def test_generated_pages_are_up_to_date():
    run(sys.executable, ROOT / "docs" / "generate.py", "--check")


def test_every_key_of_the_status_is_documented():
    shown = subprocess.run([PROGRAM, "status_of_an_open_client"], env=environment(), check=True, capture_output=True, text=True)
    status = json.loads(shown.stdout)
    keys = set(status) | set(status["stats"])
    page = (ROOT / "docs" / "STATUS.md").read_text().split("## Events")[0]
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == keys
