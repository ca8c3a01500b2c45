# SPDX-License-Identifier: Apache-2.0
"""A hub with a peer of Go's gorilla/websocket, which has its own mind about compression: it asks for both
no_context_takeover parameters, and takes no other answer."""
import json
import subprocess

import pytest
from hub import Hub
from plain_clients import build_gorilla

COUNT = 1000


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return build_gorilla(tmp_path_factory.mktemp("gorilla"), "gorilla")


@pytest.mark.parametrize("compression", [True, False], ids=["compressed", "uncompressed"])
def test_a_peer_of_gorilla(program, compression):
    with Hub(topics={"t": {"history": COUNT}}, events=["subscribe", "closed"], heartbeat="20ms") as hub:
        peer = subprocess.Popen([program, "-url", hub.url(), f"-compression={str(compression).lower()}", "-count", str(COUNT)],
                                stdout=subprocess.PIPE, text=True)
        try:
            hub.event("subscribe")
            texts = [json.dumps({"type": "n", "n": number, "fill": "x" * number}).encode() for number in range(1, COUNT + 1)]
            for text in texts:
                hub.publish("t", text)
            told, _ = peer.communicate(timeout=60)
            assert peer.returncode == 0
        finally:
            peer.kill()
        seen = json.loads(told)
        assert seen["extensions"] == (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover" if compression else "")
        assert (seen["got"], seen["again"], seen["wrong"]) == (COUNT, COUNT // 2, [])
        assert seen["bytes"] == sum(map(len, texts)) + sum(map(len, texts[COUNT // 2:]))
        assert seen["pong"] == "are you there" and seen["closes"] == [4321, 1000]
        first, second = hub.event("closed"), hub.event("closed")
        assert (first.code, first.text, second.code) == (4321, "enough", 1000)
        assert hub["pongs_received"] >= 1 and seen["pings"] >= 1
        assert (hub["resumes_recovered"], hub["protocol_errors"]) == (1, 0)
        assert (hub["frames_compressed"] > 0) == compression
        hub.until("messages_written", COUNT + COUNT // 2)
        hub.check_books()
