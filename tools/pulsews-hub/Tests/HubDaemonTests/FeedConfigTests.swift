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
    ("map = \"kraken\"\nheartbeat_intervall = 1", "\"heartbeat_interval\" is spelled nearly so"),
  ])
  func whatIsWrongIsSaid(_ lines: String, _ part: String) {
    let errors = feed(lines).1
    #expect(errors.contains { $0.contains(part) }, "\(errors)")
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
