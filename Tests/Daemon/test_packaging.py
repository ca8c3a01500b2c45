# SPDX-License-Identifier: Apache-2.0
"""The example of a configuration is right and whole; the units of systemd are sound, and let the daemon do little."""
import configparser
import re
import subprocess

import pytest
from daemons import PROGRAM, ROOT, SECRET, check

PACKAGING = ROOT / "packaging"
EXAMPLE = (PACKAGING / "pulsews-hub.toml").read_text()


@pytest.fixture
def folder(tmp_path, certificates):
    _, chain, key = certificates[0]
    files = {"secret": SECRET, "tradingview": "a-secret-of-the-webhook", "publish-token": "a-token-to-publish",
             "chain.pem": open(chain).read(), "key.pem": open(key).read()}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "app").mkdir()
    return tmp_path


def written(folder, text):
    for path, here in (("/etc/pulsews/", f"{folder}/"), ("/srv/app", f"{folder}/app"), ("/var/log/pulsews/", f"{folder}/")):
        text = text.replace(path, here)
    path = folder / "hub.toml"
    path.write_text(text)
    return path


def test_the_example_is_right(folder):
    done = check(written(folder, EXAMPLE))
    assert (done.returncode, done.stderr) == (0, "")
    assert ("feed binance: wss://stream.binance.com:9443/stream, map binance-spot, 0 subscriptions, and as peers come and go up to 12, "
            "each kept 30 s without a peer, 500 candles of 6 topics from https://api.binance.com/api/v3/klines\n") in done.stdout
    assert ("feed kraken: wss://ws.kraken.com/v2, map kraken, 0 subscriptions, and as peers come and go up to 3, each kept 30 s without "
            "a peer, stands in for binance after 10 s, until that is back for 10 s\n") in done.stdout


def test_what_is_commented_out_is_right_too(folder):
    text, count = re.subn(r"^#: ", "", EXAMPLE, flags=re.M)
    assert count == 4
    done = check(written(folder, text))
    assert (done.returncode, done.stderr) == (0, "")


def test_every_section_is_there():
    page = (ROOT / "docs/DAEMON.md").read_text().split("## Sections")[1].split("\n### ")[0]
    sections = {re.split(r"[.\]]", name)[0] for name in re.findall(r"^\| `\[([^`]+)`", page, re.M)}
    assert len(sections) == 11
    assert {re.split(r"[.\]]", name)[0] for name in re.findall(r"^\[(.+)\]$", EXAMPLE, re.M)} == sections


@pytest.fixture
def units(tmp_path):
    """The units, with the program where it was built."""
    for source in (PACKAGING / "systemd").iterdir():
        (tmp_path / source.name).write_text(source.read_text().replace("/usr/bin/pulsews-hub", str(PROGRAM)))
    return tmp_path


@pytest.mark.parametrize("name", ["service", "socket"])
def test_the_units_are_sound(units, name):
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", units / f"pulsews-hub.{name}"],
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_may_do_little(units):
    """From 0 (safe) to 10, as the page says it; in tenths for the tool."""
    told = re.search(r"gives it (\d)\.(\d) of 10", (ROOT / "docs/DAEMON.md").read_text())
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={told[1]}{told[2]}", "--no-pager"]
    done = subprocess.run([*command, units / "pulsews-hub.service"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f": {told[1]}.{told[2]} " in done.stdout


def test_the_service_knows_the_exit_codes_and_times():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(PACKAGING / "systemd/pulsews-hub.service")
    service = unit["Service"]
    assert (service["SuccessExitStatus"], service["RestartPreventExitStatus"]) == ("3", "2 64")
    drain = re.search(r'drain_timeout = "(\d+)s"', EXAMPLE)[1]
    assert int(service["TimeoutStopSec"].rstrip("s")) > int(drain)


def test_the_program_brings_no_data_of_locales():
    assert PROGRAM.stat().st_size < 32_000_000
