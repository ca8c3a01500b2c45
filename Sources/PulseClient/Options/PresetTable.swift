// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Options for a known feed.
package struct PresetEntry {
  package let name: Literal
  /// Which feed it is for, and where its facts come from.
  package let text: Literal
  /// One line an option, "name=value", with a line feed behind each.
  package let options: Literal
}

/// Market data of exchanges, as their documents had it in the middle of 2026.
///
/// Limits of a second or so are a little below the published ones: the server counts what arrives, and messages that
/// left in two windows may arrive in one. Where pongs count there is room for one, since a pong never waits.
package enum PresetTable {
  /// The table; nil behind the last entry.
  package static func entry(_ index: Int) -> PresetEntry? {
    switch index {
    case 0:
      return PresetEntry(
        name: "binance-spot",
        text: """
          Binance spot, combined streams: wss://stream.binance.com:9443/stream; keys are streams such as \
          btcusdt@bookTicker. Update ids only have to grow, which suits bookTicker and depth together; for depth alone \
          binance-spot-depth also finds gaps. From: developers.binance.com, Spot, WebSocket Streams.
          """,
        options: #"""
          rate_limit=4/s
          rate_limit_control=true
          host_connect_rate=300/5m
          subscribe_message={"method":"SUBSCRIBE","params":[${keys}],"id":${id}}
          unsubscribe_message={"method":"UNSUBSCRIBE","params":[${keys}],"id":${id}}
          subscribe_confirm={"result":null,"id":${id}}
          subscribe_reject={"error":"*","id":${id}}
          stale_timeout=60s
          stale_action=reconnect
          max_age=23h
          rotate_on={"e":"serverShutdown"}
          rotate_on={"data":{"e":"serverShutdown"}}
          rotation_overlap=5s
          key_path=stream
          sequence_path=data.u
          sequence_key=stream
          sequence_rule=increasing

          """#)
    case 1:
      return PresetEntry(
        name: "binance-spot-depth",
        text: """
          As binance-spot, for the streams of depth updates: each begins at the update id behind the one before, so \
          that every gap is found. Messages of other streams are not checked.
          """,
        options: #"""
          rate_limit=4/s
          rate_limit_control=true
          host_connect_rate=300/5m
          subscribe_message={"method":"SUBSCRIBE","params":[${keys}],"id":${id}}
          unsubscribe_message={"method":"UNSUBSCRIBE","params":[${keys}],"id":${id}}
          subscribe_confirm={"result":null,"id":${id}}
          subscribe_reject={"error":"*","id":${id}}
          stale_timeout=60s
          stale_action=reconnect
          max_age=23h
          rotate_on={"e":"serverShutdown"}
          rotate_on={"data":{"e":"serverShutdown"}}
          rotation_overlap=5s
          key_path=stream
          sequence_path=data.U,data.u
          sequence_key=stream

          """#)
    case 2:
      return PresetEntry(
        name: "binance-futures",
        text: """
          Binance USD-M futures, combined streams: wss://fstream.binance.com/public/stream for bookTicker and depth, \
          /market/stream for klines and trades; keys are streams. Update ids only have to grow; for depth alone \
          binance-futures-depth also finds gaps. From: developers.binance.com, USD-M Futures, Websocket Market Streams.
          """,
        options: #"""
          rate_limit=8/s
          rate_limit_control=true
          host_connect_rate=300/5m
          subscribe_message={"method":"SUBSCRIBE","params":[${keys}],"id":${id}}
          unsubscribe_message={"method":"UNSUBSCRIBE","params":[${keys}],"id":${id}}
          subscribe_confirm={"result":null,"id":${id}}
          subscribe_reject={"error":"*","id":${id}}
          stale_timeout=60s
          stale_action=reconnect
          max_age=23h
          rotate_on={"e":"serverShutdown"}
          rotate_on={"data":{"e":"serverShutdown"}}
          rotation_overlap=5s
          key_path=stream
          sequence_path=data.u
          sequence_key=stream
          sequence_rule=increasing

          """#)
    case 3:
      return PresetEntry(
        name: "binance-futures-depth",
        text: """
          As binance-futures, for the streams of depth updates: each names the update id of the one before, so that \
          every gap is found. Messages of other streams are not checked.
          """,
        options: #"""
          rate_limit=8/s
          rate_limit_control=true
          host_connect_rate=300/5m
          subscribe_message={"method":"SUBSCRIBE","params":[${keys}],"id":${id}}
          unsubscribe_message={"method":"UNSUBSCRIBE","params":[${keys}],"id":${id}}
          subscribe_confirm={"result":null,"id":${id}}
          subscribe_reject={"error":"*","id":${id}}
          stale_timeout=60s
          stale_action=reconnect
          max_age=23h
          rotate_on={"e":"serverShutdown"}
          rotate_on={"data":{"e":"serverShutdown"}}
          rotation_overlap=5s
          key_path=stream
          sequence_path=data.u
          sequence_previous=data.pu
          sequence_key=stream

          """#)
    default:
      return others(index)
    }
  }

  private static func others(_ index: Int) -> PresetEntry? {
    switch index {
    case 4:
      return PresetEntry(
        name: "coinbase",
        text: """
          Coinbase Advanced Trade market data: wss://advanced-trade-ws.coinbase.com; keys are products of the channel \
          ticker, such as BTC-USD (set subscribe_message and unsubscribe_message for another channel). Each connect \
          begins with the channel heartbeats; a login of your own has to subscribe it, too. From: \
          docs.cdp.coinbase.com, Advanced Trade, WebSocket.
          """,
        options: #"""
          rate_limit=7/s
          host_connect_rate=7/s
          login={"type":"subscribe","channel":"heartbeats"}
          server_heartbeat={"channel":"heartbeats"}
          server_heartbeat_timeout=10s
          subscribe_message={"type":"subscribe","channel":"ticker","product_ids":[${keys}]}
          unsubscribe_message={"type":"unsubscribe","channel":"ticker","product_ids":[${keys}]}
          subscribe_confirm={"events":[{"subscriptions":{"ticker":[]}}]}
          subscribe_confirm={"events":[{"subscriptions":{"ticker_batch":[]}}]}
          subscribe_confirm={"events":[{"subscriptions":{"level2":[]}}]}
          subscribe_confirm={"events":[{"subscriptions":{"market_trades":[]}}]}
          subscribe_confirm={"events":[{"subscriptions":{"candles":[]}}]}
          subscribe_confirm={"events":[{"subscriptions":{"status":[]}}]}
          subscribe_confirm={"events":[{"subscriptions":{"user":[]}}]}
          subscribe_reject={"type":"error"}
          stale_timeout=60s
          stale_action=reconnect
          key_path=channel
          key_path=events[0].tickers[0].product_id
          sequence_path=sequence_num
          sequence_scope=connection

          """#)
    case 5:
      return PresetEntry(
        name: "kraken",
        text: """
          Kraken spot market data, version 2: wss://ws.kraken.com/v2; keys are symbols of the channel ticker, such as \
          BTC/USD (set subscribe_message and unsubscribe_message for another channel). Its public messages have no \
          sequence numbers: books have checksums. From: docs.kraken.com, WebSocket v2.
          """,
        options: #"""
          heartbeat_message={"method":"ping","req_id":${id}}
          heartbeat_reply={"method":"pong"}
          heartbeat_interval=20s
          heartbeat_timeout=30s
          server_heartbeat={"channel":"heartbeat"}
          host_connect_rate=150/10m
          subscribe_message={"method":"subscribe","params":{"channel":"ticker","symbol":[${keys}]},"req_id":${id}}
          unsubscribe_message={"method":"unsubscribe","params":{"channel":"ticker","symbol":[${keys}]},"req_id":${id}}
          subscribe_confirm={"method":"subscribe","success":true,"result":{"symbol":"${key}"},"req_id":${id}}
          subscribe_reject={"method":"subscribe","success":false,"symbol":"${key}","req_id":${id}}
          stale_timeout=60s
          stale_action=reconnect
          key_path=channel
          key_path=data[0].symbol

          """#)
    case 6:
      return PresetEntry(
        name: "bybit",
        text: """
          Bybit version 5, public: wss://stream.bybit.com/v5/public/spot, linear, inverse or option; keys are topics \
          such as orderbook.50.BTCUSDT. Private feeds need a signed login, login_confirm {"op":"auth","success":true} \
          and login_reject {"op":"auth","success":false} besides. From: bybit-exchange.github.io/docs/v5, WebSocket \
          Stream.
          """,
        options: #"""
          heartbeat_message={"op":"ping","req_id":"${id}"}
          heartbeat_reply={"op":"pong"}
          heartbeat_reply={"ret_msg":"pong"}
          heartbeat_interval=20s
          heartbeat_timeout=45s
          host_connect_rate=500/5m
          subscribe_message={"op":"subscribe","req_id":"${id}","args":[${keys}]}
          unsubscribe_message={"op":"unsubscribe","req_id":"${id}","args":[${keys}]}
          subscribe_batch=10
          subscribe_confirm={"op":"subscribe","success":true,"req_id":"${id}"}
          subscribe_confirm={"type":"COMMAND_RESP","success":true}
          subscribe_reject={"op":"subscribe","success":false,"req_id":"${id}"}
          subscribe_reject={"type":"COMMAND_RESP","success":false}
          stale_timeout=60s
          stale_action=reconnect
          key_path=topic
          sequence_path=data.u
          sequence_key=topic
          sequence_rule=increasing
          sequence_scope=connection

          """#)
    case 7:
      return PresetEntry(
        name: "okx",
        text: """
          OKX version 5, public: wss://ws.okx.com:8443/ws/v5/public; a subscription needs its own text, such as \
          {"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}. Private channels need a signed login, \
          login_confirm {"event":"login","code":"0"} and login_reject {"event":"error"} besides. At most 480 requests \
          to subscribe an hour on one connection are allowed, which is not enforced here. From: okx.com/docs-v5, \
          WebSocket.
          """,
        options: #"""
          heartbeat_message=ping
          heartbeat_interval=20s
          heartbeat_timeout=29s
          host_connect_rate=2/s
          subscribe_confirm={"event":"subscribe"}
          subscribe_reject={"event":"error"}
          stale_timeout=60s
          stale_action=reconnect
          rotate_on={"event":"notice","code":"64008"}
          rotation_overlap=5s
          key_path=arg.channel
          key_path=arg.instId
          sequence_path=data[0].seqId
          sequence_previous=data[0].prevSeqId
          sequence_key=arg.channel
          sequence_key=arg.instId

          """#)
    case 8:
      return PresetEntry(
        name: "deribit",
        text: """
          Deribit JSON-RPC: wss://www.deribit.com/ws/api/v2; keys are channels such as book.BTC-PERPETUAL.100ms. Each \
          connect asks for heartbeats, which a login of your own has to do, too; a test_request is answered. A mute \
          feed is only told: leaving the connection may cancel orders. From: docs.deribit.com, set_heartbeat, book \
          channels, Rate Limits.
          """,
        options: #"""
          rate_limit=18/s
          login={"jsonrpc":"2.0","id":${id},"method":"public/set_heartbeat","params":{"interval":30}}
          heartbeat_request={"method":"heartbeat","params":{"type":"test_request"}}
          heartbeat_answer={"jsonrpc":"2.0","id":${id},"method":"public/test","params":{}}
          server_heartbeat={"method":"heartbeat","params":{"type":"heartbeat"}}
          server_heartbeat={"result":{"version":"*"}}
          server_heartbeat_timeout=90s
          subscribe_message={"jsonrpc":"2.0","id":${id},"method":"public/subscribe",\#
          "params":{"channels":[${keys}]}}
          unsubscribe_message={"jsonrpc":"2.0","id":${id},"method":"public/unsubscribe",\#
          "params":{"channels":[${keys}]}}
          subscribe_interval=350ms
          subscribe_confirm={"id":${id},"result":["*"]}
          subscribe_reject={"id":${id},"error":"*"}
          stale_timeout=60s
          key_path=params.channel
          sequence_path=params.data.change_id
          sequence_previous=params.data.prev_change_id
          sequence_key=params.channel

          """#)
    case 9:
      return PresetEntry(
        name: "alpaca",
        text: """
          Alpaca market data: wss://stream.data.alpaca.markets/v2/sip and the like; set login to \
          {"action":"auth","key":"KEY","secret":"SECRET"}; keys are symbols, of which trades and quotes are \
          subscribed. Most plans allow one connection, so that none can be replaced by a second one: leave max_age \
          alone. Nights are silent, so no stale_timeout is set. From: docs.alpaca.markets, Real-time Stock Data.
          """,
        options: #"""
          login_confirm=[{"T":"success","msg":"authenticated"}]
          login_reject=[{"T":"error"}]
          subscribe_message={"action":"subscribe","trades":[${keys}],"quotes":[${keys}]}
          unsubscribe_message={"action":"unsubscribe","trades":[${keys}],"quotes":[${keys}]}
          subscribe_confirm=[{"T":"subscription"}]
          subscribe_reject=[{"T":"error"}]

          """#)
    default:
      return nil
    }
  }
}
