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
    ("preset = \"kraken\"\nstreams = \"candle\"\nsymbols = \"A\"", "are of price, and not \"candle\""),
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
