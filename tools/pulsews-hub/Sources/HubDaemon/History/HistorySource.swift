// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem

/// A candle of an exchange's answer.
struct HistoryRow: Equatable, Sendable {
  let candle: Candle
  /// The exchange says that it is still open.
  let isOpen: Bool
}

/// Which candles are asked for: those that begin within, or the latest ones.
enum HistoryWindow: Equatable, Sendable {
  case latest(Int)
  case range(ClosedRange<Int64>)
}

/// How an exchange is asked for its candles, and what it answers. By the names of presets.
struct HistorySource: Sendable {
  enum Form {
    case binance, bybit, coinbase, deribit, kraken, okx
  }

  /// nil: it depends on the feed's.
  let url: String?
  /// The most candles of one answer.
  let most: Int
  /// How far back it goes, in candles.
  let reach: Int
  let form: Form
  /// The stream says when a candle is closed; else only REST does.
  var streamSaysClosed: Bool { ![.coinbase, .deribit, .kraken].contains(form) }

  static let known: [String: HistorySource] = [
    "binance-spot": HistorySource(url: "https://api.binance.com/api/v3/klines", most: 1000, reach: .max, form: .binance),
    "binance-futures": HistorySource(url: "https://fapi.binance.com/fapi/v1/klines", most: 1000, reach: .max, form: .binance),
    "bybit": HistorySource(url: nil, most: 1000, reach: .max, form: .bybit),
    // No more than 350 of one answer; this is with those that stand beside.
    "coinbase": HistorySource(
      url: "https://api.coinbase.com/api/v3/brokerage/market/products/{symbol}/candles", most: 300, reach: .max, form: .coinbase),
    "deribit": HistorySource(
      url: "https://www.deribit.com/api/v2/public/get_tradingview_chart_data", most: 1000, reach: .max, form: .deribit),
    // The open one is always among them.
    "kraken": HistorySource(url: "https://api.kraken.com/0/public/OHLC", most: 720, reach: 719, form: .kraken),
    "okx": HistorySource(url: "https://www.okx.com/api/v5/market/candles", most: 300, reach: 1400, form: .okx),
  ]

  /// Bybit's markets are told apart by the path of the stream: wss://stream.bybit.com/v5/public/spot.
  func url(ofFeed url: String) -> String? {
    if let own = self.url { return own }
    let path = url.prefix { $0 != "?" && $0 != "#" }
    guard let market = path.split(separator: "/").last, ["spot", "linear", "inverse"].contains(market) else { return nil }
    return "https://api.bybit.com/v5/market/kline?category=\(market)"
  }

  // MARK: The request

  /// `now`: ms since 1970, for exchanges that can't be asked for the latest.
  func target(_ base: String, _ topic: CandleTopic, _ window: HistoryWindow, now: Int64 = daemon_realtime_ns() / 1_000_000) -> String {
    let query = query(topic, window, now).map { "\($0.0)=\(HistorySource.encode($0.1))" }.joined(separator: "&")
    return base.replacing("{symbol}", with: HistorySource.encode(topic.exchangeSymbol)) + (base.contains("?") ? "&" : "?") + query
  }

  private func query(_ topic: CandleTopic, _ window: HistoryWindow, _ now: Int64) -> [(String, String)] {
    let (symbol, interval) = (topic.exchangeSymbol, topic.exchangeInterval)
    switch form {
    case .binance: return [("symbol", symbol), ("interval", interval)] + limited(window, "startTime", "endTime")
    case .bybit: return [("symbol", symbol), ("interval", interval)] + limited(window, "start", "end")
    // These two are no candles of the answer themselves.
    case .okx: return [("instId", symbol), ("bar", interval)] + limited(window, "before", "after", around: 1)
    case .kraken:
      let query = [("pair", symbol), ("interval", interval)]
      guard case .range(let range) = window else { return query }
      return query + [("since", "\(max(0, range.lowerBound / 1000 - 1))")]
    case .coinbase:
      let times = times(topic, window, now)
      return [("start", "\(times.lowerBound / 1000)"), ("end", "\(times.upperBound / 1000)"), ("granularity", "FIVE_MINUTE")]
    case .deribit:
      let times = times(topic, window, now)
      return [
        ("instrument_name", symbol), ("start_timestamp", "\(times.lowerBound)"), ("end_timestamp", "\(times.upperBound)"),
        ("resolution", interval),
      ]
    }
  }

  private func limited(_ window: HistoryWindow, _ first: String, _ last: String, around: Int64 = 0) -> [(String, String)] {
    switch window {
    case .latest(let count): [("limit", "\(min(count, most))")]
    case .range(let range):
      [("limit", "\(most)"), (first, "\(range.lowerBound - around)"), (last, "\(range.upperBound + around)")]
    }
  }

  /// With one candle more at an end of which it is not known whether it belongs to the answer. Clocks differ, too.
  private func times(_ topic: CandleTopic, _ window: HistoryWindow, _ now: Int64) -> ClosedRange<Int64> {
    switch window {
    case .latest(let count):
      let begin = now - now % topic.length
      return max(0, begin - Int64(min(count, most)) * topic.length)...begin + topic.length
    case .range(let range): return range.lowerBound...range.upperBound + topic.length
    }
  }

  private static func encode(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var out: [UInt8] = []
    for byte in text.utf8 {
      let isPlain = byte < 0x80 && (Character(Unicode.Scalar(byte)).isLetter || Character(Unicode.Scalar(byte)).isNumber)
      if isPlain || "-._~".utf8.contains(byte) {
        out.append(byte)
      } else {
        out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}
