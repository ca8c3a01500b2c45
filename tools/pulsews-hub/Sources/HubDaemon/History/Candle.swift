// SPDX-License-Identifier: Apache-2.0

/// A candle with its figures as texts: no digit of them is computed.
struct Candle: Equatable, Sendable {
  /// Its open time (ms since 1970).
  let start: Int64
  let open: String
  let high: String
  let low: String
  let close: String
  let volume: String
  /// The exchange has none, since nothing was traded: its prices are the close before.
  var isEmpty = false

  var prices: [String] { [open, high, low, close] }

  /// Where nothing was traded since `close`.
  static func empty(_ start: Int64, close: String) -> Candle {
    Candle(start: start, open: close, high: close, low: close, close: close, volume: "0", isEmpty: true)
  }
}

/// A topic with the candles of one symbol and interval, and what they are called at the exchange.
struct CandleTopic: Hashable, Sendable {
  let name: String
  let symbol: String
  let interval: String
  /// Of one candle (ms).
  let length: Int64
  let exchangeSymbol: String
  let exchangeInterval: String

  /// A closed candle, as the map of the feed publishes it.
  func json(_ candle: Candle) -> String {
    let figures = [("open", candle.open), ("high", candle.high), ("low", candle.low), ("close", candle.close), ("volume", candle.volume)]
    let members = figures.map { ",\"\($0.0)\":\"\($0.1)\"" }.joined()
    return begin(candle.start) + members + ",\"closed\":true" + (candle.isEmpty ? ",\"empty\":true}" : "}")
  }

  /// Says that the closed candle with this start is missing.
  func gapJSON(_ start: Int64) -> String { begin(start) + ",\"gap\":true}" }

  private func begin(_ start: Int64) -> String {
    "{\"type\":\"candle\",\"symbol\":\(jsonString(symbol)),\"interval\":\(jsonString(interval)),\"start\":\(start)"
  }

  /// How long a candle of that interval is (ms): "1m", "4h", "1d", "1w". nil for months, which are not all of one length, and
  /// for what is no interval.
  static func length(_ interval: String) -> Int64? {
    let units: [Character: Int64] = ["s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000]
    guard let last = interval.last, let unit = units[last], let count = Int64(interval.dropLast()), 1...1000 ~= count,
      interval.first?.isNumber == true
    else { return nil }
    return count * unit
  }
}
