# SPDX-License-Identifier: Apache-2.0
"""`pulsews-hub --check`: what is wrong with a configuration, or what it would do."""
import re
import subprocess

import pytest
from daemons import PROGRAM, ROOT, SECRET, check


@pytest.fixture
def written(tmp_path):
    def write(text, mode=0o600):
        path = tmp_path / "hub.toml"
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


def test_the_version_is_that_of_the_library():
    header = (ROOT / "include/pulsews.h").read_text()
    numbers = re.findall(r"#define PULSEWS_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header)
    done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"pulsews-hub {'.'.join(numbers)}\n"


def test_help_names_the_exit_codes():
    done = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True)
    assert "Exit codes" in done.stdout and "--check" in done.stdout
    assert subprocess.run([PROGRAM, "--chek", "x"], capture_output=True, check=False).returncode == 64


def test_what_it_would_do(written):
    done = check(written(f"""
[hub]
listen = ["127.0.0.1:0", "unix:/tmp/hub"]
[key.main]
algorithm = "HS256"
secret = "{SECRET}"
[topic."price.*"]
latest = true
[static]
"/app/" = "{ROOT}"
[feed.prices]
preset = "binance-spot"
url = ["wss://user:pass@stream.binance.com:9443/stream?key=1", "wss://other.example/"]
symbols = ["SOLUSDT"]
streams = ["price", "candle"]
intervals = ["1m"]
"""))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    for line in ("listens at 127.0.0.1:0", "listens at unix:/tmp/hub", f"route /app/: static of {ROOT}", "topics price.*: latest=true",
                 "tokens of key main (HS256)",
                 "feed prices: wss://stream.binance.com:9443/stream, 1 more endpoint, map binance-spot, 2 subscriptions"):
        assert line in lines
    assert SECRET not in done.stdout and "pass" not in done.stdout


def test_all_errors_at_once_with_lines(written):
    path = written("""[hub]
listen = ["127.0.0.1:99999"]
hearbeat = 5
queue_messages = 0
compression = "yes"
[topic."a.**.b"]
[feed.f]
url = "ws://h/"
preset = "kraken"
reconnect_base_delay = "1 fortnight"
""")
    done = check(path)
    assert done.returncode == 2 and done.stdout == ""
    lines = done.stderr.splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{path}:{number}" for number in (2, 3, 4, 5, 6, 10)]
    assert "the port is not 0 to 65535" in lines[0] and '"heartbeat" is spelled nearly so' in lines[1]
    assert "queue_messages" in lines[2] and "1 to 10000000" in lines[2]


def test_a_syntax_error_has_line_and_column(written):
    path = written("[hub]\nname = \n")
    done = check(path)
    assert done.returncode == 2
    assert re.match(rf"{re.escape(str(path))}:2: error: column \d+: ", done.stderr)


@pytest.mark.parametrize("text", ['[hub]\nlisten = ["a", }"b"]\n', "[=\n", "a = [" * 10000, "a = {" * 10000, "a." * 10000 + "b = 1"])
def test_what_the_parser_can_not_bear(written, text):
    done = check(written(text))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, (done.returncode, done.stderr[:1000])
    assert ": error: " in done.stderr


def test_a_file_that_is_not_there(tmp_path):
    done = check(tmp_path / "none.toml")
    assert done.returncode == 2 and "No such file" in done.stderr


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[hub]\nname = 'a\0b'\n"])
def test_what_is_no_text(tmp_path, content):
    path = tmp_path / "hub.toml"
    path.write_bytes(content)
    done = check(path)
    assert done.returncode == 2 and "can't be read" in done.stderr


def test_nothing_to_listen_at(written):
    done = check(written("[hub]\nname = 'x'\n"))
    assert done.returncode == 0 and "sockets of the service manager only" in done.stdout


def test_a_secret_in_a_file_that_others_read(written):
    text = f'[hub]\nlisten = "127.0.0.1:0"\n[key.k]\nalgorithm = "HS256"\nsecret = "{SECRET}"\n'
    done = check(written(text, 0o644))
    assert done.returncode == 0
    assert ":5: warning: the file has secrets in it" in done.stderr
    assert check(written(text, 0o600)).stderr == ""
    done = check(written(text.replace(f'secret = "{SECRET}"', 'secret_env = "HUB_SECRET"'), 0o644), HUB_SECRET=SECRET)
    assert done.returncode == 0 and done.stderr == ""


def test_no_error_shows_a_secret(written):
    done = check(written('[hub]\nlisten = "127.0.0.1:0"\n[feed.f]\nmap = "kraken"\nurl = "ws://h/"\n'
                         'headers = { Authorization = "Bearer hidden-word\\r\\nX: y" }\nproxy = "nonsense://me:hidden-too@p/"\n'))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 2, done.stderr
    assert "hidden" not in done.stderr
