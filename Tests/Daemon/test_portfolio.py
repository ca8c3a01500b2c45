# SPDX-License-Identifier: Apache-2.0
"""[portfolio]: services publish positions, orders, trades and equity; who may see an account, its token says."""
import json

from daemons import SECRET, check, get, subscribe, token

BASE = f"""
[hub]
listen = ["127.0.0.1:0"]
auth = "optional"
[key.main]
algorithm = "HS256"
secret = "{SECRET}"
[portfolio]
"""


def bearer(**claims):
    return {"Authorization": f"Bearer {token(**claims)}"}


SERVICE = {"sub": "engine", "publish": ["portfolio.a1.*"]}
OWNER = {"sub": "owner", "topics": ["portfolio.a1.*"]}


def position(symbol, size, account="a1"):
    return {"type": "position_update", "data": {"account": account, "symbol": symbol, "size": size}, "timestamp": "2026-11-30T10:00:00Z"}


def test_a_service_publishes_over_websocket(start):
    daemon = start(BASE)
    with daemon.peer(additional_headers=bearer(**OWNER)) as owner, daemon.peer(additional_headers=bearer(**SERVICE)) as service:
        subscribe(owner, "portfolio.a1.positions", "portfolio.a1.orders", "portfolio.a1.trades", "portfolio.a1.equity")
        for kind, data in (("position_update", {"symbol": "BTC"}), ("order", {"id": 7}), ("trade_executed", {}), ("equity_snapshot", {})):
            message = {"type": kind, "data": {"account": "a1", **data}}
            service.send(json.dumps(message))
            published = get(service, "published")
            got = get(owner, kind)
            assert got["data"] == message and (got["topic"], got["o"]) == (published["topic"], published["offset"])


def test_the_latest_of_each_position_for_who_comes(start):
    daemon = start(BASE)
    with daemon.peer(additional_headers=bearer(**SERVICE)) as service:
        for symbol, size in (("BTC", "1"), ("ETH", "5"), ("BTC", "2")):
            service.send(json.dumps(position(symbol, size)))
            get(service, "published")
    with daemon.peer(additional_headers=bearer(**OWNER)) as owner:
        owner.send('{"type":"subscribe","topics":["portfolio.a1.positions"]}')
        items = get(owner, "snapshot")["items"]
        assert [(item["data"]["data"]["symbol"], item["data"]["data"]["size"]) for item in items] == [("ETH", "5"), ("BTC", "2")]


def test_over_http_too(start):
    daemon = start(BASE)
    body = {"topic": "portfolio.a1.positions", "data": position("SOL", "3")}
    assert daemon.request("/ws/publish", json.dumps(body), bearer(**SERVICE))[0] == 200
    assert daemon.request("/ws/publish", json.dumps({**body, "topic": "portfolio.a2.positions"}), bearer(**SERVICE))[0] == 403
    assert daemon.request("/ws/publish", json.dumps({**body, "data": position("SOL", "4")}), bearer(**SERVICE))[0] == 200
    with daemon.peer(additional_headers=bearer(**OWNER)) as owner:
        owner.send('{"type":"subscribe","topics":["portfolio.a1.positions"]}')
        assert [item["data"]["data"]["size"] for item in get(owner, "snapshot")["items"]] == ["4"]


def test_accounts_are_kept_apart(start):
    daemon = start(BASE)
    with daemon.peer(additional_headers=bearer(**OWNER)) as owner:
        owner.send('{"type":"subscribe","topics":["portfolio.a2.positions"]}')
        assert get(owner, "error")["data"]["code"] == "topic_forbidden"
        owner.send(json.dumps(position("BTC", "1")))
        assert get(owner, "error")["data"]["code"] == "publish_forbidden"
    with daemon.peer(additional_headers=bearer(**SERVICE)) as service:
        service.send(json.dumps({**position("BTC", "1", account="a2"), "id": "mine"}))
        error = get(service, "error")
        assert (error["data"]["code"], error["id"], error["topic"]) == ("publish_forbidden", "mine", "portfolio.a2.positions")
        for account in ("a1.positions.x", "*", "**", "", None):
            service.send(json.dumps(position("BTC", "1", account=account)))
            assert get(service, "error")["data"]["code"] == "bad_request"
        service.send('{"type":"position_update","data":{"account":"a1"}}')
        assert get(service, "error")["data"]["code"] == "bad_request"
    with daemon.peer() as nobody:
        nobody.send(json.dumps(position("BTC", "1")))
        assert get(nobody, "error")["data"]["code"] == "publish_forbidden"


def test_the_last_token_counts(start):
    daemon = start(BASE)
    with daemon.peer() as service:
        for claims, expected in ((SERVICE, "published"), ({**SERVICE, "publish": ["portfolio.a2.*"]}, "error"),
                                 ({"sub": "engine"}, "error"), (SERVICE, "published")):
            service.send(json.dumps({"type": "auth", "data": {"token": token(**claims)}}))
            service.send(json.dumps(position("BTC", "1")))
            assert get(service, "auth")["data"]["user"] == "engine"
            answer = get(service, expected)
            assert expected == "published" or answer["data"]["code"] == "publish_forbidden"


def test_members_have_names_of_their_own(start):
    daemon = start(BASE + 'prefix = "books.live"\naccount = "acct"\nposition_key = "s"\n')
    with daemon.peer(additional_headers=bearer(publish=["books.live.*.positions"])) as service:
        service.send('{"type":"position_update","acct":"x","s":"BTC"}')
        assert get(service, "published")["topic"] == "books.live.x.positions"


def test_a_portfolio_needs_tokens(tmp_path):
    path = tmp_path / "hub.toml"
    path.write_text("[hub]\nlisten = '127.0.0.1:0'\n[portfolio]\n")
    done = check(path)
    assert done.returncode == 2 and ':3: error: [portfolio] needs "auth" of [hub]' in done.stderr
