# SPDX-License-Identifier: Apache-2.0
"""docs/DAEMON.md: its configurations are right, and its tables are those of the program."""
import json
import re
import subprocess

import pytest
from daemons import PROGRAM, ROOT, SECRET, check

PAGE = (ROOT / "docs/DAEMON.md").read_text()
CONFIGURATIONS = re.findall(r"^```toml\n(.*?)^```", PAGE, re.S | re.M)


@pytest.fixture
def folder(tmp_path, certificates):
    _, chain, key = certificates[0]
    files = {"secret": SECRET, "tradingview": "a-secret-of-the-webhook", "chain.pem": open(chain).read(), "key.pem": open(key).read()}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "app").mkdir()
    return tmp_path


@pytest.mark.parametrize("number", range(len(CONFIGURATIONS)))
def test_the_configurations_are_right(folder, number):
    text = CONFIGURATIONS[number].replace("/etc/pulsews/", f"{folder}/").replace("/srv/app", f"{folder}/app")
    text = text.replace("/var/log/pulsews/", f"{folder}/")
    path = folder / "hub.toml"
    path.write_text(text)
    done = check(path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_first_is_short():
    assert len(CONFIGURATIONS) > 3
    assert len([line for line in CONFIGURATIONS[0].splitlines() if line]) <= 15


def test_the_errors_are_those_of_the_program(tmp_path):
    path = tmp_path / "hub.toml"
    path.write_text('[hub]\nlisten = "127.0.0.1:0"\nhearbeat = 5\nqueue_messages = 0\n')
    told = check(path).stderr.replace(f"{path}", "hub.toml")
    assert told in PAGE


def test_the_exit_codes_are_those_of_the_help():
    told = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True).stdout
    codes = re.findall(r"\b(\d+) [a-z]", " ".join(told.split("Exit codes:")[1].split("docs/")[0].split()))
    page = re.findall(r"^\| (\d+) \|", PAGE.split("## Exit codes")[1].split("\n## ")[0], re.M)
    assert codes == page == ["0", "1", "2", "3", "64"]


def test_the_examples_of_the_log_are_json():
    for block in re.findall(r"^```json\n(.*?)^```", PAGE, re.S | re.M):
        for line in block.splitlines():
            json.loads(line)


def test_every_known_stream_is_there():
    source = (ROOT / "tools/pulsews-hub/Sources/HubDaemon/Config/FeedStreams.swift").read_text()
    presets = re.findall(r'^    "([a-z-]+)": ', source.split("static let known")[1], re.M)
    table = PAGE.split("| preset | `streams` |")[1].split("\n\n")[0]
    assert sorted(presets) == sorted(re.findall(r"`([a-z]+(?:-[a-z]+)?)`", table.replace("`price`", "").replace("`candle`", "").replace(
        "`trade`", "").replace("`subscribe`", "")))


def test_the_webhook_of_the_example_is_right(folder):
    text = re.findall(r"^```toml\n(.*?)^```", (ROOT / "examples/tradingview/README.md").read_text(), re.S | re.M)[0]
    path = folder / "hub.toml"
    path.write_text("[hub]\nlisten = '127.0.0.1:0'\n" + text.replace("/etc/pulsews/", f"{folder}/"))
    done = check(path)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_code_of_a_refusal_is_there():
    sources = "".join(path.read_text() for path in (ROOT / "tools/pulsews-hub/Sources/HubDaemon").rglob("*.swift"))
    codes = set(re.findall(r'refus(?:e|al)\(\d+, "(\w+)"', sources)) | set(re.findall(r'code: "(\w+)"', sources))
    codes |= set(re.findall(r'"(publish_forbidden|unavailable)"', sources))
    assert len(codes) > 8
    assert {code for code in codes if f"`{code}`" not in PAGE} == {"method_not_allowed", "body_too_large", "no_such_webhook"}
