// SPDX-License-Identifier: Apache-2.0

extension HistorySource {
  typealias Wrong = Surroundings.Sentence

  /// The candles of an answer in order of their starts; or what is wrong with it, none of which is to be used then.
  func read(_ bytes: [UInt8], _ topic: CandleTopic) -> Result<[HistoryRow], Wrong> {
    do throws(Wrong) { return .success(try rows(bytes, topic)) } catch { return .failure(error) }
  }

  private func rows(_ bytes: [UInt8], _ topic: CandleTopic) throws(Wrong) -> [HistoryRow] {
    if !JSONScanner.isValue(bytes) { throw Wrong(text: "the answer is no JSON: \(HistorySource.begin(bytes))") }
    var rows: [HistoryRow] = []
    for (index, row) in try entries(bytes, topic).enumerated() {
      guard let row else { throw Wrong(text: "entry \(index + 1) of the answer is no candle") }
      rows.append(row)
    }
    rows.sort { $0.candle.start < $1.candle.start }
    for (row, next) in zip(rows, rows.dropFirst()) where row.candle.start == next.candle.start {
      throw Wrong(text: "the answer has the candle of \(row.candle.start) twice")
    }
    return rows
  }

  /// In the exchange's order; nil for one that is no candle.
  private func entries(_ bytes: [UInt8], _ topic: CandleTopic) throws(Wrong) -> [HistoryRow?] {
    func text(_ path: String...) -> String? { JSONScanner.text(bytes, at: path) }
    switch form {
    case .binance: return try list(bytes, at: []).map { readRow(bytes, $0) }
    case .okx:
      if text("code") != "0" { throw told(bytes) }
      return try list(bytes, at: ["data"]).map { readRow(bytes, $0) }
    case .bybit:
      if text("retCode") != "0" { throw told(bytes) }
      if let symbol = text("result", "symbol"), symbol != topic.exchangeSymbol {
        throw Wrong(text: "the answer is of \(symbol.prefix(64)), and not of \(topic.exchangeSymbol)")
      }
      return try list(bytes, at: ["result", "list"]).map { readRow(bytes, $0) }
    case .kraken:
      // The member has the exchange's own name for the symbol, and stands beside where to go on.
      let names = JSONScanner.names(bytes, at: ["result"]).filter { $0 != "last" }
      guard JSONScanner.elements(bytes, at: ["error"])?.isEmpty == true, let name = names.first, names.count == 1 else { throw told(bytes) }
      return try list(bytes, at: ["result", name]).map { readRow(bytes, $0, unit: 1000, volume: 6) }
    case .coinbase: return try list(bytes, at: ["candles"]).map { readMembers(bytes, $0) }
    case .deribit:
      if text("result", "status") == "no_data" { return [] }
      if text("result", "status") != "ok" { throw told(bytes) }
      return try readColumns(bytes)
    }
  }

  private func list(_ bytes: [UInt8], at path: [String]) throws(Wrong) -> [Range<Int>] {
    guard let elements = JSONScanner.elements(bytes, at: path) else { throw told(bytes) }
    return elements
  }

  private func told(_ bytes: [UInt8]) -> Wrong { Wrong(text: "the exchange says \(HistorySource.begin(bytes))") }

  /// The begin of an answer, for the log.
  private static func begin(_ bytes: [UInt8]) -> String { String(decoding: bytes.prefix(200), as: UTF8.self) }

  /// A list that begins with start, open, high, low and close; as numbers or as texts. `unit`: of the start (ms).
  private func readRow(_ bytes: [UInt8], _ place: Range<Int>, unit: Int64 = 1, volume: Int = 5) -> HistoryRow? {
    guard let cells = JSONScanner.elements(bytes, in: place), cells.count > volume else { return nil }
    let confirm = form == .okx && cells.count > 8 ? JSONScanner.text(bytes, in: cells[8]) : nil
    return row(bytes, [cells[0]] + cells[1...4] + [cells[volume]], unit: unit, isOpen: confirm == "0")
  }

  private func readMembers(_ bytes: [UInt8], _ place: Range<Int>) -> HistoryRow? {
    let cells = ["start", "open", "high", "low", "close", "volume"].compactMap { JSONScanner.range(bytes, in: place, at: [$0]) }
    return cells.count == 6 ? row(bytes, cells, unit: 1000) : nil
  }

  /// A list of each figure.
  private func readColumns(_ bytes: [UInt8]) throws(Wrong) -> [HistoryRow?] {
    var columns: [[Range<Int>]] = []
    for name in ["ticks", "open", "high", "low", "close", "volume"] { columns.append(try list(bytes, at: ["result", name])) }
    let count = columns[0].count
    if columns.contains(where: { $0.count != count }) { throw Wrong(text: "the lists of the answer are not of one length") }
    return (0..<count).map { index in row(bytes, columns.map { $0[index] }) }
  }

  /// Of start, open, high, low, close and volume.
  private func row(_ bytes: [UInt8], _ cells: [Range<Int>], unit: Int64 = 1, isOpen: Bool = false) -> HistoryRow? {
    guard let start = JSONScanner.text(bytes, in: cells[0]).flatMap({ Int64($0) }), 0...CandleView.lastStart / unit ~= start else {
      return nil
    }
    let figures = cells.dropFirst().compactMap { JSONScanner.text(bytes, in: $0).flatMap { ExactDecimal.text($0) } }
    if figures.count != 5 { return nil }
    return HistoryRow(
      candle: Candle(start: start * unit, open: figures[0], high: figures[1], low: figures[2], close: figures[3], volume: figures[4]),
      isOpen: isOpen)
  }
}
