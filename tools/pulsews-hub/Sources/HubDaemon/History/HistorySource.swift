// SPDX-License-Identifier: Apache-2.0

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
  private enum Form {
    case binance, bybit, okx
  }

  /// nil: it depends on the feed's.
  let url: String?
  /// The most candles of one answer.
  let most: Int
  /// How far back it goes, in candles.
  let reach: Int
  private let form: Form

  static let known: [String: HistorySource] = [
    "binance-spot": HistorySource(url: "https://api.binance.com/api/v3/klines", most: 1000, reach: .max, form: .binance),
    "binance-futures": HistorySource(url: "https://fapi.binance.com/fapi/v1/klines", most: 1000, reach: .max, form: .binance),
    "bybit": HistorySource(url: nil, most: 1000, reach: .max, form: .bybit),
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

  func target(_ base: String, _ topic: CandleTopic, _ window: HistoryWindow) -> String {
    var query: [(String, String)]
    switch form {
    case .binance, .bybit: query = [("symbol", topic.exchangeSymbol), ("interval", topic.exchangeInterval)]
    case .okx: query = [("instId", topic.exchangeSymbol), ("bar", topic.exchangeInterval)]
    }
    switch window {
    case .latest(let count): query.append(("limit", "\(min(count, most))"))
    case .range(let range):
      query.append(("limit", "\(most)"))
      switch form {
      case .binance: query += [("startTime", "\(range.lowerBound)"), ("endTime", "\(range.upperBound)")]
      case .bybit: query += [("start", "\(range.lowerBound)"), ("end", "\(range.upperBound)")]
      // These two are no candles of the answer themselves.
      case .okx: query += [("before", "\(range.lowerBound - 1)"), ("after", "\(range.upperBound + 1)")]
      }
    }
    let text = query.map { "\($0.0)=\(HistorySource.encode($0.1))" }.joined(separator: "&")
    return base + (base.contains("?") ? "&" : "?") + text
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

  // MARK: The answer

  /// The candles in order of their starts; or what is wrong with the answer, none of which is to be used then.
  func read(_ bytes: [UInt8], _ topic: CandleTopic) -> Result<[HistoryRow], Surroundings.Sentence> {
    func wrong(_ text: String) -> Result<[HistoryRow], Surroundings.Sentence> { .failure(Surroundings.Sentence(text: text)) }
    if !JSONScanner.isValue(bytes) { return wrong("the answer is no JSON: \(HistorySource.begin(bytes))") }
    let path: [String]
    switch form {
    case .binance: path = []
    case .okx:
      if JSONScanner.text(bytes, at: ["code"]) != "0" { return wrong("the exchange says \(HistorySource.begin(bytes))") }
      path = ["data"]
    case .bybit:
      if JSONScanner.text(bytes, at: ["retCode"]) != "0" { return wrong("the exchange says \(HistorySource.begin(bytes))") }
      if let symbol = JSONScanner.text(bytes, at: ["result", "symbol"]), symbol != topic.exchangeSymbol {
        return wrong("the answer is of \(symbol.prefix(64)), and not of \(topic.exchangeSymbol)")
      }
      path = ["result", "list"]
    }
    guard let elements = JSONScanner.elements(bytes, at: path) else { return wrong("the exchange says \(HistorySource.begin(bytes))") }
    var rows: [HistoryRow] = []
    for (index, element) in elements.enumerated() {
      guard let row = readRow(bytes, element) else { return wrong("entry \(index + 1) of the answer is no candle") }
      rows.append(row)
    }
    rows.sort { $0.candle.start < $1.candle.start }
    for (row, next) in zip(rows, rows.dropFirst()) where row.candle.start == next.candle.start {
      return wrong("the answer has the candle of \(row.candle.start) twice")
    }
    return .success(rows)
  }

  /// All of them begin with start, open, high, low, close, volume; as numbers or as texts.
  private func readRow(_ bytes: [UInt8], _ place: Range<Int>) -> HistoryRow? {
    guard let cells = JSONScanner.elements(bytes, in: place), cells.count >= 6,
      let start = JSONScanner.text(bytes, in: cells[0]).flatMap({ Int64($0) }), 0...CandleView.lastStart ~= start
    else { return nil }
    let figures = cells[1...5].compactMap { JSONScanner.text(bytes, in: $0).flatMap { ExactDecimal.text($0) } }
    if figures.count != 5 { return nil }
    let confirm = form == .okx && cells.count > 8 ? JSONScanner.text(bytes, in: cells[8]) : nil
    return HistoryRow(
      candle: Candle(start: start, open: figures[0], high: figures[1], low: figures[2], close: figures[3], volume: figures[4]),
      isOpen: confirm == "0")
  }

  /// The begin of an answer, for the log.
  private static func begin(_ bytes: [UInt8]) -> String { String(decoding: bytes.prefix(200), as: UTF8.self) }
}
