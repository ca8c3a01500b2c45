// SPDX-License-Identifier: Apache-2.0
import CPulseWS
import Testing

@testable import HubDaemon

@Suite struct TopicRuleTests {
  /// By preset and stream: a symbol, and a message of the exchange for it.
  private static let messages: [(preset: String, stream: String, symbol: String, interval: String, message: String)] = [
    ("alpaca", "price", "AAPL", "", #"[{"T":"q","S":"AAPL","bp":1,"ap":2,"t":"2026-01-01T00:00:00Z"}]"#),
    ("alpaca", "trade", "AAPL", "", #"[{"T":"t","S":"AAPL","i":1,"p":1,"s":1,"t":"2026-01-01T00:00:00Z"}]"#),
    ("binance-spot", "price", "SOLUSDT", "", #"{"data":{"u":1,"s":"SOLUSDT","b":"1","B":"1","a":"2","A":"1"}}"#),
    ("binance-spot", "trade", "SOLUSDT", "", #"{"data":{"e":"aggTrade","s":"SOLUSDT","a":1,"p":"1","q":"1","T":1,"m":true}}"#),
    ("binance-spot", "candle", "USDT", "1h", kline("USDT", "1h")), ("binance-spot", "candle", "solusdc", "1M", kline("SOLUSDC", "1M")),
    ("binance-futures", "price", "SOLUSDT", "", #"{"data":{"e":"bookTicker","s":"SOLUSDT","b":"1","a":"2","T":1}}"#),
    ("binance-futures", "candle", "SOLUSDT", "1m", kline("SOLUSDT", "1m")),
    ("binance-futures", "trade", "BTCUSDT", "", #"{"data":{"e":"aggTrade","s":"BTCUSDT","a":1,"p":"1","q":"1","T":1,"m":true}}"#),
    ("bybit", "price", "SOLUSDT", "", #"{"topic":"tickers.SOLUSDT","ts":1,"data":{"symbol":"SOLUSDT","lastPrice":"1"}}"#),
    ("bybit", "trade", "SOLUSDT", "", #"{"data":[{"T":1,"s":"SOLUSDT","S":"Buy","p":"1","v":"1","i":"x"}]}"#),
    ("bybit", "candle", "SOLUSDT", "1h", bybit("60")), ("bybit", "candle", "SOLUSDT", "1d", bybit("D")),
    ("bybit", "candle", "SOLUSDT", "7m", bybit("7m")),
    (
      "coinbase", "price", "BTC-USD", "",
      #"{"channel":"ticker","timestamp":"2026-01-01T00:00:00Z","events":[{"tickers":[{"product_id":"BTC-USD","best_bid":"1","best_ask":"2"}]}]}"#
    ),
    (
      "coinbase", "candle", "BTC-USD", "",
      #"{"channel":"candles","timestamp":"2026-01-01T00:00:00Z","events":[{"type":"update","candles":[{"start":"1","product_id":"BTC-USD","open":"1","high":"1","low":"1","close":"1","volume":"1"}]}]}"#
    ),
    (
      "coinbase", "trade", "BTC-EUR", "",
      #"{"channel":"market_trades","events":[{"type":"update","trades":[{"trade_id":"1","product_id":"BTC-EUR","price":"1","size":"1","side":"BUY","time":"2026-01-01T00:00:00Z"}]}]}"#
    ),
    (
      "deribit", "price", "BTC-PERPETUAL", "",
      #"{"params":{"data":{"instrument_name":"BTC-PERPETUAL","best_bid_price":1,"best_ask_price":2,"timestamp":1}}}"#
    ),
    (
      "deribit", "trade", "BTC-PERPETUAL", "",
      #"{"params":{"data":[{"trade_id":"1","price":1,"instrument_name":"BTC-PERPETUAL","amount":1,"direction":"buy","timestamp":1}]}}"#
    ),
    ("deribit", "candle", "BTC-PERPETUAL", "3h", deribit("180")), ("deribit", "candle", "BTC-PERPETUAL", "1d", deribit("1D")),
    ("kraken", "price", "SOL/USD", "", #"{"channel":"ticker","data":[{"symbol":"SOL/USD","bid":1,"ask":2}]}"#),
    (
      "kraken", "trade", "SOL/EUR", "",
      #"{"channel":"trade","data":[{"symbol":"SOL/EUR","trade_id":1,"price":1,"qty":1,"side":"buy","timestamp":"2026-01-01T00:00:00Z"}]}"#
    ),
    ("kraken", "candle", "SOL/USD", "1h", kraken(60)), ("kraken", "candle", "SOL/USD", "15d", kraken(21600)),
    ("okx", "price", "BTC-USDT", "", #"{"arg":{"channel":"tickers"},"data":[{"instId":"BTC-USDT","bidPx":"1","askPx":"2","ts":"1"}]}"#),
    (
      "okx", "trade", "BTC-USDT", "",
      #"{"arg":{"channel":"trades"},"data":[{"instId":"BTC-USDT","tradeId":"1","px":"1","sz":"1","side":"buy","ts":"1"}]}"#
    ),
    ("okx", "candle", "BTC-USDT", "1h", okx("1H")), ("okx", "candle", "BTC-USD", "5m", okx("5m", "BTC-USD")),
  ]

  private static func kline(_ symbol: String, _ interval: String) -> String {
    #"{"data":{"e":"kline","E":1,"s":"\#(symbol)","k":{"t":1,"i":"\#(interval)","o":"1","h":"1","l":"1","c":"1","v":"1","x":false}}}"#
  }
  private static func bybit(_ interval: String) -> String {
    #"{"topic":"kline.\#(interval).SOLUSDT","data":[{"start":1,"interval":"\#(interval)","open":"1","high":"1","low":"1","close":"1","volume":"1","confirm":false,"timestamp":1}]}"#
  }
  private static func kraken(_ minutes: Int) -> String {
    #"{"channel":"ohlc","timestamp":"2026-01-01T00:00:00Z","data":[{"symbol":"SOL/USD","interval":\#(minutes),"interval_begin":"2026-01-01T00:00:00Z","open":1,"high":1,"low":1,"close":1,"volume":1}]}"#
  }
  private static func deribit(_ interval: String) -> String {
    #"{"params":{"channel":"chart.trades.BTC-PERPETUAL.\#(interval)","data":{"tick":1,"open":1,"high":1,"low":1,"close":1,"volume":1}}}"#
  }
  private static func okx(_ interval: String, _ symbol: String = "BTC-USDT") -> String {
    #"{"arg":{"channel":"candle\#(interval)","instId":"\#(symbol)"},"data":[["1","1","1","1","1","1","1","1","0"]]}"#
  }

  /// Every stream of every preset is tried.
  @Test func noStreamIsLeftOut() {
    let tried = Set(TopicRuleTests.messages.map { "\($0.preset) \($0.stream)" })
    #expect(tried == Set(FeedStreams.known.flatMap { preset, known in known.streams.keys.map { "\(preset) \($0)" } }))
  }

  /// What the rule says is what the library publishes to.
  @Test(arguments: TopicRuleTests.messages.indices)
  func theTopicIsThatOfTheLibrary(_ index: Int) throws {
    let given = TopicRuleTests.messages[index]
    let text = """
      [feed.f]
      url = "ws://h/"
      preset = "\(given.preset)"
      follow = true
      symbols = "\(given.symbol)"
      streams = "\(given.stream)"
      \(given.interval.isEmpty ? "" : "intervals = \"\(given.interval)\"")
      """
    let reading = Reading(text)
    #expect(reading.errors == [])
    let follow = try #require(reading.config.feeds.first?.follow)
    let (published, count) = try Published.topics(given.preset, given.message, among: Array(follow.fixed.keys))
    #expect(published == Array(follow.fixed.keys) && count == published.count)
  }

  @Test func topicsBecomeSymbolsAgain() throws {
    func wishes(_ preset: String, _ topic: String, _ more: String = "") -> [String] {
      let reading = Reading(
        "[feed.f]\nurl = \"ws://h/\"\npreset = \"\(preset)\"\nfollow = true\nsymbols = \"*\"\nstreams = [\"price\"]\n" + more)
      #expect(reading.errors == [])
      return reading.config.feeds.first?.follow?.wishes(topic).map(\.subscription.key) ?? []
    }
    #expect(wishes("binance-spot", "price.SOL") == ["solusdt@bookTicker"])
    #expect(wishes("binance-spot", "price.SOLUSDC", "quote = \"USDC\"\n") == ["solusdc@bookTicker"])
    #expect(wishes("binance-spot", "price.SOL", "quote = \"USDC\"\n") == [])
    #expect(wishes("binance-spot", "price.USDT") == ["usdtusdt@bookTicker"])
    #expect(wishes("kraken", "price.SOL") == ["SOL/USD"])
    #expect(wishes("coinbase", "price.SOL") == ["SOL-USD"])
    #expect(wishes("okx", "price.SOL") == ["tickers:SOL-USDT"])
    #expect(wishes("bybit", "price.SOL") == ["tickers.SOLUSDT"])
    #expect(wishes("alpaca", "price.AAPL") == ["AAPL"])
    #expect(wishes("deribit", "price.BTC-PERPETUAL", "quote = \"-PERPETUAL\"\n") == ["ticker.BTC-PERPETUAL.100ms"])
    #expect(wishes("deribit", "price.BTC-PERPETUAL") == [])
  }

  @Test func intervalsAreTakenFromTheTopic() throws {
    let reading = Reading(
      "[feed.f]\nurl = \"ws://h/\"\npreset = \"okx\"\nfollow = true\nsymbols = \"*\"\nstreams = [\"candle\"]\nintervals = [\"1m\", \"1h\"]\n"
    )
    let follow = try #require(reading.config.feeds.first?.follow)
    #expect(follow.wishes("candle.SOL.1h").map(\.subscription.key) == ["candle1H:SOL-USDT"])
    #expect(follow.wishes("candle.SOL.1m").map(\.subscription.key) == ["candle1m:SOL-USDT"])
    #expect(follow.wishes("candle.SOL.5m") == [])
  }

  /// Where keys do not say the interval, the feed does.
  @Test func intervalsMayBeThoseOfTheFeed() throws {
    func wishes(_ preset: String, _ topic: String, _ more: String) -> [FeedSubscription] {
      let reading = Reading("[feed.f]\nurl = \"ws://h/\"\npreset = \"\(preset)\"\nfollow = true\nsymbols = \"*\"\n" + more)
      #expect(reading.errors == [])
      return reading.config.feeds.first?.follow?.wishes(topic).map(\.subscription) ?? []
    }
    let hours = "streams = \"candle\"\nintervals = \"1h\"\n"
    #expect(wishes("kraken", "candle.SOL.1h", hours) == [FeedSubscription(key: "SOL/USD")])
    #expect(wishes("kraken", "candle.SOL.1m", hours) == [])
    #expect(wishes("kraken", "candle.SOL/EUR.1h", hours + "quote = \"/EUR\"\n") == [FeedSubscription(key: "SOL/EUR")])
    #expect(wishes("kraken", "trade.SOL", "streams = \"trade\"\n") == [FeedSubscription(key: "SOL/USD")])
    #expect(wishes("coinbase", "candle.SOL.5m", "streams = \"candle\"\n") == [FeedSubscription(key: "SOL-USD")])
    #expect(wishes("coinbase", "candle.SOL.1m", "streams = \"candle\"\n") == [])
    #expect(wishes("coinbase", "trade.SOL", "streams = \"trade\"\n") == [FeedSubscription(key: "SOL-USD")])
  }

  @Test func mapsOfOnesOwn() {
    func topic(_ line: String, _ symbol: String = "XBT/USD", _ interval: String = "60") -> String? {
      TopicRule("price", inMap: "# a map\nrule=other\ntopic=x.${a}\nrule = price\n  topic = \(line)\npublish={}\n")?.topic(symbol, interval)
    }
    #expect(topic("p.${s}") == "p.XBT/USD")
    #expect(topic("p.${a.b[0]|strip(/EUR,/USD)|map(XBT=BTC)|lower}.x") == "p.btc.x")
    #expect(topic("${s|drop(XBT/)|upper}-${i|map(60=1h)}", "XBT/usd") == "USD-1h")
    #expect(topic("${s|part(.,1)}") == "XBT/USD")
    for line in ["p", "p.${t|ms}", "p.${received}", "p.${mid(a,b)}", "p.${a", "${a}${b}${c}", "p.${a|map(x)}"] {
      #expect(topic(line) == nil)
    }
    #expect(TopicRule("price", inMap: "rule=trade\ntopic=x.${s}") == nil)
  }
}

/// What the library publishes of a message: a hub with a feed to an exchange that sends it.
private enum Published {
  struct Failure: Error {}

  /// Which of the names are topics then, and how many topics there are.
  static func topics(_ map: String, _ message: String, among names: [String]) throws -> ([String], Int) {
    let loop = try LibraryLoop()
    let exchange = try LibraryHub(loop)
    try exchange.make(.route(path: "/", name: "welcome", value: "false"))
    for call: HubCall in [.listen("127.0.0.1:0"), .set(name: "events", value: "connected")] { try exchange.make(call) }
    try exchange.start()
    let hub = try LibraryHub(loop)
    try hub.make(.topic(pattern: "**", name: "history", value: "10"))
    try hub.start()
    var client: OpaquePointer?
    try library { pulsews_client_create("ws://\(exchange.addresses[0])/", nil, loop.handle, &client, $0, $1) }
    defer { pulsews_client_free(client) }
    try library { pulsews_hub_feed(hub.handle, client, map, $0, $1) }
    try library { pulsews_open(client, 10_000_000_000, $0, $1) }
    var event = pulsews_hub_event()
    guard pulsews_hub_next(exchange.handle, &event, 1, 10_000_000_000) == 1 else { throw Failure() }
    let bytes = Array(message.utf8)
    pulsews_hub_send(exchange.handle, event.peer, UInt32(PULSEWS_TEXT), bytes, bytes.count)
    pulsews_hub_close_peer(exchange.handle, event.peer, 1000, nil)
    // The close comes behind the message.
    var received = pulsews_message()
    while pulsews_client_state(client) == Int32(PULSEWS_CONNECTED) { _ = pulsews_recv(client, &received, 10_000_000) }
    let status = libraryText { pulsews_hub_status_json(hub.handle, $0, $1) } ?? ""
    let count = JSONScanner.text(Array(status.utf8), at: ["statistics", "topics"]).flatMap { Int($0) } ?? -1
    return (names.filter { pulsews_hub_topic_json(hub.handle, $0, nil, 0) > 0 }, count)
  }
}
