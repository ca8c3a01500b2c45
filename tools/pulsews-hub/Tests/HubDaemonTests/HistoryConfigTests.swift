// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

@Suite struct HistoryConfigTests {
  private static let spot = """
    [feed.f]
    preset = "binance-spot"
    url = "wss://stream.binance.com:9443/stream"
    symbols = ["SOLUSDT", "BTCUSDT"]
    streams = ["price", "candle"]
    intervals = ["1m", "1h"]
    history = 500

    """

  private func read(_ text: String) -> (HistoryConfig?, [String]) {
    let reading = Reading(text + "[topic.\"candle.**\"]\n")
    return (reading.config.feeds.first?.history, reading.errors)
  }

  @Test func aPresetHasItsURL() {
    let (history, errors) = read(HistoryConfigTests.spot)
    #expect(errors == [])
    #expect(history?.url == "https://api.binance.com/api/v3/klines" && history?.wanted == 500 && history?.pause == 100_000_000)
    #expect(history?.topics.map(\.name) == ["candle.SOL.1m", "candle.BTC.1m", "candle.SOL.1h", "candle.BTC.1h"])
    #expect(read(HistoryConfigTests.spot.replacing("history = 500", with: "history = 0")).0 == nil)
  }

  @Test func proxyAndAuthoritiesAreThoseOfTheClient() {
    let (history, errors) = read(
      HistoryConfigTests.spot + "proxy = \"none\"\nca_file = \"/ca\"\nhistory_pause = \"1s\"\nhistory_url = \"http://h/k?a=b\"\n")
    #expect(errors == [])
    #expect(history?.proxy == "" && history?.caFile == "/ca" && history?.pause == 1_000_000_000 && history?.url == "http://h/k?a=b")
    #expect(read(HistoryConfigTests.spot).0?.proxy == nil)
  }

  @Test func aURLMayBeASecret() {
    let reading = Reading(
      HistoryConfigTests.spot + "history_url_env = \"URL\"\n[topic.\"candle.**\"]\n", environment: ["URL": "https://h/k?key=abc"])
    #expect(reading.errors == [])
    #expect(reading.config.feeds.first?.history?.url == "https://h/k?key=abc")
    #expect(reading.findings.secrets == ["https://h/k?key=abc"])
  }

  @Test(arguments: [
    (
      "preset = \"binance-spot\"", "preset = \"alpaca\"",
      "is for the presets binance-futures, binance-spot, bybit, coinbase, deribit, kraken, okx"
    ),
    ("preset = \"binance-spot\"", "preset = \"coinbase\"\nhistory_url = \"https://h/k\"", "needs \"{symbol}\" where the symbol stands"),
    ("preset = \"binance-spot\"", "preset = \"bybit\"", "needs \"history_url\""),
    ("preset = \"binance-spot\"", "preset = \"okx\"\nhistory_pause = \"2m\"", "\"history_pause\" of [feed.f] is a time of 0 to 1m"),
    ("history = 500", "history = 5001", "number from 0 to 5000"), ("history = 500", "history = \"all\"", "number from 0 to 5000"),
    ("preset = \"binance-spot\"", "preset = \"okx\"\nhistory_url = \"ftp://h/\"", "is a URL with https or http"),
    ("history = 500", "history = 500\nmap = \"binance-futures\"", "goes with the map of its preset"),
    ("\"price\", \"candle\"", "\"price\"", "\"streams\" has to name them"), ("\"1h\"", "\"1M\"", "not for the interval \"1M\""),
  ])
  func whatIsWrongIsSaid(_ old: String, _ new: String, _ part: String) {
    let errors = read(HistoryConfigTests.spot.replacing(old, with: new)).1
    #expect(errors.contains { $0.contains(part) }, "\(errors)")
  }

  @Test func whatTheExchangeDoesNotGiveIsSaid() {
    let text = HistoryConfigTests.spot.replacing("binance-spot", with: "okx").replacing("history = 500", with: "history = 1401")
    #expect(read(text).1.contains { $0.contains("at most 1400") })
  }

  /// Where the stream has one interval, and where the feed has.
  @Test func presetsOfOneStreamHaveTheirTopics() {
    func made(_ lines: String) -> HistoryConfig? {
      let (history, errors) = read("[feed.f]\nurl = \"ws://h/\"\nstreams = \"candle\"\nhistory = 700\n" + lines + "\n")
      #expect(errors == [])
      return history
    }
    let coinbase = made("preset = \"coinbase\"\nsymbols = \"BTC-USD\"")
    #expect(coinbase?.url == "https://api.coinbase.com/api/v3/brokerage/market/products/{symbol}/candles")
    #expect(coinbase?.topics.map(\.name) == ["candle.BTC.5m"] && coinbase?.intervals == ["5m"])
    #expect(coinbase?.topics.first?.length == 300_000)
    let kraken = made("preset = \"kraken\"\nsymbols = [\"BTC/USD\", \"*\"]\nfollow = true\nintervals = \"4h\"")
    #expect(kraken?.topics.map(\.name) == ["candle.BTC.4h"] && kraken?.intervals == ["240"])
    #expect(kraken?.topic("candle.ETH.4h", of: "ETH/USD")?.exchangeSymbol == "ETH/USD")
    let deribit = made("preset = \"deribit\"\nsymbols = \"BTC-PERPETUAL\"\nintervals = [\"1m\", \"1d\"]")
    #expect(deribit?.topics.map(\.exchangeInterval) == ["1", "1D"] && deribit?.topics.last?.length == 86_400_000)
    #expect(
      read("[feed.f]\nurl = \"ws://h/\"\npreset = \"kraken\"\nstreams = \"candle\"\nsymbols = \"A\"\nintervals = \"1m\"\nhistory = 720\n").1
        .contains { $0.contains("at most 719") })
  }

  @Test func symbolsThatPeersNameHaveTopicsToo() {
    let text = HistoryConfigTests.spot.replacing("\"SOLUSDT\", \"BTCUSDT\"", with: "\"*\"") + "follow = true\nquote = \"USDT\"\n"
    let (history, errors) = read(text)
    #expect(errors == [])
    #expect(history?.topics == [] && history?.intervals == ["1m", "1h"])
    #expect(history?.topic("candle.ETH.1h", of: "ETHUSDT")?.exchangeSymbol == "ETHUSDT")
    #expect(history?.topic("candle.ETH.5m", of: "ETHUSDT") == nil)
  }

  // MARK: Topics

  private func options(_ topics: String, of pattern: String) -> [String] {
    Plan(Reading(HistoryConfigTests.spot + topics).config).steps.compactMap { step in
      if case .topic(pattern, let name?, let value) = step.call { "\(name)=\(value)" } else { nil }
    }
  }

  @Test func newcomersGetAllCandles() {
    #expect(options("[topic.\"candle.*.*\"]\nhistory = 5\n", of: "candle.*.*") == ["latest=true", "max_keys=2064", "history=5"])
    // Of a wider pattern only what is for candles.
    let wide = "[topic.\"**\"]\nhistory = 5\nstale_after = 9\n"
    #expect(Set(options(wide, of: "candle.*.*")) == ["latest=true", "max_keys=2064", "history=5", "stale_after=9"])
    #expect(Set(options(wide, of: "**")) == ["history=5", "stale_after=9"])
    // What it says itself comes behind, and counts.
    #expect(options("[topic.\"candle.**\"]\nmax_keys = 7000\n", of: "candle.*.*") == ["latest=true", "max_keys=2064", "max_keys=7000"])
    #expect(options("[topic.\"candle.SOL.1m\"]\n[topic.\"candle.**\"]\n", of: "candle.SOL.1m") == ["latest=true", "max_keys=2064"])
    #expect(options("[topic.\"price.*\"]\n[topic.\"candle.**\"]\n", of: "price.*") == [])
    let without = Plan(Reading("[topic.\"candle.**\"]\n").config).steps.map(\.call)
    #expect(!without.contains { if case .topic(_, _?, _) = $0 { true } else { false } })
  }

  @Test func theTopicsHaveToBeNamedAndKeepTheLatest() {
    #expect(Reading(HistoryConfigTests.spot).errors.contains { $0.contains("no [topic] names them") })
    #expect(Reading(HistoryConfigTests.spot + "[topic.\"candle.*.1m\"]\n").errors.contains { $0.contains("candle.SOL.1h, and no [topic]") })
    #expect(
      Reading(HistoryConfigTests.spot + "[topic.\"candle.**\"]\nmax_keys = 2000\n").errors.contains {
        $0.contains("\"max_keys\" of [topic.\"candle.**\"] to be 2064 or more")
      })
    #expect(
      Reading(HistoryConfigTests.spot + "[topic.\"candle.**\"]\nlatest = false\n").errors.contains {
        $0.contains("needs \"latest\" of [topic.\"candle.**\"]")
      })
  }

  @Test func patternsMeet() {
    let pairs = ["**", "candle.**", "*.SOL.*", "candle.*.1m", "price.*", "candle.*", "*.*.*.*", "candle.*.*.**"]
    #expect(
      pairs.map { TopicName.intersection($0, "candle.*.*") } == [
        "candle.*.*", "candle.*.*", "candle.SOL.*", "candle.*.1m", nil, nil, nil, nil,
      ])
    #expect(TopicName.best(["**", "*.SOL.*", "candle.**"], for: "candle.SOL.1m") == "candle.**")
    #expect(TopicName.best(["candle.*.1m", "candle.SOL.**"], for: "candle.SOL.1m") == "candle.SOL.**")
    #expect(TopicName.best(["price.*"], for: "candle.SOL.1m") == nil)
  }

  @Test func theHistoryOfAFeedNeedsNoNewConnectionButKeys() {
    func plan(_ history: Int) -> Plan {
      Plan(Reading(HistoryConfigTests.spot.replacing("history = 500", with: "history = \(history)") + "[topic.\"candle.*.*\"]\n").config)
    }
    let change = PlanChange(from: plan(500), to: plan(600))
    #expect(change.resubscribedFeeds.map(\.name) == ["f"] && change.replacedFeeds.isEmpty)
    #expect(change.needsRestart == ["\"max_keys\" of [topic.\"candle.*.*\"]"])
  }

  // MARK: Requests

  @Test func twoAtATimeAndAPauseBetween() {
    var pacer = RequestPacer(pause: 10)
    #expect(pacer.mayBegin(0))
    pacer.begin(0)
    #expect(!pacer.mayBegin(9) && pacer.mayBegin(10))
    pacer.begin(10)
    #expect(pacer.opens == nil && !pacer.mayBegin(1000))
    pacer.end()
    #expect(pacer.mayBegin(20))
  }

  @Test func limitsAreThoseOfAHost() {
    #expect(
      ["https://a/b?c=d", "https://a/e", "https://a", "https://a?x=/y"].map { HistoryJob.host($0) }
        == Array(repeating: "https://a", count: 4))
    #expect(HistoryJob.host("http://a:8080/b") == "http://a:8080")
  }

  @Test func whoIsRefusedWaits() {
    let second: Int64 = 1_000_000_000
    var pacer = RequestPacer(pause: 0)
    #expect(pacer.refused(retryAfter: 7, 0) == 7 * second)
    #expect(!pacer.mayBegin(7 * second - 1) && pacer.mayBegin(7 * second))
    #expect(pacer.refused(retryAfter: nil, 0) == 60 * second)
    #expect(pacer.refused(retryAfter: 0, 0) == second)
    #expect(pacer.refused(retryAfter: .max, 0) == 3 * 86_400 * second)
    #expect(RequestPacer.time(.max) == 3 * 86_400 * second && RequestPacer.time(-1) == 0)
  }
}
