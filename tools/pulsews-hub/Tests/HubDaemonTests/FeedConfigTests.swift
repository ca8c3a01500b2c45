// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

@Suite struct FeedConfigTests {
  private func feed(_ lines: String) -> (FeedConfig?, [String]) {
    let reading = Reading("[feed.f]\nurl = \"ws://h/\"\n" + lines)
    return (reading.config.feeds.first, reading.errors)
  }

  @Test func keysAreMadeOfSymbolsStreamsAndIntervals() {
    let (made, errors) = feed(
      """
      preset = "binance-spot"
      symbols = ["SOLUSDT", "BTCUSDT"]
      streams = ["price", "candle"]
      intervals = ["1m", "1h"]
      subscribe = ["!ticker@arr", "{symbol_lower}@depth"]
      """)
    #expect(errors == [])
    #expect(
      made?.subscriptions.map(\.value.key) == [
        "solusdt@bookTicker", "btcusdt@bookTicker", "solusdt@kline_1m", "solusdt@kline_1h", "btcusdt@kline_1m", "btcusdt@kline_1h",
        "!ticker@arr", "solusdt@depth", "btcusdt@depth",
      ])
    #expect(made?.map.value == "binance-spot")
    #expect(
      made?.options == [
        OptionSetting(name: "preset", value: "binance-spot", line: 3), OptionSetting(name: "name", value: "f", line: 1),
      ])
  }

  @Test func intervalsAreThoseOfTheExchange() {
    let (made, _) = feed("preset = \"okx\"\nsymbols = \"BTC-USDT\"\nstreams = \"candle\"\nintervals = \"1h\"\n")
    #expect(
      made?.subscriptions.first?.value
        == FeedSubscription(
          key: "candle1H:BTC-USDT", message: #"{"op":"subscribe","args":[{"channel":"candle1H","instId":"BTC-USDT"}]}"#,
          unsubscribe: #"{"op":"unsubscribe","args":[{"channel":"candle1H","instId":"BTC-USDT"}]}"#))
    #expect(
      feed("preset = \"bybit\"\nsymbols = \"B\"\nstreams = \"candle\"\nintervals = \"1d\"\n").0?.subscriptions.first?.value.key
        == "kline.D.B")
  }

  private func options(_ feed: FeedConfig?) -> [String: String] {
    Dictionary((feed?.options ?? []).map { ($0.name, $0.value) }) { $1 }
  }

  /// Where keys are symbols alone, the client's messages name the stream.
  @Test func aStreamMayBeInTheMessagesOfTheClient() {
    let symbols = "symbols = [\"BTC/USD\", \"ETH/USD\"]\n"
    let (candles, errors) = feed("preset = \"kraken\"\nstreams = \"candle\"\nintervals = \"4h\"\n" + symbols)
    #expect(errors == [])
    #expect(candles?.subscriptions.map(\.value) == [FeedSubscription(key: "BTC/USD"), FeedSubscription(key: "ETH/USD")])
    #expect(
      options(candles)["subscribe_message"]
        == #"{"method":"subscribe","params":{"channel":"ohlc","interval":240,"symbol":[${keys}]},"req_id":${id}}"#)
    #expect(
      options(candles)["unsubscribe_message"]
        == #"{"method":"unsubscribe","params":{"channel":"ohlc","interval":240,"symbol":[${keys}]},"req_id":${id}}"#)
    #expect(options(candles)["stale_timeout"] == "5m")
    let trades = feed("preset = \"coinbase\"\nstreams = \"trade\"\nsymbols = \"BTC-USD\"\nstale_timeout = 7\n").0
    #expect(
      options(trades)["subscribe_message"] == #"{"type":"subscribe","channel":"market_trades","product_ids":[${keys}]}"#)
    #expect(options(trades)["stale_timeout"] == "7")
    let five = feed("preset = \"coinbase\"\nstreams = \"candle\"\nsymbols = \"BTC-USD\"\n").0
    #expect(options(five)["unsubscribe_message"] == #"{"type":"unsubscribe","channel":"candles","product_ids":[${keys}]}"#)
    #expect(five == feed("preset = \"coinbase\"\nstreams = \"candle\"\nsymbols = \"BTC-USD\"\nintervals = \"5m\"\n").0)
    // Prices are what the preset subscribes.
    let prices = feed("preset = \"kraken\"\nstreams = \"price\"\n" + symbols).0
    #expect(prices?.options.map(\.name) == ["preset", "name"])
    #expect(prices?.isSameConnection(candles!) == false)
  }

  @Test func suchAFeedHasOneStreamAndOneInterval() {
    let kraken = "preset = \"kraken\"\nsymbols = \"BTC/USD\"\n"
    let why = "is one only, since keys of kraken do not say which: write a feed for each"
    #expect(feed(kraken + "streams = [\"price\", \"trade\"]\n").1 == ["line 5: \"streams\" of [feed.f] \(why)"])
    #expect(
      feed(kraken + "streams = \"candle\"\nintervals = [\"1m\", \"1h\"]\n").1 == ["line 6: \"intervals\" of [feed.f] \(why)"])
    #expect(feed(kraken + "streams = [\"trade\", \"trade\"]\n").1 == [])
    #expect(feed("preset = \"bybit\"\nsymbols = \"A\"\nstreams = [\"price\", \"trade\"]\n").1 == [])
  }

  @Test func aMessageOfOnesOwnGoesWithNoSuchStream() {
    let own = "preset = \"kraken\"\nsymbols = \"A\"\nsubscribe_message = '[${keys}]'\n"
    #expect(
      feed(own + "streams = \"trade\"\n").1 == [
        "line 5: \"subscribe_message\" of [feed.f] goes with \"subscribe\": the stream \"trade\" has one of its own"
      ])
    #expect(options(feed(own + "subscribe = \"{symbol}\"\n").0)["subscribe_message"] == "[${keys}]")
    #expect(options(feed(own + "streams = \"price\"\n").0)["subscribe_message"] == "[${keys}]")
  }

  /// Streams are for presets that there are, and with maps of that name.
  @Test func streamsAreOfKnownFeeds() {
    #expect(FeedStreams.known.keys.sorted() == OptionTable.library.maps.sorted())
    #expect(Set(FeedStreams.known.keys).isSubset(of: OptionTable.library.presets))
  }

  @Test func severalURLsAreEndpoints() {
    let reading = Reading("[feed.f]\nurl = [\"ws://a/\", \"ws://b/\"]\nmap = \"kraken\"\nname = \"own\"\n")
    #expect(reading.config.feeds.first?.url.value == "ws://a/")
    #expect(reading.config.feeds.first?.options.map(\.value) == ["own", "ws://b/"])
  }

  @Test(arguments: [
    ("", "needs \"map\""), ("map = \"krakn\"", "\"kraken\" is spelled nearly so"),
    ("map = \"kraken\"\nstreams = \"price\"", "some presets only"),
    ("preset = \"kraken\"\nsymbols = \"A\"", "neither \"streams\" nor \"subscribe\""),
    ("preset = \"kraken\"\nstreams = \"book\"\nsymbols = \"A\"", "are of candle, price, trade, and not \"book\""),
    ("preset = \"kraken\"\nstreams = \"price\"", "needs \"symbols\""),
    ("preset = \"bybit\"\nstreams = \"candle\"\nsymbols = \"A\"", "needs \"intervals\""),
    ("preset = \"kraken\"\nfollow = true\nsubscribe = \"A\"", "\"follow\" of [feed.f] needs \"streams\""),
    ("preset = \"kraken\"\nlinger = 5", "\"linger\" of [feed.f] needs \"follow\" to be true"),
    ("preset = \"kraken\"\nfollow = true\nstreams = \"price\"\nsymbols = \"A\"\nquote = \"B\"", "is for \"symbols\" with \"*\""),
    ("preset = \"kraken\"\nstreams = \"price\"\nsymbols = \"*\"", "\"*\", which needs \"follow\" to be true"),
    ("preset = \"kraken\"\nfollow = true\nstreams = \"price\"\nsymbols = \"*\"\nmost_symbols = 0", "a number from 1 to 10000"),
    ("preset = \"kraken\"\nfollow = true\nlinger = \"2d\"", "a time of 0 to 1d"),
    ("preset = \"kraken\"\nfollow = true\nstreams = \"price\"\nsymbols = \"A\"\nmap = \"okx=1\"", "the map has no \"rule=price\""),
    ("preset = \"bybit\"\nfollow = true\nstreams = \"candle\"\nsymbols = \"*\"", "needs \"intervals\""),
    (
      "preset = \"bybit\"\nfollow = true\nstreams = \"price\"\nsymbols = \"*\"\nsubscribe = \"x.{symbol}\"",
      "\"x.{symbol}\" of [feed.f] needs \"symbols\""
    ),
    ("preset = \"kraken\"\nstreams = \"candle\"\nsymbols = \"A\"", "\"candle\" of [feed.f] needs \"intervals\""),
    (
      "preset = \"kraken\"\nstreams = \"candle\"\nsymbols = \"A\"\nintervals = [\"1m\", \"3m\"]",
      "are of 1m, 5m, 15m, 30m, 1h, 4h, 1d, 1w, 15d, and not \"3m\""
    ),
    ("preset = \"coinbase\"\nstreams = \"candle\"\nsymbols = \"A\"\nintervals = \"1m\"", "are of 5m, and not \"1m\""),
    ("map = \"kraken\"\nafter = 5", "\"after\" of [feed.f] needs \"standby_for\""),
    ("map = \"kraken\"\nstandby_for = \"f\"", "a feed can't stand by for itself"),
    ("map = \"kraken\"\nheartbeat_intervall = 1", "\"heartbeat_interval\" is spelled nearly so"),
  ])
  func whatIsWrongIsSaid(_ lines: String, _ part: String) {
    let errors = feed(lines).1
    #expect(errors.contains { $0.contains(part) }, "\(errors)")
  }

  @Test func whatFollowsIsNotSubscribedAtFirst() throws {
    let (made, errors) = feed(
      """
      preset = "binance-spot"
      symbols = ["SOLUSDT", "BTCUSDT"]
      streams = ["price", "candle"]
      intervals = ["1m", "1h"]
      subscribe = ["!ticker@arr", "{symbol_lower}@depth"]
      follow = true
      linger = "2m"
      """)
    #expect(errors == [])
    #expect(made?.subscriptions.map(\.value.key) == ["!ticker@arr", "solusdt@depth", "btcusdt@depth"])
    let follow = try #require(made?.follow)
    #expect(follow.fixedCount == 6 && follow.linger == 120_000_000_000 && follow.open.isEmpty)
    #expect(follow.fixed.mapValues { $0.map(\.key) }["candle.SOL.1h"] == ["solusdt@kline_1h"])
    #expect(follow.fixed.count == 6)
  }

  private func standbys(_ lines: String) -> Reading {
    Reading("[feed.binance]\nurl=\"ws://a/\"\nmap=\"kraken\"\nname=\"main\"\n[feed.kraken]\nurl=\"ws://b/\"\nmap=\"kraken\"\n\(lines)")
  }

  @Test func aStandbyKnowsItsFeed() throws {
    let reading = standbys("standby_for = \"binance\"\nafter = 20\n")
    #expect(reading.errors == [])
    let standby = try #require(reading.config.feeds.last?.standby)
    #expect(standby.primary.value == "binance" && standby.primaryName == "main")
    #expect(standby.after == 20_000_000_000 && standby.stable == 10_000_000_000)
  }

  @Test func aStandbyHasItsErrors() {
    #expect(
      standbys("standby_for = \"binanec\"\n").errors == [
        "line 8: \"standby_for\" of [feed.kraken]: there is no feed \"binanec\"; \"binance\" is spelled nearly so"
      ])
    #expect(standbys("standby_for = \"binance\"\nname = \"main\"\n").errors.first?.hasPrefix("line 8: ") == true)
    let chain = standbys("standby_for = \"binance\"\n[feed.okx]\nurl=\"ws://c/\"\nmap=\"okx\"\nstandby_for = \"kraken\"\n")
    #expect(
      chain.errors == ["line 12: \"standby_for\" of [feed.okx]: \"kraken\" is a standby itself, and no feed stands by for one"])
  }

  @Test func aURLIsNeeded() { #expect(Reading("[feed.f]\nmap = \"kraken\"\n").errors == ["line 1: [feed.f] needs \"url\""]) }

  @Test func headersAreSecretWordByWord() {
    let reading = Reading("[feed.f]\nmap = \"kraken\"\nurl = \"ws://h/\"\nheaders = { Authorization = \"Bearer abcdefgh\" }")
    #expect(reading.errors == [])
    #expect(reading.findings.secrets == ["Authorization: Bearer abcdefgh", "abcdefgh"])
  }

  @Test func credentialsOfAURLAreSecret() {
    #expect(Reading("[feed.f]\nmap = \"kraken\"\nurl = \"ws://user:pass@h/\"").findings.secretLine == 3)
    #expect(Reading("[feed.f]\nmap = \"kraken\"\nurl = \"ws://h/\"").findings.secretLine == nil)
  }
}
