// SPDX-License-Identifier: Apache-2.0

/// A length of candles that the demo's exchange has.
enum DemoInterval: String, CaseIterable, Sendable {
  case minute = "1m"
  case fiveMinutes = "5m"

  /// In milliseconds.
  var length: Int64 {
    switch self {
    case .minute: 60_000
    case .fiveMinutes: 300_000
    }
  }

  /// When the candle of that time begins; times are those of today, and not negative.
  func start(of time: Int64) -> Int64 { time - time % length }
}

/// Prices and quantities in units of their last digits.
struct DemoTrade: Equatable, Sendable {
  let id: Int64
  let time: Int64
  let price: Int64
  let quantity: Int64
  /// The buyer's order was in the book: a sale took it.
  let isBuyerMaker: Bool
}

struct DemoCandle: Equatable, Sendable {
  let interval: DemoInterval
  let start: Int64
  private(set) var open: Int64
  private(set) var high: Int64
  private(set) var low: Int64
  private(set) var close: Int64
  private(set) var volume: Int64 = 0
  /// Price times quantity.
  private(set) var value: Int64 = 0
  private(set) var takerVolume: Int64 = 0
  private(set) var takerValue: Int64 = 0
  private(set) var trades: Int64 = 0
  private(set) var firstTrade: Int64 = -1
  private(set) var lastTrade: Int64 = -1

  /// The last millisecond that belongs to it.
  var end: Int64 { start + interval.length - 1 }

  /// One that begins where the one before ended; without a trade it stays there.
  init(_ interval: DemoInterval, start: Int64, price: Int64) {
    self.interval = interval
    self.start = start
    (open, high, low, close) = (price, price, price, price)
  }

  mutating func take(_ trade: DemoTrade) {
    let value = trade.price * trade.quantity
    high = max(high, trade.price)
    low = min(low, trade.price)
    close = trade.price
    volume += trade.quantity
    self.value += value
    if !trade.isBuyerMaker {
      takerVolume += trade.quantity
      takerValue += value
    }
    trades += 1
    if firstTrade < 0 { firstTrade = trade.id }
    lastTrade = trade.id
  }
}

/// The candles of one symbol and one interval: each follows the one before, and changes no more once it is closed.
struct DemoCandles: Equatable, Sendable {
  static let most = 1500

  let interval: DemoInterval
  private(set) var closed: [DemoCandle] = []
  private(set) var current: DemoCandle

  init(_ interval: DemoInterval, time: Int64, price: Int64) {
    self.interval = interval
    current = DemoCandle(interval, start: interval.start(of: time), price: price)
  }

  /// Closes those that are over at that time, in order, and returns them.
  mutating func advance(to time: Int64) -> [DemoCandle] {
    let start = interval.start(of: time)
    var over: [DemoCandle] = []
    while current.start < start {
      over.append(current)
      // A clock that leaps far ahead leaves a hole: there was no market.
      let next = max(current.start + interval.length, start - Int64(DemoCandles.most) * interval.length)
      current = DemoCandle(interval, start: next, price: current.close)
    }
    closed += over
    if closed.count > DemoCandles.most { closed.removeFirst(closed.count - DemoCandles.most) }
    return over
  }

  mutating func take(_ trade: DemoTrade) { current.take(trade) }

  /// As an exchange answers: those that begin within the times, the first ones if a begin is named, else the last ones; the
  /// one that is open is the newest.
  func pick(from: Int64?, to: Int64?, limit: Int) -> [DemoCandle] {
    let found = (closed + [current]).filter { $0.start >= from ?? .min && $0.start <= to ?? .max }
    return Array(from == nil ? found.suffix(limit) : found.prefix(limit))
  }
}
