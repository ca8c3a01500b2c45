// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

@Suite struct DemoMarketTests {
  private static let now: Int64 = 1_796_000_023_000

  /// A market, and what happens in it in so many seconds, 100 times each.
  private func run(seed: UInt64, seconds: Int64) -> (DemoMarket, [DemoEvent]) {
    var market = DemoMarket(seed: seed, now: DemoMarketTests.now)
    var events: [DemoEvent] = []
    for time in stride(from: DemoMarketTests.now, to: DemoMarketTests.now + seconds * 1000, by: 10) { events += market.step(at: time) }
    return (market, events)
  }

  @Test func aSeedDecidesEverything() {
    let (one, first) = run(seed: 7, seconds: 5)
    let (two, second) = run(seed: 7, seconds: 5)
    #expect(one == two && first == second)
    #expect(run(seed: 8, seconds: 5).1 != first)
  }

  @Test func decimalsHaveTheirDigits() {
    #expect(decimalText(6_425_010, 2) == "64250.10")
    #expect(decimalText(5, 3) == "0.005")
    #expect(decimalText(-5, 1) == "-0.5")
    #expect(decimalText(0, 2) == "0.00")
    #expect(decimalText(12, 0) == "12")
    #expect(decimalText(.min, 0) == "-9223372036854775808")
  }

  @Test func everySymbolMovesWithinItsBounds() {
    let (_, events) = run(seed: 1, seconds: 20)
    for instrument in DemoInstrument.all {
      let quotes = events.compactMap { event -> DemoQuote? in
        if case .quote(instrument, let quote) = event { quote } else { nil }
      }
      #expect(quotes.count > 100 && Set(quotes.map(\.bid)).count > 20, "\(instrument.symbol)")
      #expect(quotes.allSatisfy { $0.bid < $0.ask && $0.bid > instrument.price / 2 - 1000 && $0.ask < instrument.price * 2 + 1000 })
      #expect(zip(quotes, quotes.dropFirst()).allSatisfy { $0.update < $1.update })
    }
  }

  @Test func candlesAreTheTradesOfTheirMinute() {
    let (market, events) = run(seed: 3, seconds: 140)
    for instrument in DemoInstrument.all {
      var closed: [DemoCandle] = []
      var trades: [DemoTrade] = []
      for event in events {
        switch event {
        case .trade(instrument, let trade): trades.append(trade)
        case .candle(instrument, let candle, isClosed: true, _) where candle.interval == .minute: closed.append(candle)
        default: break
        }
      }
      #expect(closed.map(\.start) == [1_795_999_980_000, 1_796_000_040_000, 1_796_000_100_000], "\(instrument.symbol)")
      // The second is the first that is wholly seen.
      let candle = closed[1]
      let its = trades.filter { $0.time >= candle.start && $0.time <= candle.end }
      #expect(candle.trades == Int64(its.count) && candle.firstTrade == its.first?.id && candle.lastTrade == its.last?.id)
      #expect(candle.open == closed[0].close && candle.close == its.last?.price)
      #expect(candle.high == max(candle.open, its.map(\.price).max() ?? 0) && candle.low == min(candle.open, its.map(\.price).min() ?? 0))
      #expect(candle.volume == its.map(\.quantity).reduce(0, +) && candle.value == its.map { $0.quantity * $0.price }.reduce(0, +))
      let bought = its.filter { !$0.isBuyerMaker }
      #expect(candle.takerVolume == bought.map(\.quantity).reduce(0, +))
      #expect(candle.takerValue == bought.map { $0.quantity * $0.price }.reduce(0, +))
      #expect(market.candles(instrument.symbol, .minute)?.1.closed.suffix(3) == closed[...])
    }
  }

  @Test func theMarketWasOpenBefore() {
    let market = DemoMarket(seed: 3, now: DemoMarketTests.now)
    let minutes = market.candles("BTCUSDT", .minute)?.1
    let closed = minutes?.closed ?? []
    #expect(closed.count >= Int(DemoMarket.past))
    #expect(zip(closed, closed.dropFirst()).allSatisfy { $0.start + 60_000 == $1.start && $0.close == $1.open })
    #expect(closed.allSatisfy { $0.trades > 0 } && minutes?.current.start == DemoInterval.minute.start(of: DemoMarketTests.now))
    #expect(market.candles("BTCUSDT", .fiveMinutes)?.1.closed.first?.start == closed.first?.start)
    #expect(market.candles("NOPE", .minute) == nil)
  }

  @Test func clocksMayLeap() {
    var market = DemoMarket(seed: 3, now: DemoMarketTests.now)
    let before = market.candles("BTCUSDT", .minute)?.1.current.start
    _ = market.step(at: DemoMarketTests.now - 3_600_000)
    #expect(market.candles("BTCUSDT", .minute)?.1.current.start == before)
    _ = market.step(at: DemoMarketTests.now + 1000 * 86_400_000)
    let closed = market.candles("BTCUSDT", .minute)?.1.closed ?? []
    #expect(closed.count == DemoCandles.most && closed.last?.end == DemoInterval.minute.start(of: market.time) - 1)
  }

  @Test func closedCandlesArePickedAsAnExchangeDoes() {
    var candles = DemoCandles(.minute, time: 0, price: 1)
    _ = candles.advance(to: 5 * 60_000)
    func minutes(_ from: Int64?, _ to: Int64?, _ limit: Int) -> [Int64] {
      candles.pick(from: from, to: to, limit: limit).map { $0.start / 60_000 }
    }
    #expect(minutes(nil, nil, 3) == [3, 4, 5])
    #expect(minutes(60_000, nil, 2) == [1, 2])
    #expect(minutes(60_001, 180_000, 9) == [2, 3])
    #expect(minutes(nil, 180_000, 2) == [2, 3])
    #expect(minutes(900_000, nil, 2) == [])
  }
}
