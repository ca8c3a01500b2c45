// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

private let second: Int64 = 1_000_000_000

@Suite struct DemandTests {
  private func subscription(_ key: String) -> FeedSubscription { FeedSubscription(key: key, message: nil, unsubscribe: nil) }

  private func rules(_ symbols: String, more: String = "") -> FollowRules {
    let reading = Reading(
      "[feed.f]\nurl = \"ws://h/\"\npreset = \"binance-spot\"\nstreams = [\"price\"]\nfollow = true\nsymbols = [\(symbols)]\n" + more)
    #expect(reading.errors == [])
    return reading.config.feeds.first?.follow ?? FollowRules()
  }

  private func demand(_ symbols: String = "\"SOLUSDT\", \"BTCUSDT\"", more: String = "", pinned: Bool = false) -> Demand {
    Demand(rules(symbols, more: more), isPinned: pinned, now: 0)
  }

  @Test func theFirstSubscribesAndTheLastLeavesAfterAWhile() {
    var demand = demand()
    #expect(demand.tick(now: 0) == [])
    #expect(demand.want("price.SOL", now: second) == [.subscribe(subscription("solusdt@bookTicker"))])
    #expect(demand.deadline == nil)
    demand.leave("price.SOL", now: 5 * second)
    #expect(demand.deadline == 35 * second)
    #expect(demand.tick(now: 35 * second - 1) == [])
    #expect(
      demand.tick(now: 35 * second) == [
        .unsubscribe("solusdt@bookTicker"), .withhold(topic: "price.SOL", .unwanted),
      ])
    #expect(demand.subscriptions == [])
  }

  @Test func aReloadOfAPageChangesNothing() {
    var demand = demand()
    _ = demand.want("price.SOL", now: 0)
    for time in 1..<1000 {
      demand.leave("price.SOL", now: Int64(time) * 20 * second)
      #expect(demand.tick(now: Int64(time) * 20 * second) == [])
      #expect(demand.want("price.SOL", now: (Int64(time) * 20 + 10) * second) == [])
    }
    #expect(demand.subscriptions.map(\.key) == ["solusdt@bookTicker"])
  }

  @Test func withNothingToSubscribeTheFeedRestsUntilSomebodyComes() {
    var demand = demand()
    #expect(demand.deadline == 30 * second)
    #expect(demand.tick(now: 30 * second) == [.rest])
    #expect(demand.isResting && demand.deadline == nil && demand.tick(now: 90 * second) == [])
    #expect(demand.want("price.BTC", now: 100 * second) == [.subscribe(subscription("btcusdt@bookTicker")), .rise])
    demand.leave("price.BTC", now: 100 * second)
    // The exchange is told before the connection goes.
    #expect(demand.tick(now: 130 * second).first == .unsubscribe("btcusdt@bookTicker"))
    #expect(!demand.isResting && demand.deadline == 160 * second)
    #expect(demand.tick(now: 160 * second) == [.rest])
  }

  @Test func aFeedWithOtherKeysNeverRests() {
    var demand = demand(pinned: true)
    #expect(demand.deadline == nil && demand.tick(now: 1000 * second) == [] && !demand.isResting)
  }

  @Test func otherTopicsAreNobodysBusiness() {
    var demand = demand()
    for topic in ["price.DOGE", "price", "price.SOL.x", "candle.SOL.1m", "prices.SOL", ""] { #expect(demand.want(topic, now: 0) == []) }
    #expect(demand.subscriptions == [])
  }

  @Test func oneKeyMayServeSeveralTopics() {
    let reading = Reading(
      "[feed.f]\nurl = \"ws://h/\"\npreset = \"alpaca\"\nstreams = [\"price\", \"trade\"]\nfollow = true\nsymbols = \"AAPL\"\n")
    var demand = Demand(reading.config.feeds.first?.follow ?? FollowRules(), isPinned: false, now: 0)
    #expect(demand.want("price.AAPL", now: 0) == [.subscribe(subscription("AAPL"))])
    #expect(demand.want("trade.AAPL", now: 0) == [])
    demand.leave("price.AAPL", now: 0)
    #expect(demand.tick(now: 100 * second) == [])
    demand.leave("trade.AAPL", now: 100 * second)
    #expect(
      demand.tick(now: 130 * second) == [
        .unsubscribe("AAPL"), .withhold(topic: "price.AAPL", .unwanted), .withhold(topic: "trade.AAPL", .unwanted),
      ])
  }

  /// The interval is not in the key.
  @Test func aKeyWithoutItsIntervalIsOfOneTopic() {
    let reading = Reading(
      """
      [feed.f]
      url = "ws://h/"
      preset = "kraken"
      streams = "candle"
      intervals = "1m"
      follow = true
      symbols = ["SOL/USD", "*"]
      """)
    #expect(reading.errors == [])
    var demand = Demand(reading.config.feeds.first?.follow ?? FollowRules(), isPinned: false, now: 0)
    #expect(demand.want("candle.SOL.1h", now: 0) == [])
    #expect(demand.want("candle.SOL.1m", now: 0) == [.subscribe(subscription("SOL/USD"))])
    #expect(demand.want("candle.BTC.1m", now: 0) == [.subscribe(subscription("BTC/USD"))])
    demand.leave("candle.BTC.1m", now: 0)
    #expect(demand.tick(now: 30 * second) == [.unsubscribe("BTC/USD"), .withhold(topic: "candle.BTC.1m", .unwanted)])
  }

  // MARK: Any symbol

  @Test func anySymbolIsSubscribedWithinABound() {
    var demand = demand("\"*\", \"BTCUSDT\"", more: "most_symbols = 2\n")
    #expect(demand.want("price.A", now: 0) == [.subscribe(subscription("ausdt@bookTicker"))])
    #expect(demand.want("price.B", now: 0) == [.subscribe(subscription("busdt@bookTicker"))])
    #expect(demand.want("price.C", now: 0) == [.withhold(topic: "price.C", .full)])
    #expect(demand.want("price.D", now: 0) == [.withhold(topic: "price.D", .full)])
    // Those of the configuration take nobody's place.
    #expect(demand.want("price.BTC", now: 0) == [.subscribe(subscription("btcusdt@bookTicker"))])
    demand.leave("price.C", now: 0)
    demand.leave("price.A", now: 0)
    #expect(
      demand.tick(now: 30 * second) == [
        .unsubscribe("ausdt@bookTicker"), .withhold(topic: "price.A", .unwanted), .subscribe(subscription("dusdt@bookTicker")),
      ])
  }

  @Test(arguments: [
    "price.sol", "price.S-L", "price.S L", "price.S\"L", "price.SÖL", "price.", "price.USDT\"]}", "price.\u{1}",
    "price.ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456",
  ])
  func whatIsNoSymbolIsNotAskedFor(_ topic: String) {
    var demand = demand("\"*\"")
    #expect(demand.want(topic, now: 0) == [])
  }

  /// However many peers come and go, the exchange hears of so many symbols in that time.
  @Test func churnStaysWithinTheBound() {
    var demand = demand("\"*\"", more: "most_symbols = 20\n")
    var calls = 0
    func count(_ steps: [Demand.Step]) {
      for step in steps {
        switch step {
        case .subscribe, .unsubscribe: calls += 1
        case .withhold, .rest, .rise: break
        }
      }
    }
    for number in 0..<10_000 {
      let now = Int64(number) * second / 1000
      count(demand.want("price.S\(number % 500)", now: now))
      count(demand.tick(now: now))
      demand.leave("price.S\(number % 500)", now: now)
    }
    #expect(calls == 20)
    #expect(demand.subscriptions.count == 20)
  }

  /// As many as may be, at once: what one costs does not grow with the others.
  @Test(.timeLimit(.minutes(1))) func manySymbolsAreSubscribedAtOnce() {
    var demand = demand("\"*\"", more: "most_symbols = 10000\n")
    for number in 0..<10_500 { _ = demand.want("price.S\(number)", now: 0) }
    #expect(demand.subscriptions.count == 10_000)
    let topics = Set((0..<10_500).map { "price.S\($0)" })
    #expect(demand.take(rules("\"*\"", more: "most_symbols = 10000\nlinger = 5\n"), isPinned: false, topics: topics, now: 0) != [])
    #expect(demand.subscriptions.count == 10_000)
  }

  /// With a stream for each of its keys.
  @Test func aSymbolOfSeveralKeysTakesOnePlace() {
    let more = "most_symbols = 2\nintervals = [\"1m\", \"1h\"]\n"
    func rules(_ linger: Int) -> FollowRules {
      let reading = Reading(
        "[feed.f]\nurl = \"ws://h/\"\npreset = \"binance-spot\"\nstreams = [\"price\", \"candle\"]\nfollow = true\nsymbols = \"*\"\n"
          + more + "linger = \(linger)\n")
      return reading.config.feeds.first?.follow ?? FollowRules()
    }
    var demand = Demand(rules(30), isPinned: false, now: 0)
    func isFull(_ symbol: String) -> Bool {
      var copy = demand
      return copy.want("price.\(symbol)", now: 0) == [.withhold(topic: "price.\(symbol)", .full)]
    }
    for topic in ["price.A", "candle.A.1m", "candle.A.1h", "price.B"] { _ = demand.want(topic, now: 0) }
    #expect(isFull("C") && !isFull("A"))
    // Two of the three keys go, and come again by another configuration.
    for topic in ["price.A", "candle.A.1m"] { demand.leave(topic, now: 0) }
    _ = demand.take(rules(20), isPinned: false, topics: ["candle.A.1h", "price.B"], now: 0)
    #expect(demand.subscriptions.count == 4 && isFull("C"))
    _ = demand.tick(now: 20 * second)
    #expect(demand.subscriptions.count == 2 && isFull("C"))
    _ = demand.refuse("ausdt@kline_1h", now: 0)
    #expect(!isFull("C"))
    _ = demand.want("price.C", now: 0)
    #expect(isFull("D") && isFull("A"))
    _ = demand.take(rules(10), isPinned: false, topics: ["candle.A.1h", "price.B", "price.C"], now: 0)
    #expect(isFull("D"))
    // A refused one that goes makes no room for more.
    demand.leave("candle.A.1h", now: 0)
    _ = demand.tick(now: 60 * second)
    #expect(isFull("D"))
    demand.leave("price.C", now: 60 * second)
    _ = demand.tick(now: 90 * second)
    #expect(!isFull("D"))
  }

  @Test func aRefusedSymbolIsNotAskedForAgainAndTakesNoPlace() {
    var demand = demand("\"*\"", more: "most_symbols = 1\n")
    _ = demand.want("price.BAD", now: 0)
    #expect(demand.want("price.SOL", now: 0) == [.withhold(topic: "price.SOL", .full)])
    #expect(
      demand.refuse("badusdt@bookTicker", now: 0) == [
        .withhold(topic: "price.BAD", .refused), .subscribe(subscription("solusdt@bookTicker")),
      ])
    #expect(demand.refuse("badusdt@bookTicker", now: 0) == [])
    demand.leave("price.BAD", now: 0)
    #expect(demand.want("price.BAD", now: second) == [.withhold(topic: "price.BAD", .refused)])
    #expect(demand.subscriptions.map(\.key) == ["solusdt@bookTicker"])
    // Once its peers have gone for good, the next one may try.
    demand.leave("price.BAD", now: second)
    #expect(demand.tick(now: 31 * second) == [])
    demand.leave("price.SOL", now: 31 * second)
    _ = demand.tick(now: 61 * second)
    #expect(demand.want("price.BAD", now: 70 * second) == [.subscribe(subscription("badusdt@bookTicker"))])
  }

  @Test func aRefusedSymbolIsRememberedByAnotherConfigurationWhileItHasPeers() {
    var demand = demand("\"*\"")
    _ = demand.want("price.BAD", now: 0)
    _ = demand.want("price.GONE", now: 0)
    for key in ["badusdt@bookTicker", "goneusdt@bookTicker"] { _ = demand.refuse(key, now: 0) }
    demand.leave("price.GONE", now: 0)
    #expect(demand.take(rules("\"*\"", more: "linger = 5\n"), isPinned: false, topics: ["price.BAD"], now: second) == [])
    #expect(demand.subscriptions == [])
    #expect(demand.want("price.BAD", now: second) == [.withhold(topic: "price.BAD", .refused)])
    #expect(demand.want("price.GONE", now: second) == [.subscribe(subscription("goneusdt@bookTicker"))])
  }

  @Test func whatIsSubscribedInAnyCaseIsNobodysWish() {
    var demand = demand("\"*\", \"BTCUSDT\"", more: "subscribe = [\"solusdt@bookTicker\", \"btcusdt@bookTicker\"]\n", pinned: true)
    #expect(demand.want("price.SOL", now: 0) == [] && demand.want("price.BTC", now: 0) == [])
    #expect(demand.want("price.XRP", now: 0) == [.subscribe(subscription("xrpusdt@bookTicker"))])
    for topic in ["price.SOL", "price.BTC"] { demand.leave(topic, now: 0) }
    #expect(demand.deadline == nil)
  }

  // MARK: Another configuration

  @Test func whatIsWantedStays() {
    var demand = demand("\"SOLUSDT\", \"BTCUSDT\", \"ETHUSDT\"")
    for topic in ["price.SOL", "price.BTC", "price.ETH"] { _ = demand.want(topic, now: 0) }
    demand.leave("price.ETH", now: 0)
    let steps = demand.take(
      rules("\"SOLUSDT\", \"ETHUSDT\", \"XRPUSDT\"", more: "linger = 60\n"), isPinned: false,
      topics: ["price.SOL", "price.BTC", "price.XRP"], now: second)
    #expect(
      steps == [
        .unsubscribe("btcusdt@bookTicker"), .withhold(topic: "price.BTC", .unwanted), .subscribe(subscription("xrpusdt@bookTicker")),
      ])
    #expect(demand.deadline == 60 * second)
    #expect(demand.tick(now: 60 * second).first == .unsubscribe("ethusdt@bookTicker"))
  }

  @Test func whatWasSubscribedForAllHasItsTime() {
    let rules = rules("\"SOLUSDT\", \"BTCUSDT\"")
    let present = ["solusdt@bookTicker", "btcusdt@bookTicker", "other"].map { subscription($0) }
    var demand = Demand(rules, isPinned: false, topics: ["price.SOL"], present: present, now: 0)
    #expect(Set(demand.subscriptions.map(\.key)) == ["solusdt@bookTicker", "btcusdt@bookTicker"])
    #expect(demand.tick(now: 30 * second) == [.unsubscribe("btcusdt@bookTicker"), .withhold(topic: "price.BTC", .unwanted)])
  }
}
