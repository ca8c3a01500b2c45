# SPDX-License-Identifier: Apache-2.0
"""HUB.md and PROTOCOL.md say what the hub does: their examples are JSON, programs and configurations, and every message and code
of the sources is there."""
import json
import re
import subprocess

import pytest
from conftest import HEADER, HUB_HEADER, ROOT, run

HUB, PROTOCOL = ((ROOT / "docs" / name).read_text() for name in ("HUB.md", "PROTOCOL.md"))
FROM_THE_HUB, FROM_A_PEER = (PROTOCOL.split(f"\n## {title}", 1)[1].split("\n## ", 1)[0]
                             for title in ("From the hub", "From a peer"))
SOURCES = {path.name: path.read_text() for layer in ("PulseHub", "PulseServe", "PulseTopics")
           for path in (ROOT / "Sources" / layer).rglob("*.swift")}


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)


def examples(text):
    return [json.loads(line) for block in blocks(text, "json") for line in block.splitlines()]


def members(value):
    """The names of all members, at every depth."""
    if isinstance(value, list):
        return set().union(*map(members, value))
    return set(value) | members(list(value.values())) if isinstance(value, dict) else set()


def test_the_examples_are_json():
    assert len(examples(HUB)) > 1 and len(examples(FROM_THE_HUB)) > 10 and len(examples(FROM_A_PEER)) > 3


def test_every_message_of_the_hub_is_there():
    source = SOURCES["HubMessage.swift"]
    built = set(re.findall(r'(?:MessageText|timed)\("(\w+)"', source)) | {"snapshot"}
    assert len(built) > 10
    # The daemon's own, which any program may send.
    watch = (ROOT / "tools/pulsews-hub/Sources/HubDaemon/Feeds/FeedWatch.swift").read_text()
    built |= set(re.findall(r'"\{\\"type\\":\\"(\w+)\\"', watch))
    assert built == {message["type"] for message in examples(FROM_THE_HUB) if "o" not in message}
    assert set(re.findall(r'\.(?:add|open)\("(\w+)"', source)) - members(examples(FROM_THE_HUB)) <= {"number", "feed"}
    assert all(f"| `{name}` |" in FROM_THE_HUB for name in ("number", "feed"))


def test_every_member_of_the_envelope_is_there():
    names = set(re.findall(r'[{,]\\"(\w+)\\":', SOURCES["Envelope.swift"]))
    assert {"o", "p", "skipped", "t", "data", "items", "binary"} <= names
    assert names - members(examples(FROM_THE_HUB)) == set()


def test_every_message_of_a_peer_is_there():
    read = re.findall(r'type\.equals\("(\w+)"\)', SOURCES["PeerMessage.swift"])
    assert sorted(read) == sorted(message["type"] for message in examples(FROM_A_PEER))


def test_every_error_is_there():
    told = SOURCES["HubConnection+Frames.swift"] + SOURCES["HubConnection+Tokens.swift"]
    codes = set(re.findall(r'tell\(\s*peer, [\w.\[\]]+, "(\w+)"', told))
    codes |= set(re.findall(r'var code: Literal \{ self == \.badToken \? "(\w+)" : "(\w+)"', SOURCES["PeerMessage.swift"])[0])
    assert len(codes) > 6
    assert codes == set(re.findall(r"^\| `(\w+)` \|", FROM_THE_HUB.split("### Errors", 1)[1].split("###", 1)[0], re.M))


def test_every_refusal_is_there():
    text = "".join(SOURCES.values())
    codes = set(re.findall(r'Refusal\(\s*\d+, "(\w+)"', text)) | set(re.findall(r'case \d+: "(\w+)"', SOURCES["Refusal.swift"]))
    codes |= set(re.findall(r'case \.\w+: "(token_\w+)"', SOURCES["TokenClaims.swift"]))
    table = HUB.split("\n## Refusals", 1)[1].split("\n## ", 1)[0]
    named = set(re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in table.splitlines() if row.startswith("| `"))))
    # The server's own headers are checked at its start.
    assert len(codes) > 15 and codes - named - UNSEEN == set() and named - codes <= {"bad_request"}


UNSEEN = {"internal_error"}


def test_the_names_exist(contract):
    headers = set(re.findall(r"\w+", HEADER.read_text() + HUB_HEADER.read_text()))
    rows = [row for rows in (contract.hub.options, contract.hub.statistics, contract.hub.events) for row in rows]
    known = headers | {row["name"] for row in rows} | {word for row in contract.hub.options for word in row.get("words", ())}
    known |= set(re.findall(r'"(\w+)', "".join(SOURCES.values()))) | members(examples(HUB + PROTOCOL))
    for text in (HUB, PROTOCOL):
        prose = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
        named = set(re.findall(r"\b(pulsews_[a-z_]+[a-z]|PULSEWS_[A-Z_]+|(?<=`)[a-z]+(?:_[a-z]+)+(?=[`=]))", prose))
        assert len(named) > 5 and named - known - {"PULSEWS_LOG"} == set()


@pytest.mark.parametrize("number", range(len(blocks(HUB, "c"))))
def test_the_c_examples_compile(tmp_path, number):
    code = blocks(HUB, "c")[number]
    if "int main" not in code:
        part = "void part(pulsews_hub *hub, char *why)"
        code = f"#include <pulsews_hub.h>\n{part};\n{part} {{\n{code}(void)why;\n}}\n"
    source = tmp_path / "example.c"
    source.write_text(code)
    run("gcc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{ROOT / 'include'}", "-fsyntax-only", source)


def test_nginx_takes_its_configuration(tmp_path):
    text = blocks(HUB, "nginx")[0].replace("listen 80;", f"listen unix:{tmp_path}/socket;")
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{text}}}\n")
    run("nginx", "-t", "-e", "stderr", "-p", tmp_path, "-c", tmp_path / "nginx.conf")


def test_haproxy_takes_its_configuration(tmp_path):
    (tmp_path / "haproxy.cfg").write_text(blocks(HUB, "haproxy")[0])
    done = subprocess.run(["haproxy", "-c", "-f", tmp_path / "haproxy.cfg"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_client_resumes_as_it_says():
    """Through a restart, a loss, conflation, and a topic that it has all of."""
    client = {}
    exec(blocks(PROTOCOL, "python")[0], client)
    take, wish = client["take"], client["wish"]

    def message(offset, previous):
        return {"type": "gap", "topic": "t", "o": offset, "p": previous, "data": 1}  # its own type, and no gap

    assert wish("t") == "t"
    assert not take({"type": "welcome", "data": {}})
    assert not take({"type": "subscribed", "topic": "t", "epoch": "a", "offset": 7, "recovered": False, "state": "live"})
    assert not take(message(8, 7)) and not take({**message(12, 8), "skipped": 3})
    assert wish("t") == {"topic": "t", "since": {"epoch": "a", "offset": 12}}
    assert not take({"type": "subscribed", "topic": "t", "epoch": "a", "offset": 14, "recovered": True, "state": "live"})
    assert not take(message(13, 12)) and not take(message(14, 13))
    assert take({"type": "gap", "topic": "t", "from": 15, "to": 16, "cause": "slow"}) and not take(message(17, 16))
    anew = {"type": "subscribed", "topic": "t", "epoch": "b", "offset": 5, "recovered": False, "state": "live"}
    # The connection may end before the gap comes, and before the snapshot, which has 4 and 5.
    assert not take(anew) and wish("t")["since"] == {"epoch": "a", "offset": 17}
    assert take({"type": "gap", "topic": "t", "from": None, "to": 3, "cause": "hub_restart"})
    assert wish("t")["since"] == {"epoch": "b", "offset": 3}
    assert not take({"type": "snapshot", "topic": "t", "epoch": "b", "offset": 5, "items": [1, 2]})
    assert not take(message(6, 5)) and take(message(8, 7))
    # With `history` the snapshot may have all that was missed: no gap, and no loss.
    assert not take({**anew, "offset": 10})
    assert not take({"type": "snapshot", "topic": "t", "epoch": "b", "offset": 10, "items": [1, 2]})
    assert wish("t")["since"] == {"epoch": "b", "offset": 10} and not take(message(11, 10))
