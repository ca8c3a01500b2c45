# SPDX-License-Identifier: Apache-2.0
"""Webhooks: what is called becomes a signal of a topic, once, and strategies answer with its status."""
import json
import re
import socket
import stat
import time

import pytest
from daemons import PATIENCE, ROOT, SECRET, get, subscribe, token

KEY = "a-secret-for-webhooks"
BASE = f"""
[hub]
listen = ["127.0.0.1:0"]
auth = "optional"
[key.main]
algorithm = "HS256"
secret = "{SECRET}"
[webhook."/webhook/tradingview"]
secret = "{KEY}"
topic = "signal.{{ticker}}"
"""
HOOK = "/webhook/tradingview"
ALERT = '{"ticker": "BTCUSDT.P", "price": 1.10}'


def bearer(**claims):
    return {"Authorization": f"Bearer {token(**claims)}"}


def call(daemon, body=ALERT, path=f"{HOOK}/{KEY}", **options):
    """(status, the answer's JSON)."""
    status, _, answer = daemon.request(path, body, **options)
    return status, json.loads(answer)


def code(answered):
    return answered[0], answered[1]["error"]["code"]


@pytest.fixture
def listener():
    return bearer(topics=["signal.**", "signal_status"], sub="page")


def test_an_alert_becomes_a_signal(start, listener):
    daemon = start(BASE)
    with daemon.peer(additional_headers=listener) as peer:
        subscribe(peer, "signal.BTCUSDT-P")
        status, answer = call(daemon)
        assert status == 200 and (answer["topic"], answer["offset"]) == ("signal.BTCUSDT-P", 1)
        signal = get(peer, "signal")["data"]
        assert signal["id"] == answer["id"] and signal["webhook"] == HOOK
        assert signal["data"] == {"ticker": "BTCUSDT.P", "price": 1.1}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", signal["received"])
        # As it was sent, to the digit.
        assert call(daemon, '{"ticker":"BTCUSDT.P","n":1.10}')[0] == 200
        assert '"n":1.10' in peer.recv(20)


def test_only_who_is_granted_may_listen(start):
    daemon = start(BASE)
    with daemon.peer() as peer:
        peer.send('{"type":"subscribe","topics":["signal.BTCUSDT-P"]}')
        assert get(peer, "error")["data"]["code"] == "topic_forbidden"


def test_the_wrong_secret(start):
    daemon = start(BASE)
    for path in (f"{HOOK}/x", f"{HOOK}/", f"{HOOK}/{KEY}x", f"{HOOK}/{KEY[:-1]}", f"{HOOK}/{KEY}/"):
        assert code(call(daemon, path=path)) == (401, "bad_secret")
    assert daemon.request(HOOK, ALERT)[0] == 404
    assert daemon.request("/webhook/tradingvieW/" + KEY, ALERT)[0] == 404
    daemon.wait_for("refused")
    assert KEY not in daemon.output


def test_the_secret_in_the_body(start, tmp_path):
    audit = tmp_path / "audit"
    daemon = start(BASE.replace("[webhook", f'[audit]\nfile = "{audit}"\n[webhook', 1) + 'secret_in = "body"\n')
    with daemon.peer("/ws/stream?topics=signal.A", additional_headers=bearer(topics=["signal.*"])) as peer:
        get(peer, "subscribed")
        assert call(daemon, json.dumps({"secret": KEY, "ticker": "A"}), path=HOOK)[0] == 200
        message = get(peer, "signal")
        assert message["data"]["data"] == {"ticker": "A"} and KEY not in json.dumps(message)
    for body in ('{"ticker":"A"}', json.dumps({"secret": "x", "ticker": "A"}), "a text"):
        assert code(call(daemon, body, path=HOOK)) == (401, "bad_secret")
    daemon.signal()
    assert daemon.wait() == 0
    assert KEY not in audit.read_text() and KEY not in daemon.output


def test_addresses(start):
    text = BASE + 'allow = ["tradingview"]\n'
    daemon = start(text)
    assert code(call(daemon)) == (403, "address_forbidden")
    assert code(call(daemon, path=f"{HOOK}/wrong")) == (403, "address_forbidden")
    # What a client says of itself is not believed.
    assert code(call(daemon, headers={"X-Forwarded-For": "52.89.214.238"})) == (403, "address_forbidden")
    daemon = start(text.replace("[key", 'trusted_proxy = "127.0.0.1"\n[key', 1))
    assert call(daemon, headers={"X-Forwarded-For": "52.89.214.238"})[0] == 200
    assert code(call(daemon, headers={"X-Forwarded-For": "52.89.214.238, 192.0.2.1"})) == (403, "address_forbidden")


def test_bodies(start, listener):
    daemon = start(BASE.replace("signal.{ticker}", "signal.all") + 'max_body = "100B"\n')
    with daemon.peer(additional_headers=listener) as peer:
        subscribe(peer, "signal.all")
        assert call(daemon, "Buy \"BTC\"\nnow", headers={"Content-Type": "text/plain"})[0] == 200
        assert get(peer, "signal")["data"]["data"] == "Buy \"BTC\"\nnow"
    assert code(call(daemon, "x" * 101)) == (413, "body_too_large")
    assert code(call(daemon, b"\xff\xfe")) == (400, "bad_body")
    assert code(call(daemon, "")) == (400, "bad_body")
    status, headers, _ = daemon.request(f"{HOOK}/{KEY}", method="GET")
    assert status == 405 and headers["Allow"] == "POST"


def test_bad_json_where_json_is_wanted(start):
    daemon = start(BASE + 'accept = "json"\n')
    for body in ('{"ticker":"A"', "text", '{"ticker":}', '{"no":"ticker"}', "[" * 100000):
        assert code(call(daemon, body))[1] in ("bad_body", "body_too_large")
    assert call(daemon, '{"ticker":"A"}')[0] == 200


def test_resends_are_left_out(start):
    daemon = start(BASE)
    assert call(daemon)[1]["offset"] == 1
    assert call(daemon) == (200, {"duplicate": True})
    assert call(daemon, ALERT + " ")[1]["offset"] == 2
    daemon = start(BASE + 'id_member = "order.id"\nduplicate_window = "1h"\n')
    assert call(daemon, '{"ticker":"A","order":{"id":1}}')[0] == 200
    assert call(daemon, '{"ticker":"B","order":{"id":1}}')[1] == {"duplicate": True}
    assert call(daemon, '{"ticker":"A","order":{"id":2}}')[1]["offset"] == 2
    assert code(call(daemon, '{"ticker":"A"}')) == (400, "bad_body")
    daemon = start(BASE + "duplicate_window = 0\n")
    assert [call(daemon)[1]["offset"] for _ in range(3)] == [1, 2, 3]


def audited(path, count):
    """The lines of the audit file, once there are so many: they follow the answers."""
    deadline = time.monotonic() + PATIENCE
    while len(lines := path.read_text().splitlines()) < count:
        assert time.monotonic() < deadline, lines
        time.sleep(0.01)
    return [json.loads(line) for line in lines]


def test_a_hub_without_room_says_so_and_takes_the_resend(start, tmp_path):
    audit = tmp_path / "audit"
    daemon = start(BASE.replace("[key", f'publish_queue_bytes = "4KiB"\n[audit]\nfile = "{audit}"\n[key', 1))
    body = json.dumps({"ticker": "A", "x": "y" * 5000})
    for _ in range(2):  # none of them counts as taken
        status, headers, answer = daemon.request(f"{HOOK}/{KEY}", body)
        assert status == 503 and headers["Retry-After"] and json.loads(answer)["error"]["code"] == "unavailable"
    assert [line["result"] for line in audited(audit, 2)] == ["full", "full"]
    assert call(daemon)[0] == 200


def test_the_audit_file(start, tmp_path):
    audit = tmp_path / "audit.jsonl"
    daemon = start(BASE.replace("[key", f'[audit]\nfile = "{audit}"\n[key', 1))
    answer = call(daemon, '{\n "ticker":\r\n"A"}')[1]
    call(daemon, '{\n "ticker":\r\n"A"}')
    call(daemon, path=f"{HOOK}/wrong")
    lines = audited(audit, 3)
    assert [line["result"] for line in lines] == ["published", "duplicate", "refused"]
    assert lines[0]["id"] == answer["id"] and lines[0]["data"] == {"ticker": "A"} and lines[0]["offset"] == 1
    assert lines[2]["code"] == "bad_secret" and {line["address"] for line in lines} == {"127.0.0.1"}
    assert stat.S_IMODE(audit.stat().st_mode) == 0o600
    # Rotated from outside.
    audit.rename(tmp_path / "old")
    daemon.reload()
    call(daemon)
    assert len(audited(audit, 1)) == 1 and len(audited(tmp_path / "old", 3)) == 3


def test_the_audit_file_is_rotated_by_size(start, tmp_path):
    audit = tmp_path / "audit"
    daemon = start(BASE.replace("[key", f'[audit]\nfile = "{audit}"\nmax_size = "4KiB"\nkeep = 2\n[key', 1))
    for number in range(10):
        call(daemon, json.dumps({"ticker": "A", "n": number, "x": "y" * 1500}))
    daemon.signal()
    assert daemon.wait() == 0
    numbers = [[json.loads(line)["data"]["n"] for line in (tmp_path / name).read_text().splitlines()]
               for name in ("audit", "audit.1", "audit.2")]
    assert numbers == [[8, 9], [6, 7], [4, 5]] and not (tmp_path / "audit.3").exists()


def test_a_full_disk_stops_no_signal(start):
    daemon = start(BASE.replace("[key", '[audit]\nfile = "/dev/full"\n[key', 1))
    assert call(daemon)[0] == 200 and call(daemon, ALERT + " ")[0] == 200
    line = daemon.wait_for("/dev/full")
    assert "error" in line and "signals go on" in line
    assert daemon.output.count("/dev/full") == 1


def test_an_audit_file_that_can_not_be(start, tmp_path):
    daemon = start(BASE.replace("[key", f'[audit]\nfile = "{tmp_path}/none/audit"\n[key', 1), ready=False)
    assert daemon.wait() == 1
    assert "can't be opened" in daemon.output


def test_a_strategy_answers_with_a_status(start, listener):
    daemon = start(BASE)
    strategy = bearer(sub="strategy", topics=["signal.*"], publish=["signal_status"])
    with daemon.peer(additional_headers=listener) as page, daemon.peer(additional_headers=strategy) as service:
        subscribe(page, "signal_status")
        subscribe(service, "signal.BTCUSDT-P")
        call(daemon)
        signal = get(service, "signal")["data"]
        service.send(json.dumps({"type": "signal_status", "id": signal["id"], "status": "filled"}))
        assert get(service, "published")["id"] == signal["id"]
        assert get(page, "signal_status")["data"] == {"type": "signal_status", "id": signal["id"], "status": "filled"}
        # Of a signal that there was not; of a peer that may not; what nobody takes.
        service.send('{"type":"signal_status","id":"x-1"}')
        assert get(service, "error")["data"]["code"] == "unknown_signal"
        page.send(json.dumps({"type": "signal_status", "id": signal["id"]}))
        assert get(page, "error")["data"]["code"] == "publish_forbidden"
        for message in ("text", "{}", '{"type":"order"}'):
            service.send(message)
            assert get(service, "error")["data"]["code"] == "not_understood"
        service.send(b"\x00\xff")
        assert get(service, "error")["data"]["code"] == "not_understood"


def test_a_consumer_that_hangs_holds_up_nobody(start, listener):
    daemon = start(BASE.replace("[key", "queue_messages = 16\n[key", 1) + 'max_body = "64KiB"\n')
    host, _, port = daemon.address.rpartition(":")
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.connect((host, int(port)))
    # It reads a message and no more: what is sent to it fills the system's buffers, and then its queue.
    with daemon.peer(additional_headers=listener, max_queue=1, sock=small, close_timeout=0) as hanging, \
            daemon.peer(additional_headers=listener) as healthy:
        for peer in (hanging, healthy):
            subscribe(peer, "signal.A")
        slowest, count = 0, 0
        while json.loads(daemon.request("/ws/stats")[2])["peers_slow"] == 0 or count < 60:
            begun = time.monotonic()
            status, answer = call(daemon, json.dumps({"ticker": "A", "n": count, "text": "x" * 60_000}))
            slowest = max(slowest, time.monotonic() - begun)
            assert status == 200 and answer["offset"] == count + 1
            assert get(healthy, "signal")["data"]["data"]["n"] == count
            count += 1
        assert slowest < 3  # TradingView waits no longer
        statistics = json.loads(daemon.request("/ws/stats")[2])
        assert statistics["messages_dropped"] > 0 and statistics["active_connections"] == 2


def test_rules_change_while_it_runs(start):
    daemon = start(BASE)
    assert call(daemon)[0] == 200
    assert "was applied" in daemon.reload(BASE.replace(KEY, "another-secret-here"))[-1]
    assert code(call(daemon)) == (401, "bad_secret")
    # What was taken before is known still.
    assert call(daemon, path=f"{HOOK}/another-secret-here") == (200, {"duplicate": True})
    lines = daemon.reload(BASE + '[webhook."/other"]\nallow = "127.0.0.1"\n')
    assert '[route."/other"]' in lines[-1] and "restart" in lines[-1]
    assert call(daemon, path=f"{HOOK}/another-secret-here")[0] == 200


@pytest.mark.parametrize("name", ["strategy", "indicator"])
def test_the_alerts_for_tradingview_are_json(start, name):
    """The templates as TradingView fills them in."""
    text = (ROOT / "examples/tradingview" / f"{name}.json").read_text()
    places = set(re.findall(r"{{([\w.]+)}}", text))
    assert places
    filled = re.sub(r"{{([\w.]+)}}", lambda place: "1.5" if place[1] in NUMBERS else "BTCUSDT", text)
    alert = json.loads(filled)
    daemon = start(BASE + 'id_member = "id"\naccept = "json"\n')
    assert call(daemon, filled)[1]["topic"] == "signal.BTCUSDT"
    assert alert["ticker"] == "BTCUSDT"


NUMBERS = {"close", "open", "high", "low", "volume", "strategy.order.contracts", "strategy.order.price", "strategy.position_size"}
