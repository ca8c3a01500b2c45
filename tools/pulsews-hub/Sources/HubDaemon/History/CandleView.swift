// SPDX-License-Identifier: Apache-2.0

/// What a topic has: the latest message of each candle, as a newcomer would be given it.
struct CandleView: Equatable {
  struct Entry: Equatable {
    var offset: Int64 = 0
    /// When it was published (ns since 1970).
    var published: Int64 = 0
    var isClosed = false
    var isGap = false
    var isEmpty = false
    var prices: [String] = []
  }

  private(set) var entries: [Int64: Entry] = [:]
  /// Of the topic's last message.
  private(set) var offset: Int64 = 0

  var newest: Int64? { entries.keys.max() }
  var oldest: Int64? { entries.keys.min() }

  init(_ entries: [Int64: Entry] = [:], offset: Int64 = 0) {
    self.entries = entries
    self.offset = offset
  }

  /// Of the text of a topic's `snapshot`. What is no candle is left out.
  init(snapshot text: String) {
    let bytes = Array(text.utf8)
    offset = JSONScanner.text(bytes, at: ["offset"]).flatMap { Int64($0) } ?? 0
    for item in JSONScanner.elements(bytes, at: ["items"]) ?? [] {
      func text(_ path: String...) -> String? { JSONScanner.text(bytes, in: item, at: path) }
      guard text("data", "type") == "candle", let start = text("data", "start").flatMap({ Int64($0) }), start >= 0,
        start <= CandleView.lastStart
      else { continue }
      let entry = Entry(
        offset: text("o").flatMap { Int64($0) } ?? 0, published: CandleView.published(bytes, item),
        isClosed: text("data", "closed") == "true", isGap: text("data", "gap") == "true",
        isEmpty: text("data", "empty") == "true",
        prices: ["open", "high", "low", "close"].compactMap { text("data", $0) })
      if entry.offset >= entries[start]?.offset ?? 0 { entries[start] = entry }
    }
  }

  /// The third of `t`: ms with three decimals.
  private static func published(_ bytes: [UInt8], _ item: Range<Int>) -> Int64 {
    guard let stamps = JSONScanner.elements(bytes, in: item, at: ["t"]), stamps.count > 2,
      let parts = JSONScanner.text(bytes, in: stamps[2])?.split(separator: "."), let ms = parts.first.flatMap({ Int64($0) }),
      0...CandleView.lastStamp ~= ms
    else { return 0 }
    return (ms * 1000 + (parts.count > 1 ? Int64(parts[1].prefix(3)) ?? 0 : 0)) * 1000
  }

  /// In ms; in ns it is less than an Int64 holds.
  private static let lastStamp: Int64 = 9_000_000_000_000

  /// Of times in ms: in the year 5138. Sums with it stay small.
  static let lastStart: Int64 = 100_000_000_000_000
}
